"""Backfill: what a new or changed definition would know had it always been there.

A job of topic `backfill` walks through stages, one page and one transaction at a time, so it survives any crash:
1. activate: while the lane is held, new conditions begin to take events; what was folded before has smaller numbers;
2. load: once the archive holds all those, stream them per user through the same conditions and merge the states;
3. ready: the conditions are complete, definitions that read them begin to answer;
4. answer: every profile is evaluated once.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from tenfold.engagement.audience import fold, profile_store, store
from tenfold.engagement.audience.conditions import Condition, State, from_spec
from tenfold.engagement.audience.folding import PURPOSE
from tenfold.engagement.audience.program import touches
from tenfold.engagement.audience.programs import Programs
from tenfold.engagement.audience.writer import Writes
from tenfold.engagement.events import archive_store
from tenfold.engagement.events import store as events_store
from tenfold.engagement.events.model import Event, ordinal
from tenfold.jobs import queue
from tenfold.jobs import store as jobs_store
from tenfold.jobs.queue import Job
from tenfold.kit.clock import now
from tenfold.storage.db import Db
from tenfold.tenancy.scope import BatchScope, Scope, Workspace
from tenfold.tenancy.workspaces import workspaces_of

TOPIC = "backfill"
_USERS = 500
_ARCHIVE_PAUSE = 0.2


class Progress(msgspec.Struct):
    """Where a backfill stands: its stage, its conditions, the last user done, the fold number it reads up to."""

    stage: str = "activate"
    keys: list[str] = []
    after: str = ""
    until: int = 0


async def request(db: Db, scope: Scope) -> None:
    """Ask for a backfill of the workspace's new conditions and for fresh answers."""
    await queue.enqueue(db, scope, TOPIC, msgspec.msgpack.encode(Progress()))


class Backfill:
    """The worker's side. `programs` must not be shared with a folder of another event loop."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    async def handle(self, scope: BatchScope, db: Db, jobs: list[Job]) -> None:
        """Take each workspace's backfill one step further."""
        ids = list({job.workspace_id for job in jobs})
        workspaces = await workspaces_of(db, ids)
        for job in jobs:
            one = Scope(scope.stores, workspaces[job.workspace_id])
            progress = msgspec.msgpack.decode(job.payload, type=Progress)
            following, pause = await self._step(db, one, progress)
            if following is not None:
                payload = msgspec.msgpack.encode(following)
                due = now() + timedelta(seconds=pause) if pause else None
                lane: list[UUID | None] = [job.lane]
                await jobs_store.enqueue(db, [job.workspace_id], lane, TOPIC, [payload], due)

    async def _step(self, db: Db, scope: Scope, progress: Progress) -> tuple[Progress | None, float]:
        match progress.stage:
            case "activate":
                return await _activate(db, scope), 0
            case "load":
                if await events_store.archive_waits(db, scope.workspace_id, progress.until):
                    return progress, _ARCHIVE_PAUSE
                return await self._load(db, scope, progress), 0
            case _:
                return await self._answer(db, scope, progress), 0

    async def _load(self, db: Db, scope: Scope, progress: Progress) -> Progress:
        rows = await store.pending_conditions(db, scope.workspace_id)
        conditions = {row["key"]: from_spec(row["spec"]) for row in rows if row["key"] in progress.keys}
        users = await _archived(scope, conditions, progress) if conditions else []
        await _merge(db, scope.workspace, conditions, users)
        if len(users) == _USERS:
            return Progress("load", progress.keys, users[-1]["user_id"], progress.until)
        await store.set_conditions(db, scope.workspace_id, progress.keys, "ready")
        await store.bump_version(db, scope.workspace_id)
        return Progress("answer")

    async def _answer(self, db: Db, scope: Scope, progress: Progress) -> Progress | None:
        await jobs_store.wait_for_lane(db, PURPOSE, scope.workspace.root_id)
        rows = await profile_store.load_page(db, scope.workspace_id, progress.after, _USERS)
        fresh = await workspaces_of(db, [scope.workspace_id])
        program = (await self._programs.load(db, fresh))[scope.workspace_id]
        workspace, writes = fresh[scope.workspace_id], Writes()
        present = workspace.present(now())
        for row in rows:
            profile = fold.unpack(row["state"])
            changes = fold.evaluate(profile, row["user_id"], program, present, None)
            writes.profile(workspace, row["user_id"], profile, changes, known=True)
            writes.members(workspace, row["user_id"], profile, changes)
            writes.tell(workspace, program, row["user_id"], changes, present)
        await writes.flush(db)
        return Progress("answer", after=rows[-1]["user_id"]) if len(rows) == _USERS else None


async def _activate(db: Db, scope: Scope) -> Progress:
    await jobs_store.wait_for_lane(db, PURPOSE, scope.workspace.root_id)
    rows = await store.pending_conditions(db, scope.workspace_id)
    keys = [row["key"] for row in rows if row["status"] == "pending"]
    if not keys:
        return Progress("answer")
    await store.set_conditions(db, scope.workspace_id, keys, "loading")
    await store.bump_version(db, scope.workspace_id)
    number = await events_store.next_fold(db)
    return Progress("load", keys, "", number)


async def _archived(scope: Scope, conditions: dict[str, Condition], progress: Progress) -> list[dict[str, Any]]:
    """The next users with events that any of the conditions may want."""
    kinds = {condition.kind for condition in conditions.values()}
    everything = "any" in kinds
    patterns = {getattr(condition, "event", "") for condition in conditions.values() if condition.kind == "track"}
    return await archive_store.stream_users(
        scope,
        types=["identify", "track", "page", "screen"] if everything else sorted(kinds),
        names=sorted(pattern for pattern in patterns if pattern and not pattern.endswith("*")),
        prefixes=[""] if everything else sorted(p.removesuffix("*") for p in patterns if p == "" or p.endswith("*")),
        until=ordinal(progress.until, 0),
        after=progress.after,
        limit=_USERS,
    )


async def _merge(db: Db, workspace: Workspace, conditions: dict[str, Condition], users: list[dict[str, Any]]) -> None:
    if not users:
        return
    await jobs_store.wait_for_lane(db, PURPOSE, workspace.root_id)
    present = workspace.present(now())
    loading = await profile_store.load(db, [workspace.workspace_id] * len(users), [user["user_id"] for user in users])
    profiles = {row["user_id"]: fold.unpack(row["state"]) for row in await loading.rows()}
    writes = Writes()
    for user in users:
        profile = profiles.get(user["user_id"])
        if profile is None:
            continue
        for key, state in _states(conditions, user["events"]).items():
            fold.merge(profile, key, conditions[key], state, present)
        writes.profile(workspace, user["user_id"], profile, fold.Changes(), known=True)
    await writes.flush(db)


def _states(conditions: dict[str, Condition], rows: list[Any]) -> dict[str, State]:
    states: dict[str, State] = {}
    for number, time, kind, name, anonymous_id, properties, message_id in sorted(rows, key=lambda row: row[0]):
        event = Event(kind, message_id, "", anonymous_id, name, time, msgspec.json.decode(properties), {})
        for key, condition in conditions.items():
            if touches(condition, kind, name):
                state = condition.observe(states.get(key), event.properties, time, number, event)
                if state is not None:
                    states[key] = state
    return states
