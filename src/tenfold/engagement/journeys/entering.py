"""From signals to runs: who begins a journey, whose run has something new to look at."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tenfold.engagement.audience import profile_store, signals
from tenfold.engagement.audience.folding import PURPOSE
from tenfold.engagement.audience.program import matches
from tenfold.engagement.deliveries.model import MessageOutcome
from tenfold.engagement.events.model import Folded
from tenfold.engagement.journeys import model, run_store, store
from tenfold.engagement.journeys.keyed import key_value
from tenfold.engagement.journeys.model import Run
from tenfold.engagement.journeys.run_store import NewRun
from tenfold.engagement.journeys.service import START_TOPIC, Start
from tenfold.jobs import queue
from tenfold.jobs import store as jobs_store
from tenfold.jobs.queue import Job
from tenfold.kit.clock import from_millis, now
from tenfold.kit.ids import new_id
from tenfold.storage.db import Db, Row
from tenfold.tenancy.scope import BatchScope, Scope, Workspace
from tenfold.tenancy.workspaces import workspaces_of

_MEMBERS = 1_000


@dataclass(frozen=True, slots=True)
class _Journey:
    workspace: Workspace
    id: UUID
    version: int
    definition: model.Definition
    can_run_multiple: bool


async def handle_signals(scope: BatchScope, db: Db, jobs: list[Job]) -> None:
    """Begin runs, and wake runs that wait for a segment or for an event with their key."""
    told = [(job.workspace_id, signals.unpack(job.payload)) for job in jobs]
    journeys = await _running(db, scope)
    runs = [run for owner, signal in told for run in _begun(journeys.get(owner, []), signal)]
    if runs:
        await run_store.begin(db, runs)
    entered = {(owner, change.user_id) for owner, signal in told for change in signal.changes if change.entered}
    if entered:
        lanes = {job.workspace_id: job.lane for job in jobs}
        owners, users = [owner for owner, _ in entered], [user for _, user in entered]
        await run_store.rouse_waiting(db, owners, users, [lanes[owner] for owner in owners])
    events = [(owner, folded) for owner, signal in told for folded in signal.events]
    await _append(db, events, {job.workspace_id: job.lane for job in jobs})
    await run_store.notify(db)


async def handle_outcomes(scope: BatchScope, db: Db, jobs: list[Job]) -> None:  # noqa: ARG001 - a handler's form
    """Tell runs what became of the message they wait for."""
    outcomes: dict[tuple[UUID, UUID], MessageOutcome] = {}
    for job in jobs:
        for outcome in msgspec.msgpack.decode(job.payload, type=list[MessageOutcome]):
            outcomes[job.workspace_id, outcome.run_id] = outcome
    rows = await run_store.take_waiting(db, [key[0] for key in outcomes], [key[1] for key in outcomes])
    lanes = {job.workspace_id: job.lane for job in jobs}
    told: list[tuple[Row, bytes]] = []
    for row in rows:
        run, outcome = model.unpack(row["state"]), outcomes[row["workspace_id"], row["id"]]
        if run.message_id == str(outcome.message_id):
            run.sent = outcome.sent
            told.append((row, model.pack(run)))
    await _go_on(db, told, lanes)


async def handle_starts(scope: BatchScope, db: Db, jobs: list[Job]) -> None:
    """Enter the present members of a journey's segment, a page at a time."""
    journeys = await _running(db, scope)
    for job in jobs:
        start = msgspec.msgpack.decode(job.payload, type=Start)
        found = next((item for item in journeys.get(job.workspace_id, []) if item.id == start.journey_id), None)
        if found is not None and isinstance(found.definition.entry_node, model.SegmentEntry):
            await _enter_members(db, Scope(scope.stores, found.workspace), found, start)


async def _enter_members(db: Db, scope: Scope, journey: _Journey, start: Start) -> None:
    entry = journey.definition.entry_node
    if not isinstance(entry, model.SegmentEntry):
        return
    if start.after == "":  # whoever folds by the old definitions must be through
        await jobs_store.wait_for_lane(db, PURPOSE, journey.workspace.root_id)
    rows = await profile_store.members_page(db, scope.workspace_id, UUID(entry.segment), start.after, _MEMBERS)
    present = journey.workspace.present(now())
    runs = [_run(journey, row["user_id"], "", present, [], row["entered_at"]) for row in rows]
    if runs:
        await run_store.begin(db, runs)
        await run_store.notify(db)
    if len(rows) == _MEMBERS:
        following = Start(journey.id, rows[-1]["user_id"])
        await queue.enqueue(db, scope, START_TOPIC, msgspec.msgpack.encode(following))


