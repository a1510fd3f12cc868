"""The journey worker: due runs in batches, one step each, everything they cause in one transaction."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from tenfold.engagement.audience import model as audience_model
from tenfold.engagement.audience import profile_store
from tenfold.engagement.audience import store as audience_store
from tenfold.engagement.deliveries import store as deliveries_store
from tenfold.engagement.deliveries.model import Intent, NewMessage
from tenfold.engagement.events import service as events
from tenfold.engagement.events.model import Event, EventType, Internal
from tenfold.engagement.journeys import keyed, model, run_store, service, store
from tenfold.engagement.journeys.model import Run
from tenfold.engagement.journeys.run_store import MovedRun, NewRun
from tenfold.engagement.journeys.step import Effects, World, step
from tenfold.jobs.fairness import LANES_WALKED, Round
from tenfold.kit.clock import from_millis, iso, now
from tenfold.kit.ids import named_id, new_id, try_parse_id
from tenfold.kit.jsonpath import MISSING
from tenfold.kit.logs import get
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores, Workspace
from tenfold.tenancy.workspaces import workspaces_of

_MOST, _PER_LANE = 500, 16
_INACTIVE_PAUSE_MS = 60_000
_FAULT_PAUSE_MS = 3_600_000
_log = get("journeys")
_NO_TEMPLATE = UUID(int=0)


@dataclass(slots=True)
class _Batch:
    """Runs taken, and what deciding on them needs."""

    workspaces: dict[UUID, Workspace]
    versions: dict[tuple[UUID, int], Row]
    profiles: dict[tuple[UUID, str], Row]
    properties: dict[UUID, list[Row]] = field(default_factory=lambda: defaultdict(list))
    segments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class _Results:
    """What the steps of a batch want written."""

    moved: list[MovedRun] = field(default_factory=list[MovedRun])
    begun: list[NewRun] = field(default_factory=list[NewRun])
    messages: list[NewMessage] = field(default_factory=list[NewMessage])
    events: dict[UUID, list[Event]] = field(default_factory=lambda: defaultdict(list))
    visits: Counter[tuple[UUID, UUID, str]] = field(default_factory=Counter[tuple[UUID, UUID, str]])

    def add(self, other: "_Results") -> None:
        self.moved += other.moved
        self.begun += other.begun
        self.messages += other.messages
        self.visits += other.visits
        for owner, told in other.events.items():
            self.events[owner] += told


async def advance_once(stores: Stores, place: Round) -> int:
    """Take the runs that are due one step further; how many there were. `place` is in the round of lanes."""
    async with door.queues(stores) as db:
        rows = await place.due(
            await run_store.peek_due(db, _MOST),
            partial(run_store.peek_due_lanes, db, lanes=LANES_WALKED, per_lane=_PER_LANE),
            _MOST,
        )
    if not rows:
        return 0
    scope = BatchScope(stores, frozenset(row["workspace_id"] for row in rows))
    async with door.workspace(scope) as db:
        answer = await run_store.take(db, [row["workspace_id"] for row in rows], [row["id"] for row in rows])
        taken = await answer.rows()
        if taken:
            await _advance(db, taken)
    return len(taken)


async def _advance(db: Db, rows: list[Row]) -> None:
    batch = await _load(db, rows)
    results = _Results()
    for row in rows:
        version = batch.versions.get((row["journey_id"], row["version"]))
        if version is not None:
            _alone(batch, row, version, results)
    await _write(db, batch, results)


async def _load(db: Db, rows: list[Row]) -> _Batch:
    owners = [row["workspace_id"] for row in rows]
    ids = list(set(owners))
    answer = await store.versions(db, owners, [row["journey_id"] for row in rows], [row["version"] for row in rows])
    profiles = await profile_store.read_profiles(db, owners, [row["user_id"] for row in rows])
    properties = await audience_store.property_names(db, ids)
    batch = _Batch(
        await workspaces_of(db, ids),
        {(row["journey_id"], row["version"]): row for row in await answer.rows()},
        {(row["workspace_id"], row["user_id"]): row for row in await profiles.rows()},
    )
    for row in await properties.rows():
        batch.properties[row["workspace_id"]].append(row)
    for version in batch.versions.values():
        version["parsed"] = model.parse(version["definition"])
    await _load_keyed_segments(db, batch, ids)
    return batch


async def _load_keyed_segments(db: Db, batch: _Batch, ids: list[UUID]) -> None:
    """KeyedPerformed segments are answered from a run's own events, so their definitions are needed."""
    wanted = {
        segment
        for version in batch.versions.values()
        if isinstance(version["parsed"].entry_node, model.EventEntry)
        for segment in service.waited_segments(version["parsed"]) | service.split_segments(version["parsed"])
    }
    if wanted:
        parsed = [found for item in wanted if (found := try_parse_id(item))]
        for row in await audience_store.segments_by_id(db, ids, parsed):
            batch.segments[str(row["id"])] = audience_model.parse_segment(row["definition"]).entry_node


