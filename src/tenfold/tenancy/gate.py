"""The gate before the pool: a few connections, shared fairly between root workspaces.

While a place is free nobody waits and nothing is reckoned. When all are taken, the next goes to the lane that had least
for its weight (start-time fair queueing, Goyal, Vin and Cheng 1996): a lane is charged for the time that it holds a
connection, in advance by what it usually takes, so what it has in hand counts. No lane holds more than it leaves free
(dynamic thresholds, Choudhury and Hahne 1998), so who comes next need not wait for somebody's slow statement; a crowd
with short ones has fewer places beside others and more when alone. Queue and wait are bounded.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from tenfold.kit.clock import monotonic
from tenfold.kit.errors import Unavailable

OURS: Final = UUID(int=0)  # the lane of what belongs to no single workspace; it may have every place
_USUAL_SECONDS = 0.003
_SHORT_SECONDS = 0.005
_COMPANY_SECONDS = 1.0  # so long after another lane came
_SMOOTHING = 0.1
_KEPT = 50_000


@dataclass(slots=True)
class _Lane:
    """`start` is the virtual time at which the lane is served next; `usual` what a visit takes, in seconds."""

    weight: float = 1.0
    in_hand: int = 0
    start: float = 0.0
    usual: float = _USUAL_SECONDS
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque[asyncio.Future[None]])


class Gate:
    """Places for one event loop.

    `most_waiting` may wait in all, half of them of one lane, for `patience` seconds at most.
    """

    def __init__(self, places: int, *, most_waiting: int = 2_000, patience: float = 10.0) -> None:
        self._free = self.places = places
        self._most_waiting, self._patience = most_waiting, patience
        self._lanes: dict[UUID, _Lane] = {}
        self._queue: list[tuple[float, int, UUID]] = []
        self._now = 0.0
        self._entries = 0
        self._last, self._company_until = OURS, 0.0
        self.waiting = 0

    @asynccontextmanager
    async def place(self, lane: UUID, weight: float) -> AsyncGenerator[None]:
        """Hold a place.

        Raises Unavailable when too many wait, or the wait was too long.
        """
        await self._enter(lane, weight)
        since = monotonic()
        try:
            yield
        finally:
            self._leave(lane, monotonic() - since)

    def use(self) -> dict[UUID, tuple[int, int]]:
        """Connections in hand and waiting, by lane; lanes with neither are not told."""
        found = {key: (lane.in_hand, len(lane.waiting)) for key, lane in self._lanes.items()}
        return {key: both for key, both in found.items() if any(both)}

    async def _enter(self, key: UUID, weight: float) -> None:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        lane.weight = weight
        if key not in (OURS, self._last):
            self._last, self._company_until = key, monotonic() + _COMPANY_SECONDS
        if self._free and not lane.waiting and not self._full(key, lane):
            self._free -= 1
            lane.in_hand += 1
            return
        if self.waiting >= self._most_waiting or len(lane.waiting) >= self._most_waiting // 2:
            raise Unavailable("too many requests are waiting for the database; try again in a moment")
        await self._wait(key, lane)

    def _full(self, key: UUID, lane: _Lane) -> bool:
        """Whether a lane must leave the places that are free to others."""
        if key == OURS:
            return False
        crowd = len(lane.waiting) > self.places and lane.usual < _SHORT_SECONDS
        return lane.in_hand >= max(1, self._enough_for_crowds() if crowd else self._free)

    def _enough_for_crowds(self) -> int:
        """Places for many short statements, which keep this process busy rather than the database.

        Beside others two thirds are as fast as all, and leave the process to them in time.
        """
        return self.places * 2 // 3 if monotonic() < self._company_until else self.places - 1

    async def _wait(self, key: UUID, lane: _Lane) -> None:
        turn = asyncio.get_running_loop().create_future()
        if not lane.waiting:
            lane.start = max(lane.start, self._now + lane.in_hand * lane.usual / lane.weight)
            self._line_up(key, lane)
        lane.waiting.append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await turn
        except BaseException as error:
            self._give_up(key, lane, turn)
            if isinstance(error, TimeoutError):
                raise Unavailable(f"the database was busy for {self._patience:g} s; try again in a moment") from None
            raise

    def _give_up(self, key: UUID, lane: _Lane, turn: asyncio.Future[None]) -> None:
        """Whoever was served at the very moment of giving up passes the place on."""
        if turn.done() and not turn.cancelled():
            self._leave(key, 0.0)
        elif turn in lane.waiting:
            lane.waiting.remove(turn)
            self.waiting -= 1

    def _leave(self, key: UUID, seconds: float) -> None:
        lane = self._lanes[key]
        lane.in_hand -= 1
        lane.start += (seconds - lane.usual) / lane.weight if self.waiting else 0.0
        lane.usual += (seconds - lane.usual) * _SMOOTHING
        self._free += 1
        self._serve()
        if len(self._lanes) > _KEPT:
            self._lanes = {key: lane for key, lane in self._lanes.items() if lane.in_hand or lane.waiting}

    def _serve(self) -> None:
        """Give free places to the lanes that had least."""
        full: list[tuple[UUID, _Lane]] = []
        while self._free and self._queue:
            start, _, key = heapq.heappop(self._queue)
            lane = self._lanes.get(key)
            if lane is None or not lane.waiting:  # who waited gave up
                continue
            if lane.start > start:  # charged meanwhile
                self._line_up(key, lane)
            elif self._full(key, lane):
                full.append((key, lane))
            else:
                self._now = max(self._now, start)
                self._let_in(key, lane)
        for key, lane in full:
            self._line_up(key, lane)

    def _let_in(self, key: UUID, lane: _Lane) -> None:
        turn = lane.waiting.popleft()
        self.waiting -= 1
        if not turn.done():  # else it was cancelled, and has not come to say so yet
            turn.set_result(None)
            self._free -= 1
            lane.in_hand += 1
            lane.start += lane.usual / lane.weight
        if lane.waiting:
            self._line_up(key, lane)

    def _line_up(self, key: UUID, lane: _Lane) -> None:
        self._entries += 1
        heapq.heappush(self._queue, (lane.start, self._entries, key))
