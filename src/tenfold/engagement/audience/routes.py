"""The routes of segments, user properties and users."""

from typing import Any

from tenfold.engagement.audience import people, service
from tenfold.engagement.audience.service import Upsert
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.problems import Answered
from tenfold.http.requests import optional_id, wanted_id, wanted_ids
from tenfold.kit.clock import to_millis
from tenfold.kit.errors import Conflict
from tenfold.storage.db import Row


async def put_segment(call: Call) -> Reply:
    try:
        return Reply(200, segment_resource(await service.upsert_segment(call.scope, _upsert(call.body))))
    except Conflict as error:
        raise Answered(Reply(400, {"type": "UniqueConstraintViolation", "message": error.message})) from error


async def post_segment(call: Call) -> Reply:
    wanted = _upsert({**call.body, "createOnly": True})
    return Reply(201, segment_resource(await service.upsert_segment(call.scope, wanted)))


async def get_segments(call: Call) -> Reply:
    rows = await service.segments(call.scope, wanted_ids(call.query), call.query.get("resourceType"))
    return Reply(200, {"segments": [segment_resource(row) for row in rows]})


async def patch_segment(call: Call) -> Reply:
    row = await service.set_segment_status(call.scope, wanted_id(call.body), call.body["status"])
    return Reply(200, segment_resource(row))


async def delete_segment(call: Call) -> Reply:
    await service.delete_segment(call.scope, wanted_id(call.body or call.query))
    return Reply(204)


async def put_property(call: Call) -> Reply:
    try:
        return Reply(200, _property_resource(await service.upsert_property(call.scope, _upsert(call.body))))
    except Conflict as error:
        raise Answered(Reply(400, {"type": "UserPropertyAlreadyExists", "message": error.message})) from error


async def post_property(call: Call) -> Reply:
    wanted = _upsert({**call.body, "createOnly": True})
    return Reply(201, _property_resource(await service.upsert_property(call.scope, wanted)))


async def get_properties(call: Call) -> Reply:
    rows = await service.properties(call.scope)
    return Reply(200, {"userProperties": [_property_resource(row) for row in rows]})


async def patch_property(call: Call) -> Reply:
    row = await service.set_property_status(call.scope, wanted_id(call.body), call.body["status"])
    return Reply(200, _property_resource(row))


async def delete_property(call: Call) -> Reply:
    await service.delete_property(call.scope, wanted_id(call.body or call.query))
    return Reply(204)


async def find_users(call: Call) -> Reply:
    return Reply(200, await people.find(call.scope, people.UserQuery.of(call.body)))


async def count_users(call: Call) -> Reply:
    return Reply(200, {"userCount": await people.count(call.scope, people.UserQuery.of(call.body))})


def segment_resource(row: Row) -> dict[str, Any]:
    group = row["subscription_group_id"]
    shown = {**_resource(row), "resourceType": row["resource_type"]}
    return {**shown, "subscriptionGroupId": str(group)} if group else shown


def _property_resource(row: Row) -> dict[str, Any]:
    shown = _resource(row)
    return {**shown, "exampleValue": row["example_value"]} if row["example_value"] else shown


def _resource(row: Row) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "workspaceId": str(row["workspace_id"]),
        "name": row["name"],
        "definition": row["definition"],
        "status": row["status"],
        "createdAt": to_millis(row["created_at"]),
        "updatedAt": to_millis(row["updated_at"]),
        "definitionUpdatedAt": to_millis(row["definition_updated_at"]),
    }


def _upsert(body: dict[str, Any]) -> Upsert:
    return Upsert(
        id=optional_id(body),
        name=body["name"],
        definition=body.get("definition"),
        status=body.get("status"),
        resource_type=body.get("resourceType"),
        example_value=body.get("exampleValue"),
        create_only=body.get("createOnly", False),
    )


_PUT_SEGMENT, _PUT_PROPERTY = "PUT /api/segments", "PUT /api/user-properties"

ENDPOINTS = [
    Endpoint("PUT", "/segments", Door.WORKSPACE, put_segment),
    Endpoint("POST", "/segments", Door.WORKSPACE, post_segment, wire=_PUT_SEGMENT),
    Endpoint("GET", "/segments", Door.WORKSPACE, get_segments),
    Endpoint("PATCH", "/segments/status", Door.WORKSPACE, patch_segment),
    Endpoint("DELETE", "/segments", Door.WORKSPACE, delete_segment),
    Endpoint("DELETE", "/segments/v2", Door.WORKSPACE, delete_segment),
    Endpoint("PUT", "/user-properties", Door.WORKSPACE, put_property),
    Endpoint("POST", "/user-properties", Door.WORKSPACE, post_property, wire=_PUT_PROPERTY),
    Endpoint("GET", "/user-properties", Door.WORKSPACE, get_properties),
    Endpoint("PATCH", "/user-properties/status", Door.WORKSPACE, patch_property),
    Endpoint("DELETE", "/user-properties", Door.WORKSPACE, delete_property),
    Endpoint("POST", "/users", Door.WORKSPACE, find_users),
    Endpoint("POST", "/users/count", Door.WORKSPACE, count_users),
]
