"""Noisy neighbours: how long small workspaces wait beside one that floods, under several ways to share."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from tenfold.bench import fill, store
from tenfold.bench.machine import percentile
from tenfold.engagement.audience.folding import GATHER_SECONDS, LOOPS_FLOODS_FIRST, Folder
from tenfold.engagement.channels import service as channels
from tenfold.engagement.deliveries import store as deliveries_store
from tenfold.engagement.deliveries.sending import SENDS_AT_ONCE, Sender
from tenfold.engagement.events import store as events_store
from tenfold.engagement.events.model import pack
from tenfold.jobs.runner import run_loop
from tenfold.kit.clock import monotonic, now
from tenfold.storage.db import Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Scope, Stores
from tenfold.tenancy.workspaces import workspaces_of

_PER_REQUEST = 100
_PAUSE = 0.005
_RATE = 40  # events, or messages, of small ones a second
_CAP = 50  # events of a workspace in a batch, where caps are tried


@dataclass(slots=True)
class Waits:
    """What small ones waited, in seconds, and how fast everything went."""

    small: list[float] = field(default_factory=list[float])
    done: int = 0
    seconds: float = 0.0

    def add(self, other: "Waits") -> None:
        """The same again, measured at another time."""
        self.small += other.small
        self.done += other.done
        self.seconds += other.seconds

    @property
    def p99(self) -> float:
        return percentile(self.small, 0.99)

    @property
    def rate(self) -> float:
        return self.done / self.seconds if self.seconds else 0.0


class Watched(Folder):
    """A folder that notes how long the events of small workspaces waited."""

    def __init__(self, stores: Stores, small: frozenset[UUID], waits: Waits) -> None:
        super().__init__(stores)
        self.stores, self.waits = stores, waits
        self._small = small

    def _note(self, rows: list[Row], batch: Any) -> None:
        super()._note(rows, batch)
        present = now()
        self.waits.done += sum(batch.counted.values())
        self.waits.small += [
            (present - row["received_at"]).total_seconds() for row in rows if row["workspace_id"] in self._small
        ]


class FirstCome(Watched):
    """What comes first is folded first, whose it may be."""

    async def _claim(self, *, floods_first: bool = False) -> list[Row]:  # noqa: ARG002 - here nobody is first
        async with door.glance(self._stores) as db:
            rows = await store.oldest_inbox(db, 16)
        return [row for row in rows if row["lane"] not in self._round.out()]


class Capped(Watched):
    """Lanes in turn, each with so many events in a batch and no more, whatever room is left."""

    async def _claim(self, *, floods_first: bool = False) -> list[Row]:
        taken: list[Row] = []
        size: dict[UUID, int] = {}
        for row in await super()._claim(floods_first=floods_first):
            if size.get(row["lane"], 0) < _CAP:
                size[row["lane"]] = size.get(row["lane"], 0) + row["size"]
                taken.append(row)
        return taken


POLICIES: dict[str, type[Watched]] = {"fair": Watched, "first come": FirstCome, "caps": Capped}


async def fold(stores: Stores, policy: str, floods: list[UUID], small: list[UUID], events: int) -> Waits:
    """Fold a flood of so many events of some workspaces (one family), while small ones send now and then."""
    await _flood(stores, floods, events)
    waits = Waits()
    await _fold_until(POLICIES[policy](stores, frozenset(small), waits), small, lambda: waits.done >= events)
    return waits


async def alone(stores: Stores, small: list[UUID], seconds: float) -> Waits:
    """The same small ones with nobody beside them."""
    waits, deadline = Waits(), monotonic() + seconds
    await _fold_until(Watched(stores, frozenset(small), waits), small, lambda: monotonic() > deadline)
    return waits


async def _fold_until(folder: Watched, small: list[UUID], ended: Callable[[], bool]) -> None:
    """Fold as a worker does, bell and gathering included."""
    bell, started = asyncio.Event(), monotonic()
    stores = folder.stores
    loops = [
        asyncio.create_task(
            run_loop("inbox", partial(folder.fold_once, floods_first=first), bell, idle=1, gather=GATHER_SECONDS)
        )
        for first in LOOPS_FLOODS_FIRST
    ]
    sending = asyncio.create_task(_trickle(partial(_send_event, stores, bell), small))
    while not ended():  # noqa: ASYNC110 - several things may end it
        await asyncio.sleep(_PAUSE)
    folder.waits.seconds = monotonic() - started
    sending.cancel()
    await asyncio.sleep(1)  # what was sent last
    for task in loops:
        task.cancel()


async def _flood(stores: Stores, floods: list[UUID], events: int) -> None:
    dice = random.Random()  # noqa: S311 - a benchmark's dice; message ids must differ from flood to flood
    lane = floods[0]
    for start in range(0, events // _PER_REQUEST, 100):
        ids = [floods[(start + n) % len(floods)] for n in range(min(100, events // _PER_REQUEST - start))]
        users = fill.some_users(dice, 500, 50)
        payloads = [pack([fill.event(dice, users) for _ in range(_PER_REQUEST)]) for _ in ids]
        async with door.workspace(BatchScope(stores, frozenset(ids))) as db:
            sizes, lanes = [_PER_REQUEST] * len(ids), [lane] * len(ids)
            await events_store.insert_inbox(db, ids, lanes, sizes, payloads, counted=True)


async def _trickle(send: Callable[[UUID, random.Random], Awaitable[None]], small: list[UUID]) -> None:
    dice = random.Random()  # noqa: S311 - as above
    while True:
        await send(dice.choice(small), dice)
        await asyncio.sleep(dice.expovariate(_RATE))


async def _send_event(stores: Stores, bell: asyncio.Event, workspace: UUID, dice: random.Random) -> None:
    payload = pack([fill.event(dice, ["somebody"])])
    async with door.workspace(BatchScope(stores, frozenset((workspace,)))) as db:
        await events_store.insert_inbox(db, [workspace], [workspace], [1], [payload], counted=True)
    bell.set()


class FirstComeSender(Sender):
    """The oldest message first, whose it may be."""

    async def _next(self) -> list[Row]:
        async with door.queues(self._stores) as db:
            return await store.oldest_messages(db, 64)


SENDERS: dict[str, type[Sender]] = {"fair": Sender, "first come": FirstComeSender}


async def send(stores: Stores, policy: str, flood: UUID, small: list[UUID], messages: int, seconds: float) -> Waits:
    """Send a flood of queued messages of one workspace, while small ones have some now and then."""
    everybody, bell = [flood, *small], asyncio.Event()
    async with door.workspace(BatchScope(stores, frozenset(everybody))) as db:
        template = await store.insert_templates(db, everybody)
        for workspace in (await workspaces_of(db, everybody)).values():
            await channels.add(db, Scope(stores, workspace), {"type": "Test"}, as_default=True)
        await store.insert_messages(db, flood, template, messages)
    sender, waits = SENDERS[policy](stores, bell.set), Waits(done=messages)
    trickle = asyncio.create_task(_trickle(partial(_send_message, stores, bell, template), small))
    started = monotonic()
    sends = [asyncio.create_task(run_loop("messages", sender.send_once, bell, idle=1)) for _ in range(SENDS_AT_ONCE)]
    while monotonic() - started < seconds or (messages and await _left(stores, flood)):  # noqa: ASYNC110 - as above
        await asyncio.sleep(_PAUSE * 50)
    waits.seconds = monotonic() - started
    trickle.cancel()
    await asyncio.sleep(1)  # what was written last
    for task in sends:
        task.cancel()
    await sender.close()
    async with door.workspace(BatchScope(stores, frozenset(everybody))) as db:
        waits.small = [row["waited"] for row in await store.message_waits(db, small)]
        await store.delete_messages(db, everybody)
    return waits


async def _left(stores: Stores, workspace: UUID) -> bool:
    async with door.workspace(BatchScope(stores, frozenset((workspace,)))) as db:
        return await deliveries_store.waiting(db, workspace)


async def _send_message(
    stores: Stores, bell: asyncio.Event, template: UUID, workspace: UUID, _dice: random.Random
) -> None:
    async with door.workspace(BatchScope(stores, frozenset((workspace,)))) as db:
        await store.insert_messages(db, workspace, template, 1)
    bell.set()