async def _running(db: Db, scope: BatchScope) -> dict[UUID, list[_Journey]]:
    ids = list(scope.claimed)
    workspaces = await workspaces_of(db, ids)
    found: dict[UUID, list[_Journey]] = defaultdict(list)
    for row in await store.running(db, ids):
        owner = workspaces[row["workspace_id"]]
        definition = model.parse(row["definition"])
        found[owner.workspace_id].append(
            _Journey(owner, row["id"], row["version"], definition, row["can_run_multiple"])
        )
    return found


def _begun(journeys: Iterable[_Journey], signal: signals.Signal) -> list[NewRun]:
    runs: list[NewRun] = []
    for journey in journeys:
        entry = journey.definition.entry_node
        if isinstance(entry, model.SegmentEntry):
            changes = (item for item in signal.changes if item.entered and item.segment_id == entry.segment)
            runs += [_run(journey, change.user_id, "", change.at, []) for change in changes]
        else:
            runs += [run for folded in signal.events if (run := _by_event(journey, entry, folded))]
    return runs


def _by_event(journey: _Journey, entry: model.EventEntry, folded: Folded) -> NewRun | None:
    event = folded.event
    if not matches(entry.event, event.event):
        return None
    key = key_value(event.properties, entry.key) if entry.key else event.message_id
    return None if key is None else _run(journey, event.user, key, folded.at, [folded])


def _run(
    journey: _Journey, user_id: str, key: str, at: int, events: list[Folded], since: datetime | None = None
) -> NewRun:
    hidden = bool(events and events[0].event.hidden)
    state = Run(journey.definition.entry_node.child, at, events=events, hidden=hidden)
    entry = journey.definition.entry_node
    unkeyed = isinstance(entry, model.EventEntry) and entry.key is None
    return NewRun(
        journey.workspace.workspace_id,
        journey.workspace.root_id,
        new_id(),
        journey.id,
        journey.version,
        user_id,
        key,
        model.pack(state),
        from_millis(at),
        repeat=journey.can_run_multiple or unkeyed,
        since=since,
    )


async def _append(db: Db, events: list[tuple[UUID, Folded]], lanes: dict[UUID, UUID]) -> None:
    """Give events to the live runs of their users whose key they carry."""
    if not events:
        return
    rows = await run_store.keyed_of_users(
        db, [owner for owner, _ in events], [folded.event.user for _, folded in events]
    )
    if not rows:
        return
    paths = await _key_paths(db, rows)
    moved: list[tuple[Row, bytes]] = []
    for row in rows:
        path = paths.get((row["journey_id"], row["version"]))
        run = model.unpack(row["state"])
        mine = [
            folded for owner, folded in events if owner == row["workspace_id"] and folded.event.user == row["user_id"]
        ]
        new = [folded for folded in mine if path and _belongs(folded, run, path, row["key"])]
        if new:
            run.events += new
            moved.append((row, model.pack(run)))
    await _go_on(db, moved, lanes)


def _belongs(folded: Folded, run: Run, path: str, key: str) -> bool:
    known = {item.event.message_id for item in run.events}
    later = not run.events or folded.ordinal > run.events[0].ordinal
    return later and folded.event.message_id not in known and key_value(folded.event.properties, path) == key


async def _key_paths(db: Db, rows: list[Row]) -> dict[tuple[UUID, int], str | None]:
    answer = await store.versions(
        db,
        [row["workspace_id"] for row in rows],
        [row["journey_id"] for row in rows],
        [row["version"] for row in rows],
    )
    return {
        (row["journey_id"], row["version"]): row["definition"]["entryNode"].get("key") for row in await answer.rows()
    }


async def _go_on(db: Db, moved: list[tuple[Row, bytes]], lanes: dict[UUID, UUID]) -> None:
    if not moved:
        return
    owners: list[Any] = [row["workspace_id"] for row, _ in moved]
    await run_store.due_now(
        db,
        owners,
        [row["id"] for row, _ in moved],
        [lanes[owner] for owner in owners],
        [state for _, state in moved],
    )
    await run_store.notify(db)
