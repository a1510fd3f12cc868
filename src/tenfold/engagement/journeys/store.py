"""SQL of journeys and their versions."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.storage.db import Answer, Db, Row


async def find(db: Db, workspace_id: UUID, journey_id: UUID | None, name: str | None) -> Row | None:
    """By id, or by name when no id is given; locked."""
    return await db.one(
        """
        SELECT * FROM journeys WHERE workspace_id = %(workspace_id)s
          AND (id = %(id)s OR %(id)s IS NULL AND name = %(name)s) FOR UPDATE
        """,
        {"workspace_id": workspace_id, "id": journey_id, "name": name},
    )


async def list_all(db: Db, workspace_id: UUID, ids: list[UUID] | None, resource_type: str | None) -> Answer:
    return await db.send(
        """
        SELECT * FROM journeys WHERE workspace_id = %(workspace_id)s
          AND (%(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s))
          AND (%(resource_type)s::text IS NULL OR resource_type = %(resource_type)s)
        ORDER BY name
        """,
        {"workspace_id": workspace_id, "ids": ids, "resource_type": resource_type},
    )


async def upsert(db: Db, workspace_id: UUID, row: dict[str, Any]) -> Row | None:
    return await db.one(
        """
        INSERT INTO journeys (workspace_id, id, name, status, definition, draft, version, can_run_multiple)
        VALUES (%(workspace_id)s, %(id)s, %(name)s, %(status)s, %(definition)s, %(draft)s, %(version)s,
                %(can_run_multiple)s)
        ON CONFLICT (workspace_id, id) DO UPDATE SET name = excluded.name, status = excluded.status,
          definition = excluded.definition, draft = excluded.draft, version = excluded.version,
          can_run_multiple = excluded.can_run_multiple, updated_at = now()
        RETURNING *
        """,
        {
            **row,
            "workspace_id": workspace_id,
            "definition": None if row["definition"] is None else Jsonb(row["definition"]),
            "draft": None if row["draft"] is None else Jsonb(row["draft"]),
        },
    )


async def insert_version(db: Db, workspace_id: UUID, journey_id: UUID, version: int, definition: Any) -> None:
    await db.run(
        """
        INSERT INTO journey_versions (workspace_id, journey_id, version, definition)
        VALUES (%(workspace_id)s, %(journey_id)s, %(version)s, %(definition)s) ON CONFLICT DO NOTHING
        """,
        {
            "workspace_id": workspace_id,
            "journey_id": journey_id,
            "version": version,
            "definition": Jsonb(definition),
        },
    )


async def delete(db: Db, workspace_id: UUID, journey_id: UUID) -> Row | None:
    """Delete a journey; its runs end with it."""
    return await db.one(
        "DELETE FROM journeys WHERE workspace_id = %(workspace_id)s AND id = %(id)s RETURNING id",
        {"workspace_id": workspace_id, "id": journey_id},
    )


async def running(db: Db, workspace_ids: list[UUID]) -> list[Row]:
    return await db.all(
        """
        SELECT workspace_id, id, version, definition, can_run_multiple FROM journeys
        WHERE workspace_id = ANY (%(ids)s) AND status = 'Running' ORDER BY workspace_id, name
        """,
        {"ids": workspace_ids},
    )


async def versions(db: Db, workspaces: list[UUID], journeys: list[UUID], numbers: list[int]) -> Answer:
    """Definitions of journey versions, with the journeys' present status."""
    return await db.send(
        """
        SELECT v.workspace_id, v.journey_id, v.version, v.definition, j.status, j.can_run_multiple
        FROM (SELECT DISTINCT * FROM unnest(%(workspaces)s::uuid[], %(journeys)s::uuid[], %(numbers)s::int[])
              AS w (workspace_id, journey_id, version)) AS wanted
        JOIN journey_versions v ON v.workspace_id = wanted.workspace_id AND v.journey_id = wanted.journey_id
          AND v.version = wanted.version
        JOIN journeys j ON j.workspace_id = v.workspace_id AND j.id = v.journey_id
        """,
        {"workspaces": workspaces, "journeys": journeys, "numbers": numbers},
    )


async def count_visits(
    db: Db, workspaces: list[UUID], journeys: list[UUID], nodes: list[str], visits: list[int]
) -> None:
    await db.run(
        """
        INSERT INTO journey_counts (workspace_id, journey_id, node_id, visits)
        SELECT * FROM unnest(%(workspaces)s::uuid[], %(journeys)s::uuid[], %(nodes)s::text[], %(visits)s::bigint[])
        ON CONFLICT (workspace_id, journey_id, node_id) DO UPDATE SET visits = journey_counts.visits + excluded.visits
        """,
        {"workspaces": workspaces, "journeys": journeys, "nodes": nodes, "visits": visits},
    )


async def visits(db: Db, workspace_id: UUID, ids: list[UUID] | None) -> list[Row]:
    return await db.all(
        """
        SELECT journey_id, node_id, visits FROM journey_counts WHERE workspace_id = %(workspace_id)s
          AND (%(ids)s::uuid[] IS NULL OR journey_id = ANY (%(ids)s))
        """,
        {"workspace_id": workspace_id, "ids": ids},
    )
