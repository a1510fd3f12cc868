"""SQL of messages."""

from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.engagement.deliveries.model import NewMessage, pack
from tenfold.storage.db import Answer, Db, Row


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


async def peek(db: Db, *, lanes: int, per_lane: int) -> list[Row]:
    """Messages due, the oldest few of each lane."""
    return await db.all(
        """
        WITH RECURSIVE walk AS (
          (SELECT lane, 1 AS nth FROM messages WHERE state = 'Pending' ORDER BY lane LIMIT 1)
          UNION ALL
          SELECT (SELECT m.lane FROM messages m WHERE m.state = 'Pending' AND m.lane > walk.lane
                  ORDER BY m.lane LIMIT 1), nth + 1
          FROM walk WHERE walk.lane IS NOT NULL AND nth < %(lanes)s
        )
        SELECT walk.lane, due.workspace_id, due.id
        FROM walk CROSS JOIN LATERAL (
          SELECT m.workspace_id, m.id FROM messages m
          WHERE m.state = 'Pending' AND m.lane = walk.lane AND m.due_at <= now()
          ORDER BY m.due_at, m.id LIMIT %(per_lane)s
        ) AS due
        WHERE walk.lane IS NOT NULL
        """,
        {"lanes": lanes, "per_lane": per_lane},
    )


async def claim(db: Db, workspaces: list[UUID], ids: list[UUID], worker: UUID) -> Answer:
    return await db.send(
        """
        UPDATE messages SET state = 'Sending', claimed_by = %(worker)s, claimed_at = now(), attempts = attempts + 1
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[]) AS wanted (workspace_id, id)
        WHERE messages.workspace_id = wanted.workspace_id AND messages.id = wanted.id AND messages.state = 'Pending'
        RETURNING messages.*
        """,
        {"workspaces": workspaces, "ids": ids, "worker": worker},
    )


async def finish(db: Db, rows: list[dict[str, Any]]) -> list[Row]:
    """Write outcomes of messages that this worker still holds; returns those that were written."""
    return await db.all(
        """
        UPDATE messages SET state = 'Done', status = new.status, variant = new.variant, recipient = new.recipient,
          sender = new.sender, sent_at = new.sent_at, status_at = new.status_at
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(statuses)s::text[], %(variants)s::jsonb[],
                    %(recipients)s::text[], %(senders)s::text[], %(sent)s::timestamptz[], %(times)s::timestamptz[])
          AS new (workspace_id, id, status, variant, recipient, sender, sent_at, status_at)
        WHERE messages.workspace_id = new.workspace_id AND messages.id = new.id AND messages.state = 'Sending'
        RETURNING messages.workspace_id, messages.id
        """,
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


async def put_back(db: Db, workspaces: list[UUID], ids: list[UUID], due: list[datetime]) -> None:
    await db.run(
        """
        UPDATE messages SET state = 'Pending', due_at = new.due_at
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(due)s::timestamptz[]) AS new (workspace_id, id, due_at)
        WHERE messages.workspace_id = new.workspace_id AND messages.id = new.id AND messages.state = 'Sending'
        """,
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
        SELECT messages.* FROM messages
        JOIN unnest(%(workspaces)s::uuid[], %(ids)s::uuid[]) AS wanted (workspace_id, id)
          ON messages.workspace_id = wanted.workspace_id AND messages.id = wanted.id
        WHERE messages.state = 'Sending' FOR UPDATE OF messages
        """,
        {"workspaces": workspaces, "ids": ids},
    )


async def waiting(db: Db, workspace_id: UUID) -> bool:
    """Whether a message of the workspace is still to be sent."""
    row = await db.one(
        """
        SELECT EXISTS (SELECT FROM messages WHERE workspace_id = %(workspace_id)s AND state <> 'Done') AS waiting
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
        SELECT journey_id, node_id, status, channel, count(*) AS found FROM messages
        WHERE workspace_id = %(workspace_id)s AND journey_id IS NOT NULL
          AND (%(ids)s::uuid[] IS NULL OR journey_id = ANY (%(ids)s))
        GROUP BY journey_id, node_id, status, channel
        """,
        {"workspace_id": workspace_id, "ids": journey_ids},
    )


async def delete_users(db: Db, workspace_id: UUID, user_ids: list[str]) -> None:
    await db.run(
        "DELETE FROM messages WHERE workspace_id = %(workspace_id)s AND user_id = ANY (%(users)s)",
        {"workspace_id": workspace_id, "users": user_ids},
    )