def _alone(batch: _Batch, row: Row, version: Row, results: _Results) -> None:
    """Step a run; its fault stays with it, since its neighbours in the batch are others' runs. It is put off."""
    mine = _Results()
    try:
        _one(batch, row, version, mine)
    except Exception as error:  # noqa: BLE001 - the definition's border
        _log.error("a run cannot go on", workspace=str(row["workspace_id"]), run=str(row["id"]), exc_info=error)
        workspace = batch.workspaces[row["workspace_id"]]
        put_off = Effects(due=workspace.present(now()) + _FAULT_PAUSE_MS, waits_for=row["waits_for"])
        mine = _Results([_moved(row, model.unpack(row["state"]), put_off, workspace)])
    results.add(mine)


def _one(batch: _Batch, row: Row, version: Row, results: _Results) -> None:
    workspace, run = batch.workspaces[row["workspace_id"]], model.unpack(row["state"])
    present = workspace.present(now())
    if not workspace.active:
        paused = Effects(due=present + _INACTIVE_PAUSE_MS, waits_for=row["waits_for"])
        results.moved.append(_moved(row, run, paused, workspace))
        return
    by_name, by_property = _values(batch, row, run)
    world = World(
        present,
        row["id"],
        row["user_id"],
        version["status"] == "Running",
        by_name,
        by_property,
        _membership(batch, row, run),
    )
    effects = step(version["parsed"], run, world)
    _collect(batch, row, version, run, effects, results)
    if effects.ended and _re_enters(version, world):
        results.begun.append(_again(row, version, workspace, present))


def _collect(batch: _Batch, row: Row, version: Row, run: Run, effects: Effects, results: _Results) -> None:
    owner = row["workspace_id"]
    workspace = batch.workspaces[owner]
    results.moved.append(_moved(row, run, effects, workspace))
    if effects.message is not None:
        results.messages.append(_message(batch, row, version, run, effects.message))
    for node_id, kind in effects.passed:
        results.visits[owner, row["journey_id"], node_id] += 1
        results.events[owner].append(_processed(row, run, node_id, kind))


