"""SQL of the jobs table."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tenfold.storage.db import Answer, Db, Row


async def enqueue(
    db: Db,
    workspaces: list[UUID],
    lanes: Sequence[UUID | None],
    topic: str,
    payloads: list[bytes],
    due_at: datetime | None,
) -> None:
    await db.run(
        """
        INSERT INTO jobs (workspace_id, lane, topic, payload, due_at)
        SELECT workspace_id, lane, %(topic)s, payload, COALESCE(%(due_at)s, now())
        FROM unnest(%(workspaces)s::uuid[], %(lanes)s::uuid[], %(payloads)s::bytea[])
          AS new (workspace_id, lane, payload)
        """,
        {"workspaces": workspaces, "lanes": list(lanes), "topic": topic, "payloads": payloads, "due_at": due_at},
    )
    await db.run("SELECT pg_notify('tenfold_work', 'jobs-' || %(topic)s)", {"topic": topic})


async def peek(db: Db, after: UUID, *, topic: str, lanes: int, per_lane: int) -> list[Row]:
    """Due jobs of a topic in the next lanes after `after`, the oldest few of each."""
    return await db.all(
        """
        WITH RECURSIVE walk AS (
          (SELECT lane, 1 AS nth FROM jobs WHERE topic = %(topic)s AND lane > %(after)s ORDER BY lane LIMIT 1)
          UNION ALL
          SELECT (SELECT j.lane FROM jobs j WHERE j.topic = %(topic)s AND j.lane > walk.lane ORDER BY j.lane LIMIT 1),
                 nth + 1
          FROM walk WHERE walk.lane IS NOT NULL AND nth < %(lanes)s
        )
        SELECT walk.lane, due.workspace_id, due.id, w.service_class
        FROM walk CROSS JOIN LATERAL (
          SELECT j.workspace_id, j.id FROM jobs j
          WHERE j.topic = %(topic)s AND j.lane = walk.lane AND j.due_at <= now()
          ORDER BY j.due_at, j.id LIMIT %(per_lane)s
        ) AS due LEFT JOIN workspaces w ON w.workspace_id = walk.lane
        WHERE walk.lane IS NOT NULL
        """,
        {"topic": topic, "after": after, "lanes": lanes, "per_lane": per_lane},
    )


async def lock_lanes(db: Db, purpose: str, lanes: list[UUID]) -> frozenset[UUID]:
    """Which of these lanes this transaction now holds: one kind of work of a lane is done by one worker at a time."""
    rows = await db.all(
        """
        SELECT lane FROM unnest(%(lanes)s::uuid[]) AS lane
        WHERE pg_try_advisory_xact_lock(hashtextextended(lane::text || %(purpose)s, 0))
        """,
        {"lanes": lanes, "purpose": purpose},
    )
    return frozenset(row["lane"] for row in rows)


async def wait_for_lane(db: Db, purpose: str, lane: UUID) -> None:
    """Hold a lane until the transaction ends, after whoever has it now."""
    await db.one(
        "SELECT pg_advisory_xact_lock(hashtextextended(%(lane)s::text || %(purpose)s, 0))",
        {"lane": str(lane), "purpose": purpose},
    )


async def take(db: Db, workspaces: list[UUID], ids: list[int]) -> Answer:
    """Jobs, locked; those that another worker has are left out. Found one by one, whatever the planner believes."""
    return await db.send(
        """
        SELECT found.* FROM unnest(%(workspaces)s::uuid[], %(ids)s::bigint[]) AS wanted (workspace_id, id)
        CROSS JOIN LATERAL (
          SELECT j.workspace_id, j.id, j.lane, j.payload, j.attempts FROM jobs j
          WHERE j.workspace_id = wanted.workspace_id AND j.id = wanted.id FOR UPDATE SKIP LOCKED
        ) AS found
        ORDER BY found.workspace_id, found.id
        """,
        {"workspaces": workspaces, "ids": ids},
    )


async def finish(db: Db, workspaces: list[UUID], ids: list[int]) -> None:
    await db.run(
        """
        DELETE FROM jobs USING unnest(%(workspaces)s::uuid[], %(ids)s::bigint[]) AS gone (workspace_id, id)
        CROSS JOIN LATERAL (
          SELECT j.ctid AS place FROM jobs j WHERE j.workspace_id = gone.workspace_id AND j.id = gone.id OFFSET 0
        ) AS found
        WHERE jobs.ctid = found.place
        """,
        {"workspaces": workspaces, "ids": ids},
    )


async def postpone(db: Db, workspace_id: UUID, job_id: int, error: str) -> None:
    """Put a failed job off: 1, 2, 4 ... seconds, an hour at most."""
    await db.run(
        """
        UPDATE jobs SET attempts = attempts + 1, error = %(error)s,
          due_at = now() + make_interval(secs => LEAST(3600, power(2, LEAST(attempts, 12))))
        WHERE workspace_id = %(workspace_id)s AND id = %(id)s
        """,
        {"workspace_id": workspace_id, "id": job_id, "error": error},
    )


async def waiting(db: Db, workspace_id: UUID) -> bool:
    """Whether jobs of a workspace are still to be done, whatever their turn; telling people of alerts is none of it."""
    row = await db.one(
        """
        SELECT EXISTS (
          SELECT FROM jobs WHERE workspace_id = %(workspace_id)s AND lane IS NOT NULL AND topic <> 'alert') AS waiting
        """,
        {"workspace_id": workspace_id},
    )
    return bool(row and row["waiting"])


async def due(db: Db) -> Row | None:
    """Which timed work waits, by the names of its bells; each answer is the first entry of an index."""
    return await db.one(
        """
        SELECT EXISTS (SELECT FROM profiles WHERE wake_at <= now() AND lane IS NOT NULL) AS wake,
          EXISTS (SELECT FROM runs WHERE due_at <= now() AND ended_at IS NULL AND lane IS NOT NULL) AS runs,
          EXISTS (SELECT FROM messages WHERE state = 'Pending') AS messages,
          EXISTS (SELECT FROM messages WHERE state = 'Held') AS held,
          EXISTS (SELECT FROM inbox) AS inbox,
          EXISTS (SELECT FROM archive_queue) AS archive,
          EXISTS (SELECT FROM jobs WHERE lane IS NOT NULL) AS jobs
        """
    )
