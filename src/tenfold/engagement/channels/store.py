"""SQL of e-mail providers."""

from uuid import UUID

from tenfold.storage.db import Answer, Db, Row


async def upsert(db: Db, workspace_id: UUID, kind: str, provider_id: UUID) -> Row | None:
    return await db.one(
        """
        INSERT INTO email_providers (workspace_id, type, id) VALUES (%(workspace_id)s, %(type)s, %(id)s)
        ON CONFLICT (workspace_id, type) DO UPDATE SET type = excluded.type RETURNING id
        """,
        {"workspace_id": workspace_id, "type": kind, "id": provider_id},
    )


async def clear_default(db: Db, workspace_id: UUID) -> None:
    await db.run(
        "UPDATE email_providers SET is_default = false WHERE workspace_id = %(workspace_id)s AND is_default",
        {"workspace_id": workspace_id},
    )


async def set_default(
    db: Db, workspace_id: UUID, *, kind: str | None, provider_id: UUID | None, from_address: str | None
) -> Row | None:
    return await db.one(
        """
        UPDATE email_providers SET is_default = true, from_address = COALESCE(%(from_address)s, from_address)
        WHERE workspace_id = %(workspace_id)s AND (type = %(type)s OR id = %(id)s) RETURNING id
        """,
        {"workspace_id": workspace_id, "type": kind, "id": provider_id, "from_address": from_address},
    )


async def providers(db: Db, workspaces: list[UUID]) -> Answer:
    return await db.send(
        "SELECT * FROM email_providers WHERE workspace_id = ANY (%(workspaces)s)", {"workspaces": workspaces}
    )
