"""SQL of the audit log. Writing and chaining are functions of the database; the processes' role can do no more."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.storage.db import Answer, Db, Row


async def record(
    db: Db, workspace_id: UUID, *, action: str, target: tuple[str, str], outcome: str, changes: dict[str, Any]
) -> None:
    await db.run(
        """
        SELECT tenancy.record_audit(%(workspace_id)s, %(action)s, %(target_type)s, %(target_id)s, %(outcome)s,
          %(changes)s)
        """,
        {
            "workspace_id": workspace_id,
            "action": action,
            "target_type": target[0],
            "target_id": target[1],
            "outcome": outcome,
            "changes": Jsonb(changes),
        },
    )


async def chain(db: Db, workspace_id: UUID, most: int) -> Answer:
    """Chain what is pending, `most` entries; `chained` says how many."""
    return await db.send(
        "SELECT tenancy.chain_audit(%(workspace_id)s, %(most)s) AS chained",
        {"workspace_id": workspace_id, "most": most},
    )


async def trim(db: Db, workspace_id: UUID) -> int:
    """Let go of what is older than the workspace wants to keep; how many entries."""
    row = await db.one("SELECT tenancy.trim_audit(%(workspace_id)s) AS gone", {"workspace_id": workspace_id})
    return row["gone"] if row else 0


async def pending_workspaces(db: Db, most: int) -> list[UUID]:
    """The workspaces of the oldest entries that wait (role `service`)."""
    rows = await db.all(
        """
        SELECT DISTINCT workspace_id FROM (
          SELECT workspace_id FROM audit_pending ORDER BY seq LIMIT %(most)s) AS oldest
        """,
        {"most": most},
    )
    return [row["workspace_id"] for row in rows]


async def trimming_workspaces(db: Db) -> list[UUID]:
    """The workspaces that do not keep everything (role `service`)."""
    rows = await db.all("SELECT workspace_id FROM access_settings WHERE audit_retention_days IS NOT NULL")
    return [row["workspace_id"] for row in rows]


async def read_head(db: Db, workspace_id: UUID) -> Row | None:
    return await db.one(
        "SELECT sequence, hash, base_sequence, base_hash FROM audit_heads WHERE workspace_id = %(workspace_id)s",
        {"workspace_id": workspace_id},
    )


async def unsigned_heads(db: Db, workspace_ids: list[UUID], age: timedelta) -> list[Row]:
    """The chains that have grown since their last checkpoint, when that is old enough."""
    return await db.all(
        """
        SELECT h.workspace_id, h.sequence, h.hash FROM audit_heads h
        LEFT JOIN LATERAL (
          SELECT c.sequence, c.created_at FROM audit_checkpoints c WHERE c.workspace_id = h.workspace_id
          ORDER BY c.sequence DESC LIMIT 1) AS last ON true
        WHERE h.workspace_id = ANY (%(ids)s) AND h.sequence > 0
          AND (last.sequence IS NULL OR (last.sequence < h.sequence AND last.created_at < now() - %(age)s))
        """,
        {"ids": workspace_ids, "age": age},
    )


async def insert_checkpoints(db: Db, heads: list[Row], created_at: datetime, signatures: list[bytes]) -> None:
    await db.run(
        """
        INSERT INTO audit_checkpoints (workspace_id, sequence, hash, created_at, signature)
        SELECT workspace_id, sequence, hash, %(created_at)s, signature
        FROM unnest(%(ids)s::uuid[], %(sequences)s::bigint[], %(hashes)s::bytea[], %(signatures)s::bytea[])
          AS new (workspace_id, sequence, hash, signature)
        ON CONFLICT DO NOTHING
        """,
        {
            "ids": [head["workspace_id"] for head in heads],
            "sequences": [head["sequence"] for head in heads],
            "hashes": [bytes(head["hash"]) for head in heads],
            "created_at": created_at,
            "signatures": signatures,
        },
    )


async def find(
    db: Db,
    workspace_id: UUID,
    *,
    before: int | None,
    action: str | None,
    actor_id: str | None,
    start: datetime | None,
    end: datetime | None,
    limit: int,
) -> list[Row]:
    """Entries, newest first."""
    return await db.all(
        """
        SELECT * FROM audit_log WHERE workspace_id = %(workspace_id)s
          AND (%(before)s::bigint IS NULL OR sequence < %(before)s)
          AND (%(action)s::text IS NULL OR action = %(action)s)
          AND (%(actor_id)s::text IS NULL OR actor_id = %(actor_id)s)
          AND (%(start)s::timestamptz IS NULL OR occurred_at >= %(start)s)
          AND (%(end)s::timestamptz IS NULL OR occurred_at <= %(end)s)
        ORDER BY sequence DESC LIMIT %(limit)s
        """,
        {
            "workspace_id": workspace_id,
            "before": before,
            "action": action,
            "actor_id": actor_id,
            "start": start,
            "end": end,
            "limit": limit,
        },
    )


async def entries_after(db: Db, workspace_id: UUID, *, after: int, until: int, limit: int) -> list[Row]:
    return await db.all(
        """
        SELECT * FROM audit_log
        WHERE workspace_id = %(workspace_id)s AND sequence > %(after)s AND sequence <= %(until)s
        ORDER BY sequence LIMIT %(limit)s
        """,
        {"workspace_id": workspace_id, "after": after, "until": until, "limit": limit},
    )


async def checkpoints_between(db: Db, workspace_id: UUID, *, after: int, until: int) -> list[Row]:
    return await db.all(
        """
        SELECT * FROM audit_checkpoints
        WHERE workspace_id = %(workspace_id)s AND sequence > %(after)s AND sequence <= %(until)s ORDER BY sequence
        """,
        {"workspace_id": workspace_id, "after": after, "until": until},
    )


async def owners_of(db: Db, ids: list[UUID]) -> list[Row]:
    """To which workspaces ids belong; answers in the platform's context only."""
    return await db.all("SELECT * FROM tenancy.owners_of(%(ids)s)", {"ids": ids})
