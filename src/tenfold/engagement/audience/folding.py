"""The folding worker: claim events fairly, fold them, write everything they change in one transaction.

An event leaves the inbox in the transaction that applies it, so a crash at any point leaves it either
waiting or applied, never both. Events of one lane are folded by one worker at a time, in order.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from tenfold.engagement.audience import fold, profile_store
from tenfold.engagement.audience.fold import Profile
from tenfold.engagement.audience.program import Program
from tenfold.engagement.audience.programs import Programs
from tenfold.engagement.audience.writer import Writes
from tenfold.engagement.events import store as events_store
from tenfold.engagement.events.model import Event, Folded, identity, ordinal, pack_folded, unpack
from tenfold.jobs import store as jobs_store
from tenfold.kit.clock import monotonic, now
from tenfold.kit.errors import Unavailable
from tenfold.kit.logs import get
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores, Workspace
from tenfold.tenancy.workspaces import workspaces_of

PURPOSE = "fold"
FOLDS_AT_ONCE = 2
_NO_LANE = UUID(int=0)
_REST_SECONDS = 30.0
_log = get("fold")
_LANES = 64
_PER_LANE = 100
_MOST_EVENTS = 1_500
_SMALLEST_TURN = 64
UserKey = tuple[UUID, str]


@dataclass(slots=True)
class _Batch:
    """Events of one claim: per user in order, per workspace for the archive."""

    number: int
    users: dict[UserKey, list[Folded]] = field(default_factory=lambda: defaultdict(list))
    archive: dict[UUID, list[Folded]] = field(default_factory=lambda: defaultdict(list))
    size: int = 0

    def add(self, workspace: Workspace, event: Event, received: int, at: int) -> None:
        time = event.time if event.time is not None else received
        folded = Folded(ordinal(self.number, self.size), at, time, event)
        self.size += 1
        self.archive[workspace.workspace_id].append(folded)
        if event.user:
            self.users[workspace.workspace_id, event.user].append(folded)


class Folder:
    """One folding worker: its place in the round of lanes and its compiled programs.

    `fold_once` may run several times at once: while one batch waits for the database, another is computed.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._after = _NO_LANE
        self._busy: set[UUID] = set()
        self._resting: dict[UUID, float] = {}
        self._claiming = asyncio.Lock()
        self.programs = Programs()

    async def fold_once(self) -> int:
        """Fold the next micro-batch; the number of events, 0 when nothing waits."""
        async with self._claiming:
            rows = await self._claim()
            lanes = {row["lane"] for row in rows}
            self._busy |= lanes
        if not rows:
            return 0
        try:
            return await self._try(rows)
        finally:
            self._busy -= lanes

    async def _try(self, rows: list[Row]) -> int:
        """Fold the rows; when that fails, lane by lane, so that a fault stays with its lane, which rests a while."""
        lanes = {row["lane"] for row in rows}
        try:
            return await self._fold_held(rows, lanes)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a workspace's fault must not hold up the others
            if len(lanes) == 1:
                _log.error("a lane cannot be folded", lane=str(*lanes), exc_info=error)
                self._resting[rows[0]["lane"]] = monotonic() + _REST_SECONDS
                return 0
        return sum([await self._try([row for row in rows if row["lane"] == lane]) for lane in lanes])

    async def _fold_held(self, rows: list[Row], lanes: set[UUID]) -> int:
        scope = BatchScope(self._stores, frozenset(row["workspace_id"] for row in rows))
        async with door.workspace(scope) as db:
            held = await jobs_store.lock_lanes(db, PURPOSE, list(lanes))
            mine = [row for row in rows if row["lane"] in held]
            return await self._fold(db, mine) if mine else 0

    async def _claim(self) -> list[Row]:
        """Rows to take now, of lanes that no other batch of this worker has in hand."""
        async with door.queues(self._stores) as db:
            rows = await events_store.peek_inbox(db, after=self._after, lanes=_LANES, per_lane=_PER_LANE)
            if not rows and self._after != _NO_LANE:
                self._after = _NO_LANE
                rows = await events_store.peek_inbox(db, after=self._after, lanes=_LANES, per_lane=_PER_LANE)
        lanes = {row["lane"] for row in rows}
        self._resting = {lane: until for lane, until in self._resting.items() if until > monotonic()}
        out = self._busy | self._resting.keys()
        taken = share([row for row in rows if row["lane"] not in out], _MOST_EVENTS)
        last = max((row["lane"] for row in taken), default=_NO_LANE)
        self._after = last if len(lanes) == _LANES or last < max(lanes, default=_NO_LANE) else _NO_LANE
        return taken

    async def _fold(self, db: Db, rows: list[Row]) -> int:
        workspace_ids, seqs = [row["workspace_id"] for row in rows], [row["seq"] for row in rows]
        taking = await events_store.take_inbox(db, workspace_ids, seqs)
        numbering = await events_store.next_fold(db)
        workspaces = await workspaces_of(db, list(set(workspace_ids)))
        taken = sorted(await taking.rows(), key=lambda row: row["seq"])
        number = (await numbering.rows())[0]["number"]
        programs = await self.programs.load(db, workspaces)
        batch = await _fresh(db, taken, workspaces, number)
        writes = Writes()
        await _apply(db, batch, workspaces, programs, writes)
        await writes.flush(db)
        await _archive(db, batch)
        return sum(row["size"] for row in rows)


