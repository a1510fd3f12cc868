"""Which events somebody looks for."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tenfold.kit.clock import from_millis
from tenfold.kit.errors import Invalid

_DEFAULT_LIMIT = 10
_MOST = 1_000
_LAST_MILLI = 4_000_000_000_000


@dataclass(frozen=True, slots=True)
class Query:
    """Which events: empty lists and texts do not narrow. Dates bound the processing time."""

    term: str
    user_id: str
    message_ids: list[str]
    events: list[str]
    event_type: str
    journey_id: str
    broadcast_id: str
    start: datetime
    end: datetime
    limit: int
    offset: int
    with_context: bool

    @staticmethod
    def of(query: dict[str, Any]) -> "Query":
        """From a checked query string.

        Raises Invalid for numbers out of range.
        """
        message_ids = query.get("messageId", [])
        try:
            start = from_millis(query.get("startDate", 0))
            end = from_millis(query.get("endDate", _LAST_MILLI))
        except (OverflowError, ValueError, OSError) as error:
            raise Invalid("startDate and endDate must be epoch milliseconds") from error
        return Query(
            term=query.get("searchTerm", ""),
            user_id=query.get("userId", ""),
            message_ids=[message_ids] if isinstance(message_ids, str) else message_ids,
            events=query.get("event", []),
            event_type=query.get("eventType", ""),
            journey_id=query.get("journeyId", ""),
            broadcast_id=query.get("broadcastId", ""),
            start=start,
            end=end,
            limit=_bounded("limit", query.get("limit", _DEFAULT_LIMIT), _MOST),
            offset=_bounded("offset", query.get("offset", 0), 10_000_000),
            with_context=query.get("includeContext", False),
        )


def _bounded(name: str, value: float, most: int) -> int:
    if not 0 <= value <= most:
        raise Invalid(f"{name} must be between 0 and {most}")
    return int(value)
