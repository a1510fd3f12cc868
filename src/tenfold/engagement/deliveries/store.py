"""SQL of messages."""

from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.engagement.deliveries.model import NewMessage, pack
from tenfold.storage.db import Answer, Db, Row

# The wanted messages one by one, by their key and locked. Tables of queues outgrow their statistics within seconds, and
# a planner that may choose would join them to the whole queue: hence no plain join, and OFFSET 0, which keeps the state
# out of the search.
_PENDING: LiteralString = """
    CROSS JOIN LATERAL (
      SELECT m.ctid AS place, m.state FROM messages m
      WHERE m.workspace_id = wanted.workspace_id AND m.id = wanted.id OFFSET 0 FOR UPDATE SKIP LOCKED
    ) AS found WHERE messages.ctid = found.place AND found.state = 'Pending'
"""
_SENDING: LiteralString = """
    CROSS JOIN LATERAL (
      SELECT m.ctid AS place, m.state FROM messages m
      WHERE m.workspace_id = wanted.workspace_id AND m.id = wanted.id OFFSET 0 FOR UPDATE
    ) AS found WHERE messages.ctid = found.place AND found.state = 'Sending'
"""


async def insert(db: Db, messages: list[NewMessage]) -> None:
    """Write intents; an id that is there already stays as it is."""
    await db.run(
        """
        INSERT INTO messages (workspace_id, lane, id, user_id, template_id, journey_id, run_id, node_id, broadcast_id,
                              channel, intent, state)
        SELECT *, 'Pending' FROM unnest(%(workspaces)s::uuid[], %(lanes)s::uuid[], %(ids)s::uuid[], %(users)s::text[],
          %(templates)s::uuid[], %(journeys)s::uuid[], %(runs)s::uuid[], %(nodes)s::text[], %(broadcasts)s::uuid[],
          %(channels)s::text[], %(intents)s::bytea[])
        ON CONFLICT DO NOTHING
        """,
        {
            "workspaces": [message.workspace_id for message in messages],
            "lanes": [message.lane for message in messages],
            "ids": [message.id for message in messages],
            "users": [message.user_id for message in messages],
            "templates": [message.template_id for message in messages],
            "journeys": [message.journey_id for message in messages],
            "runs": [message.run_id for message in messages],
            "nodes": [message.node_id for message in messages],
            "broadcasts": [message.broadcast_id for message in messages],
            "channels": [message.intent.variant["type"] for message in messages],
            "intents": [pack(message.intent) for message in messages],
        },
    )
    await db.run("NOTIFY tenfold_work, 'messages'")


async def peek(db: Db, after: UUID, *, lanes: int, per_lane: int) -> list[Row]:
    """Messages due in the next lanes after `after`, the oldest few of each."""
    return await db.all(
        """
        WITH RECURSIVE walk AS (
          (SELECT lane, 1 AS nth FROM messages WHERE state = 'Pending' AND lane > %(after)s ORDER BY lane LIMIT 1)
          UNION ALL
          SELECT (SELECT m.lane FROM messages m WHERE m.state = 'Pending' AND m.lane > walk.lane
                  ORDER BY m.lane LIMIT 1), nth + 1
          FROM walk WHERE walk.lane IS NOT NULL AND nth < %(lanes)s
        )
        SELECT walk.lane, due.workspace_id, due.id, w.service_class
        FROM walk CROSS JOIN LATERAL (
          SELECT m.workspace_id, m.id FROM messages m
          WHERE m.state = 'Pending' AND m.lane = walk.lane AND m.due_at <= now()
          ORDER BY m.due_at, m.id LIMIT %(per_lane)s
        ) AS due LEFT JOIN workspaces w ON w.workspace_id = walk.lane
        WHERE walk.lane IS NOT NULL
        """,
        {"after": after, "lanes": lanes, "per_lane": per_lane},
    )


async def hold(db: Db, workspaces: list[UUID], ids: list[UUID]) -> None:
    """Let messages that are due wait for room."""
    await db.run(
        "UPDATE messages SET state = 'Held' FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[]) "
        "AS wanted (workspace_id, id)" + _PENDING,
        {"workspaces": workspaces, "ids": ids},
    )


async def peek_held(db: Db, after: UUID, limit: int) -> list[Row]:
    """The next workspaces after `after` that hold messages, as lanes."""
    return await db.all(
        """
        WITH RECURSIVE walk AS (
          (SELECT workspace_id, 1 AS nth FROM messages WHERE state = 'Held' AND workspace_id > %(after)s
           ORDER BY workspace_id LIMIT 1)
          UNION ALL
          SELECT (SELECT m.workspace_id FROM messages m WHERE m.state = 'Held' AND m.workspace_id > walk.workspace_id
                  ORDER BY m.workspace_id LIMIT 1), nth + 1
          FROM walk WHERE walk.workspace_id IS NOT NULL AND nth < %(limit)s
        )
        SELECT workspace_id AS lane FROM walk WHERE workspace_id IS NOT NULL
        """,
        {"after": after, "limit": limit},
    )


