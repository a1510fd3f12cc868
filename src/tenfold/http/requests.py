"""Small readings of requests that several slices share."""

from typing import Any
from uuid import UUID

from tenfold.http.endpoint import Reply
from tenfold.http.problems import Answered
from tenfold.kit.errors import NotFound
from tenfold.kit.ids import try_parse_id


def optional_id(body: dict[str, Any]) -> UUID | None:
    """The id that an upsert names; the wire answers a bad one with IdError."""
    if body.get("id") is None:
        return None
    found = try_parse_id(body["id"])
    if found is None:
        raise Answered(Reply(400, {"type": "IdError", "message": "id is not a valid UUID."}))
    return found


def wanted_id(body: dict[str, Any], name: str = "id") -> UUID:
    """The id that a request names; one that is no UUID names nothing."""
    found = try_parse_id(body.get(name))
    if found is None:
        raise NotFound
    return found


def wanted_ids(query: dict[str, Any], name: str = "ids") -> list[UUID] | None:
    """The ids that narrow a list; None when none are given."""
    if name not in query:
        return None
    return [found for item in query[name] if (found := try_parse_id(item))]
