"""From a request's credentials to the scope it may act in."""

import hmac
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from tenfold.kit.errors import Forbidden, Invalid, Unauthorized
from tenfold.kit.ids import new_id, try_parse_id
from tenfold.kit.jsontypes import as_object
from tenfold.tenancy import workspaces
from tenfold.tenancy.scope import Actor, Scope, Stores, Workspace

_ANONYMOUS = Actor("member", "anonymous", "anonymous@email.com")
_HEADERS = ("df-workspace-id", "workspace-id")


def requested_workspace(body: Any, query: Mapping[str, Any], headers: Mapping[str, str]) -> UUID | None:
    """The workspace that a request names: in its body, its query or a header.

    Raises Invalid when two differ, or when one is not a UUID.
    """
    named: list[Any] = [(as_object(body) or {}).get("workspaceId")]
    named += [query.get("workspaceId"), query.get("workspace-id"), *(headers.get(name) for name in _HEADERS)]
    values = {value.lower() for value in named if isinstance(value, str)}
    if not values:
        return None
    if len(values) > 1:
        raise Invalid("Mismatched workspaceIds in request.")
    parsed = try_parse_id(values.pop())
    if parsed is None:
        raise Invalid("Invalid workspaceId, not a valid UUID.")
    return parsed


async def session_scope(stores: Stores, mode: str, requested: UUID | None) -> Scope:
    """The scope of a browser's session. In `anonymous` mode everybody is admin of the first workspace."""
    if mode != "anonymous":
        raise Unauthorized("no session", empty=True)
    first = await workspaces.first(stores)
    if first is None or not first.active or (requested is not None and requested != first.workspace_id):
        raise Forbidden("not a workspace of this session", empty=True)
    return Scope(stores, first, _ANONYMOUS, str(new_id()))


async def admin_scope(stores: Stores, header: str | None, requested: UUID | None, external_id: str | None) -> Scope:
    """The scope of an admin key: its own workspace or a child of it, when both are active.

    Raises Unauthorized, with one message for every key that does not fit.
    """
    if header is None:
        raise Unauthorized("No authorization header")
    parts = header.strip().split(" ")
    if len(parts) != 2 or parts[0] != "Bearer":  # noqa: PLR2004 - scheme and key
        raise Unauthorized("Invalid authorization header")
    opened = await workspaces.by_admin_key(stores, parts[1])
    target = await _target(stores, opened[0], requested, external_id) if opened else None
    if opened is None or target is None or not opened[0].active or not target.active:
        raise Unauthorized("API key not valid")
    return Scope(stores, target, Actor("admin-key", str(opened[1])), str(new_id()))


async def write_key_scope(stores: Stores, header: str, refusal: str | None = None) -> Scope:
    """Raises Unauthorized: `refusal` or InvalidWriteKey, or WorkspaceIneligible when no events are taken."""
    found = await workspaces.by_write_key(stores, header)
    if found is None:
        raise Unauthorized(refusal or "InvalidWriteKey")
    if not found.accepts_events:
        raise Unauthorized(refusal or "WorkspaceIneligible")
    return Scope(stores, found, Actor("write-key", str(found.workspace_id)))


def check_platform_key(header: str | None, key: str) -> None:
    """Raises Unauthorized. The comparison takes the same time for every wrong key."""
    given = (header or "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), key.encode()):
        raise Unauthorized("Platform key not valid")


async def _target(
    stores: Stores, owner: Workspace, requested: UUID | None, external_id: str | None
) -> Workspace | None:
    if requested is None and external_id is not None:
        return await workspaces.by_external_id(stores, owner.workspace_id, external_id)
    if requested is None or requested == owner.workspace_id:
        return owner
    child = await workspaces.find(stores, requested)
    return child if child and child.parent_id == owner.workspace_id else None
