"""The routes of `/api/journeys`."""

from typing import Any

from tenfold.engagement.journeys import service, stats
from tenfold.engagement.journeys.service import Upsert
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.problems import Answered
from tenfold.http.requests import optional_id, wanted_id, wanted_ids
from tenfold.kit.clock import to_millis
from tenfold.kit.errors import Conflict
from tenfold.storage.db import Row


async def put(call: Call) -> Reply:
    try:
        return Reply(200, resource(await service.upsert(call.scope, _upsert(call.body))))
    except Conflict as error:
        raise Answered(Reply(400, {"type": "UniqueConstraintViolation", "message": error.message})) from error


async def post(call: Call) -> Reply:
    return Reply(201, resource(await service.upsert(call.scope, _upsert(call.body, create_only=True))))


async def get(call: Call) -> Reply:
    rows = await service.find_all(call.scope, wanted_ids(call.query), call.query.get("resourceType"))
    shown = [resource(row, partial=call.query.get("getPartial", False)) for row in rows]
    return Reply(200, {"journeys": shown})


async def delete(call: Call) -> Reply:
    await service.delete(call.scope, wanted_id(call.body or call.query))
    return Reply(204)


async def get_stats(call: Call) -> Reply:
    return Reply(200, await stats.read(call.scope, wanted_ids(call.query, "journeyIds")))


def resource(row: Row, *, partial: bool = False) -> dict[str, Any]:
    shown = {
        "id": str(row["id"]),
        "workspaceId": str(row["workspace_id"]),
        "name": row["name"],
        "status": row["status"],
        "createdAt": to_millis(row["created_at"]),
        "updatedAt": to_millis(row["updated_at"]),
    }
    if partial:
        return shown
    documents = {name: row[name] for name in ("definition", "draft") if row[name] is not None}
    return {**shown, "canRunMultiple": row["can_run_multiple"], **documents}


def _upsert(body: dict[str, Any], *, create_only: bool = False) -> Upsert:
    draft = {"draft": body["draft"]} if "draft" in body else {}
    return Upsert(
        id=optional_id(body),
        name=body.get("name"),
        definition=body.get("definition"),
        status=body.get("status"),
        can_run_multiple=body.get("canRunMultiple"),
        create_only=create_only,
        **draft,
    )


_PUT = "PUT /api/journeys"

ENDPOINTS = [
    Endpoint("PUT", "/journeys", Door.WORKSPACE, put),
    Endpoint("POST", "/journeys", Door.WORKSPACE, post, wire=_PUT),
    Endpoint("GET", "/journeys", Door.WORKSPACE, get),
    Endpoint("DELETE", "/journeys", Door.WORKSPACE, delete),
    Endpoint("DELETE", "/journeys/v2", Door.WORKSPACE, delete),
    Endpoint("GET", "/journeys/stats", Door.WORKSPACE, get_stats),
]
