"""Making a workspace with everything it begins with, in one transaction."""

from dataclasses import dataclass, replace

from psycopg.errors import UniqueViolation

from tenfold.engagement.audience import service as audience
from tenfold.engagement.channels import service as channels
from tenfold.engagement.subscriptions import service as subscriptions
from tenfold.kit.errors import Conflict
from tenfold.tenancy import door, store, workspaces
from tenfold.tenancy.access import admin_keys
from tenfold.tenancy.access.permissions import ALL
from tenfold.tenancy.context import PLATFORM as PLATFORM_ID
from tenfold.tenancy.quotas import store as quotas_store
from tenfold.tenancy.quotas.model import Limits
from tenfold.tenancy.scope import Actor, Scope, Stores, Workspace, platform_workspace
from tenfold.tenancy.workspaces import DEFAULT_WRITE_KEY, NewWorkspace

PLATFORM = Actor("platform", "platform")
_ADMIN_KEY = "default-admin-key"


def platform_scope(stores: Stores) -> Scope:
    """The scope of somebody at the command line of the installation."""
    return Scope(stores, platform_workspace(PLATFORM_ID), PLATFORM, permissions=ALL)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A workspace and, when it was made just now, its keys in plain text."""

    workspace: Workspace
    write_key: str
    admin_key: str | None
    created: bool


async def provision(by: Scope, new: NewWorkspace, quotas: Limits | None = None) -> Provisioned:
    """Make a workspace, with quotas of its own if any; the same external id under the same parent gives the one there.

    `by` is the scope of whoever asks: the platform.

    Raises Invalid, naming the field, or Conflict when the name is taken.
    """
    stores = by.stores
    parent = await workspaces.find(stores, new.parent_id) if new.parent_id else None
    planned = workspaces.plan(new, parent)
    if new.external_id and (existing := await workspaces.by_external_id(stores, new.parent_id, new.external_id)):
        return await _existing(stores, existing)
    scope = replace(by, stores=stores, workspace=planned, permissions=ALL)
    try:
        write_key, admin_key = await _create(scope, quotas or {})
    except UniqueViolation as error:
        if new.external_id and (existing := await workspaces.by_external_id(stores, new.parent_id, new.external_id)):
            return await _existing(stores, existing)
        raise Conflict(f"a workspace named {new.name!r} exists already", type="WorkspaceAlreadyExists") from error
    made = await workspaces.find(stores, planned.workspace_id)
    return Provisioned(made or planned, write_key, admin_key, created=True)


async def _create(scope: Scope, quotas: Limits) -> tuple[str, str]:
    workspace = scope.workspace
    async with door.workspace(scope) as db:
        await store.insert_workspace(db, {name: getattr(workspace, name) for name in Workspace.__dataclass_fields__})
        write_key = await workspaces.add_write_key(scope, db, DEFAULT_WRITE_KEY)
        _, admin_key = await admin_keys.add(db, scope, _ADMIN_KEY)
        await audience.add_defaults(db, scope)
        await subscriptions.add_defaults(db, scope)
        await channels.add(db, scope, {"type": "Test"}, as_default=True)
        if quotas:
            await quotas_store.put(db, workspace.workspace_id, dict(quotas))
    return write_key, admin_key


async def _existing(stores: Stores, workspace: Workspace) -> Provisioned:
    keys = await workspaces.write_keys(Scope(stores, workspace, PLATFORM))
    return Provisioned(workspace, keys[0][2] if keys else "", None, created=False)
