"""Journeys: make, publish, pause, resume, delete."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from psycopg.errors import UniqueViolation

from tenfold.engagement.audience import service as audience
from tenfold.engagement.audience import store as audience_store
from tenfold.engagement.journeys import model, run_store, store
from tenfold.jobs import queue
from tenfold.kit.errors import Conflict, Invalid, NotFound
from tenfold.kit.ids import new_id, try_parse_id
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import Scope

START_TOPIC = "journey-start"
_ALLOWED = {
    ("NotStarted", "Running"),
    ("Running", "Paused"),
    ("Paused", "Running"),
}
_UNSET = object()


class Start(msgspec.Struct, array_like=True):
    """A page of members to enter: of which journey, after which user."""

    journey_id: UUID
    after: str = ""


@dataclass(frozen=True, slots=True)
class Upsert:
    """A journey as a caller wants it. What is None stays; `draft` may be None on purpose."""

    id: UUID | None = None
    name: str | None = None
    definition: Any = None
    draft: Any = _UNSET
    status: str | None = None
    can_run_multiple: bool | None = None
    create_only: bool = False


async def upsert(scope: Scope, wanted: Upsert) -> Row:
    """Create or change a journey; publishing and resuming enter the users who belong in it.

    Raises Invalid (its `type` is the wire's) or Conflict when the name is taken.
    """
    async with door.workspace(scope) as db:
        before = await store.find(db, scope.workspace_id, wanted.id, wanted.name)
        if before and wanted.create_only:
            raise Conflict(f"a journey named {before['name']!r} exists already")
        row = _row(wanted, before or {})
        _check_status((before or {}).get("status", "NotStarted"), row)
        definition = model.parse(row["definition"]) if row["definition"] is not None else None
        if definition is not None and row["status"] == "Running":
            await _check_segments(db, scope, definition)
        try:
            saved = await store.upsert(db, scope.workspace_id, row)
        except UniqueViolation as error:
            raise Conflict(f"the name {row['name']!r} is taken") from error
        if definition is not None:
            await store.insert_version(db, scope.workspace_id, row["id"], row["version"], row["definition"])
            await _after_change(db, scope, row, definition, before or {})
    return saved or row


async def find_all(scope: Scope, ids: list[UUID] | None, resource_type: str | None) -> list[Row]:
    return await door.read(scope, lambda db: store.list_all(db, scope.workspace_id, ids, resource_type))


async def delete(scope: Scope, journey_id: UUID) -> None:
    async with door.workspace(scope) as db:
        if await store.delete(db, scope.workspace_id, journey_id) is None:
            raise NotFound
        await audience.unwatch(db, scope, journey_id)


def waited_segments(definition: model.Definition) -> set[str]:
    return {
        child.segment_id
        for node in definition.nodes
        if isinstance(node, model.WaitForNode)
        for child in node.segment_children
    }


def split_segments(definition: model.Definition) -> set[str]:
    return {node.variant.segment for node in definition.nodes if isinstance(node, model.SegmentSplitNode)}


def _row(wanted: Upsert, before: Row) -> dict[str, Any]:
    """The row to write: what is wanted over what is there; a new definition clears the draft."""
    if not wanted.name and not before:
        raise Invalid("name is required for a new journey", type="BadValues")
    changed = wanted.definition is not None and wanted.definition != before.get("definition")
    draft = None if wanted.definition is not None else before.get("draft")
    multiple = before.get("can_run_multiple", False) if wanted.can_run_multiple is None else wanted.can_run_multiple
    return {
        "id": wanted.id or before.get("id") or new_id(),
        "name": wanted.name or before.get("name"),
        "status": wanted.status or before.get("status") or "NotStarted",
        "definition": before.get("definition") if wanted.definition is None else wanted.definition,
        "draft": draft if wanted.draft is _UNSET else wanted.draft,
        "version": before.get("version", 0) + (1 if changed else 0),
        "can_run_multiple": multiple,
    }


def _check_status(before: str, row: dict[str, Any]) -> None:
    after = row["status"]
    if before != after and (before, after) not in _ALLOWED:
        raise Invalid(f"a journey cannot go from {before} to {after}", type="StatusTransitionError")
    if after != "NotStarted" and row["definition"] is None:
        violation = {"type": "CantStart", "message": "a journey needs a definition to start"}
        raise Invalid("the journey cannot start", type="ConstraintViolation", violations=[violation])


async def _check_segments(db: Db, scope: Scope, definition: model.Definition) -> None:
    """Refuse what the wire refuses: waits that the kind of entry can never satisfy."""
    waited, split = waited_segments(definition), split_segments(definition)
    ids = [found for item in waited | split if (found := try_parse_id(item))]
    rows = await audience_store.segments_by_id(db, [scope.workspace_id], ids)
    keyed = {str(row["id"]) for row in rows if row["definition"]["entryNode"]["type"] == "KeyedPerformed"}
    violation: dict[str, str] | None = None
    if isinstance(definition.entry_node, model.EventEntry) and waited - keyed:
        message = "a journey that begins with an event can only wait for KeyedPerformed segments"
        violation = {"type": "WaitForNodeAndEventEntryNode", "message": message}
    elif isinstance(definition.entry_node, model.SegmentEntry) and keyed:
        message = "a journey that begins with a segment cannot use KeyedPerformed segments"
        violation = {"type": "KeyedPerformedSegmentEntryNode", "message": message}
    if violation:
        raise Invalid(violation["message"], type="ConstraintViolation", violations=[violation])


async def _after_change(db: Db, scope: Scope, row: dict[str, Any], definition: model.Definition, before: Row) -> None:
    if row["status"] != "Running":
        return
    entry = definition.entry_node
    segments, events = waited_segments(definition), set[str]()
    if isinstance(entry, model.SegmentEntry):
        segments.add(entry.segment)
    else:
        events.add("*" if entry.key else entry.event)
    await audience.watch(db, scope, row["id"], segments, events)
    if before.get("status") == "Paused":
        await run_store.resume(db, scope.workspace_id, row["id"], scope.workspace.root_id)
        await run_store.notify(db)
    if isinstance(entry, model.SegmentEntry):
        await queue.enqueue(db, scope, START_TOPIC, msgspec.msgpack.encode(Start(row["id"])))
