"""SQL of definitions: user properties, segments, their conditions, and who watches them."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.storage.db import Answer, Db, Row


async def definitions(db: Db, workspace_ids: list[UUID]) -> list[Answer]:
    """Properties, segments, conditions and watches of workspaces, in four answers of one round trip."""
    bound = {"ids": workspace_ids}
    return [
        await db.send("SELECT * FROM user_properties WHERE workspace_id = ANY (%(ids)s)", bound),
        await db.send("SELECT * FROM segments WHERE workspace_id = ANY (%(ids)s)", bound),
        await db.send("SELECT * FROM conditions WHERE workspace_id = ANY (%(ids)s)", bound),
        await db.send("SELECT * FROM watches WHERE workspace_id = ANY (%(ids)s)", bound),
    ]


async def bump_version(db: Db, workspace_id: UUID) -> None:
    await db.run(
        """
        UPDATE workspaces SET definitions_version = definitions_version + 1 WHERE workspace_id = %(workspace_id)s
        """,
        {"workspace_id": workspace_id},
    )


async def add_conditions(db: Db, workspace_id: UUID, keys: list[str], specs: list[Any], status: str) -> list[Row]:
    """Add the conditions that are not known yet; returns those."""
    return await db.all(
        """
        INSERT INTO conditions (workspace_id, key, spec, status)
        SELECT %(workspace_id)s, key, spec, %(status)s
        FROM unnest(%(keys)s::text[], %(specs)s::jsonb[]) AS new (key, spec)
        ON CONFLICT DO NOTHING RETURNING key
        """,
        {
            "workspace_id": workspace_id,
            "keys": keys,
            "specs": [Jsonb(spec) for spec in specs],
            "status": status,
        },
    )


async def pending_conditions(db: Db, workspace_id: UUID) -> list[Row]:
    return await db.all(
        "SELECT key, spec, status FROM conditions WHERE workspace_id = %(workspace_id)s AND status <> 'ready'",
        {"workspace_id": workspace_id},
    )


async def set_conditions(db: Db, workspace_id: UUID, keys: list[str], status: str) -> None:
    await db.run(
        "UPDATE conditions SET status = %(status)s WHERE workspace_id = %(workspace_id)s AND key = ANY (%(keys)s)",
        {"workspace_id": workspace_id, "keys": keys, "status": status},
    )


async def list_properties(db: Db, workspace_id: UUID) -> Answer:
    return await db.send(
        "SELECT * FROM user_properties WHERE workspace_id = %(workspace_id)s ORDER BY name",
        {"workspace_id": workspace_id},
    )


async def find_property(db: Db, workspace_id: UUID, property_id: UUID | None, name: str) -> Row | None:
    """By id, or by name when no id is given."""
    return await db.one(
        """
        SELECT * FROM user_properties WHERE workspace_id = %(workspace_id)s
          AND (id = %(id)s OR %(id)s IS NULL AND name = %(name)s)
        """,
        {"workspace_id": workspace_id, "id": property_id, "name": name},
    )


async def upsert_property(db: Db, workspace_id: UUID, row: dict[str, Any]) -> Row | None:
    return await db.one(
        """
        INSERT INTO user_properties (workspace_id, id, name, definition, status, example_value, definition_updated_at)
        VALUES (%(workspace_id)s, %(id)s, %(name)s, %(definition)s, %(status)s, %(example_value)s, now())
        ON CONFLICT (workspace_id, id) DO UPDATE SET name = excluded.name, definition = excluded.definition,
          status = excluded.status, example_value = excluded.example_value, updated_at = now(),
          definition_updated_at = CASE WHEN %(redefined)s THEN now() ELSE user_properties.definition_updated_at END
        RETURNING *
        """,
        {**row, "workspace_id": workspace_id, "definition": Jsonb(row["definition"])},
    )


async def set_property_status(db: Db, workspace_id: UUID, property_id: UUID, status: str) -> Row | None:
    return await db.one(
        """
        UPDATE user_properties SET status = %(status)s, updated_at = now()
        WHERE workspace_id = %(workspace_id)s AND id = %(id)s RETURNING *
        """,
        {"workspace_id": workspace_id, "id": property_id, "status": status},
    )


async def delete_property(db: Db, workspace_id: UUID, property_id: UUID) -> Row | None:
    return await db.one(
        "DELETE FROM user_properties WHERE workspace_id = %(workspace_id)s AND id = %(id)s RETURNING id",
        {"workspace_id": workspace_id, "id": property_id},
    )


async def list_segments(db: Db, workspace_id: UUID, ids: list[UUID] | None, resource_type: str | None) -> Answer:
    return await db.send(
        """
        SELECT * FROM segments WHERE workspace_id = %(workspace_id)s
          AND (%(ids)s::uuid[] IS NULL OR id = ANY (%(ids)s))
          AND (%(resource_type)s::text IS NULL OR resource_type = %(resource_type)s)
        ORDER BY name
        """,
        {"workspace_id": workspace_id, "ids": ids, "resource_type": resource_type},
    )


async def find_segment(db: Db, workspace_id: UUID, segment_id: UUID | None, name: str) -> Row | None:
    """By id, or by name when no id is given."""
    return await db.one(
        """
        SELECT * FROM segments WHERE workspace_id = %(workspace_id)s
          AND (id = %(id)s OR %(id)s IS NULL AND name = %(name)s)
        """,
        {"workspace_id": workspace_id, "id": segment_id, "name": name},
    )


async def upsert_segment(db: Db, workspace_id: UUID, row: dict[str, Any]) -> Row | None:
    return await db.one(
        """
        INSERT INTO segments (workspace_id, id, name, definition, status, resource_type, subscription_group_id,
                              definition_updated_at)
        VALUES (%(workspace_id)s, %(id)s, %(name)s, %(definition)s, %(status)s, %(resource_type)s,
                %(subscription_group_id)s, now())
        ON CONFLICT (workspace_id, id) DO UPDATE SET name = excluded.name, definition = excluded.definition,
          status = excluded.status, resource_type = excluded.resource_type, updated_at = now(),
          definition_updated_at = CASE WHEN %(redefined)s THEN now() ELSE segments.definition_updated_at END
        RETURNING *
        """,
        {**row, "workspace_id": workspace_id, "definition": Jsonb(row["definition"])},
    )


async def set_segment_status(db: Db, workspace_id: UUID, segment_id: UUID, status: str) -> Row | None:
    return await db.one(
        """
        UPDATE segments SET status = %(status)s, updated_at = now()
        WHERE workspace_id = %(workspace_id)s AND id = %(id)s RETURNING *
        """,
        {"workspace_id": workspace_id, "id": segment_id, "status": status},
    )


async def delete_segment(db: Db, workspace_id: UUID, segment_id: UUID) -> Row | None:
    return await db.one(
        "DELETE FROM segments WHERE workspace_id = %(workspace_id)s AND id = %(id)s RETURNING id",
        {"workspace_id": workspace_id, "id": segment_id},
    )


async def delete_members(db: Db, workspace_id: UUID, segment_id: UUID) -> None:
    await db.run(
        "DELETE FROM memberships WHERE workspace_id = %(workspace_id)s AND segment_id = %(id)s",
        {"workspace_id": workspace_id, "id": segment_id},
    )


async def add_watches(db: Db, workspace_id: UUID, watcher: UUID, kinds: list[str], subjects: list[str]) -> None:
    await db.run(
        """
        INSERT INTO watches (workspace_id, watcher, kind, subject)
        SELECT %(workspace_id)s, %(watcher)s, kind, subject
        FROM unnest(%(kinds)s::text[], %(subjects)s::text[]) AS new (kind, subject) ON CONFLICT DO NOTHING
        """,
        {"workspace_id": workspace_id, "watcher": watcher, "kinds": kinds, "subjects": subjects},
    )


async def remove_watches(db: Db, workspace_id: UUID, watcher: UUID) -> None:
    await db.run(
        "DELETE FROM watches WHERE workspace_id = %(workspace_id)s AND watcher = %(watcher)s",
        {"workspace_id": workspace_id, "watcher": watcher},
    )


async def segments_by_id(db: Db, workspace_ids: list[UUID], ids: list[UUID]) -> list[Row]:
    return await db.all(
        """
        SELECT workspace_id, id, definition FROM segments
        WHERE workspace_id = ANY (%(workspace_ids)s) AND id = ANY (%(ids)s)
        """,
        {"workspace_ids": workspace_ids, "ids": ids},
    )


async def property_names(db: Db, workspace_ids: list[UUID]) -> Answer:
    return await db.send(
        "SELECT workspace_id, id, name, definition FROM user_properties WHERE workspace_id = ANY (%(ids)s)",
        {"ids": workspace_ids},
    )
