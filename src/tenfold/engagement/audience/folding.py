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
LOOPS_FLOODS_FIRST = (True, False)  # one loop goes on with a flood while the other serves who sends little
_log = get("fold")
_LANES = 64
_PER_LANE = 100
_MOST_EVENTS = 1_500
_EXPRESS_EVENTS = 400
GATHER_SECONDS = 0.02  # a fold of many events costs little more than one of few
_SMALLEST_TURN = 64
_USERS_AT_A_TIME, _EVENTS_AT_A_TIME = 16, 100  # between two looks at what else there is to do: some milliseconds
UserKey = tuple[UUID, str]
_Waiting = dict[tuple[int, bytes], tuple[Row, Event]]


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

    async def fold_once(self, *, floods_first: bool = False) -> int:
        """Fold the next micro-batch; the number of events, 0 when nothing waits."""
        async with self._claiming:
            rows = await self._claim(floods_first=floods_first)
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
            owners, seqs = [row["workspace_id"] for row in rows], [row["seq"] for row in rows]
            taking = await events_store.take_inbox(db, PURPOSE, list(lanes), owners, seqs)
            workspaces = await workspaces_of(db, owners)
            found = await taking.rows()
            taken = sorted((row for row in found if row["seq"] is not None), key=lambda row: row["seq"])
            if taken:
                await self._fold(db, taken, workspaces)
        held = {row["lane"] for row in found}
        return sum(row["size"] for row in rows if row["lane"] in held)

    async def _claim(self, *, floods_first: bool = False) -> list[Row]:
        """Rows to take now, of lanes that no other batch of this worker has in hand."""
        out = list(self._round.out())
        rows = await self._round.look(partial(self._peek, out))
        kind = self._apart.choose(rows, floods_first=floods_first)
        most = _EXPRESS_EVENTS if self._apart.floods_in_hand else _MOST_EVENTS
        taken = share(kind, most, turn=_SMALLEST_TURN, carried=self._round.credits)
        if not self._apart.made_room(rows, kind):
            self._round.go_on(rows, taken, full=len({row["lane"] for row in rows}) + len(out) >= _LANES)
        return taken

    async def _peek(self, out: list[UUID], after: UUID) -> list[Row]:
        async with door.glance(self._stores) as db:
            return await events_store.peek_inbox(db, after, out=out, lanes=_LANES, per_lane=_PER_LANE)

    async def _fold(self, db: Db, rows: list[Row], workspaces: dict[UUID, Workspace]) -> None:
        programs = await self.programs.load(db, workspaces)
        batch = _Batch(rows[0]["number"])
        waiting = await _unpacked(batch, rows)
        seen, known = await _recall(db, waiting)
        await _sift(batch, waiting, seen, workspaces)
        writes = Writes()
        await _apply(batch, known, workspaces, programs, writes)
        await writes.flush(db)
        await _archive(db, batch)
        self._note(rows, batch)

    def _note(self, rows: list[Row], batch: _Batch) -> None:
        for workspace, count in batch.counted.items():
            self._stores.meter.of(workspace).events += count
        present = now()
        for row in rows:
            millis = (present - row["received_at"]).total_seconds() * 1000
            self._stores.meter.lag(row["workspace_id"], millis)


async def _unpacked(batch: _Batch, rows: list[Row]) -> _Waiting:
    """The events of inbox rows, each once, by whose they are and what identifies them."""
    waiting: _Waiting = {}
    breaks = Breaks(_EVENTS_AT_A_TIME)
    for row in rows:
        await breaks.after(row["counted"])
        batch.measure(row)
        owner = row["workspace_id"].int
        for event in unpack(row["events"]):
            first = waiting.setdefault((owner, identity(event)), (row, event))
            if first[1] is not event:
                batch.drop(row, event)
    return waiting


async def _recall(db: Db, waiting: _Waiting) -> tuple[set[int], dict[UserKey, bytes]]:
    """Which events (from 1) were seen before, now all noted as seen; and what is known of their users, locked."""
    owners = [row["workspace_id"] for row, _ in waiting.values()]
    users = sorted({(row["workspace_id"], event.user) for row, event in waiting.values() if event.user})
    remembering = await events_store.remember(db, owners, [key[1] for key in waiting])
    loading = await profile_store.load(db, [key[0] for key in users], [key[1] for key in users])
    seen = {row["nth"] for row in await remembering.rows()}
    return seen, {(row["workspace_id"], row["user_id"]): row["state"] for row in await loading.rows()}


async def _sift(batch: _Batch, waiting: _Waiting, seen: set[int], workspaces: dict[UUID, Workspace]) -> None:
    """Into the batch what was never seen before."""
    real, breaks = now(), Breaks(_EVENTS_AT_A_TIME)
    for nth, (row, event) in enumerate(waiting.values(), start=1):
        workspace = workspaces[row["workspace_id"]]
        if nth in seen:
            batch.drop(row, event)
        else:
            batch.add(workspace, event, workspace.present(row["received_at"]), workspace.present(real))
            await breaks.after()


async def _apply(
    batch: _Batch,
    known: dict[UserKey, bytes],
    workspaces: dict[UUID, Workspace],
    programs: dict[UUID, Program],
    writes: Writes,
) -> None:
    real, breaks = now(), Breaks(_USERS_AT_A_TIME)
    for key in sorted(batch.users):
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
