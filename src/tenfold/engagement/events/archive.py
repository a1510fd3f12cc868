"""The archive: folded events go to ClickHouse in blocks, at least once, counted once.

A block is marked in PostgreSQL before it is sent, and sent with its id as deduplication token. After a crash
the same rows go again as the same block, and ClickHouse drops what it has seen. While ClickHouse is away the
queue grows and nothing else waits.
"""

from typing import Any
from uuid import UUID

from tenfold.engagement.events import store
from tenfold.engagement.events.model import Folded, size_of, unpack_folded
from tenfold.kit.clock import from_millis
from tenfold.kit.ids import new_id
from tenfold.kit.jstext import to_json
from tenfold.storage.db import Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores

_MOST_ROWS = 2_000
_MOST_EVENTS = 4_000  # converting a block holds the interpreter; a larger one would hold up requests


async def archive_once(stores: Stores) -> int:
    """Send one block; the number of events sent. 0 when nothing waits or another process is at it."""
    async with door.queues(stores) as lock:
        if not await store.lock_archiver(lock):
            return 0
        rows = await store.peek_archive_block(lock)
        if rows:
            return await _send(stores, rows[0]["block"], _scope(stores, rows))
        rows = _block(await store.peek_archive(lock, _MOST_ROWS))
        return await _begin(stores, rows) if rows else 0


async def _begin(stores: Stores, rows: list[Row]) -> int:
    block, scope = new_id(), _scope(stores, rows)
    async with door.workspace(scope) as db:
        await store.mark_block(db, block, [row["workspace_id"] for row in rows], [row["seq"] for row in rows])
    return await _send(stores, block, scope)


async def _send(stores: Stores, block: UUID, scope: BatchScope) -> int:
    async with door.workspace(scope) as db:
        rows = await store.read_block(db, block)
    columns = _columns(rows)
    if columns[0]:
        await stores.clickhouse.insert("events", store.COLUMNS, columns, str(block))
    async with door.workspace(scope) as db:
        await store.delete_block(db, block)
    return len(columns[0])


def _scope(stores: Stores, rows: list[Row]) -> BatchScope:
    return BatchScope(stores, frozenset(row["workspace_id"] for row in rows))


def _block(rows: list[Row]) -> list[Row]:
    taken, size = list[Row](), 0
    for row in rows:
        if taken and size + row["size"] > _MOST_EVENTS:
            break
        taken.append(row)
        size += row["size"]
    return taken


def _columns(rows: list[Row]) -> list[list[Any]]:
    columns: list[list[Any]] = [[] for _ in store.COLUMNS]
    for row in rows:
        for folded in unpack_folded(row["events"]):
            for column, value in zip(columns, _values(row["workspace_id"], folded), strict=True):
                column.append(value)
    return columns


def _values(workspace_id: UUID, folded: Folded) -> tuple[Any, ...]:
    event = folded.event
    return (
        workspace_id,
        event.user,
        folded.ordinal,
        event.message_id,
        event.type,
        event.event,
        from_millis(folded.time),
        from_millis(folded.at),
        not event.user_id,
        event.anonymous_id,
        event.hidden,
        to_json(event.properties),
        to_json(event.context),
        size_of(event),
    )
