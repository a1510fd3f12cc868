"""SQL of subscription groups."""

from typing import Any
from uuid import UUID

from tenfold.storage.db import Answer, Db, Row


async def upsert(db: Db, workspace_id: UUID, row: dict[str, Any]) -> Row | None:
    return await db.one(
        """
        INSERT INTO subscription_groups (workspace_id, id, name, type, channel)
        VALUES (%(workspace_id)s, %(id)s, %(name)s, %(type)s, %(channel)s)
        ON CONFLICT (workspace_id, id) DO UPDATE SET name = excluded.name, type = excluded.type,
          channel = excluded.channel, updated_at = now()
        RETURNING *
        """,
        {**row, "workspace_id": workspace_id},
    )


async def find(db: Db, workspace_id: UUID, group_id: UUID | None, name: str) -> Row | None:
    """By id, or by name when no id is given."""
    return await db.one(
        """
        SELECT * FROM subscription_groups WHERE workspace_id = %(workspace_id)s
          AND (id = %(id)s OR %(id)s IS NULL AND name = %(name)s)
        """,
        {"workspace_id": workspace_id, "id": group_id, "name": name},
    )


async def list_all(db: Db, workspaces: list[UUID]) -> Answer:
    return await db.send(
        "SELECT * FROM subscription_groups WHERE workspace_id = ANY (%(workspaces)s) ORDER BY workspace_id, name",
        {"workspaces": workspaces},
    )
