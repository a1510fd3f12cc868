"""E-mail providers: configure them, find the one to send with."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tenfold.engagement.channels import store
from tenfold.kit.errors import Invalid
from tenfold.kit.ids import new_id
from tenfold.storage.db import Answer, Db
from tenfold.tenancy import door, keys
from tenfold.tenancy import store as tenancy_store
from tenfold.tenancy.scope import BatchScope, Scope

SUPPORTED = ("Smtp", "Test")
_SECRET_NAMES = {"Smtp": "smtp", "Test": "test-email"}


@dataclass(frozen=True, slots=True)
class EmailProvider:
    """A provider as configured. `config` is in the clear: keep it in memory only."""

    kind: str
    config: dict[str, Any]
    is_default: bool
    from_address: str | None


async def configure(scope: Scope, config: dict[str, Any], *, as_default: bool) -> None:
    """Store a provider's configuration, sealed.

    Raises Invalid for a provider that cannot send yet.
    """
    async with door.workspace(scope) as db:
        await add(db, scope, config, as_default=as_default)


async def add(db: Db, scope: Scope, config: dict[str, Any], *, as_default: bool) -> None:
    kind = config.get("type", "")
    if kind not in SUPPORTED:
        raise Invalid(f"provider {kind} is not supported yet; use one of {', '.join(SUPPORTED)}")
    name = _SECRET_NAMES[kind]
    sealed = keys.seal(scope.stores.secret, scope.workspace_id, name, json.dumps(config).encode())
    await store.upsert(db, scope.workspace_id, kind, new_id())
    await tenancy_store.upsert_secret(db, scope.workspace_id, name, sealed)
    if as_default:
        await store.clear_default(db, scope.workspace_id)
        await store.set_default(db, scope.workspace_id, kind=kind, provider_id=None, from_address=None)


async def choose_default(scope: Scope, *, kind: str | None, provider_id: UUID | None, from_address: str | None) -> None:
    """Raises Invalid when there is no such provider."""
    async with door.workspace(scope) as db:
        await store.clear_default(db, scope.workspace_id)
        chosen = await store.set_default(
            db, scope.workspace_id, kind=kind, provider_id=provider_id, from_address=from_address
        )
        if chosen is None:
            raise Invalid("no such email provider in this workspace")


async def ask(scope: BatchScope, db: Db) -> tuple[Answer, Answer]:
    """Ask for the providers of the scope's workspaces and for their secrets; `opened` reads the answers."""
    return (
        await store.providers(db, list(scope.claimed)),
        await tenancy_store.read_secrets(db, list(_SECRET_NAMES.values())),
    )


async def opened(scope: BatchScope, asked: tuple[Answer, Answer]) -> dict[UUID, list[EmailProvider]]:
    """The providers by workspace, opened for sending."""
    sealed = {(row["workspace_id"], row["name"]): bytes(row["sealed"]) for row in await asked[1].rows()}
    found: dict[UUID, list[EmailProvider]] = {workspace: [] for workspace in scope.claimed}
    for row in await asked[0].rows():
        workspace, name = row["workspace_id"], _SECRET_NAMES[row["type"]]
        plain = keys.unseal(scope.stores.secret, workspace, name, sealed[workspace, name])
        found[workspace].append(EmailProvider(row["type"], json.loads(plain), row["is_default"], row["from_address"]))
    return found


def pick(providers: list[EmailProvider], override: str | None) -> EmailProvider | None:
    """The provider a message asks for, else the workspace's default."""
    if override:
        return next((provider for provider in providers if provider.kind == override), None)
    return next((provider for provider in providers if provider.is_default), None)
