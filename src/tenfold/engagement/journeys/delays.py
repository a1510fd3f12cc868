"""When a delay ends. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tenfold.engagement.journeys.model import LocalTimeDelay, SecondDelay, UserPropertyDelay
from tenfold.kit.clock import from_millis, parse_loosely, to_millis

_DAYS_AHEAD = 9
_SECONDS_BELOW = 1e12  # a smaller number is Unix seconds, a greater one milliseconds


def end_of(
    variant: SecondDelay | LocalTimeDelay | UserPropertyDelay,
    now: int,
    properties: Mapping[str, Any],
    by_id: Mapping[str, Any],
) -> int:
    """Epoch milliseconds at which the delay is over; `now` for one that does not apply."""
    match variant:
        case SecondDelay(seconds=seconds):
            return now + int(seconds * 1000)
        case LocalTimeDelay():
            return next_local_time(variant, now, zone_of(properties, variant.default_timezone))
        case UserPropertyDelay(user_property=name, offset_seconds=offset, offset_direction=direction):
            target = _moment(by_id.get(name))
            if target is None:
                return now
            return max(now, target + int(offset * 1000) * (1 if direction == "after" else -1))


def next_local_time(variant: LocalTimeDelay, now: int, zone: ZoneInfo) -> int:
    """The next local hour:minute after `now` on an allowed weekday (Sunday is 0), by the zone's rules of that day."""
    local = from_millis(now).astimezone(zone)
    for days in range(_DAYS_AHEAD):
        day = (local + timedelta(days=days)).date()
        target = datetime(day.year, day.month, day.day, variant.hour, variant.minute, tzinfo=zone).astimezone(UTC)
        allowed = variant.allowed_days_of_week
        if to_millis(target) > now and (not allowed or day.isoweekday() % 7 in allowed):
            return to_millis(target)
    return now


def zone_of(properties: Mapping[str, Any], default: str | None) -> ZoneInfo:
    """The user's time zone: property `timezone`, else the place `latLon`, else the default, else UTC."""
    place = properties.get("latLon")
    names = (properties.get("timezone"), _zone_at(place) if isinstance(place, str) else None, default)
    return next((zone for name in names if (zone := _zone(name))), ZoneInfo("UTC"))


def _zone(name: Any) -> ZoneInfo | None:
    if not isinstance(name, str) or not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _zone_at(place: str) -> str | None:
    try:
        latitude, longitude = (float(part) for part in place.split(","))
        return _finder().timezone_at(lat=latitude, lng=longitude)
    except ValueError:
        return None


@cache
def _finder() -> Any:
    from timezonefinder import TimezoneFinder  # noqa: PLC0415 - memory that most workers never need

    return TimezoneFinder(in_memory=True)


def _moment(value: Any) -> int | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return int(value * 1000 if value < _SECONDS_BELOW else value)
    parsed = parse_loosely(str(value))
    return to_millis(parsed) if parsed else None
