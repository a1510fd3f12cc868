"""The routes of `/api/deliveries`."""

import base64
import json
from typing import Any

from tenfold.engagement.deliveries import store
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.kit.clock import iso, parse_loosely
from tenfold.kit.errors import Invalid
from tenfold.kit.ids import constant_id, try_parse_id
from tenfold.storage.db import Row
from tenfold.tenancy import door

_DEFAULT_LIMIT, _MOST = 20, 1000
_NONE = constant_id("no such id")


async def search(call: Call) -> Reply:
    wanted = filters(call)
    async with door.workspace(call.scope) as db:
        rows = await store.search(db, wanted)
    body: dict[str, Any] = {
        "workspaceId": str(call.scope.workspace_id),
        "items": [resource(row) for row in rows],
    }
    if len(rows) >= wanted["limit"]:
        body["cursor"] = _cursor(wanted["offset"] + len(rows))
    if wanted["offset"] > 0:
        body["previousCursor"] = _cursor(max(wanted["offset"] - wanted["limit"], 0))
    return Reply(200, body)


async def count(call: Call) -> Reply:
    async with door.workspace(call.scope) as db:
        return Reply(200, {"count": await store.count(db, filters(call))})


def filters(call: Call) -> dict[str, Any]:
    """The statement's parameters from a checked query string.

    Raises Invalid, naming the field.
    """
    query = call.query
    limit = query.get("limit", _DEFAULT_LIMIT)
    if not 1 <= limit <= _MOST:
        raise Invalid(f"limit must be between 1 and {_MOST}")
    return {
        "workspace_id": call.scope.workspace_id,
        "journey_id": _id(query.get("journeyId")),
        "broadcast_id": _id(query.get("broadcastId")),
        "template_ids": None if "templateIds" not in query else [_id(item) for item in query["templateIds"]],
        "user_ids": _list(query.get("userId")),
        "channels": query.get("channels"),
        "statuses": query.get("statuses"),
        "recipients": query.get("to") or _list(query.get("toIdentifier")),
        "senders": query.get("from") or _list(query.get("fromIdentifier")),
        "start": _date(query, "startDate"),
        "end": _date(query, "endDate"),
        "sort": query.get("sortBy", "sentAt"),
        "ascending": query.get("sortDirection") == "Asc",
        "limit": int(limit),
        "offset": _read_cursor(query.get("cursor")),
    }


def resource(row: Row) -> dict[str, Any]:
    """A delivery as the wire shows it."""
    recorded: dict[str, Any] = row["variant"] or {}
    variant = {key: value for key, value in recorded.items() if key != "triggeringMessageId"}
    optional: dict[str, Any] = {
        "journeyId": row["journey_id"] and str(row["journey_id"]),
        "broadcastId": row["broadcast_id"] and str(row["broadcast_id"]),
        "triggeringMessageId": recorded.get("triggeringMessageId"),
    }
    shown: dict[str, Any] = {
        "status": row["status"],
        "variant": variant,
        "sentAt": iso(row["sent_at"]),
        "updatedAt": iso(row["status_at"]),
        "userId": row["user_id"],
        "isAnonymous": False,
        "originMessageId": str(row["id"]),
        "templateId": str(row["template_id"]),
    }
    return shown | {name: value for name, value in optional.items() if value is not None}


def _id(text: str | None) -> Any:
    return None if text is None else try_parse_id(text) or _NONE


def _list(value: str | list[str] | None) -> list[str] | None:
    return [value] if isinstance(value, str) else value


def _date(query: dict[str, Any], name: str) -> Any:
    if name not in query:
        return None
    parsed = parse_loosely(query[name])
    if parsed is None:
        raise Invalid(f"{name} is not a date")
    return parsed


def _cursor(offset: int) -> str:
    return base64.b64encode(json.dumps({"o": offset}).encode()).decode()


def _read_cursor(cursor: str | None) -> int:
    """The offset in a cursor; an unreadable one is 0 (as the reference)."""
    try:
        offset = json.loads(base64.b64decode(cursor or "", validate=True))["o"]
    except (ValueError, KeyError, TypeError):
        return 0
    return offset if isinstance(offset, int) and offset >= 0 else 0


ENDPOINTS = [
    Endpoint("GET", "/deliveries", Door.WORKSPACE, search),
    Endpoint("GET", "/deliveries/count", Door.WORKSPACE, count),
]