async def release_held(db: Db, workspaces: list[UUID], most: int) -> int:
    """Let the oldest messages go that there is room for, `most` of each workspace; how many went."""
    released = await db.count(
        """
        UPDATE messages SET state = 'Pending', due_at = now()
        FROM unnest(%(workspaces)s::uuid[]) AS w (workspace_id), LATERAL (
          SELECT m.id FROM messages m WHERE m.workspace_id = w.workspace_id AND m.state = 'Held'
          ORDER BY m.due_at, m.id
          LIMIT GREATEST(LEAST(COALESCE(tenancy.messages_room(w.workspace_id), %(most)s), %(most)s), 0)
        ) AS going
        WHERE messages.workspace_id = w.workspace_id AND messages.id = going.id AND messages.state = 'Held'
        RETURNING messages.id
        """,
        {"workspaces": workspaces, "most": most},
    )
    if released:
        await db.run("NOTIFY tenfold_work, 'messages'")
    return released


async def next_release(db: Db, workspace_id: UUID) -> datetime | None:
    """When the month turns for a test clock's workspace that holds messages, in the clock's time."""
    row = await db.one(
        """
        SELECT date_trunc('month', w.test_now AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '1 month' AS turns
        FROM workspaces w WHERE w.workspace_id = %(workspace_id)s AND EXISTS (
          SELECT FROM messages WHERE workspace_id = %(workspace_id)s AND state = 'Held')
        """,
        {"workspace_id": workspace_id},
    )
    return row["turns"] if row else None


async def rouse_held(db: Db, workspace_id: UUID, lane: UUID, moment: datetime) -> None:  # noqa: ARG001 - a clock's form
    """Look again at messages that are held: the month may have turned."""
    await db.run("NOTIFY tenfold_work, 'held'")


async def claim(db: Db, workspaces: list[UUID], ids: list[UUID], months: list[str], worker: UUID) -> Answer:
    """Mark messages that are due as being sent, in the month whose quota has room held for them; returns those."""
    return await db.send(
        """
        UPDATE messages SET state = 'Sending', claimed_by = %(worker)s, claimed_at = now(), attempts = attempts + 1,
          quota_month = wanted.month
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(months)s::text[]) AS wanted (workspace_id, id, month)
        """
        + _PENDING
        + " RETURNING messages.*",
        {"workspaces": workspaces, "ids": ids, "months": months, "worker": worker},
    )


async def finish(db: Db, rows: list[dict[str, Any]]) -> list[Row]:
    """Write outcomes of messages that this worker still holds; returns those that were written."""
    return await db.all(
        """
        UPDATE messages SET state = 'Done', status = wanted.status, variant = wanted.variant,
          recipient = wanted.recipient, sender = wanted.sender, sent_at = wanted.sent_at, status_at = wanted.status_at,
          quota_month = CASE WHEN wanted.sent_at IS NOT NULL THEN messages.quota_month END
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(statuses)s::text[], %(variants)s::jsonb[],
                    %(recipients)s::text[], %(senders)s::text[], %(sent)s::timestamptz[], %(times)s::timestamptz[])
          AS wanted (workspace_id, id, status, variant, recipient, sender, sent_at, status_at)
        """
        + _SENDING
        + " RETURNING messages.workspace_id, messages.id",
        {
            "workspaces": [row["workspace_id"] for row in rows],
            "ids": [row["id"] for row in rows],
            "statuses": [row["status"] for row in rows],
            "variants": [Jsonb(row["variant"]) for row in rows],
            "recipients": [row["recipient"] for row in rows],
            "senders": [row["sender"] for row in rows],
            "sent": [row["sent_at"] for row in rows],
            "times": [row["status_at"] for row in rows],
        },
    )


async def put_back(db: Db, workspaces: list[UUID], ids: list[UUID], due: list[datetime]) -> list[Row]:
    """Let messages that this worker still holds be tried again; returns those."""
    return await db.all(
        """
        UPDATE messages SET state = 'Pending', due_at = wanted.due_at, quota_month = NULL
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(due)s::timestamptz[])
          AS wanted (workspace_id, id, due_at)
        """
        + _SENDING
        + " RETURNING messages.workspace_id, messages.id",
        {"workspaces": workspaces, "ids": ids, "due": due},
    )


