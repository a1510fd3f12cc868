"""SQL of runs."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tenfold.storage.db import Answer, Db, Row


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to begin.

    `repeat` allows it although the user has been here before with the same key; `since` forbids it when a run
    has begun at or after that moment.
    """

    workspace_id: UUID
    lane: UUID
    id: UUID
    journey_id: UUID
    version: int
    user_id: str
    key: str
    state: bytes
    started_at: datetime
    repeat: bool
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class MovedRun:
    """A run after a step. `lane` None: due in a test clock's time."""

    workspace_id: UUID
    id: UUID
    state: bytes
    waits_for: str
    lane: UUID | None
    due_at: datetime | None
    ended_at: datetime | None


async def begin(db: Db, runs: list[NewRun]) -> None:
    """Begin runs, one live run for each user and key, and once only unless it may repeat."""
    await db.run(
        """
        INSERT INTO runs (workspace_id, id, journey_id, version, user_id, key, state, lane, due_at, started_at)
        SELECT new.workspace_id, new.id, new.journey_id, new.version, new.user_id, new.key, new.state, new.lane, now(),
               new.started_at
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(journeys)s::uuid[], %(versions)s::int[],
                    %(users)s::text[], %(keys)s::text[], %(states)s::bytea[], %(lanes)s::uuid[],
                    %(started)s::timestamptz[], %(repeats)s::boolean[], %(since)s::timestamptz[])
          AS new (workspace_id, id, journey_id, version, user_id, key, state, lane, started_at, repeat, since)
        WHERE NOT EXISTS (
          SELECT FROM runs r WHERE r.workspace_id = new.workspace_id AND r.journey_id = new.journey_id
            AND r.user_id = new.user_id AND r.key = new.key AND (NOT new.repeat OR r.started_at >= new.since))
        ON CONFLICT DO NOTHING
        """,
        {
            "workspaces": [run.workspace_id for run in runs],
            "ids": [run.id for run in runs],
            "journeys": [run.journey_id for run in runs],
            "versions": [run.version for run in runs],
            "users": [run.user_id for run in runs],
            "keys": [run.key for run in runs],
            "states": [run.state for run in runs],
            "lanes": [run.lane for run in runs],
            "started": [run.started_at for run in runs],
            "repeats": [run.repeat for run in runs],
            "since": [run.since for run in runs],
        },
    )


async def rouse_waiting(db: Db, workspaces: list[UUID], users: list[str], lanes: list[UUID]) -> None:
    """Let the users' runs that wait for a segment look again now."""
    await db.run(
        """
        UPDATE runs SET due_at = now(), lane = new.lane
        FROM unnest(%(workspaces)s::uuid[], %(users)s::text[], %(lanes)s::uuid[]) AS new (workspace_id, user_id, lane)
        WHERE runs.workspace_id = new.workspace_id AND runs.user_id = new.user_id AND runs.ended_at IS NULL
          AND runs.waits_for = 'segment'
        """,
        {"workspaces": workspaces, "users": users, "lanes": lanes},
    )


async def resume(db: Db, workspace_id: UUID, journey_id: UUID, lane: UUID) -> None:
    """Let the runs that waited for the journey to resume go on."""
    await db.run(
        """
        UPDATE runs SET due_at = now(), lane = %(lane)s
        WHERE workspace_id = %(workspace_id)s AND journey_id = %(journey_id)s AND ended_at IS NULL
          AND waits_for = 'resume'
        """,
        {"workspace_id": workspace_id, "journey_id": journey_id, "lane": lane},
    )


async def keyed_of_users(db: Db, workspaces: list[UUID], users: list[str]) -> list[Row]:
    """Live runs of users that have a key, locked."""
    return await db.all(
        """
        SELECT runs.* FROM runs
        JOIN (SELECT DISTINCT * FROM unnest(%(workspaces)s::uuid[], %(users)s::text[]) AS w (workspace_id, user_id))
          AS wanted ON runs.workspace_id = wanted.workspace_id AND runs.user_id = wanted.user_id
        WHERE runs.ended_at IS NULL AND runs.key <> '' ORDER BY runs.workspace_id, runs.id FOR UPDATE OF runs
        """,
        {"workspaces": workspaces, "users": users},
    )


async def peek_due(db: Db, limit: int) -> list[Row]:
    """Runs that are due, the earliest first."""
    return await db.all(
        """
        SELECT workspace_id, id, lane FROM runs
        WHERE due_at <= now() AND ended_at IS NULL AND lane IS NOT NULL ORDER BY due_at LIMIT %(limit)s
        """,
        {"limit": limit},
    )


async def peek_due_lanes(db: Db, after: UUID, *, lanes: int, per_lane: int) -> list[Row]:
    """Runs due in the next lanes after `after`, the earliest few of each; where the walk ended early, its last lane."""
    return await db.all(
        """
        WITH RECURSIVE walk AS (
          (SELECT lane, 1 AS nth FROM runs
           WHERE lane > %(after)s AND ended_at IS NULL AND due_at IS NOT NULL ORDER BY lane LIMIT 1)
          UNION ALL
          SELECT (SELECT r.lane FROM runs r WHERE r.lane > walk.lane AND r.ended_at IS NULL AND r.due_at IS NOT NULL
                  ORDER BY r.lane LIMIT 1), nth + 1
          FROM walk WHERE walk.lane IS NOT NULL AND nth < %(lanes)s
        )
        SELECT walk.lane, due.workspace_id, due.id, w.service_class, walk.nth
        FROM walk LEFT JOIN LATERAL (
          SELECT r.workspace_id, r.id FROM runs r
          WHERE r.lane = walk.lane AND r.due_at <= now() AND r.ended_at IS NULL ORDER BY r.due_at LIMIT %(per_lane)s
        ) AS due ON true LEFT JOIN workspaces w ON w.workspace_id = walk.lane
        WHERE walk.lane IS NOT NULL AND (due.id IS NOT NULL OR walk.nth = %(lanes)s)
        """,
        {"after": after, "lanes": lanes, "per_lane": per_lane},
    )


