"""Named secrets of a workspace: sealed at rest, never shown again in full."""

from typing import Any
from uuid import UUID

import msgspec

from tenfold.kit.errors import Invalid, NotFound
from tenfold.kit.jsontypes import as_object
from tenfold.tenancy import door, keys, store
from tenfold.tenancy.access import store as access_store
from tenfold.tenancy.scope import Scope

MASK = "********"


async def page(scope: Scope, names: list[str] | None) -> list[dict[str, Any]]:
    """Names, ids and which fields are set; every value is masked."""
    async with door.workspace(scope) as db:
        rows = await access_store.list_secrets(db, scope.workspace_id, names)
    return [
        {
            "id": str(row["id"]),
            "workspaceId": str(scope.workspace_id),
            "name": row["name"],
            "value": MASK,
            "configValue": dict.fromkeys(_fields(scope, row), MASK),
        }
        for row in rows
    ]


async def put(scope: Scope, name: str, value: str | None, config: dict[str, Any] | None) -> None:
    """Set a secret: a text, or an object whose fields replace those that are there.

    Raises Invalid when neither is given.
    """
    if (value is None) == (config is None):
        raise Invalid("give either value or configValue")
    async with door.workspace(scope) as db:
        rows = await access_store.list_secrets(db, scope.workspace_id, [name])
        kept = as_object(_opened(scope, rows[0])) if rows else None
        plain = value if config is None else {**(kept or {}), **config}
        sealed = keys.seal(scope.stores.secret, scope.workspace_id, name, msgspec.json.encode(plain))
        await store.upsert_secret(db, scope.workspace_id, name, sealed)


async def remove(scope: Scope, secret_id: UUID) -> None:
    """Raises NotFound."""
    async with door.workspace(scope) as db:
        if await access_store.delete_secret(db, scope.workspace_id, secret_id) is None:
            raise NotFound


def _fields(scope: Scope, row: dict[str, Any]) -> list[str]:
    return sorted(as_object(_opened(scope, row)) or {})


def _opened(scope: Scope, row: dict[str, Any]) -> Any:
    plain = keys.unseal(scope.stores.secret, scope.workspace_id, row["name"], bytes(row["sealed"]))
    try:
        return msgspec.json.decode(plain)
    except msgspec.DecodeError:
        return plain.decode(errors="replace")
