"""The folding worker: claim events fairly, fold them, write everything they change in one transaction.

An event leaves the inbox in the transaction that applies it, so a crash at any point leaves it either
waiting or applied, never both. Events of one lane are folded by one worker at a time, in order.
"""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from tenfold.engagement.audience import fold, profile_store
from tenfold.engagement.audience.fold import Profile
from tenfold.engagement.audience.program import Program
from tenfold.engagement.audience.programs import Programs
from tenfold.engagement.audience.writer import Writes
from tenfold.engagement.events import store as events_store
from tenfold.engagement.events.model import Event, Folded, identity, ordinal, pack_folded, size_of, unpack
from tenfold.engagement.events.store import ArchiveColumns
from tenfold.jobs import store as jobs_store
from tenfold.jobs.fairness import Apart, Round, share
from tenfold.kit.breaks import Breaks
from tenfold.kit.clock import now
from tenfold.kit.errors import Unavailable
from tenfold.kit.logs import get
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores, Workspace
from tenfold.tenancy.workspaces import workspaces_of

PURPOSE = "fold"
FOLDS_AT_ONCE = 2
_log = get("fold")
_LANES = 64
_PER_LANE = 100
_MOST_EVENTS = 1_500
_EXPRESS_EVENTS = 400
GATHER_SECONDS = 0.02  # a fold of many events costs little more than one of few
_SMALLEST_TURN = 64
_USERS_AT_A_TIME, _EVENTS_AT_A_TIME = 16, 100  # between two looks at what else there is to do: some milliseconds
UserKey = tuple[UUID, str]


@dataclass(slots=True)
class _Batch:
    """Events of one claim: per user in order, per workspace for the archive."""

    number: int
    users: dict[UserKey, list[Folded]] = field(default_factory=lambda: defaultdict(list))
    archive: dict[UUID, list[Folded]] = field(default_factory=lambda: defaultdict(list))
    counted: Counter[UUID] = field(default_factory=Counter[UUID])
    bytes: Counter[UUID] = field(default_factory=Counter[UUID])
    size: int = 0

    def measure(self, row: Row) -> None:
        """Count a request whole; `drop` takes out what was seen before."""
        self.counted[row["workspace_id"]] += row["counted"]
        self.bytes[row["workspace_id"]] += row["bytes"]

    def drop(self, row: Row, event: Event) -> None:
        self.counted[row["workspace_id"]] -= 1 if row["counted"] else 0
        self.bytes[row["workspace_id"]] -= size_of(event)

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
        self._round = Round()
        self._apart = Apart(_EXPRESS_EVENTS)
        self._claiming = asyncio.Lock()
        self.programs = Programs()

    async def fold_once(self) -> int:
        """Fold the next micro-batch; the number of events, 0 when nothing waits."""
        async with self._claiming:
            rows = await self._claim()
            self._round.take(rows)
            flood = self._apart.begin(rows)
        try:
            return await self._try(rows) if rows else 0
        finally:
            self._round.give_back(rows)
            self._apart.end(rows, flood=flood)

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
                self._round.rest(rows[0]["lane"])
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
            rows = await self._round.look(partial(events_store.peek_inbox, db, lanes=_LANES, per_lane=_PER_LANE))
        out = self._round.out()
        free = [row for row in rows if row["lane"] not in out]
        kind = self._apart.choose(free)
        most = _EXPRESS_EVENTS if self._apart.floods_in_hand else _MOST_EVENTS
        taken = share(kind, most, turn=_SMALLEST_TURN, carried=self._round.credits)
        if not self._apart.made_room(free, kind):
            self._round.go_on(rows, taken, full=len({row["lane"] for row in rows}) == _LANES)
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
        self._note(taken, batch)
        return sum(row["size"] for row in rows)

    def _note(self, rows: list[Row], batch: _Batch) -> None:
        for workspace, count in batch.counted.items():
            self._stores.meter.of(workspace).events += count
        present = now()
        for row in rows:
            millis = (present - row["received_at"]).total_seconds() * 1000
            self._stores.meter.lag(row["workspace_id"], millis)


async def _fresh(db: Db, rows: list[Row], workspaces: dict[UUID, Workspace], number: int) -> _Batch:
    """The events of these inbox rows that were never seen before, noted as seen."""
    batch, real = _Batch(number), now()
    waiting: dict[tuple[int, bytes], tuple[Row, Event]] = {}
    breaks = Breaks(_EVENTS_AT_A_TIME)
    for row in rows:
        await breaks.after(row["counted"])
        batch.measure(row)
        owner = row["workspace_id"].int
        for event in unpack(row["events"]):
            first = waiting.setdefault((owner, identity(event)), (row, event))
            if first[1] is not event:
                batch.drop(row, event)
    owners = [row["workspace_id"] for row, _ in waiting.values()]
    answer = await events_store.remember(db, owners, [key[1] for key in waiting])
    seen = {row["nth"] for row in await answer.rows()}
    for nth, (row, event) in enumerate(waiting.values(), start=1):
        workspace = workspaces[row["workspace_id"]]
        if nth in seen:
            batch.drop(row, event)
        else:
            batch.add(workspace, event, workspace.present(row["received_at"]), workspace.present(real))
            await breaks.after()
    return batch


async def _apply(
    db: Db, batch: _Batch, workspaces: dict[UUID, Workspace], programs: dict[UUID, Program], writes: Writes
) -> None:
    keys = sorted(batch.users)
    answer = await profile_store.load(db, [key[0] for key in keys], [key[1] for key in keys])
    known = {(row["workspace_id"], row["user_id"]): row["state"] for row in await answer.rows()}
    real, breaks = now(), Breaks(_USERS_AT_A_TIME)
    for key in keys:
        await breaks.after()
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
    rows = ArchiveColumns()
    for workspace, events in batch.archive.items():
        rows.workspaces.append(workspace)
        rows.sizes.append(len(events))
        rows.events.append(pack_folded(events))
        rows.counted.append(batch.counted[workspace])
        rows.bytes.append(batch.bytes[workspace])
    await events_store.queue_archive(db, batch.number, rows)
