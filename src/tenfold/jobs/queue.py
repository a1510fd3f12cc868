"""Durable work, written in the transaction that makes it necessary and done at least once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from tenfold.jobs import store
from tenfold.jobs.fairness import Round, share
from tenfold.kit.errors import AppError, Unavailable
from tenfold.kit.logs import get
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Scope, Stores

_LANES = 64
_PER_LANE = 16
_MOST = 512
_log = get("jobs")


@dataclass(frozen=True, slots=True)
class Job:
    workspace_id: UUID
    lane: UUID
    id: int
    payload: bytes
    attempts: int


Handler = Callable[[BatchScope, Db, list[Job]], Awaitable[None]]


async def enqueue(db: Db, scope: Scope, topic: str, payload: bytes) -> None:
    """Add a job to be done as soon as the caller's transaction has committed."""
    workspace = scope.workspace
    await store.enqueue(db, [workspace.workspace_id], [workspace.root_id], topic, [payload], None)


async def enqueue_many(db: Db, topic: str, jobs: Sequence[tuple[UUID, UUID, bytes]]) -> None:
    """Add jobs of several workspaces: (workspace, lane, payload)."""
    if jobs:
        workspaces, lanes = [job[0] for job in jobs], [job[1] for job in jobs]
        await store.enqueue(db, workspaces, lanes, topic, [job[2] for job in jobs], None)


async def work_once(stores: Stores, topic: str, handler: Handler, place: Round) -> int:
    """Claim due jobs fairly and hand them over in one transaction, which also finishes them; how many there were.

    `place` is this worker's in the round of lanes.

    When the batch fails, its jobs are tried one by one, and the one at fault is put off with growing pauses.
    """
    async with door.queues(stores) as db:
        seen = await place.look(partial(store.peek, db, topic=topic, lanes=_LANES, per_lane=_PER_LANE))
    rows = share(seen, _MOST, carried=place.credits)
    place.go_on(seen, rows, full=len({row["lane"] for row in seen}) == _LANES)
    if not rows:
        return 0
    try:
        return await _attempt(stores, topic, rows, handler)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the runner's border: a job's fault stays with the job
        if len(rows) == 1:
            await _put_off(stores, rows[0], error)
            return 1
    done = 0
    for row in rows:
        done += await _alone(stores, topic, row, handler)
    return done


async def _alone(stores: Stores, topic: str, row: Row, handler: Handler) -> int:
    try:
        return await _attempt(stores, topic, [row], handler)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        await _put_off(stores, row, error)
        return 1


async def _attempt(stores: Stores, topic: str, rows: list[Row], handler: Handler) -> int:
    scope = BatchScope(stores, frozenset(row["workspace_id"] for row in rows))
    async with door.workspace(scope) as db:
        held = await store.lock_lanes(db, topic, list({row["lane"] for row in rows}))
        mine = [row for row in rows if row["lane"] in held]
        if not mine:
            return 0
        workspaces, ids = [row["workspace_id"] for row in mine], [row["id"] for row in mine]
        taken = await (await store.take(db, workspaces, ids)).rows()
        if taken:
            await handler(scope, db, [Job(**row) for row in taken])
            await store.finish(db, [row["workspace_id"] for row in taken], [row["id"] for row in taken])
    return len(taken)


async def _put_off(stores: Stores, row: Row, error: Exception) -> None:
    _log.error("job failed", workspace=str(row["workspace_id"]), job=row["id"], exc_info=error)
    message = error.message if isinstance(error, AppError) else repr(error)
    async with door.workspace(BatchScope(stores, frozenset((row["workspace_id"],)))) as db:
        await store.postpone(db, row["workspace_id"], row["id"], message[:1000])
