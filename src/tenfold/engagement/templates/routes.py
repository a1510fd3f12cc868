"""The routes of `/api/content/templates`."""

from typing import Any

from tenfold.engagement.templates import service
from tenfold.engagement.templates.render import Context
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.problems import Answered
from tenfold.http.requests import optional_id, wanted_id, wanted_ids
from tenfold.kit.clock import to_millis
from tenfold.kit.errors import Conflict
from tenfold.storage.db import Row


async def put(call: Call) -> Reply:
    try:
        return Reply(200, resource(await service.upsert(call.scope, {**call.body, "id": optional_id(call.body)})))
    except Conflict as error:
        raise Answered(Reply(400, {"type": "UniqueConstraintViolation", "message": error.message})) from error


async def post(call: Call) -> Reply:
    wanted = {**call.body, "id": optional_id(call.body)}
    return Reply(201, resource(await service.upsert(call.scope, wanted, create_only=True)))


async def get(call: Call) -> Reply:
    rows = await service.find_all(call.scope, wanted_ids(call.query), call.query.get("resourceType"))
    return Reply(200, {"templates": [resource(row) for row in rows]})


async def delete(call: Call) -> Reply:
    await service.delete(call.scope, wanted_id(call.body or call.query))
    return Reply(204)


async def render(call: Call) -> Reply:
    body = call.body
    context = Context(
        body["userProperties"],
        str(call.scope.workspace_id),
        body.get("subscriptionGroupId"),
        tags=body.get("tags", {}),
        is_preview=True,
        message_id="preview",
    )
    return Reply(200, {"contents": service.preview(body["contents"], context)})


def resource(row: Row) -> dict[str, Any]:
    written: dict[str, Any] = row["definition"] or row["draft"] or {}
    shown: dict[str, Any] = {
        "workspaceId": str(row["workspace_id"]),
        "id": str(row["id"]),
        "name": row["name"],
        "type": written.get("type", "Email"),
        "createdAt": to_millis(row["created_at"]),
        "updatedAt": to_millis(row["updated_at"]),
    }
    return shown | {name: row[name] for name in ("definition", "draft") if row[name] is not None}


_PUT = "PUT /api/content/templates"

ENDPOINTS = [
    Endpoint("PUT", "/content/templates", Door.WORKSPACE, put),
    Endpoint("POST", "/content/templates", Door.WORKSPACE, post, wire=_PUT),
    Endpoint("GET", "/content/templates", Door.WORKSPACE, get),
    Endpoint("DELETE", "/content/templates", Door.WORKSPACE, delete),
    Endpoint("DELETE", "/content/templates/v2", Door.WORKSPACE, delete),
    Endpoint("POST", "/content/templates/render", Door.WORKSPACE, render),
]