def _values(batch: _Batch, row: Row, run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """The user's properties by name and by id; values from the run's events come first."""
    profile = batch.profiles.get((row["workspace_id"], row["user_id"]))
    stored: Mapping[str, Any] = profile["properties"] if profile else {}
    by_id_: dict[str, Any] = {**stored, **_overrides(batch, row, run)}
    names = {str(item["id"]): item["name"] for item in batch.properties[row["workspace_id"]]}
    return {names[key]: value for key, value in by_id_.items() if key in names}, by_id_


def _overrides(batch: _Batch, row: Row, run: Run) -> dict[str, Any]:
    if not run.events:
        return {}
    found: dict[str, Any] = {}
    for item in batch.properties[row["workspace_id"]]:
        value = keyed.override(audience_model.parse_property(item["definition"]), run.events)
        if value is not MISSING:
            found[str(item["id"])] = value
    return found


def _membership(batch: _Batch, row: Row, run: Run) -> Callable[[str], bool]:
    profile = batch.profiles.get((row["workspace_id"], row["user_id"]))
    segments = {str(segment) for segment in profile["segments"]} if profile else set[str]()

    def in_segment(segment: str) -> bool:
        node = batch.segments.get(segment)
        if isinstance(node, audience_model.KeyedPerformedNode):
            return keyed.performed(node, run.events, row["key"])
        return segment in segments

    return in_segment


def _moved(row: Row, run: Run, effects: Effects, workspace: Workspace) -> MovedRun:
    timed = workspace.test_now is not None and effects.due is not None
    return MovedRun(
        row["workspace_id"],
        row["id"],
        model.pack(run),
        effects.waits_for,
        None if timed else workspace.root_id,
        None if effects.due is None else from_millis(effects.due),
        (workspace.test_now or now()) if effects.ended else None,
    )


def _message(batch: _Batch, row: Row, version: Row, run: Run, node: model.MessageNode) -> NewMessage:
    names = {str(item["id"]): item["name"] for item in batch.properties[row["workspace_id"]]}
    intent = Intent(
        node.variant,
        node.subscription_group_id,
        {names[key]: value for key, value in _overrides(batch, row, run).items()},
        run.events[0].event.message_id if run.events else None,
        3 if node.retry_count is None else node.retry_count,
        run.hidden,
    )
    return NewMessage(
        row["workspace_id"],
        batch.workspaces[row["workspace_id"]].root_id,
        UUID(run.message_id),
        row["user_id"],
        try_parse_id(node.variant.get("templateId")) or _NO_TEMPLATE,
        intent,
        version["journey_id"],
        row["id"],
        node.id,
    )


def _processed(row: Row, run: Run, node_id: str, kind: str) -> Event:
    """The record of a node passed; its message id is the same whenever it is written again."""
    started = iso(from_millis(run.started_at))
    name = f"{run.started_at}-{row['journey_id']}-{row['user_id']}-{kind}-{node_id}-{row['key']}"
    properties = {
        "journeyId": str(row["journey_id"]),
        "nodeId": node_id,
        "type": kind,
        "runId": str(row["id"]),
        "journeyStartedAt": started,
        **({"eventKey": row["key"]} if row["key"] else {}),
    }
    context = {"hidden": True} if run.hidden else {}
    message_id = str(named_id(row["id"], name))
    event = str(Internal.NODE_PROCESSED)
    return Event(EventType.TRACK.value, message_id, row["user_id"], "", event, None, properties, context)


def _re_enters(version: Row, world: World) -> bool:
    entry = version["parsed"].entry_node
    wanted = isinstance(entry, model.SegmentEntry) and entry.re_enter and version["can_run_multiple"]
    return wanted and world.journey_running and world.in_segment(entry.segment)


def _again(row: Row, version: Row, workspace: Workspace, present: int) -> NewRun:
    state = Run(version["parsed"].entry_node.child, present)
    return NewRun(
        row["workspace_id"],
        workspace.root_id,
        new_id(),
        row["journey_id"],
        row["version"],
        row["user_id"],
        "",
        model.pack(state),
        from_millis(present),
        repeat=True,
    )


async def _write(db: Db, batch: _Batch, results: _Results) -> None:
    lanes = {identity: workspace.root_id for identity, workspace in batch.workspaces.items()}
    await run_store.save(db, results.moved)
    if results.begun:
        await run_store.begin(db, results.begun)
    if results.messages:
        await deliveries_store.insert(db, results.messages)
    if results.visits:
        keys = sorted(results.visits)
        await store.count_visits(
            db, [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys],
            [results.visits[key] for key in keys],
        )  # fmt: skip
    await events.record(db, lanes, results.events)
