"""Workspaces: find, create, change their status. And the keys that open them."""

import secrets as random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from psycopg.errors import UniqueViolation

from tenfold.kit.clock import EPOCH
from tenfold.kit.errors import Conflict, Invalid, NotFound
from tenfold.kit.ids import new_id, try_parse_id
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door, keys, store
from tenfold.tenancy.scope import BatchScope, Scope, Stores, Workspace
from tenfold.tenancy.service_class import CLASSES

TYPES = ("Root", "Parent", "Child")
STATUSES = ("Active", "Paused", "Tombstoned")
TOMBSTONE = "DfTombstoned"
DEFAULT_WRITE_KEY = "default-write-key"
_PUBLIC_MAIL = {  # whoever has an address there would join the workspace
    "gmail", "googlemail", "yahoo", "outlook", "hotmail", "live", "msn", "icloud", "aol", "protonmail", "proton", "gmx",
    "yandex", "zoho", "fastmail",
}  # fmt: skip
_FAMILY_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class NewWorkspace:
    """What a caller may say about a workspace to be made."""

    name: str
    type: str = "Root"
    parent_id: UUID | None = None
    external_id: str | None = None
    domain: str | None = None
    test_now: datetime | None = None


async def find(stores: Stores, workspace_id: UUID) -> Workspace | None:
    """A workspace by id, as remembered."""
    key, memory = ("workspace", workspace_id), stores.memory
    known: Workspace | None = memory.recall(key)
    if known is not None:
        stores.meter.cache(workspace_id, hit=True)
        return known
    changes = memory.changes
    found = await stores.flights.of(key, partial(find_now, stores, workspace_id))
    if found is not None:
        stores.meter.cache(workspace_id, hit=False)
        memory.keep(key, found, (workspace_id, found.parent_id), changes)
    return found


async def find_now(stores: Stores, workspace_id: UUID) -> Workspace | None:
    """A workspace by id, looked up whether it is remembered or not: what a stranger asks takes the same time always."""
    async with door.directory(stores) as db:
        row = await store.find_workspace(db, workspace_id)
    return Workspace(**row) if row else None


async def first(stores: Stores) -> Workspace | None:
    async with door.directory(stores) as db:
        row = await store.first_workspace(db)
    return await find(stores, row["workspace_id"]) if row else None


async def by_external_id(stores: Stores, parent_id: UUID | None, external_id: str) -> Workspace | None:
    async with door.platform(stores) as db:
        row = await store.find_external_id(db, parent_id, external_id)
    return await find(stores, row["workspace_id"]) if row else None


async def page(
    stores: Stores, *, after: UUID | None, status: str | None, parent_id: UUID | None, limit: int
) -> list[Workspace]:
    async with door.platform(stores) as db:
        rows = await store.list_workspaces(db, after=after, status=status, parent_id=parent_id, limit=limit)
    return [Workspace(**row) for row in rows]


async def workspaces_of(db: Db, ids: Iterable[UUID]) -> dict[UUID, Workspace]:
    """The workspaces of a transaction as they are at this moment."""
    found = [Workspace(**row) for row in await store.read_workspaces(db, list(set(ids)))]
    return {workspace.workspace_id: workspace for workspace in found}


async def family(scope: Scope) -> BatchScope:
    """What a workspace may look through: a parent sees its children's users and events, anybody else their own."""
    ids = set(scope.claimed)
    after: UUID | None = None
    while scope.workspace.type == "Parent":
        children = await page(scope.stores, after=after, status=None, parent_id=scope.workspace_id, limit=_FAMILY_PAGE)
        ids |= {child.workspace_id for child in children}
        if len(children) < _FAMILY_PAGE:
            break
        after = children[-1].workspace_id
    return BatchScope(scope.stores, frozenset(ids), scope.actor, scope.request_id, scope.address)


def plan(new: NewWorkspace, parent: Workspace | None) -> Workspace:
    """The workspace that `new` asks for.

    Raises Invalid, naming the field.
    """
    if not new.name.strip() or new.name.startswith(TOMBSTONE):
        raise Invalid(f"name must not be empty or start with {TOMBSTONE}", type="WorkspaceNameViolation")
    if new.type not in TYPES:
        raise Invalid(f"type must be one of {', '.join(TYPES)}")
    if new.domain is not None and set(new.domain.lower().split(".")) & _PUBLIC_MAIL:
        raise Invalid("domain belongs to a public mail service", type="InvalidDomain")
    if new.parent_id and (parent is None or parent.type != "Parent"):
        raise Invalid("parentWorkspaceId must name a workspace of type Parent")
    identity = new_id()
    return Workspace(
        workspace_id=identity,
        root_id=parent.root_id if parent else identity,
        parent_id=new.parent_id,
        name=new.name,
        type="Child" if parent else new.type,
        status="Active",
        external_id=new.external_id,
        domain=new.domain and new.domain.lower(),
        test_now=new.test_now,
        definitions_version=1,
        created_at=EPOCH,
        updated_at=EPOCH,
    )


