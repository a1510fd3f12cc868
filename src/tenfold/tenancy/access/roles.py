"""A workspace's own roles, and the settings of its access."""

from collections.abc import Iterable
from typing import Any

from tenfold.kit.errors import Conflict, Invalid, NotFound
from tenfold.tenancy import door
from tenfold.tenancy.access import permissions, store
from tenfold.tenancy.access.permissions import ROLES
from tenfold.tenancy.scope import Scope

_LONGEST_NAME = 100


async def page(scope: Scope) -> list[dict[str, Any]]:
    """All roles of a workspace, the four that every one has first."""
    async with door.workspace(scope) as db:
        own = await store.list_roles(db, scope.workspace_id)
    given = [{"name": name, "permissions": sorted(held), "builtIn": True} for name, held in ROLES.items()]
    return [*given, *({**row, "builtIn": False} for row in own)]


async def put(scope: Scope, name: str, wanted: Iterable[str]) -> None:
    """Make or change a role.

    Raises Invalid for a name that every workspace has or an unknown permission, Forbidden for permissions that the
    caller does not have.
    """
    if name in ROLES or not name.strip() or len(name) > _LONGEST_NAME:
        raise Invalid(f"name must not be empty, longer than {_LONGEST_NAME}, or one of {', '.join(ROLES)}")
    held = permissions.check(wanted)
    permissions.check_grantable(scope.permissions, held)
    async with door.workspace(scope) as db:
        await store.upsert_role(db, scope.workspace_id, name, held)


async def remove(scope: Scope, name: str) -> None:
    """Raises NotFound, or Conflict while members have the role."""
    async with door.workspace(scope) as db:
        holders = await store.lock_members(db, scope.workspace_id, [name])
        if holders:
            raise Conflict(f"{len(holders)} member(s) have this role; give them another one first")
        if await store.delete_role(db, scope.workspace_id, name) is None:
            raise NotFound


async def settings(scope: Scope) -> dict[str, Any]:
    """`domainRole`: what people of the workspace's domain become; `auditRetentionDays`: None keeps everything."""
    async with door.workspace(scope) as db:
        row = await store.read_settings(db, scope.workspace_id)
    found = row or {"domain_role": "Viewer", "audit_retention_days": None}
    return {"domainRole": found["domain_role"], "auditRetentionDays": found["audit_retention_days"]}


async def put_settings(scope: Scope, *, domain_role: str | None, retention_days: int | None) -> None:
    """Raises Invalid, naming the field; Forbidden for a role that is more than the caller's own."""
    if retention_days is not None and not 1 <= retention_days <= 36_500:  # noqa: PLR2004 - a hundred years
        raise Invalid("auditRetentionDays must be between 1 and 36500, or null")
    if domain_role is not None and domain_role not in ROLES:
        raise Invalid(f"domainRole must be one of {', '.join(ROLES)}, or null")
    permissions.check_grantable(scope.permissions, ROLES.get(domain_role or "", ()))
    async with door.workspace(scope) as db:
        await store.upsert_settings(db, scope.workspace_id, domain_role=domain_role, retention_days=retention_days)
