"""SQL that fills an installation for a benchmark, many workspaces at once."""

from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.storage.db import Db, Row


async def insert_workspaces(db: Db, ids: list[UUID], names: list[str]) -> None:
    await db.run(
        """
        INSERT INTO workspaces (workspace_id, root_id, name, type, status)
        SELECT id, id, name, 'Root', 'Active' FROM unnest(%(ids)s::uuid[], %(names)s::text[]) AS new (id, name)
        """,
        {"ids": ids, "names": names},
    )


async def insert_write_keys(db: Db, ids: list[UUID], key_hash: bytes) -> None:
    """A write key for each workspace, whose id is the workspace's own."""
    await db.run(
        """
        INSERT INTO write_keys (workspace_id, id, name, hash, sealed)
        SELECT id, id, 'bench', %(hash)s, '' FROM unnest(%(ids)s::uuid[]) AS new (id)
        """,
        {"ids": ids, "hash": key_hash},
    )


async def insert_properties(db: Db, ids: list[UUID], names: list[str], definitions: list[Any]) -> None:
    await db.run(
        """
        INSERT INTO user_properties (workspace_id, id, name, definition, definition_updated_at)
        SELECT workspace_id, gen_random_uuid(), name, definition, now()
        FROM unnest(%(ids)s::uuid[]) AS workspace_id,
             unnest(%(names)s::text[], %(definitions)s::jsonb[]) AS new (name, definition)
        """,
        {"ids": ids, "names": names, "definitions": [Jsonb(item) for item in definitions]},
    )


async def insert_segments(db: Db, ids: list[UUID], names: list[str], definitions: list[Any]) -> None:
    await db.run(
        """
        INSERT INTO segments (workspace_id, id, name, definition, definition_updated_at)
        SELECT workspace_id, gen_random_uuid(), name, definition, now()
        FROM unnest(%(ids)s::uuid[]) AS workspace_id,
             unnest(%(names)s::text[], %(definitions)s::jsonb[]) AS new (name, definition)
        """,
        {"ids": ids, "names": names, "definitions": [Jsonb(item) for item in definitions]},
    )


async def insert_conditions(db: Db, ids: list[UUID], keys: list[str], specs: list[Any]) -> None:
    await db.run(
        """
        INSERT INTO conditions (workspace_id, key, spec, status)
        SELECT workspace_id, key, spec, 'ready'
        FROM unnest(%(ids)s::uuid[]) AS workspace_id, unnest(%(keys)s::text[], %(specs)s::jsonb[]) AS new (key, spec)
        """,
        {"ids": ids, "keys": keys, "specs": [Jsonb(item) for item in specs]},
    )


async def insert_many_segments(db: Db, workspace_id: UUID, count: int) -> None:
    """More segments for one workspace."""
    await db.run(
        """
        INSERT INTO segments (workspace_id, id, name, definition, definition_updated_at)
        SELECT %(workspace_id)s, gen_random_uuid(), 'more ' || n, '{"entryNode": {"type": "Everyone"}}', now()
        FROM generate_series(1, %(count)s) AS n
        """,
        {"workspace_id": workspace_id, "count": count},
    )


async def page_of_segments(db: Db, workspace_id: UUID) -> list[Row]:
    return await db.all(
        "SELECT id, name, definition FROM segments WHERE workspace_id = %(id)s ORDER BY name LIMIT 20",
        {"id": workspace_id},
    )


async def page_of_open_segments(db: Db, workspace_id: UUID) -> list[Row]:
    """The same from the copy that no policy guards."""
    return await db.all(
        "SELECT id, name, definition FROM open_segments WHERE workspace_id = %(id)s ORDER BY name LIMIT 20",
        {"id": workspace_id},
    )


# Run by the owner.
MAKE_OPEN_COPY: LiteralString = """
    CREATE TABLE open_segments (LIKE segments INCLUDING DEFAULTS INCLUDING INDEXES);
    INSERT INTO open_segments SELECT * FROM segments;
    GRANT SELECT ON open_segments TO tenfold_app;
    VACUUM ANALYZE open_segments;
    VACUUM ANALYZE segments
"""


@dataclass(frozen=True, slots=True)
class Switch:
    """How the owner turns a trigger of segments off and on."""

    off: LiteralString
    on: LiteralString


AUDIT = Switch("ALTER TABLE segments DISABLE TRIGGER audit", "ALTER TABLE segments ENABLE TRIGGER audit")
QUOTA = Switch("ALTER TABLE segments DISABLE TRIGGER quota_in", "ALTER TABLE segments ENABLE TRIGGER quota_in")
