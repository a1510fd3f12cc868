"""The limits by name. Counting happens in the database (migration 0010)."""

from collections.abc import Mapping
from typing import Any, Final

from tenfold.kit.errors import Forbidden, Invalid

# What is counted, and by which field it is limited. Requests are limited as well; the other fields of the contract are
# refused until they are enforced.
COUNTED: Final = {
    "segments": "maxSegments",
    "journeys": "maxJourneys",
    "templates": "maxTemplates",
    "members": "maxMembers",
}
FIELDS: Final = (
    "maxUsers", "maxSegments", "maxJourneys", "maxTemplates", "maxStorageBytes", "maxMessagesPerMonth", "maxMembers",
    "maxBroadcasts", "maxEventsPerMonth", "maxRequestsPerMinute",
)  # fmt: skip
REQUESTS: Final = "maxRequestsPerMinute"
_ENFORCED: Final = {*COUNTED.values(), REQUESTS}
_MOST: Final = 2**53  # what JSON numbers carry exactly
Limits = dict[str, int | None]


def read_limits(given: Mapping[str, Any]) -> Limits:
    """The limits among a request's fields.

    Raises Invalid, naming the field, for a value that is no whole number of 0 or more, or a limit not enforced yet.
    """
    limits: Limits = {}
    for field in FIELDS:
        if field not in given:
            continue
        value = given[field]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST):
            raise Invalid(f"{field} must be a whole number of 0 or more, or null for no limit")
        if value is not None and field not in _ENFORCED:
            raise Invalid(f"{field} cannot be limited yet")
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
