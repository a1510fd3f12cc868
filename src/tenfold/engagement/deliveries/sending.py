"""The sender: claim intents fairly, write that they are being sent, send, write what became of them.

The claim is committed before the provider is called. A message found claimed by a process that is gone may have
left: it is settled as doubtful and shown, never sent again.

Messages are on their way side by side, so a slow provider holds up its own workspace only: a lane may have as many on
their way as there are places free (dynamic thresholds, Choudhury and Hahne 1998), so some always are for others.
Whoever has much to send is served apart from the rest, who would wait for the long batches.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from uuid import UUID

import httpx

from tenfold.engagement.channels import webhook
from tenfold.engagement.channels.model import Email, Outcome, Verdict
from tenfold.engagement.channels.smtp import SmtpConnections, SmtpServer
from tenfold.engagement.deliveries import settle, store
from tenfold.engagement.deliveries.claiming import claim, scope_of
from tenfold.engagement.deliveries.prepare import Prepared
from tenfold.engagement.deliveries.recording import Recorder
from tenfold.engagement.deliveries.settle import Settled
from tenfold.jobs.fairness import Apart, Round, share
from tenfold.kit.ids import new_id
from tenfold.kit.logs import get
from tenfold.storage.db import Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import Stores, Workspace
from tenfold.tenancy.workspaces import workspaces_of

_LANES, _BATCH = 64, 64
_SHALLOWEST = 4  # messages of a lane that a look sees, with many lanes
_PLACES = 192  # messages on their way at once
_MANY = 8  # messages of a lane that wait; with more it is served apart
SENDS_AT_ONCE = 2  # claims in hand: a long one and a short one beside it
_LEASE_SECONDS = 120.0
_PARTING_SECONDS = 10.0
_log = get("sender")


class Sender:
    """One sending worker of one event loop. `ring` tells its loop that a place is free again.

    `send_once` may run several times at once.
    """

    def __init__(self, stores: Stores, ring: Callable[[], None]) -> None:
        self._stores, self._ring = stores, ring
        self._identity = new_id()
        self._round, self._apart = Round(), Apart(_MANY)
        self._depth = _BATCH
        self._choosing = asyncio.Lock()
        self._claiming: set[UUID] = set()  # lanes
        self._recorders = {flood: Recorder(stores) for flood in (False, True)}
        self._tasks: set[asyncio.Task[None]] = set()
        self._smtp = SmtpConnections()
        self._http = httpx.AsyncClient(follow_redirects=False, limits=httpx.Limits(max_connections=_PLACES))

    async def send_once(self) -> int:
        """Put the next few messages on their way; how many were due and had a place."""
        async with self._choosing:
            rows = await self._next()
            self._round.take(rows)
            flood = self._apart.begin(rows)
            lanes = {row["lane"] for row in rows}
            self._claiming |= lanes
        try:
            if rows:
                await self._claim(rows, self._recorders[flood])
        finally:
            self._claiming -= lanes
            self._apart.end(rows, flood=flood)
        return len(rows)

    async def _claim(self, rows: list[Row], recorder: Recorder) -> None:
        try:
            claimed = await claim(self._stores, rows, self._identity)
        except BaseException:
            self._round.give_back(rows)
            raise
        going = {row["id"] for row, _ in claimed.ready}
        self._round.give_back([row for row in rows if row["id"] not in going])
        owners = claimed.workspaces
        for row, prepared in claimed.ready:
            self._start(self._send(owners[row["workspace_id"]], row, prepared, recorder))
        if claimed.settled:
            await recorder.write([(owners[item.row["workspace_id"]], item) for item in claimed.settled])

    async def settle_abandoned(self, older_than: float = _LEASE_SECONDS) -> int:
        """Settle what a dead worker was sending as doubtful; how many there were."""
        async with door.queues(self._stores) as db:
            rows = await store.peek_abandoned(db, older_than=older_than, not_by=self._identity)
        if not rows:
            return 0
        scope = scope_of(self._stores, rows)
        async with door.workspace(scope) as db:
            found = await store.read(db, [row["workspace_id"] for row in rows], [row["id"] for row in rows])
            workspaces = await workspaces_of(db, scope.claimed)
            await settle.write(db, workspaces, [Settled.doubtful(row) for row in found])
        return len(found)

    async def close(self) -> None:
        """Let what is on its way arrive, for some seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PARTING_SECONDS)
        await self._smtp.close()
        await self._http.aclose()

    async def _next(self) -> list[Row]:
        """Messages to send now: fair shares of the free places."""
        free = _PLACES - self._round.in_hand.total()
        if free <= 0:
            return []
        async with door.queues(self._stores) as db:
            seen = await self._round.look(partial(store.peek, db, lanes=_LANES, per_lane=self._depth))
        lanes = len({row["lane"] for row in seen})
        self._depth = max(_SHALLOWEST, _BATCH // max(lanes, 1))
        rows = within([row for row in seen if row["lane"] not in self._claiming], self._round.in_hand, free)
        kind = self._apart.choose(rows)
        taken = share(kind, min(_BATCH, free), carried=self._round.credits)
        if not self._apart.made_room(rows, kind):
            self._round.go_on(seen, taken, full=lanes == _LANES)
        return taken

    def _start(self, sending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, workspace: Workspace, row: Row, prepared: Prepared, recorder: Recorder) -> None:
        try:
            outcome = await self._guarded(prepared)
            await recorder.record(workspace, Settled.after(row, prepared, outcome))
        except Exception as error:  # noqa: BLE001 - it stays claimed, and is settled as doubtful later
            _log.error("an outcome is not recorded", exc_info=error)
        finally:
            self._round.give_back([row])
            self._ring()

    async def _guarded(self, prepared: Prepared) -> Outcome:
        """A fault of one message stays with it; since it may have left, it is not tried again."""
        try:
            return await self._transmit(prepared)
        except Exception as error:  # noqa: BLE001 - the channel's border
            _log.error("a provider failed", exc_info=error)
            return Outcome(Verdict.DOUBTFUL, {"message": type(error).__name__})

    async def _transmit(self, prepared: Prepared) -> Outcome:
        if not isinstance(prepared.content, Email):
            return await webhook.send(self._http, prepared.content)
        if prepared.provider is None or prepared.provider.kind == "Test":
            return Outcome(Verdict.SENT)
        server = SmtpServer.of(prepared.provider.config)
        if server is None:
            return Outcome(Verdict.FAILED, {"message": "the SMTP provider lacks a host or has a bad port"})
        return await self._smtp.send(server, prepared.content)


def within(rows: list[Row], in_hand: Counter[UUID], free: int) -> list[Row]:
    """The rows that their lanes have places for: no lane has more in hand than would be left free."""
    held, left = Counter(in_hand), free
    taken: list[Row] = []
    for row in rows:
        if held[row["lane"]] < max(1, left):
            held[row["lane"]] += 1
            left -= 1
            taken.append(row)
    return taken
