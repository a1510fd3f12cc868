"""SQL that fills an installation for a benchmark, many workspaces at once."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.storage.db import Db


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
