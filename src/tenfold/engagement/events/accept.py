"""Group commit: requests that arrive together become durable together.

One transaction carries what waits when the previous one is done; a request is answered after its commit.
Under load a commit serves hundreds of requests, alone it serves one at once. Requests of a workspace with limits on
what it sends go by themselves, one after another, so that its counters hold nobody else up.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from tenfold.engagement.events import store
from tenfold.engagement.events.decode import keepable
from tenfold.engagement.events.model import Event, pack
from tenfold.kit.errors import AppError, QuotaExceeded, Unavailable
from tenfold.kit.logs import get
from tenfold.kit.turns import Turns
from tenfold.storage.db import Db
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Scope, Stores

_MOST_ROWS = 500
_MOST_BYTES = 16 * 1024 * 1024
_MOST_WAITING = 20_000
_MOST_OF_A_FAMILY = 500  # requests of a workspace with limits that wait for their turn
_log = get("accept")


@dataclass(slots=True, eq=False)
class _Request:
    workspace: UUID
    lane: UUID
    size: int
    events: bytes
    done: asyncio.Future[None]


class Admitted(Protocol):
    """What fits under a workspace's limits, and what to say of the rest."""

    @property
    def events(self) -> list[Event]: ...
    @property
    def refusal(self) -> QuotaExceeded | None: ...


Admit = Callable[[Db, Scope, list[Event]], Awaitable[Admitted]]


class Acceptor:
    """Takes events of one process into the inbox. Start it with `run`. `admit` looks at limits."""

    def __init__(self, stores: Stores, admit: Admit) -> None:
        self._stores, self._admit = stores, admit
        self._turns = Turns(_MOST_OF_A_FAMILY)
        self._waiting: list[_Request] = []
        self._wake = asyncio.Event()

    async def accept(self, scope: Scope, events: list[Event]) -> None:
        """Return once the events are durable.

        Raises Unavailable when the database is away or too much waits already; QuotaExceeded, naming the messages
        that do not fit under a limit, once the others are durable.
        """
        if not events:
            return
        if scope.workspace.events_limited:
            await self._accept_limited(scope, events)
            return
        if len(self._waiting) >= _MOST_WAITING:
            raise Unavailable("too many requests are waiting; try again in a moment")
        done = asyncio.get_running_loop().create_future()
        workspace = scope.workspace
        packed = _pack(events)
        self._waiting.append(_Request(workspace.workspace_id, workspace.root_id, len(events), packed, done))
        self._wake.set()
        await done

    async def _accept_limited(self, scope: Scope, events: list[Event]) -> None:
        workspace = scope.workspace
        async with self._turns.of(workspace.root_id), door.workspace(scope) as db:
            admitted = await self._admit(db, scope, events)
            if found := admitted.events:
                lanes, sizes = [workspace.root_id], [len(found)]
                await store.insert_inbox(db, [workspace.workspace_id], lanes, sizes, [_pack(found)], counted=True)
                await store.notify(db)
        if admitted.refusal is not None:
            raise admitted.refusal

    async def run(self) -> None:
        """Commit what waits, again and again, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._commit(self._next())

    def _next(self) -> list[_Request]:
        taken, size = 0, 0
        while taken < min(len(self._waiting), _MOST_ROWS) and size < _MOST_BYTES:
            size += len(self._waiting[taken].events)
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    async def _commit(self, batch: list[_Request]) -> None:
        try:
            await self._insert(batch)
        except Exception as error:  # noqa: BLE001 - one bad request must not fail its neighbours
            if len(batch) == 1 or isinstance(error, Unavailable):
                _fail(batch, error)
                return
            for request in batch:
                await self._commit([request])
        else:
            for request in batch:
                with contextlib.suppress(asyncio.InvalidStateError):
                    request.done.set_result(None)

    async def _insert(self, batch: list[_Request]) -> None:
        scope = BatchScope(self._stores, frozenset(request.workspace for request in batch))
        async with door.workspace(scope) as db:
            await store.insert_inbox(
                db,
                [request.workspace for request in batch],
                [request.lane for request in batch],
                [request.size for request in batch],
                [request.events for request in batch],
                counted=True,
            )
            await store.notify(db)


def _pack(events: list[Event]) -> bytes:
    try:
        return pack(events)
    except OverflowError:
        return pack([keepable(event) for event in events])


def _fail(batch: list[_Request], error: Exception) -> None:
    shown = error if isinstance(error, AppError) else Unavailable("the events could not be stored")
    if shown is not error:
        _log.error("events were refused", exc_info=error)
    for request in batch:
        if not request.done.done():
            request.done.set_exception(shown)
