"""SQL of members, roles, admin keys, secrets and access settings of a workspace."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tenfold.storage.db import Answer, Db, Row
from tenfold.tenancy.scope import KeyUse


async def list_members(db: Db, workspace_id: UUID) -> list[Row]:
    return await db.all(
        "SELECT * FROM members WHERE workspace_id = %(workspace_id)s ORDER BY created_at, id",
        {"workspace_id": workspace_id},
    )


async def lock_members(db: Db, workspace_id: UUID, roles: list[str]) -> list[Row]:
    """The members with one of these roles, held until the transaction ends."""
    return await db.all(
        """
        SELECT id, email, role, joined_at FROM members
        WHERE workspace_id = %(workspace_id)s AND role = ANY (%(roles)s) ORDER BY id FOR UPDATE
        """,
        {"workspace_id": workspace_id, "roles": roles},
    )


async def find_member(db: Db, workspace_id: UUID, email: str) -> Row | None:
    return await db.one(
        "SELECT * FROM members WHERE workspace_id = %(workspace_id)s AND email = %(email)s FOR UPDATE",
        {"workspace_id": workspace_id, "email": email},
    )


async def insert_member(db: Db, row: Row) -> Row | None:
    """The new member; None when the address is there already."""
    return await db.one(
        """
        INSERT INTO members (workspace_id, id, email, role, name, invited_by, expires_at, joined_at)
        VALUES (%(workspace_id)s, %(id)s, %(email)s, %(role)s, %(name)s, %(invited_by)s, %(expires_at)s, %(joined_at)s)
        ON CONFLICT DO NOTHING RETURNING *
        """,
        row,
    )


async def update_role(db: Db, workspace_id: UUID, email: str, *, role: str, expires_at: datetime | None) -> Row | None:
    return await db.one(
        """
        UPDATE members SET role = %(role)s, updated_at = now(),
          expires_at = CASE WHEN joined_at IS NULL THEN %(expires_at)s END
        WHERE workspace_id = %(workspace_id)s AND email = %(email)s RETURNING *
        """,
        {"workspace_id": workspace_id, "email": email, "role": role, "expires_at": expires_at},
    )


async def join(db: Db, workspace_id: UUID, email: str, name: str | None) -> None:
    """An invitation that has not run out becomes a membership."""
    await db.run(
        """
        UPDATE members SET joined_at = now(), expires_at = NULL, name = %(name)s, updated_at = now()
        WHERE workspace_id = %(workspace_id)s AND email = %(email)s AND joined_at IS NULL
          AND (expires_at IS NULL OR expires_at > now())
        """,
        {"workspace_id": workspace_id, "email": email, "name": name},
    )


async def delete_member(db: Db, workspace_id: UUID, email: str) -> None:
    await db.run(
        "DELETE FROM members WHERE workspace_id = %(workspace_id)s AND email = %(email)s",
        {"workspace_id": workspace_id, "email": email},
    )


async def list_roles(db: Db, workspace_id: UUID) -> list[Row]:
    return await db.all(
        "SELECT name, permissions FROM roles WHERE workspace_id = %(workspace_id)s ORDER BY name",
        {"workspace_id": workspace_id},
    )


async def upsert_role(db: Db, workspace_id: UUID, name: str, permissions: list[str]) -> None:
    await db.run(
        """
        INSERT INTO roles (workspace_id, name, permissions) VALUES (%(workspace_id)s, %(name)s, %(permissions)s)
        ON CONFLICT (workspace_id, name) DO UPDATE SET permissions = excluded.permissions, updated_at = now()
        """,
        {"workspace_id": workspace_id, "name": name, "permissions": permissions},
    )


async def delete_role(db: Db, workspace_id: UUID, name: str) -> Row | None:
    return await db.one(
        "DELETE FROM roles WHERE workspace_id = %(workspace_id)s AND name = %(name)s RETURNING name",
        {"workspace_id": workspace_id, "name": name},
    )


async def read_settings(db: Db, workspace_id: UUID) -> Row | None:
    return await db.one(
        "SELECT domain_role, audit_retention_days FROM access_settings WHERE workspace_id = %(workspace_id)s",
        {"workspace_id": workspace_id},
    )


async def upsert_settings(db: Db, workspace_id: UUID, *, domain_role: str | None, retention_days: int | None) -> None:
    await db.run(
        """
        INSERT INTO access_settings (workspace_id, domain_role, audit_retention_days)
        VALUES (%(workspace_id)s, %(domain_role)s, %(days)s)
        ON CONFLICT (workspace_id) DO UPDATE SET domain_role = excluded.domain_role,
          audit_retention_days = excluded.audit_retention_days, updated_at = now()
        """,
        {"workspace_id": workspace_id, "domain_role": domain_role, "days": retention_days},
    )


async def open_admin_key(db: Db, key_hash: bytes) -> Row | None:
    return await db.one("SELECT * FROM tenancy.open_admin_key(%(hash)s)", {"hash": key_hash})


async def insert_admin_key(db: Db, row: Row) -> bool:
    made = await db.one(
        """
        INSERT INTO admin_keys (workspace_id, id, name, hash, permissions, expires_at, created_by)
        VALUES (%(workspace_id)s, %(id)s, %(name)s, %(hash)s, %(permissions)s, %(expires_at)s, %(created_by)s)
        ON CONFLICT (workspace_id, name) DO NOTHING RETURNING id
        """,
        row,
    )
    return made is not None


async def list_admin_keys(db: Db, workspace_id: UUID) -> Answer:
    return await db.send(
        """
        SELECT id, name, permissions, created_at, expires_at, last_used_at, created_by FROM admin_keys
        WHERE workspace_id = %(workspace_id)s ORDER BY created_at, id
        """,
        {"workspace_id": workspace_id},
    )


async def delete_admin_key(db: Db, workspace_id: UUID, key_id: UUID) -> Row | None:
    return await db.one(
        "DELETE FROM admin_keys WHERE workspace_id = %(workspace_id)s AND id = %(id)s RETURNING permissions",
        {"workspace_id": workspace_id, "id": key_id},
    )


async def touch_admin_keys(db: Db, uses: Sequence[KeyUse]) -> None:
    await db.run(
        """
        UPDATE admin_keys k SET last_used_at = GREATEST(k.last_used_at, used.at)
        FROM unnest(%(workspaces)s::uuid[], %(ids)s::uuid[], %(times)s::timestamptz[]) AS used (workspace_id, id, at)
        WHERE k.workspace_id = used.workspace_id AND k.id = used.id
        """,
        {
            "workspaces": [use.workspace_id for use in uses],
            "ids": [use.key_id for use in uses],
            "times": [use.at for use in uses],
        },
    )


async def list_secrets(db: Db, workspace_id: UUID, names: list[str] | None) -> list[Row]:
    return await db.all(
        """
        SELECT id, name, sealed FROM secrets
        WHERE workspace_id = %(workspace_id)s AND (%(names)s::text[] IS NULL OR name = ANY (%(names)s)) ORDER BY name
        """,
        {"workspace_id": workspace_id, "names": names},
    )


async def delete_secret(db: Db, workspace_id: UUID, secret_id: UUID) -> Row | None:
    return await db.one(
        "DELETE FROM secrets WHERE workspace_id = %(workspace_id)s AND id = %(id)s RETURNING id",
        {"workspace_id": workspace_id, "id": secret_id},
    )