async def set_status(scope: Scope, status: str) -> Workspace:
    """Pause, tombstone or activate. A tombstone gives name and external id free (as the reference)."""
    if status not in STATUSES:
        raise Invalid(f"status must be one of {', '.join(STATUSES)}")
    name, external_id = scope.workspace.name, scope.workspace.external_id
    if status == "Tombstoned" and scope.workspace.status != "Tombstoned":
        name, external_id = f"{TOMBSTONE}-{name}", external_id and f"{TOMBSTONE}-{external_id}"
    if status != "Tombstoned" and scope.workspace.status == "Tombstoned":
        name = name.removeprefix(f"{TOMBSTONE}-")
        external_id = external_id and external_id.removeprefix(f"{TOMBSTONE}-")
    try:
        async with door.workspace(scope) as db:
            await store.update_status(db, scope.workspace_id, status=status, name=name, external_id=external_id)
    except UniqueViolation as error:
        raise Conflict("the name or external id has been taken meanwhile") from error
    scope.stores.memory.forget(scope.workspace_id)
    found = await find(scope.stores, scope.workspace_id)
    if found is None:
        raise NotFound("no such workspace")
    return found


async def set_class(scope: Scope, name: str) -> Workspace:
    """Give a workspace a class of service; the platform's to do.

    Raises Invalid for a class that there is none of.
    """
    if name not in CLASSES:
        raise Invalid(f"class must be one of {', '.join(CLASSES)}")
    async with door.workspace(scope) as db:
        await store.update_class(db, scope.workspace_id, name)
    scope.stores.memory.forget(scope.workspace_id)
    return replace(scope.workspace, service_class=name)


async def by_write_key(stores: Stores, header: str) -> Workspace | None:
    """The workspace that a write key opens, whatever its status; None for a key that is wrong."""
    memory = stores.memory
    known: UUID | None = memory.recall(("write-key", header))
    if known is not None:
        return await find(stores, known)
    parsed = keys.parse_basic(header)
    key_id = try_parse_id(parsed[0]) if parsed else None
    if parsed is None or key_id is None:
        return None
    changes = memory.changes
    row = await stores.flights.of(("write-key", key_id), partial(_write_key, stores, key_id))
    if row is None or not keys.matches(parsed[1], bytes(row["hash"])):
        return None
    memory.keep(("write-key", header), row["workspace_id"], (row["workspace_id"],), changes)
    return await find(stores, row["workspace_id"])


async def _write_key(stores: Stores, key_id: UUID) -> Row | None:
    async with door.directory(stores) as db:
        return await store.find_write_key(db, key_id)


async def add_write_key(scope: Scope, db: Db, name: str) -> str:
    """Make a write key; the header value that clients send. The same name again keeps the first key."""
    key_id, value = new_id(), random.token_hex(8)
    header = keys.basic_credentials(key_id, value)
    sealed = keys.seal(scope.stores.secret, scope.workspace_id, "write-key", header.encode())
    key_hash = keys.digest(value)
    await store.insert_write_key(db, scope.workspace_id, key_id=key_id, name=name, key_hash=key_hash, sealed=sealed)
    return header


async def write_keys(scope: Scope) -> list[tuple[UUID, str, str]]:
    """Id, name and header value of each write key."""
    async with door.workspace(scope) as db:
        rows = await store.list_write_keys(db, scope.workspace_id)
    return [(row["id"], row["name"], _open(scope, row)) for row in rows]


async def delete_write_key(scope: Scope, name: str) -> None:
    async with door.workspace(scope) as db:
        if await store.delete_write_key(db, scope.workspace_id, name) is None:
            raise NotFound
    scope.stores.memory.forget(scope.workspace_id)


def _open(scope: Scope, row: Row) -> str:
    return keys.unseal(scope.stores.secret, scope.workspace_id, "write-key", bytes(row["sealed"])).decode()
