"""Reading and exporting the audit log of a workspace."""

from datetime import datetime
from typing import Any

from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.kit.clock import parse_iso
from tenfold.kit.errors import Invalid
from tenfold.tenancy.audit import log
from tenfold.tenancy.audit.log import AuditQuery

_MOST = 1000


async def page(call: Call) -> Reply:
    query = read_query(call.query)
    events = await log.page(call.scope, query)
    body: dict[str, Any] = {"events": events}
    if len(events) == query.limit:
        body["cursor"] = str(events[-1]["sequence"])
    return Reply(200, body)


async def export(call: Call) -> Reply:
    """The whole log as a download; taking it out is itself an entry of the log."""
    await log.record(call.scope, "audit-log.exported", ("workspace", str(call.scope.workspace_id)))
    name = f'attachment; filename="audit-{call.scope.workspace_id}.jsonl"'
    return Reply(200, log.export(call.scope), {"Content-Disposition": name}, "application/x-ndjson")


def read_query(query: dict[str, Any]) -> AuditQuery:
    """What a request wants to see.

    Raises Invalid, naming the field.
    """
    limit, cursor = str(query.get("limit", 100)), query.get("cursor")
    if not (limit.isdecimal() and 1 <= int(limit) <= _MOST):
        raise Invalid(f"limit must be between 1 and {_MOST}")
    if cursor is not None and not (cursor.isdecimal() and len(cursor) < 19):  # noqa: PLR2004 - fits a bigint
        raise Invalid("cursor is not one that this log gave")
    return AuditQuery(
        before=None if cursor is None else int(cursor),
        limit=int(limit),
        action=query.get("action"),
        actor_id=query.get("actorId"),
        start=_moment(query, "startDate"),
        end=_moment(query, "endDate"),
    )


def _moment(query: dict[str, Any], name: str) -> datetime | None:
    text = query.get(name)
    moment = parse_iso(text) if text is not None else None
    if text is not None and moment is None:
        raise Invalid(f"{name} must be an ISO 8601 date-time")
    return moment


ENDPOINTS = [
    Endpoint("GET", "/audit-log", Door.WORKSPACE, page),
    Endpoint("GET", "/audit-log/export", Door.WORKSPACE, export),
]
