"""SQL of quotas, ceilings and counters."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from tenfold.storage.db import Db, Row


async def read(db: Db, workspace_id: UUID) -> Row | None:
    """The limits as they were set: own, ceiling, defaults; None for what nobody set."""
    return await db.one(
        """
        SELECT q.limits AS own, q.created_at, q.updated_at, c.limits AS ceiling, d.limits AS defaults
        FROM tenancy.quota_defaults d
        LEFT JOIN quotas q ON q.workspace_id = %(workspace_id)s
        LEFT JOIN quota_ceilings c ON c.workspace_id = %(workspace_id)s
        """,
        {"workspace_id": workspace_id},
    )


async def usage(db: Db, workspace_id: UUID) -> list[Row]:
    return await db.all(
        "SELECT resource, used FROM quota_usage WHERE workspace_id = %(workspace_id)s", {"workspace_id": workspace_id}
    )


async def put(db: Db, workspace_id: UUID, limits: dict[str, Any]) -> None:
    """Set the named limits; the others stay."""
    await db.run(
        """
        INSERT INTO quotas (workspace_id, limits) VALUES (%(workspace_id)s, %(limits)s)
        ON CONFLICT (workspace_id) DO UPDATE SET limits = quotas.limits || excluded.limits, updated_at = now()
        """,
        {"workspace_id": workspace_id, "limits": Jsonb(limits)},
    )


async def put_ceiling(db: Db, workspace_id: UUID, limits: dict[str, Any]) -> None:
    await db.run(
        """
        INSERT INTO quota_ceilings (workspace_id, limits) VALUES (%(workspace_id)s, %(limits)s)
        ON CONFLICT (workspace_id) DO UPDATE SET limits = quota_ceilings.limits || excluded.limits, updated_at = now()
        """,
        {"workspace_id": workspace_id, "limits": Jsonb(limits)},
    )


async def delete(db: Db, workspace_id: UUID) -> None:
    await db.run("DELETE FROM quotas WHERE workspace_id = %(workspace_id)s", {"workspace_id": workspace_id})
