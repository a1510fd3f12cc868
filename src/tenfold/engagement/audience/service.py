"""Definitions: make, change, pause and delete user properties and segments."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation

from tenfold.engagement.audience import backfill, compiler, model, profile_store, store
from tenfold.engagement.audience.conditions import Condition, key_of, to_spec
from tenfold.kit.errors import Conflict, Invalid, NotFound
from tenfold.kit.ids import new_id
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import Scope

PROTECTED = frozenset({"id", "anonymousId"})
_DEFAULTS = (
    "email",
    "phone",
    "deviceToken",
    "firstName",
    "lastName",
    "language",
    "accountManager",
    "latLon",
    "timezone",
)


@dataclass(frozen=True, slots=True)
class Upsert:
    """A property or segment as a caller wants it. What is None stays as it is, or takes the default."""

    id: UUID | None
    name: str
    definition: Any = None
    status: str | None = None
    resource_type: str | None = None
    example_value: str | None = None
    subscription_group_id: UUID | None = None
    create_only: bool = False


async def upsert_segment(scope: Scope, wanted: Upsert) -> Row:
    """Create or change a segment; its conditions are backfilled.

    Raises Invalid for a definition that can never be computed, Conflict when the name is taken.
    """
    async with door.workspace(scope) as db:
        before = await store.find_segment(db, scope.workspace_id, wanted.id, wanted.name)
        if before and wanted.create_only:
            raise Conflict(f"a segment named {wanted.name!r} exists already")
        row = _row(wanted, before)
        conditions = _segment_conditions(row)
        return await _save(db, scope, row, conditions, store.upsert_segment)


async def upsert_property(scope: Scope, wanted: Upsert) -> Row:
    """Create or change a user property; its conditions are backfilled.

    Raises Invalid for a definition that can never be computed, Conflict when the name is taken.
    """
    if wanted.name in PROTECTED:
        raise Invalid(f"{wanted.name} is a protected user property", type="ProtectedUserProperty")
    async with door.workspace(scope) as db:
        before = await store.find_property(db, scope.workspace_id, wanted.id, wanted.name)
        if before and wanted.create_only:
            raise Conflict(f"a user property named {wanted.name!r} exists already")
        if before and before["name"] in PROTECTED:
            raise Invalid(f"{before['name']} is a protected user property", type="ProtectedUserProperty")
        row = _row(wanted, before)
        _, conditions = compiler.compile_property(model.parse_property(row["definition"]))
        return await _save(db, scope, row, conditions, store.upsert_property)


async def add_defaults(db: Db, scope: Scope) -> None:
    """The user properties that every workspace begins with. For a workspace that is being made."""
    definitions: dict[str, Any] = {"id": {"type": "Id"}, "anonymousId": {"type": "AnonymousId"}}
    definitions |= {name: {"type": "Trait", "path": name} for name in _DEFAULTS}
    conditions: dict[str, Any] = {}
    for name, definition in definitions.items():
        row = _row(Upsert(None, name, definition), None)
        await store.upsert_property(db, scope.workspace_id, row)
        _, found = compiler.compile_property(model.parse_property(definition))
        conditions |= {key_of(condition): to_spec(condition) for condition in found}
    await store.add_conditions(db, scope.workspace_id, list(conditions), list(conditions.values()), "ready")


async def add_ready_segment(db: Db, scope: Scope, wanted: Upsert) -> None:
    """A segment for a workspace that is being made."""
    row = _row(wanted, None)
    await store.upsert_segment(db, scope.workspace_id, row)
    found = {key_of(condition): to_spec(condition) for condition in _segment_conditions(row)}
    await store.add_conditions(db, scope.workspace_id, list(found), list(found.values()), "ready")


async def segments(scope: Scope, ids: list[UUID] | None, resource_type: str | None) -> list[Row]:
    return await door.read(scope, lambda db: store.list_segments(db, scope.workspace_id, ids, resource_type))


async def properties(scope: Scope) -> list[Row]:
    return await door.read(scope, lambda db: store.list_properties(db, scope.workspace_id))


async def set_segment_status(scope: Scope, segment_id: UUID, status: str) -> Row:
    async with door.workspace(scope) as db:
        row = await store.set_segment_status(db, scope.workspace_id, segment_id, status)
        if row is None:
            raise NotFound
        await _redefined(db, scope)
    return row


async def set_property_status(scope: Scope, property_id: UUID, status: str) -> Row:
    async with door.workspace(scope) as db:
        before = await store.find_property(db, scope.workspace_id, property_id, "")
        if before and before["name"] in PROTECTED:
            raise Invalid(f"{before['name']} is a protected user property", type="ProtectedUserProperty")
        row = await store.set_property_status(db, scope.workspace_id, property_id, status)
        if row is None:
            raise NotFound
        await _redefined(db, scope)
    return row


async def delete_segment(scope: Scope, segment_id: UUID) -> None:
    async with door.workspace(scope) as db:
        if await store.delete_segment(db, scope.workspace_id, segment_id) is None:
            raise NotFound
        await store.delete_members(db, scope.workspace_id, segment_id)
        await _redefined(db, scope)


async def delete_property(scope: Scope, property_id: UUID) -> None:
    async with door.workspace(scope) as db:
        before = await store.find_property(db, scope.workspace_id, property_id, "")
        if before is None or before["name"] in PROTECTED:
            raise NotFound
        await store.delete_property(db, scope.workspace_id, property_id)
        await _redefined(db, scope)


async def watch(db: Db, scope: Scope, watcher: UUID, segment_ids: Iterable[str], events: Iterable[str]) -> None:
    """Let `watcher` have signals of these segments and events, beside those it has already."""
    pairs = [("segment", item) for item in segment_ids] + [("event", item) for item in events]
    kinds, subjects = [kind for kind, _ in pairs], [subject for _, subject in pairs]
    await store.add_watches(db, scope.workspace_id, watcher, kinds, subjects)
    await store.bump_version(db, scope.workspace_id)


async def unwatch(db: Db, scope: Scope, watcher: UUID) -> None:
    await store.remove_watches(db, scope.workspace_id, watcher)
    await store.bump_version(db, scope.workspace_id)


def _segment_conditions(row: dict[str, Any]) -> list[Condition]:
    definition = model.parse_segment(row["definition"])
    return compiler.compile_segment(row["id"], row["name"], definition)[1]


def _row(wanted: Upsert, before: Row | None) -> dict[str, Any]:
    """The row to write: what is wanted over what is there."""
    if wanted.definition is None and before is None:
        raise Invalid("definition is required for something new")
    old: Row = before or {}
    changed = wanted.definition is not None and wanted.definition != old.get("definition")
    return {
        "id": wanted.id or old.get("id") or new_id(),
        "name": wanted.name or old.get("name"),
        "definition": old.get("definition") if wanted.definition is None else wanted.definition,
        "status": wanted.status or old.get("status") or "Running",
        "resource_type": wanted.resource_type or old.get("resource_type") or "Declarative",
        "example_value": wanted.example_value or old.get("example_value"),
        "subscription_group_id": wanted.subscription_group_id or old.get("subscription_group_id"),
        "redefined": changed,
    }


async def _save(db: Db, scope: Scope, row: dict[str, Any], conditions: list[Condition], save: Any) -> Row:
    try:
        saved = await save(db, scope.workspace_id, row)
    except UniqueViolation as error:
        raise Conflict(f"the name {row['name']!r} is taken") from error
    specs = {key_of(condition): to_spec(condition) for condition in conditions}
    untouched = await profile_store.empty(db, scope.workspace_id)
    status = "ready" if untouched else "pending"
    await store.add_conditions(db, scope.workspace_id, list(specs), list(specs.values()), status)
    await store.bump_version(db, scope.workspace_id)
    if not untouched:
        await backfill.request(db, scope)
    return saved


async def _redefined(db: Db, scope: Scope) -> None:
    await store.bump_version(db, scope.workspace_id)
    await backfill.request(db, scope)
