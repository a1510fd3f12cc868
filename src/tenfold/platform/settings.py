"""The routes of write keys and admin keys, and the health check."""

from typing import Any

from tenfold import __version__
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.problems import Answered
from tenfold.kit.clock import now, to_millis
from tenfold.kit.errors import Conflict
from tenfold.tenancy import door, keys, workspaces


async def health(_: Call) -> Reply:
    return Reply(200, {"version": __version__})


async def list_write_keys(call: Call) -> Reply:
    return Reply(200, [_write_key(call, *found) for found in await workspaces.write_keys(call.scope)])


async def put_write_key(call: Call) -> Reply:
    async with door.workspace(call.scope) as db:
        await workspaces.add_write_key(call.scope, db, call.body["writeKeyName"])
    return Reply(204)


async def delete_write_key(call: Call) -> Reply:
    await workspaces.delete_write_key(call.scope, call.body["writeKeyName"])
    return Reply(204)


async def post_admin_key(call: Call) -> Reply:
    name = call.body["name"]
    try:
        async with door.workspace(call.scope) as db:
            key_id, key = await workspaces.add_admin_key(call.scope, db, name)
    except Conflict as error:
        raise Answered(Reply(409)) from error
    shown = {"workspaceId": str(call.scope.workspace_id), "name": name, "id": str(key_id), "apiKey": key}
    return Reply(200, {**shown, "createdAt": to_millis(now())})


def _write_key(call: Call, key_id: Any, name: str, header: str) -> dict[str, str]:
    workspace_id = str(call.scope.workspace_id)
    value = (keys.parse_basic(header) or ("", ""))[1]
    return {
        "writeKeyName": name,
        "writeKeyValue": value,
        "secretId": str(key_id),
        "workspaceId": workspace_id,
    }


ENDPOINTS = [
    Endpoint("GET", "/api", Door.OPEN, health),
    Endpoint("GET", "/settings/write-keys", Door.WORKSPACE, list_write_keys),
    Endpoint("PUT", "/settings/write-keys", Door.WORKSPACE, put_write_key),
    Endpoint("DELETE", "/settings/write-keys", Door.WORKSPACE, delete_write_key),
    Endpoint("POST", "/admin-keys", Door.SESSION, post_admin_key),
]
