"""SQL of the inbox, the seen message ids and the archive's queue."""

from dataclasses import dataclass, field
from uuid import UUID

from tenfold.engagement.events.model import sizes_in
from tenfold.storage.db import Answer, Db, Row

COLUMNS = (
    "workspace_id", "user_id", "ordinal", "message_id", "type", "event", "event_time", "processing_time",
    "anonymous", "anonymous_id", "hidden", "properties", "context", "bytes",
)  # fmt: skip


async def insert_inbox(
    db: Db, workspaces: list[UUID], lanes: list[UUID], sizes: list[int], events: list[bytes], *, counted: bool
) -> None:
    """Packed requests. `counted`: they count to the events of the month; the platform's own do not."""
    await db.run(
        """
        INSERT INTO inbox (workspace_id, lane, size, events, bytes, counted)
        SELECT *, CASE WHEN %(counted)s THEN size ELSE 0 END
        FROM unnest(%(workspaces)s::uuid[], %(lanes)s::uuid[], %(sizes)s::int[], %(events)s::bytea[], %(bytes)s::int[])
          AS new (workspace_id, lane, size, events, bytes)
        """,
        {
            "workspaces": workspaces,
            "lanes": lanes,
            "sizes": sizes,
            "events": events,
            "bytes": [sizes_in(packed, size) for packed, size in zip(events, sizes, strict=True)],
            "counted": counted,
        },
    )


async def notify(db: Db) -> None:
    """Tell the folding workers, once the transaction has committed."""
    await db.run("NOTIFY tenfold_work, 'inbox'")


async def peek_inbox(db: Db, after: UUID, *, out: list[UUID], lanes: int, per_lane: int) -> list[Row]:
    """What waits in the next lanes after `after` but those `out`, the oldest of each first; payloads stay unread."""
    return await db.all(
        """
        WITH RECURSIVE walk AS (
          (SELECT lane, 1 AS nth FROM inbox WHERE lane > %(after)s ORDER BY lane LIMIT 1)
          UNION ALL
          SELECT (SELECT i.lane FROM inbox i WHERE i.lane > walk.lane ORDER BY i.lane LIMIT 1), nth + 1
          FROM walk WHERE walk.lane IS NOT NULL AND nth < %(lanes)s
        )
        SELECT walk.lane, waiting.workspace_id, waiting.seq, waiting.size, w.service_class
        FROM walk CROSS JOIN LATERAL (
          SELECT i.workspace_id, i.seq, i.size FROM inbox i WHERE i.lane = walk.lane ORDER BY i.seq LIMIT %(per_lane)s
        ) AS waiting LEFT JOIN workspaces w ON w.workspace_id = walk.lane
        WHERE walk.lane IS NOT NULL AND walk.lane <> ALL (%(out)s)
        """,
        {"after": after, "out": out, "lanes": lanes, "per_lane": per_lane},
    )


async def take_inbox(db: Db, purpose: str, lanes: list[UUID], workspaces: list[UUID], seqs: list[int]) -> Answer:
    """Hold lanes (as `jobs.store.lock_lanes` does), and remove and return inbox rows of those that nobody else holds.

    A lane that is held and has no such row left is told by a row without `seq`. All have the `number` of this fold,
    greater than those of all folds of its lanes before. Rows are found one by one (as in `deliveries/store.py`).
    """
    return await db.send(
        """
        WITH held AS MATERIALIZED (
          SELECT lane FROM unnest(%(lanes)s::uuid[]) AS lane
          WHERE pg_try_advisory_xact_lock(hashtextextended(lane::text || %(purpose)s, 0))
        ), taken AS (
          DELETE FROM inbox USING unnest(%(workspaces)s::uuid[], %(seqs)s::bigint[]) AS wanted (workspace_id, seq)
          CROSS JOIN LATERAL (
            SELECT i.ctid AS place FROM inbox i
            WHERE i.workspace_id = wanted.workspace_id AND i.seq = wanted.seq AND i.lane IN (SELECT lane FROM held)
            OFFSET 0
          ) AS found
          WHERE inbox.ctid = found.place RETURNING inbox.*
        )
        SELECT held.lane, (SELECT nextval('fold_seq')) AS number,
          t.workspace_id, t.seq, t.received_at, t.events, t.counted, t.bytes
        FROM held LEFT JOIN taken t ON t.lane = held.lane
        """,
        {"purpose": purpose, "lanes": lanes, "workspaces": workspaces, "seqs": seqs},
    )


async def next_fold(db: Db) -> int:
    """The number of a fold, greater than those of all folds before of the lanes that are held."""
    row = await db.one("SELECT nextval('fold_seq') AS number")
    assert row is not None  # noqa: S101 - a sequence always answers
    return row["number"]


