"""Time as a value: now, epoch milliseconds, ISO 8601 in and out."""

import time
from datetime import UTC, datetime

from dateutil import parser as date_parser

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


def monotonic() -> float:
    return time.monotonic()


def to_millis(moment: datetime) -> int:
    """Milliseconds since 1970-01-01T00:00:00Z, exact."""
    delta = moment - EPOCH
    return delta.days * 86_400_000 + delta.seconds * 1000 + delta.microseconds // 1000


def from_millis(millis: float) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and `Z`, as JavaScript prints it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_iso(text: str) -> datetime | None:
    """A moment from ISO 8601 text; without a zone it is UTC. None when it is not ISO 8601."""
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def parse_loosely(text: str) -> datetime | None:
    """A moment from ISO 8601, Unix seconds as digits, or the usual written forms.

    The digits follow ClickHouse's best-effort parser: 10 are seconds, 13 are milliseconds.
    """
    if text.isascii() and text.isdigit():
        return _from_digits(text)
    parsed = parse_iso(text)
    if parsed is not None:
        return parsed
    try:
        loose = date_parser.parse(text, default=datetime(1970, 1, 1))  # noqa: DTZ001 - the zone follows
        return loose.replace(tzinfo=UTC) if loose.tzinfo is None else loose.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _from_digits(text: str) -> datetime | None:
    millis = {9: 1000, 10: 1000, 13: 1}.get(len(text))
    if millis is None:
        return parse_iso(text)
    return from_millis(int(text) * millis)
