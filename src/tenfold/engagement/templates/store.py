"""SQL of message templates."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.storage.db import Answer, Db, Row


async def find(db: Db, workspace_id: UUID, template_id: UUID | None, name: str) -> Row | None:
    """By id, or by name when no id is given."""
    return await db.one(
        """
        SELECT * FROM message_templates WHERE workspace_id = %(workspace_id)s
          AND (id = %(id)s OR %(id)s IS NULL AND name = %(name)s)
        """,
        {"workspace_id": workspace_id, "id": template_id, "name": name},
    )


async def list_all(db: Db, workspace_id: UUID, ids: list[UUID] | None, resource_type: str | None) -> Answer:
    return await db.send(
        """
        SELECT * FROM message_templates WHERE workspace_id = %(workspace_id)s
          AND (%(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s))
          AND (%(resource_type)s::text IS NULL OR resource_type = %(resource_type)s)
        ORDER BY name
        """,
        {"workspace_id": workspace_id, "ids": ids, "resource_type": resource_type},
    )


async def upsert(db: Db, workspace_id: UUID, row: dict[str, Any]) -> Row | None:
    return await db.one(
        """
        INSERT INTO message_templates (workspace_id, id, name, definition, draft, resource_type)
        VALUES (%(workspace_id)s, %(id)s, %(name)s, %(definition)s, %(draft)s, %(resource_type)s)
        ON CONFLICT (workspace_id, id) DO UPDATE SET name = excluded.name, definition = excluded.definition,
          draft = excluded.draft, resource_type = excluded.resource_type, updated_at = now()
        RETURNING *
        """,
        {
            **row,
            "workspace_id": workspace_id,
            "definition": Jsonb(row["definition"]) if row["definition"] is not None else None,
            "draft": Jsonb(row["draft"]) if row["draft"] is not None else None,
        },
    )


async def delete(db: Db, workspace_id: UUID, template_id: UUID) -> Row | None:
    return await db.one(
        "DELETE FROM message_templates WHERE workspace_id = %(workspace_id)s AND id = %(id)s RETURNING id",
        {"workspace_id": workspace_id, "id": template_id},
    )


async def definitions(db: Db, workspaces: list[UUID], ids: list[UUID]) -> Answer:
    """Published definitions by workspace and id, for sending."""
    return await db.send(
        """
        SELECT t.workspace_id, t.id, t.definition FROM message_templates t
        JOIN (SELECT DISTINCT * FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[]) AS w (workspace_id, id)) AS wanted
          ON t.workspace_id = wanted.workspace_id AND t.id = wanted.id
        """,
        {"workspaces": workspaces, "ids": ids},
    )
