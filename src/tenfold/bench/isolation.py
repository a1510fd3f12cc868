"""What isolation costs: reads with and without lock, context and signature; writes with and without audit."""

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import psycopg

from tenfold.bench import fill, store
from tenfold.engagement.audience import service as audience
from tenfold.engagement.audience.service import Upsert
from tenfold.storage.db import Db
from tenfold.tenancy import door, workspaces
from tenfold.tenancy.access import permissions
from tenfold.tenancy.access.permissions import ALL, ROLES
from tenfold.tenancy.context import PLATFORM
from tenfold.tenancy.scope import BatchScope, Scope, Stores, platform_workspace

CLASSES = {"small": 0, "middle": 500, "largest": 30_000}  # segments beside the ten that each workspace has
_ROUNDS, _STATEMENTS, _READS = 60, 20, 400
_WRITERS, _WRITES = 100, 10
_TURNS = 21
_CHECKS = 200_000
_EVERYONE: dict[str, Any] = {"entryNode": {"type": "Everyone", "id": "1"}, "nodes": []}
Read = Callable[[Db, UUID], Awaitable[object]]


async def prepare(stores: Stores, url: str, size: int) -> dict[str, UUID]:
    """Workspaces, three of them of different sizes, and a copy of their segments that nothing guards."""
    made = await fill.workspaces(stores, size)
    chosen = dict(zip(CLASSES, made[: len(CLASSES)], strict=True))
    for kind, workspace in chosen.items():
        async with door.workspace(BatchScope(stores, frozenset((workspace,)))) as db:
            await store.insert_many_segments(db, workspace, CLASSES[kind])
    await asyncio.to_thread(as_owner, url, *store.MAKE_OPEN_COPY.split(";"))
    return chosen


async def reads(stores: Stores, chosen: dict[str, UUID]) -> dict[str, float]:
    """Ratios of the median, guarded to unguarded: of a statement alone, and of a whole read with its context."""
    found: dict[str, float] = {}
    for kind, workspace in chosen.items():
        scope = BatchScope(stores, frozenset((workspace,)))
        found[f"{kind}, statement"] = await _statements(scope, workspace)
        found[f"{kind}, whole read"] = await _whole_reads(stores, scope, workspace)
    return found


async def trigger_cost(stores: Stores, url: str, switch: store.Switch) -> float:
    """Writes a second of many writers in one workspace without a trigger, divided by those with it, in turn."""
    found = await workspaces.find(stores, (await fill.workspaces(stores, 1))[0])
    scope = Scope(stores, found or platform_workspace(PLATFORM))
    ratios: list[float] = []
    for turn in range(_TURNS):
        rates: dict[bool, float] = {}
        for on in (True, False) if turn % 2 else (False, True):
            await asyncio.to_thread(as_owner, url, switch.on if on else switch.off)
            rates[on] = await _write_rate(scope, f"{turn} {on}")
        ratios.append(rates[False] / rates[True])
    await asyncio.to_thread(as_owner, url, switch.on)
    return statistics.median(ratios)


def permission_check() -> float:
    """Microseconds of one permission check."""
    held, wanted = ROLES["Author"], sorted(ROLES["Author"])
    assert held < ALL  # noqa: S101 - a benchmark of a role that lacks something
    begin = time.perf_counter()
    for number in range(_CHECKS):
        permissions.require(held, wanted[number % len(wanted)])
    return (time.perf_counter() - begin) / _CHECKS * 1e6


async def _statements(scope: BatchScope, workspace: UUID) -> float:
    """Many statements in one open transaction, so that only the statement is timed."""
    times: dict[Read, list[float]] = {store.page_of_segments: [], store.page_of_open_segments: []}
    for _ in range(_ROUNDS):
        for read in _shuffled(times):
            async with door.workspace(scope) as db:
                await read(db, workspace)
                begin = time.perf_counter()
                for _ in range(_STATEMENTS):
                    await read(db, workspace)
                times[read].append(time.perf_counter() - begin)
    return _ratio(times)


async def _whole_reads(stores: Stores, scope: BatchScope, workspace: UUID) -> float:
    """A transaction with one statement: by the door, and as one would without tenants."""
    openings: dict[Read, Callable[[], AbstractAsyncContextManager[Db]]] = {
        store.page_of_segments: lambda: door.workspace(scope),
        store.page_of_open_segments: lambda: stores.app.transaction(None, ""),
    }
    times: dict[Read, list[float]] = {read: [] for read in openings}
    for _ in range(_READS):
        for read in _shuffled(times):
            begin = time.perf_counter()
            async with openings[read]() as db:
                await read(db, workspace)
            times[read].append(time.perf_counter() - begin)
    return _ratio(times)


async def _write_rate(scope: Scope, name: str) -> float:
    async def write(writer: int) -> None:
        for number in range(_WRITES):
            await audience.upsert_segment(scope, Upsert(None, f"{name} {writer} {number}", _EVERYONE))

    begin = time.perf_counter()
    await asyncio.gather(*(write(writer) for writer in range(_WRITERS)))
    return _WRITERS * _WRITES / (time.perf_counter() - begin)


def _shuffled(times: dict[Read, list[float]]) -> list[Read]:
    return random.sample(list(times), len(times))


def _ratio(times: dict[Read, list[float]]) -> float:
    guarded, unguarded = (
        statistics.median(times[read]) for read in (store.page_of_segments, store.page_of_open_segments)
    )
    return guarded / unguarded


def as_owner(url: str, *statements: str) -> None:
    """Run statements with the rights of the database's owner."""
    with psycopg.connect(url, autocommit=True) as owner:
        for statement in statements:
            owner.execute(statement.encode())
