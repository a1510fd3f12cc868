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
    await _tell(db)


async def put_ceiling(db: Db, workspace_id: UUID, limits: dict[str, Any]) -> None:
    await db.run(
        """
        INSERT INTO quota_ceilings (workspace_id, limits) VALUES (%(workspace_id)s, %(limits)s)
        ON CONFLICT (workspace_id) DO UPDATE SET limits = quota_ceilings.limits || excluded.limits, updated_at = now()
        """,
        {"workspace_id": workspace_id, "limits": Jsonb(limits)},
    )
    await _tell(db)


async def delete(db: Db, workspace_id: UUID) -> None:
    await db.run("DELETE FROM quotas WHERE workspace_id = %(workspace_id)s", {"workspace_id": workspace_id})
    await _tell(db)


async def _tell(db: Db) -> None:
    """Messages that are held over a limit may go on now."""
    await db.run("NOTIFY tenfold_work, 'held'")


async def reserve_messages(db: Db, owners: list[UUID], wanted: list[int]) -> list[Row]:
    """Reserve messages of this month for workspaces; how many each was granted, and the month (`2026-11`)."""
    return await db.all(
        "SELECT * FROM tenancy.reserve_messages(%(owners)s::uuid[], %(wanted)s::int[])",
        {"owners": owners, "wanted": wanted},
    )


async def return_messages(db: Db, owners: list[UUID], months: list[str]) -> None:
    """Give reservations back, one for each owner and month named."""
    await db.run(
        "SELECT tenancy.return_messages(%(owners)s::uuid[], %(months)s::text[])", {"owners": owners, "months": months}
    )
    await _tell(db)


async def hold_acceptance(db: Db, workspace_id: UUID) -> list[Row]:
    """What limits a request of events, after whoever of the family has one in hand, until the transaction ends."""
    return await db.all("SELECT * FROM tenancy.hold_acceptance(%(id)s)", {"id": workspace_id})


async def users_room(db: Db, workspace_id: UUID) -> int | None:
    """How many more users there may be; below 0 when there are too many, None when there may be any number."""
    row = await db.one("SELECT tenancy.quota_room(%(id)s, 'users', 'maxUsers') AS room", {"id": workspace_id})
    return row["room"] if row else None


async def return_storage(db: Db, workspace_id: UUID, size: int) -> None:
    """Note bytes that are kept no longer."""
    await db.run("SELECT tenancy.return_storage(%(id)s, %(size)s)", {"id": workspace_id, "size": size})
