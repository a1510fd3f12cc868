"""Members of a workspace and their roles (the wire calls them permissions)."""

from typing import Any

from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.kit.clock import iso
from tenfold.tenancy.access import members, roles
from tenfold.tenancy.access.members import Member


async def list_members(call: Call) -> Reply:
    found = await members.page(call.scope)
    return Reply(200, {"memberRoles": [_with_roles(call, member) for member in found]})


async def post_member(call: Call) -> Reply:
    member = await members.invite(call.scope, call.body["email"], call.body["role"])
    return Reply(201, _role(call, member))


async def put_member(call: Call) -> Reply:
    member = await members.change_role(call.scope, call.body["email"], call.body["role"])
    return Reply(200, _role(call, member))


async def delete_member(call: Call) -> Reply:
    await members.remove(call.scope, call.body["email"])
    return Reply(204)


async def list_roles(call: Call) -> Reply:
    return Reply(200, {"roles": await roles.page(call.scope)})


async def put_role(call: Call) -> Reply:
    name, wanted = call.body["name"], call.body["permissions"]
    await roles.put(call.scope, name, wanted)
    return Reply(200, {"name": name, "permissions": sorted(set(wanted)), "builtIn": False})


async def delete_role(call: Call) -> Reply:
    await roles.remove(call.scope, call.query["name"])
    return Reply(204)


async def get_settings(call: Call) -> Reply:
    return Reply(200, await roles.settings(call.scope))


async def put_settings(call: Call) -> Reply:
    """What is not named stays as it is."""
    wanted = {**await roles.settings(call.scope), **call.body}
    await roles.put_settings(call.scope, domain_role=wanted["domainRole"], retention_days=wanted["auditRetentionDays"])
    return Reply(200, await roles.settings(call.scope))


def _with_roles(call: Call, member: Member) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": str(member.id),
        "email": member.email,
        "emailVerified": member.joined_at is not None,
        "createdAt": iso(member.created_at),
        "status": "Member" if member.joined_at else "Invited",
    }
    optional = {"name": member.name, "invitedUntil": member.expires_at and iso(member.expires_at)}
    shown |= {name: value for name, value in optional.items() if value is not None}
    return {"member": shown, "roles": [_role(call, member)]}


def _role(call: Call, member: Member) -> dict[str, str]:
    return {
        "role": member.role,
        "workspaceMemberId": str(member.id),
        "workspaceId": str(call.scope.workspace_id),
        "workspaceName": call.scope.workspace.name,
    }


ENDPOINTS = [
    Endpoint("GET", "/permissions", Door.WORKSPACE, list_members),
    Endpoint("POST", "/permissions", Door.WORKSPACE, post_member),
    Endpoint("PUT", "/permissions", Door.WORKSPACE, put_member),
    Endpoint("DELETE", "/permissions", Door.WORKSPACE, delete_member),
    Endpoint("GET", "/roles", Door.WORKSPACE, list_roles),
    Endpoint("PUT", "/roles", Door.WORKSPACE, put_role),
    Endpoint("DELETE", "/roles", Door.WORKSPACE, delete_role),
    Endpoint("GET", "/settings/access", Door.WORKSPACE, get_settings),
    Endpoint("PUT", "/settings/access", Door.WORKSPACE, put_settings),
]
