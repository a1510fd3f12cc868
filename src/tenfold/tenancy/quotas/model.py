"""The limits by name. Counting happens in the database (migration 0010)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tenfold.kit.errors import Forbidden, Invalid

# What is counted, by the name of its counter, and the field that limits it. Broadcasts do not exist yet.
COUNTED: Final = {
    "users": "maxUsers",
    "segments": "maxSegments",
    "journeys": "maxJourneys",
    "templates": "maxTemplates",
    "members": "maxMembers",
    "broadcasts": "maxBroadcasts",
    "storage": "maxStorageBytes",
    "messages": "maxMessagesPerMonth",
    "events": "maxEventsPerMonth",
}
MONTHLY: Final = ("messages", "events")  # counters that have their month in their name: events:2026-11
_SHOWN: Final = {"storage": "storageBytes", "messages": "messagesThisMonth", "events": "eventsThisMonth"}
FIELDS: Final = (
    "maxUsers", "maxSegments", "maxJourneys", "maxTemplates", "maxStorageBytes", "maxMessagesPerMonth", "maxMembers",
    "maxBroadcasts", "maxEventsPerMonth", "maxRequestsPerMinute",
)  # fmt: skip
_MOST: Final = 2**53  # what JSON numbers carry exactly
Limits = dict[str, int | None]


def read_limits(given: Mapping[str, Any]) -> Limits:
    """The limits among a request's fields.

    Raises Invalid, naming the field, for a value that is no whole number of 0 or more.
    """
    limits: Limits = {}
    for field in FIELDS:
        if field not in given:
            continue
        value = given[field]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST):
            raise Invalid(f"{field} must be a whole number of 0 or more, or null for no limit")
        limits[field] = value
    return limits


def check_ceiling(wanted: Limits, ceiling: Limits) -> None:
    """Raises Forbidden for a limit above the platform's ceiling, none being the highest."""
    for field, value in wanted.items():
        most = ceiling.get(field)
        if most is not None and (value is None or value > most):
            raise Forbidden(f"{field} may be {most} at most", field=field, ceiling=most)


def effective(own: Limits, defaults: Limits, ceiling: Limits) -> Limits:
    """What holds: the workspace's own choice, else the default, and never more than the ceiling."""
    found: Limits = {}
    for field in FIELDS:
        candidates = [own.get(field, defaults.get(field)), ceiling.get(field)]
        found[field] = min((value for value in candidates if value is not None), default=None)
    return found


def shown_usage(used: Mapping[str, int], moment: datetime) -> dict[str, int]:
    """What is used of each resource, by its name on the wire, in the month of `moment`."""
    month = month_of(moment)
    named = {resource: f"{resource}:{month}" if resource in MONTHLY else resource for resource in COUNTED}
    return {_SHOWN.get(resource, resource): used.get(counter, 0) for resource, counter in named.items()}


def month_of(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m")


def next_month(moment: datetime) -> datetime:
    """When the month turns: 00:00 UTC on the 1st of the next one."""
    present = moment.astimezone(UTC)
    year, month = divmod(present.year * 12 + present.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)