def share(rows: list[Row], most: int) -> list[Row]:
    """Of what waits, the rows to take now: lane after lane, each the same number of events, what is left goes round.

    `rows` has the lanes one after another, each in its order. Few events for each of many lanes would make
    batches costly, so a lane's turn is 64 events at least; lanes that find no room have theirs in the next batch.
    """
    queues: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        queues[row["lane"]].append(row)
    taken: list[Row] = []
    left = most
    while queues and left > 0:
        quantum = max(left // len(queues), _SMALLEST_TURN)
        for lane in list(queues):
            if left <= 0:
                break
            part = _quantum(queues[lane], quantum)
            taken += part
            left -= sum(row["size"] for row in part)
            queues[lane] = queues[lane][len(part) :]
            if not queues[lane]:
                del queues[lane]
    return taken


def _quantum(rows: list[Row], quantum: int) -> list[Row]:
    size, count = 0, 0
    while count < len(rows) and size < quantum:
        size += rows[count]["size"]
        count += 1
    return rows[:count]


async def _fresh(db: Db, rows: list[Row], workspaces: dict[UUID, Workspace], number: int) -> _Batch:
    """The events of these inbox rows that were never seen before, noted as seen."""
    waiting: dict[tuple[int, bytes], tuple[Workspace, Event, int]] = {}
    for row in rows:
        workspace = workspaces[row["workspace_id"]]
        received, owner = workspace.present(row["received_at"]), row["workspace_id"].int
        for event in unpack(row["events"]):
            waiting.setdefault((owner, identity(event)), (workspace, event, received))
    owners = [workspace.workspace_id for workspace, _, _ in waiting.values()]
    answer = await events_store.remember(db, owners, [key[1] for key in waiting])
    seen = {row["nth"] for row in await answer.rows()}
    batch, real = _Batch(number), now()
    for nth, (workspace, event, received) in enumerate(waiting.values(), start=1):
        if nth not in seen:
            batch.add(workspace, event, received, workspace.present(real))
    return batch


async def _apply(
    db: Db, batch: _Batch, workspaces: dict[UUID, Workspace], programs: dict[UUID, Program], writes: Writes
) -> None:
    keys = sorted(batch.users)
    answer = await profile_store.load(db, [key[0] for key in keys], [key[1] for key in keys])
    known = {(row["workspace_id"], row["user_id"]): row["state"] for row in await answer.rows()}
    real = now()
    for key in keys:
        workspace, program = workspaces[key[0]], programs[key[0]]
        state = known.get(key)
        profile = fold.unpack(state) if state is not None else Profile({}, {}, {}, {})
        present = workspace.present(real)
        moved = fold.observe(profile, batch.users[key], program, present)
        changes = fold.evaluate(profile, key[1], program, present, moved if state is not None else None)
        writes.profile(workspace, key[1], profile, changes, known=state is not None)
        writes.members(workspace, key[1], profile, changes)
        writes.tell(workspace, program, key[1], changes, present)
        _tell_events(writes, workspace, program, batch.users[key])


def _tell_events(writes: Writes, workspace: Workspace, program: Program, events: list[Folded]) -> None:
    if program.watched_events:
        for folded in events:
            if folded.event.type == "track" and program.watches_event(folded.event.event):
                writes.tell_event(workspace, folded)


async def _archive(db: Db, batch: _Batch) -> None:
    if not batch.archive:
        return
    await events_store.queue_archive(
        db,
        list(batch.archive),
        [batch.number] * len(batch.archive),
        [len(events) for events in batch.archive.values()],
        [pack_folded(events) for events in batch.archive.values()],
    )
