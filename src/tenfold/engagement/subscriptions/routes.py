"""The routes of `/api/subscription-groups`."""

from typing import Any

from tenfold.engagement.subscriptions import service
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.problems import Answered
from tenfold.http.requests import optional_id
from tenfold.kit.clock import to_millis
from tenfold.kit.errors import Conflict
from tenfold.kit.ids import try_parse_id
from tenfold.storage.db import Row


async def put(call: Call) -> Reply:
    try:
        return Reply(200, _resource(await service.upsert(call.scope, {**call.body, "id": optional_id(call.body)})))
    except Conflict as error:
        raise Answered(Reply(400, {"type": "UniqueConstraintViolation", "message": error.message})) from error


async def post(call: Call) -> Reply:
    wanted = {**call.body, "id": optional_id(call.body)}
    return Reply(201, _resource(await service.upsert(call.scope, wanted, create_only=True)))


async def get(call: Call) -> Reply:
    return Reply(200, [_resource(row) for row in await service.find_all(call.scope)])


async def assign(call: Call) -> Reply:
    events = [
        service.change(update["userId"], group, subscribed=subscribed)
        for update in call.body["userUpdates"]
        for group_id, subscribed in update["changes"].items()
        if (group := try_parse_id(group_id))
    ]
    await call.services.acceptor.accept(call.scope, events)
    return Reply(200)


def _resource(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "workspaceId": str(row["workspace_id"]),
        "name": row["name"],
        "type": row["type"],
        "channel": row["channel"],
        "createdAt": to_millis(row["created_at"]),
        "updatedAt": to_millis(row["updated_at"]),
    }


_PUT = "PUT /api/subscription-groups"

ENDPOINTS = [
    Endpoint("PUT", "/subscription-groups", Door.WORKSPACE, put),
    Endpoint("POST", "/subscription-groups", Door.WORKSPACE, post, wire=_PUT),
    Endpoint("GET", "/subscription-groups", Door.WORKSPACE, get),
    Endpoint("PUT", "/subscription-groups/assignments", Door.WORKSPACE, assign),
]
