"""Admin keys: for programs. Kept as a hash, shown once; each with its permissions and, if wanted, an end."""

import secrets as random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from tenfold.kit.clock import now
from tenfold.kit.errors import Conflict, Invalid, NotFound
from tenfold.kit.ids import new_id
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door, keys, workspaces
from tenfold.tenancy.access import key_uses, permissions, store
from tenfold.tenancy.scope import Scope, Stores, Workspace


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """A key that fits: whose it is and what it may do."""

    owner: Workspace
    id: UUID
    name: str
    permissions: frozenset[str]


async def opened(stores: Stores, key: str) -> OpenedKey | None:
    """The key, unless it is wrong or has run out. How long a wrong one takes tells nothing about the right one."""
    digest = keys.digest(key)
    row: Row | None = stores.memory.recall(("admin-key", digest)) or await _found(stores, digest)
    owner = await workspaces.find(stores, row["workspace_id"]) if row else None
    if row is None or owner is None or (row["expires_at"] and row["expires_at"] <= now()):
        return None
    held = permissions.ALL if row["permissions"] is None else frozenset(row["permissions"])
    return OpenedKey(owner, row["id"], row["name"], held)


async def _found(stores: Stores, digest: bytes) -> Row | None:
    key, changes = ("admin-key", digest), stores.memory.changes
    row = await stores.flights.of(key, partial(_find, stores, digest))
    if row is not None:
        stores.memory.keep(key, row, (row["workspace_id"],), changes)
    return row


async def _find(stores: Stores, digest: bytes) -> Row | None:
    async with door.directory(stores) as db:
        return await store.open_admin_key(db, digest)


async def add(
    db: Db, scope: Scope, name: str, *, wanted: Iterable[str] | None = None, expires_at: datetime | None = None
) -> tuple[UUID, str]:
    """Make a key: its id and the key itself, which is never shown again.

    Raises Conflict when the name is taken, Invalid for an unknown permission or an end in the past, Forbidden for
    permissions that the caller does not have.
    """
    held = None if wanted is None else permissions.check(wanted)
    permissions.check_grantable(scope.permissions, permissions.ALL if held is None else held)
    if expires_at is not None and expires_at <= now():
        raise Invalid("expiresAt is in the past")
    key_id, key = new_id(), random.token_hex(32)
    row: Row = {
        "workspace_id": scope.workspace_id,
        "id": key_id,
        "name": name,
        "hash": keys.digest(key),
        "permissions": held,
        "expires_at": expires_at,
        "created_by": scope.actor.name or scope.actor.id,
    }
    if not await store.insert_admin_key(db, row):
        raise Conflict(f"an admin key named {name!r} exists already")
    return key_id, key


async def page(scope: Scope) -> list[Row]:
    await key_uses.flush_of(scope)
    return await door.read(scope, lambda db: store.list_admin_keys(db, scope.workspace_id))


async def remove(scope: Scope, key_id: UUID) -> None:
    """Raises NotFound."""
    async with door.workspace(scope) as db:
        if await store.delete_admin_key(db, scope.workspace_id, key_id) is None:
            raise NotFound
    scope.stores.memory.forget(scope.workspace_id)
