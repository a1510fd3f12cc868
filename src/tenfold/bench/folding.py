"""How fast one worker folds a backlog."""

import asyncio
import random
from typing import Any
from uuid import UUID

from tenfold.bench import fill
from tenfold.engagement.audience.folding import LOOPS_FLOODS_FIRST, Folder
from tenfold.engagement.events import store as events_store
from tenfold.engagement.events.model import pack
from tenfold.kit.clock import monotonic
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores

_PER_REQUEST = 10
_CHUNK = 250


async def backlog(stores: Stores, workspaces: list[UUID], events: int, seed: int, users: int) -> None:
    """Put events into the inbox, spread evenly, ten to a request."""
    dice = random.Random(seed)  # noqa: S311 - a benchmark's dice
    requests = [workspaces[number % len(workspaces)] for number in range(events // _PER_REQUEST)]
    for start in range(0, len(requests), _CHUNK):
        ids = requests[start : start + _CHUNK]
        payloads = [_request(dice, users) for _ in ids]
        async with door.workspace(BatchScope(stores, frozenset(ids))) as db:
            await events_store.insert_inbox(db, ids, ids, [_PER_REQUEST] * len(ids), payloads, counted=True)


def _request(dice: random.Random, users: int) -> bytes:
    present = fill.some_users(dice, users, _PER_REQUEST // 2)
    return pack([fill.event(dice, present) for _ in range(_PER_REQUEST)])


async def drain(folder: Folder, *, floods_first: bool) -> int:
    """Fold until nothing waits; how many events."""
    folded = 0
    while done := await folder.fold_once(floods_first=floods_first):
        folded += done
    return folded


async def measure(stores: Stores, workspaces: list[UUID], events: int, users: int) -> dict[str, Any]:
    """Fold a backlog with one worker: first with new users, then again with known ones."""
    folder = Folder(stores)
    result: dict[str, Any] = {"workspaces": len(workspaces), "events": events}
    for seed, name in enumerate(("first", "again")):
        await backlog(stores, workspaces, events, seed, users)
        started = monotonic()
        folded = sum(await asyncio.gather(*(drain(folder, floods_first=first) for first in LOOPS_FLOODS_FIRST)))
        result[name] = round(folded / (monotonic() - started))
    return result