async def peek_abandoned(db: Db, *, older_than: float, not_by: UUID) -> list[Row]:
    """Messages that a worker was sending and never settled."""
    return await db.all(
        """
        SELECT workspace_id, id FROM messages
        WHERE state = 'Sending' AND claimed_by <> %(not_by)s
          AND claimed_at < now() - make_interval(secs => %(older_than)s)
        LIMIT 500
        """,
        {"older_than": older_than, "not_by": not_by},
    )


async def read(db: Db, workspaces: list[UUID], ids: list[UUID]) -> list[Row]:
    return await db.all(
        """
        SELECT found.* FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[]) AS wanted (workspace_id, id)
        CROSS JOIN LATERAL (
          SELECT m.* FROM messages m
          WHERE m.workspace_id = wanted.workspace_id AND m.id = wanted.id OFFSET 0 FOR UPDATE
        ) AS found WHERE found.state = 'Sending'
        """,
        {"workspaces": workspaces, "ids": ids},
    )


async def waiting(db: Db, workspace_id: UUID) -> bool:
    """Whether a message of the workspace is still to be sent, and could be."""
    row = await db.one(
        """
        SELECT EXISTS (
            SELECT FROM messages WHERE workspace_id = %(workspace_id)s AND state IN ('Pending', 'Sending'))
          OR (EXISTS (SELECT FROM messages WHERE workspace_id = %(workspace_id)s AND state = 'Held')
            AND COALESCE(tenancy.messages_room(%(workspace_id)s), 1) > 0) AS waiting
        """,
        {"workspace_id": workspace_id},
    )
    return bool(row and row["waiting"])


_MATCH: LiteralString = """
    m.workspace_id = %(workspace_id)s AND m.sent_at IS NOT NULL
    AND NOT COALESCE((m.variant ->> 'hidden')::bool, false)
    AND (%(journey_id)s::uuid IS NULL OR m.journey_id = %(journey_id)s)
    AND (%(broadcast_id)s::uuid IS NULL OR m.broadcast_id = %(broadcast_id)s)
    AND (%(template_ids)s::uuid[] IS NULL OR m.template_id = ANY (%(template_ids)s))
    AND (%(user_ids)s::text[] IS NULL OR m.user_id = ANY (%(user_ids)s))
    AND (%(channels)s::text[] IS NULL OR m.channel = ANY (%(channels)s))
    AND (%(statuses)s::text[] IS NULL OR m.status = ANY (%(statuses)s))
    AND (%(recipients)s::text[] IS NULL OR m.recipient = ANY (%(recipients)s))
    AND (%(senders)s::text[] IS NULL OR m.sender = ANY (%(senders)s))
    AND (%(start)s::timestamptz IS NULL OR m.sent_at >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR m.sent_at <= %(end)s)
"""


async def search(db: Db, wanted: dict[str, Any]) -> list[Row]:
    """Deliveries that match every filter given, sorted as asked, by id among equals."""
    return await db.all(
        "SELECT m.* FROM messages m WHERE "
        + _MATCH
        + """
        ORDER BY
          CASE WHEN %(sort)s = 'sentAt' AND %(ascending)s THEN m.sent_at END ASC,
          CASE WHEN %(sort)s = 'sentAt' AND NOT %(ascending)s THEN m.sent_at END DESC,
          CASE WHEN %(ascending)s THEN
            CASE %(sort)s WHEN 'status' THEN m.status WHEN 'from' THEN m.sender WHEN 'to' THEN m.recipient END END ASC,
          CASE WHEN NOT %(ascending)s THEN
            CASE %(sort)s WHEN 'status' THEN m.status WHEN 'from' THEN m.sender WHEN 'to' THEN m.recipient END END DESC,
          m.id
        LIMIT %(limit)s OFFSET %(offset)s
        """,
        wanted,
    )


async def count(db: Db, wanted: dict[str, Any]) -> int:
    row = await db.one("SELECT count(*) AS found FROM messages m WHERE " + _MATCH, wanted)
    return row["found"] if row else 0


async def node_counts(db: Db, workspace_id: UUID, journey_ids: list[UUID] | None) -> list[Row]:
    """Messages of journeys by node and status."""
    return await db.all(
        """
        SELECT journey_id, node_id, CASE state WHEN 'Held' THEN 'QuotaExceeded' ELSE status END AS status,
          count(*) AS found FROM messages
        WHERE workspace_id = %(workspace_id)s AND journey_id IS NOT NULL
          AND (%(ids)s::uuid[] IS NULL OR journey_id = ANY (%(ids)s))
        GROUP BY 1, 2, 3
        """,
        {"workspace_id": workspace_id, "ids": journey_ids},
    )


async def delete_users(db: Db, workspace_id: UUID, user_ids: list[str]) -> None:
    await db.run(
        "DELETE FROM messages WHERE workspace_id = %(workspace_id)s AND user_id = ANY (%(users)s)",
        {"workspace_id": workspace_id, "users": user_ids},
    )
