"""SQL that fills an installation for a benchmark, many workspaces at once."""

from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from tenfold.engagement.deliveries.model import Intent, pack
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


async def oldest_inbox(db: Db, limit: int) -> list[Row]:
    """What came first, whose it may be."""
    return await db.all(
        "SELECT workspace_id, lane, seq, size FROM inbox ORDER BY seq LIMIT %(limit)s", {"limit": limit}
    )


async def oldest_messages(db: Db, limit: int) -> list[Row]:
    return await db.all(
        """
        SELECT workspace_id, lane, id FROM messages WHERE state = 'Pending' ORDER BY due_at, id LIMIT %(limit)s
        """,
        {"limit": limit},
    )


async def insert_templates(db: Db, workspaces: list[UUID]) -> UUID:
    """The same e-mail for each."""
    identity = uuid4()
    definition = {"type": "Email", "from": "a@x.test", "subject": "Hi", "body": "Hi {{ user.id }}"}
    given = {"workspaces": workspaces, "id": identity, "definition": Jsonb({**definition, "identifierKey": "id"})}
    await db.run(
        """
        INSERT INTO message_templates (workspace_id, id, name, definition)
        SELECT workspace_id, %(id)s, %(id)s::text, %(definition)s FROM unnest(%(workspaces)s::uuid[]) AS workspace_id
        """,
        given,
    )
    return identity


async def insert_messages(db: Db, workspace: UUID, template: UUID, count: int) -> None:
    intent = pack(Intent({"type": "Email", "templateId": str(template)}))
    await db.run(
        """
        INSERT INTO messages (workspace_id, lane, id, user_id, template_id, channel, intent, state)
        SELECT %(workspace)s, %(workspace)s, gen_random_uuid(), 'user-' || n, %(template)s, 'Email', %(intent)s,
          'Pending'
        FROM generate_series(1, %(count)s) AS n
        """,
        {"workspace": workspace, "template": template, "intent": intent, "count": count},
    )


async def message_waits(db: Db, workspaces: list[UUID]) -> list[Row]:
    """How long each message took from being written to being settled, in seconds."""
    return await db.all(
        """
        SELECT extract(epoch FROM status_at - created_at)::float8 AS waited FROM messages
        WHERE workspace_id = ANY (%(workspaces)s) AND status_at IS NOT NULL
        """,
        {"workspaces": workspaces},
    )


async def delete_messages(db: Db, workspaces: list[UUID]) -> None:
    await db.run("DELETE FROM messages WHERE workspace_id = ANY (%(workspaces)s)", {"workspaces": workspaces})


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
    """How the owner turns triggers off and on."""

    off: LiteralString
    on: LiteralString


AUDIT = Switch("ALTER TABLE segments DISABLE TRIGGER audit", "ALTER TABLE segments ENABLE TRIGGER audit")
QUOTA = Switch("ALTER TABLE segments DISABLE TRIGGER quota_in", "ALTER TABLE segments ENABLE TRIGGER quota_in")
METER = Switch(
    "ALTER TABLE archive_queue DISABLE TRIGGER events_in; ALTER TABLE profiles DISABLE TRIGGER users_in",
    "ALTER TABLE archive_queue ENABLE TRIGGER events_in; ALTER TABLE profiles ENABLE TRIGGER users_in",
)