async def remember(db: Db, workspaces: list[UUID], ids: list[bytes]) -> Answer:
    """Note message ids as seen; returns the positions (from 1) of those that had been seen before."""
    return await db.send(
        """
        WITH given AS (
          SELECT * FROM unnest(%(workspaces)s::uuid[], %(ids)s::bytea[]) WITH ORDINALITY AS g (workspace_id, id, nth)
        ), new AS (
          INSERT INTO event_ids (workspace_id, id) SELECT workspace_id, id FROM given
          ON CONFLICT DO NOTHING RETURNING workspace_id, id
        )
        SELECT given.nth FROM given LEFT JOIN new USING (workspace_id, id) WHERE new.id IS NULL
        """,
        {"workspaces": workspaces, "ids": ids},
    )


async def seen(db: Db, workspace_id: UUID, ids: list[bytes]) -> list[bytes]:
    """Which message ids were folded before."""
    rows = await db.all(
        "SELECT id FROM event_ids WHERE workspace_id = %(workspace_id)s AND id = ANY (%(ids)s::bytea[])",
        {"workspace_id": workspace_id, "ids": ids},
    )
    return [bytes(row["id"]) for row in rows]


@dataclass(slots=True)
class ArchiveColumns:
    """Folded events on their way to the archive, a row per workspace: how many, how many count, their bytes."""

    workspaces: list[UUID] = field(default_factory=list[UUID])
    sizes: list[int] = field(default_factory=list[int])
    events: list[bytes] = field(default_factory=list[bytes])
    counted: list[int] = field(default_factory=list[int])
    bytes: list[int] = field(default_factory=list[int])


async def queue_archive(db: Db, number: int, rows: ArchiveColumns) -> None:
    """Hand the events of a fold to the archiver. A trigger counts them, once each."""
    await db.run(
        """
        INSERT INTO archive_queue (workspace_id, seq, size, events, counted, bytes)
        SELECT workspace_id, %(number)s, size, events, counted, bytes
        FROM unnest(%(workspaces)s::uuid[], %(sizes)s::int[], %(events)s::bytea[], %(counted)s::int[], %(bytes)s::int[])
          AS new (workspace_id, size, events, counted, bytes)
        """,
        {
            "number": number,
            "workspaces": rows.workspaces,
            "sizes": rows.sizes,
            "events": rows.events,
            "counted": rows.counted,
            "bytes": rows.bytes,
        },
    )


async def lock_archiver(db: Db) -> bool:
    """One archiver at a time, until the transaction ends."""
    row = await db.one("SELECT pg_try_advisory_xact_lock(7310461191) AS locked")
    return bool(row and row["locked"])


async def peek_archive_block(db: Db) -> list[Row]:
    """A block that was begun and perhaps not finished."""
    return await db.all(
        """
        SELECT workspace_id, seq, block FROM archive_queue
        WHERE block = (SELECT block FROM archive_queue WHERE block IS NOT NULL LIMIT 1)
        """
    )


async def peek_archive(db: Db, limit: int) -> list[Row]:
    return await db.all(
        "SELECT workspace_id, seq, size FROM archive_queue WHERE block IS NULL ORDER BY seq LIMIT %(limit)s",
        {"limit": limit},
    )


async def mark_block(db: Db, block: UUID, workspaces: list[UUID], seqs: list[int]) -> list[Row]:
    return await db.all(
        """
        UPDATE archive_queue SET block = %(block)s
        FROM unnest(%(workspaces)s::uuid[], %(seqs)s::bigint[]) AS wanted (workspace_id, seq)
        WHERE archive_queue.workspace_id = wanted.workspace_id AND archive_queue.seq = wanted.seq
          AND archive_queue.block IS NULL
        RETURNING archive_queue.workspace_id, archive_queue.seq
        """,
        {"block": block, "workspaces": workspaces, "seqs": seqs},
    )


async def read_block(db: Db, block: UUID) -> list[Row]:
    return await db.all(
        "SELECT workspace_id, seq, events FROM archive_queue WHERE block = %(block)s ORDER BY workspace_id, seq",
        {"block": block},
    )


async def delete_block(db: Db, block: UUID) -> None:
    await db.run("DELETE FROM archive_queue WHERE block = %(block)s", {"block": block})


async def waiting(db: Db, workspace_id: UUID) -> bool:
    """Whether anything of the workspace is still on its way into profiles or archive."""
    row = await db.one(
        """
        SELECT EXISTS (SELECT FROM inbox WHERE workspace_id = %(workspace_id)s)
            OR EXISTS (SELECT FROM archive_queue WHERE workspace_id = %(workspace_id)s) AS waiting
        """,
        {"workspace_id": workspace_id},
    )
    return bool(row and row["waiting"])


async def archive_waits(db: Db, workspace_id: UUID, seq: int) -> bool:
    row = await db.one(
        """
        SELECT EXISTS (
          SELECT FROM archive_queue WHERE workspace_id = %(workspace_id)s AND seq <= %(seq)s
        ) AS waits
        """,
        {"workspace_id": workspace_id, "seq": seq},
    )
    return bool(row and row["waits"])
