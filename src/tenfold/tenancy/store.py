"""SQL of the workspaces' directory and of the keys that open them."""

from uuid import UUID

from tenfold.storage.db import Answer, Db, Row


async def find_workspace(db: Db, workspace_id: UUID) -> Row | None:
    return await db.one("SELECT * FROM tenancy.open_workspace(%(id)s)", {"id": workspace_id})


async def tell(db: Db, word: str) -> None:
    """Say something to all who hear of changes."""
    await db.run("SELECT pg_notify('tenfold_changes', %(word)s)", {"word": word})


async def first_workspace(db: Db) -> Row | None:
    return await db.one("SELECT * FROM tenancy.first_workspace()")


async def find_external_id(db: Db, parent_id: UUID | None, external_id: str) -> Row | None:
    return await db.one(
        "SELECT * FROM tenancy.find_external_id(%(parent)s, %(external_id)s)",
        {"parent": parent_id, "external_id": external_id},
    )


async def list_workspaces(
    db: Db, *, after: UUID | None, status: str | None, parent_id: UUID | None, limit: int
) -> list[Row]:
    return await db.all(
        "SELECT * FROM tenancy.list_workspaces(%(after)s, %(status)s, %(parent)s, %(limit)s)",
        {"after": after, "status": status, "parent": parent_id, "limit": limit},
    )


async def find_write_key(db: Db, key_id: UUID) -> Row | None:
    return await db.one("SELECT * FROM tenancy.find_write_key(%(id)s)", {"id": key_id})


async def insert_workspace(db: Db, row: Row) -> None:
    await db.run(
        """
        INSERT INTO workspaces (workspace_id, root_id, parent_id, name, type, status, external_id, domain, test_now)
        VALUES (%(workspace_id)s, %(root_id)s, %(parent_id)s, %(name)s, %(type)s, 'Active', %(external_id)s,
                %(domain)s, %(test_now)s)
        """,
        row,
    )


async def update_status(db: Db, workspace_id: UUID, *, status: str, name: str, external_id: str | None) -> None:
    await db.run(
        """
        UPDATE workspaces SET status = %(status)s, name = %(name)s, external_id = %(external_id)s, updated_at = now()
        WHERE workspace_id = %(workspace_id)s
        """,
        {"workspace_id": workspace_id, "status": status, "name": name, "external_id": external_id},
    )


async def update_class(db: Db, workspace_id: UUID, name: str) -> None:
    await db.run(
        "UPDATE workspaces SET service_class = %(name)s, updated_at = now() WHERE workspace_id = %(workspace_id)s",
        {"workspace_id": workspace_id, "name": name},
    )


async def set_test_now(db: Db, workspace_id: UUID, moment: object) -> None:
    await db.run(
        "UPDATE workspaces SET test_now = %(moment)s WHERE workspace_id = %(workspace_id)s",
        {"workspace_id": workspace_id, "moment": moment},
    )


async def insert_write_key(
    db: Db, workspace_id: UUID, *, key_id: UUID, name: str, key_hash: bytes, sealed: bytes
) -> bool:
    row = await db.one(
        """
        INSERT INTO write_keys (workspace_id, id, name, hash, sealed)
        VALUES (%(workspace_id)s, %(id)s, %(name)s, %(hash)s, %(sealed)s)
        ON CONFLICT (workspace_id, name) DO NOTHING RETURNING id
        """,
        {"workspace_id": workspace_id, "id": key_id, "name": name, "hash": key_hash, "sealed": sealed},
    )
    return row is not None


async def list_write_keys(db: Db, workspace_id: UUID) -> list[Row]:
    return await db.all(
        "SELECT id, name, sealed FROM write_keys WHERE workspace_id = %(workspace_id)s ORDER BY created_at, name",
        {"workspace_id": workspace_id},
    )


async def delete_write_key(db: Db, workspace_id: UUID, name: str) -> Row | None:
    return await db.one(
        "DELETE FROM write_keys WHERE workspace_id = %(workspace_id)s AND name = %(name)s RETURNING id",
        {"workspace_id": workspace_id, "name": name},
    )


async def upsert_secret(db: Db, workspace_id: UUID, name: str, sealed: bytes) -> None:
    await db.run(
        """
        INSERT INTO secrets (workspace_id, name, sealed) VALUES (%(workspace_id)s, %(name)s, %(sealed)s)
        ON CONFLICT (workspace_id, name) DO UPDATE SET sealed = excluded.sealed, updated_at = now()
        """,
        {"workspace_id": workspace_id, "name": name, "sealed": sealed},
    )


async def read_secrets(db: Db, names: list[str]) -> Answer:
    """The named secrets of every workspace in scope."""
    return await db.send(
        "SELECT workspace_id, name, sealed FROM secrets WHERE name = ANY (%(names)s)", {"names": names}
    )


async def read_workspaces(db: Db, workspace_ids: list[UUID]) -> list[Row]:
    """The workspaces in scope, as they are now."""
    return await db.all("SELECT * FROM workspaces WHERE workspace_id = ANY (%(ids)s)", {"ids": workspace_ids})