async def take(db: Db, workspaces: list[UUID], ids: list[UUID]) -> Answer:
    """Live runs by id, locked; those that another worker has are left out. Found one by one, as messages are."""
    return await db.send(
        """
        SELECT found.* FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[]) AS wanted (workspace_id, id)
        CROSS JOIN LATERAL (
          SELECT r.* FROM runs r
          WHERE r.workspace_id = wanted.workspace_id AND r.id = wanted.id OFFSET 0 FOR UPDATE SKIP LOCKED
        ) AS found
        WHERE found.ended_at IS NULL
        ORDER BY found.workspace_id, found.id
        """,
        {"workspaces": workspaces, "ids": ids},
    )


async def take_waiting(db: Db, workspaces: list[UUID], ids: list[UUID]) -> list[Row]:
    """Live runs by id, locked in this order, after whoever holds them."""
    return await db.all(
        """
        SELECT found.* FROM (
          SELECT * FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[]) AS w (workspace_id, id) ORDER BY 1, 2
        ) AS wanted
        CROSS JOIN LATERAL (
          SELECT r.* FROM runs r
          WHERE r.workspace_id = wanted.workspace_id AND r.id = wanted.id OFFSET 0 FOR UPDATE
        ) AS found
        WHERE found.ended_at IS NULL
        """,
        {"workspaces": workspaces, "ids": ids},
    )


async def save(db: Db, runs: list[MovedRun]) -> None:
    await db.run(
        """
        UPDATE runs SET state = new.state, waits_for = new.waits_for, lane = new.lane, due_at = new.due_at,
          ended_at = new.ended_at
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(states)s::bytea[], %(waits)s::text[], %(lanes)s::uuid[],
                    %(due)s::timestamptz[], %(ended)s::timestamptz[])
          AS new (workspace_id, id, state, waits_for, lane, due_at, ended_at)
        WHERE runs.workspace_id = new.workspace_id AND runs.id = new.id
        """,
        {
            "workspaces": [run.workspace_id for run in runs],
            "ids": [run.id for run in runs],
            "states": [run.state for run in runs],
            "waits": [run.waits_for for run in runs],
            "lanes": [run.lane for run in runs],
            "due": [run.due_at for run in runs],
            "ended": [run.ended_at for run in runs],
        },
    )


async def due_now(db: Db, workspaces: list[UUID], ids: list[UUID], lanes: list[UUID], states: list[bytes]) -> None:
    """Save states and let the runs go on now."""
    await db.run(
        """
        UPDATE runs SET state = new.state, due_at = now(), lane = new.lane
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(lanes)s::uuid[], %(states)s::bytea[])
          AS new (workspace_id, id, lane, state)
        WHERE runs.workspace_id = new.workspace_id AND runs.id = new.id
        """,
        {"workspaces": workspaces, "ids": ids, "lanes": lanes, "states": states},
    )


async def notify(db: Db) -> None:
    await db.run("NOTIFY tenfold_work, 'runs'")


async def waiting(db: Db, workspace_id: UUID) -> bool:
    """Whether a run of the workspace is due now."""
    row = await db.one(
        """
        SELECT EXISTS (
          SELECT FROM runs WHERE workspace_id = %(workspace_id)s AND due_at <= now() AND ended_at IS NULL
            AND lane IS NOT NULL
        ) AS waiting
        """,
        {"workspace_id": workspace_id},
    )
    return bool(row and row["waiting"])


async def next_due(db: Db, workspace_id: UUID) -> datetime | None:
    """When the next run of a test clock's workspace is due, in the clock's time."""
    row = await db.one(
        """
        SELECT min(due_at) AS due FROM runs WHERE workspace_id = %(workspace_id)s AND lane IS NULL AND ended_at IS NULL
        """,
        {"workspace_id": workspace_id},
    )
    return row["due"] if row else None


async def release_due(db: Db, workspace_id: UUID, lane: UUID, moment: datetime) -> None:
    """Hand the runs due by a test clock's time to the workers."""
    await db.run(
        """
        UPDATE runs SET lane = %(lane)s, due_at = 'epoch'
        WHERE workspace_id = %(workspace_id)s AND lane IS NULL AND ended_at IS NULL AND due_at <= %(moment)s
        """,
        {"workspace_id": workspace_id, "lane": lane, "moment": moment},
    )
    await notify(db)


async def delete_users(db: Db, workspace_id: UUID, user_ids: list[str]) -> None:
    await db.run(
        "DELETE FROM runs WHERE workspace_id = %(workspace_id)s AND user_id = ANY (%(users)s)",
        {"workspace_id": workspace_id, "users": user_ids},
    )
