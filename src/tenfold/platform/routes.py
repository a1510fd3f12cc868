"""The platform API: workspaces and their clocks, for whoever runs the installation."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from tenfold.access import audit
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.kit.clock import iso, now, parse_iso
from tenfold.kit.errors import Invalid, NotFound
from tenfold.kit.ids import parse_id, try_parse_id
from tenfold.platform import clock, provision
from tenfold.tenancy import workspaces
from tenfold.tenancy.access import members
from tenfold.tenancy.access.permissions import ADMIN
from tenfold.tenancy.audit import log
from tenfold.tenancy.quotas import service as quotas
from tenfold.tenancy.quotas.model import read_limits
from tenfold.tenancy.scope import Scope, Workspace
from tenfold.tenancy.workspaces import STATUSES, NewWorkspace

_MOST = 1000


async def create(call: Call) -> Reply:
    body = _object(call.body)
    limits = read_limits(_object(body.get("quotas") or {}))
    made = await provision.provision(call.scope, new_workspace(body), limits)
    return Reply(201 if made.created else 200, shown_with_keys(made))


async def page(call: Call) -> Reply:
    limit = call.query.get("limit", "100")
    if not str(limit).isdigit() or not 1 <= int(limit) <= _MOST:
        raise Invalid(f"limit must be between 1 and {_MOST}")
    status = call.query.get("status")
    if status is not None and status not in STATUSES:
        raise Invalid(f"status must be one of {', '.join(STATUSES)}")
    found = await workspaces.page(
        call.stores,
        after=_optional_id(call.query, "cursor"),
        status=status,
        parent_id=_optional_id(call.query, "parentWorkspaceId"),
        limit=int(limit),
    )
    body: dict[str, Any] = {"workspaces": [shown(workspace) for workspace in found]}
    if len(found) == int(limit):
        body["cursor"] = str(found[-1].workspace_id)
    return Reply(200, body)


async def show(call: Call) -> Reply:
    return Reply(200, shown((await _scope(call)).workspace))


async def set_status(call: Call) -> Reply:
    return Reply(200, shown(await workspaces.set_status(await _scope(call), str(_object(call.body).get("status")))))


async def set_class(call: Call) -> Reply:
    """The workspace's share beside others, and how long its statements may take."""
    return Reply(200, shown(await workspaces.set_class(await _scope(call), str(_object(call.body).get("class")))))


async def move_clock(call: Call) -> Reply:
    text = _object(call.body or {}).get("now")
    target = parse_iso(text) if isinstance(text, str) else None
    if text is not None and target is None:
        raise Invalid("now must be an ISO 8601 date-time")
    return Reply(200, {"now": iso(await clock.move(await _scope(call), target))})


async def put_ceiling(call: Call) -> Reply:
    limits = read_limits(_object(call.body))
    return Reply(200, await quotas.put_ceiling(await _scope(call), limits))


async def invite(call: Call) -> Reply:
    """Let somebody in, as Admin unless said otherwise: how a workspace gets its first member."""
    body = _object(call.body)
    email, role = body.get("email"), body.get("role", ADMIN)
    if not isinstance(email, str) or not isinstance(role, str):
        raise Invalid("email and role must be texts")
    member = await members.invite(await _scope(call), email, role)
    return Reply(201, {"id": str(member.id), "email": member.email, "role": member.role})


def new_workspace(body: dict[str, Any]) -> NewWorkspace:
    """What a request says about a workspace to be made.

    Raises Invalid, naming the field.
    """
    texts = {name: body.get(name) for name in ("name", "externalId", "domain")}
    for name, value in texts.items():
        if not (isinstance(value, str) and value) and (name == "name" or value is not None):
            raise Invalid(f"{name} must be a non-empty string")
    test_clock = body.get("testClock", False)
    if not isinstance(test_clock, bool):
        raise Invalid("testClock must be true or false")
    return NewWorkspace(
        name=str(body["name"]),
        type=body.get("type") or "Root",
        parent_id=_optional_id(body, "parentWorkspaceId"),
        external_id=body.get("externalId"),
        domain=body.get("domain"),
        test_now=now() if test_clock else None,
    )


def shown(workspace: Workspace) -> dict[str, Any]:
    body: dict[str, Any] = {
        "workspaceId": str(workspace.workspace_id),
        "id": str(workspace.workspace_id),
        "name": workspace.name,
        "type": workspace.type,
        "status": workspace.status,
        "class": workspace.service_class,
        "createdAt": iso(workspace.created_at),
        "updatedAt": iso(workspace.updated_at),
    }
    optional = {
        "externalId": workspace.external_id,
        "domain": workspace.domain,
        "parentWorkspaceId": workspace.parent_id and str(workspace.parent_id),
        "testClock": workspace.test_now and iso(workspace.test_now),
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def shown_with_keys(made: provision.Provisioned) -> dict[str, Any]:
    keys = {"writeKey": made.write_key}
    if made.admin_key:
        keys["adminApiKey"] = made.admin_key
    return {**shown(made.workspace), **keys}


async def _scope(call: Call) -> Scope:
    wanted = try_parse_id(call.path["workspace_id"])
    found = await workspaces.find(call.stores, wanted) if wanted else None
    if found is None:
        raise NotFound("no such workspace")
    scope = replace(call.scope, workspace=found)
    await log.record(scope, "platform.request", ("workspace", str(found.workspace_id)))
    return scope


def _optional_id(source: dict[str, Any], name: str) -> UUID | None:
    value = source.get(name)
    return None if value is None else parse_id(value, name)


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Invalid("the body must be a JSON object")
    return body  # pyright: ignore[reportUnknownVariableType]


ENDPOINTS = [
    Endpoint("POST", "/workspaces", Door.PLATFORM, create),
    Endpoint("GET", "/workspaces", Door.PLATFORM, page),
    Endpoint("GET", "/workspaces/{workspace_id:str}", Door.PLATFORM, show),
    Endpoint("PUT", "/workspaces/{workspace_id:str}/status", Door.PLATFORM, set_status),
    Endpoint("PUT", "/workspaces/{workspace_id:str}/class", Door.PLATFORM, set_class),
    Endpoint("PUT", "/workspaces/{workspace_id:str}/ceiling", Door.PLATFORM, put_ceiling),
    Endpoint("POST", "/workspaces/{workspace_id:str}/members", Door.PLATFORM, invite),
    Endpoint("POST", "/workspaces/{workspace_id:str}/clock", Door.PLATFORM, move_clock),
    Endpoint("GET", "/audit-log", Door.PLATFORM, audit.page),
    Endpoint("GET", "/audit-log/export", Door.PLATFORM, audit.export),
]
