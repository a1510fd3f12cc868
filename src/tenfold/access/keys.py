"""The routes of write keys, admin keys and secrets, and the health check."""

from typing import Any

from tenfold import __version__
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.problems import Answered
from tenfold.http.requests import wanted_id
from tenfold.kit.clock import iso, now, parse_iso, to_millis
from tenfold.kit.errors import Conflict, Invalid
from tenfold.storage.db import Row
from tenfold.tenancy import door, keys, workspaces
from tenfold.tenancy.access import admin_keys, named_secrets
from tenfold.tenancy.access.permissions import ROLES


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


async def list_admin_keys(call: Call) -> Reply:
    """Names, rights and times of the keys; never the keys."""
    return Reply(200, {"adminApiKeys": [_admin_key(call, row) for row in await admin_keys.page(call.scope)]})


async def post_admin_key(call: Call) -> Reply:
    body = call.body
    ends = parse_iso(body["expiresAt"]) if "expiresAt" in body else None
    if "expiresAt" in body and ends is None:
        raise Invalid("expiresAt must be an ISO 8601 date-time")
    try:
        async with door.workspace(call.scope) as db:
            key_id, key = await admin_keys.add(db, call.scope, body["name"], wanted=_wanted(body), expires_at=ends)
    except Conflict as error:
        raise Answered(Reply(409)) from error
    shown = {"workspaceId": str(call.scope.workspace_id), "name": body["name"], "id": str(key_id), "apiKey": key}
    return Reply(200, {**shown, "createdAt": to_millis(now())})


async def delete_admin_key(call: Call) -> Reply:
    await admin_keys.remove(call.scope, wanted_id(call.query))
    return Reply(200)


async def list_secrets(call: Call) -> Reply:
    return Reply(200, await named_secrets.page(call.scope, call.query.get("names")))


async def put_secret(call: Call) -> Reply:
    await named_secrets.put(call.scope, call.body["name"], call.body.get("value"), call.body.get("configValue"))
    return Reply(204)


async def delete_secret(call: Call) -> Reply:
    await named_secrets.remove(call.scope, wanted_id(call.query))
    return Reply(204)


def _wanted(body: dict[str, Any]) -> list[str] | None:
    """The permissions that a key is to have: a list, or those of a role; all when neither is given."""
    role = body.get("role")
    if role is not None and role not in ROLES:
        raise Invalid(f"role must be one of {', '.join(ROLES)}")
    if role is not None and "permissions" in body:
        raise Invalid("give either role or permissions")
    return sorted(ROLES[role]) if role else body.get("permissions")


def _admin_key(call: Call, row: Row) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "workspaceId": str(call.scope.workspace_id),
        "id": str(row["id"]),
        "name": row["name"],
        "createdAt": to_millis(row["created_at"]),
        "permissions": row["permissions"] or ["*"],
    }
    optional = {"expiresAt": row["expires_at"], "lastUsedAt": row["last_used_at"]}
    return shown | {name: iso(value) for name, value in optional.items() if value is not None}


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
    Endpoint("GET", "/admin-keys", Door.WORKSPACE, list_admin_keys),
    Endpoint("POST", "/admin-keys", Door.WORKSPACE, post_admin_key),
    Endpoint("DELETE", "/admin-keys", Door.WORKSPACE, delete_admin_key),
    Endpoint("GET", "/secrets", Door.WORKSPACE, list_secrets),
    Endpoint("PUT", "/secrets", Door.WORKSPACE, put_secret),
    Endpoint("DELETE", "/secrets", Door.WORKSPACE, delete_secret),
]
