"""SQL of people, their accounts, sessions and failed logins. It answers in the identity context only."""

from datetime import timedelta
from uuid import UUID

from tenfold.storage.db import Db, Row


async def upsert_person(db: Db, person_id: UUID, email: str, name: str | None, picture: str | None) -> Row | None:
    return await db.one(
        """
        INSERT INTO identity.people (id, email, name, picture, last_login_at)
        VALUES (%(id)s, %(email)s, %(name)s, %(picture)s, now())
        ON CONFLICT (email) DO UPDATE SET name = COALESCE(excluded.name, people.name),
          picture = COALESCE(excluded.picture, people.picture), last_login_at = now()
        RETURNING id, email, name, picture, created_at
        """,
        {"id": person_id, "email": email, "name": name, "picture": picture},
    )


async def find_account(db: Db, provider: str, subject: str) -> Row | None:
    return await db.one(
        """
        SELECT p.id, p.email, p.name, p.picture, p.created_at FROM identity.accounts a
        JOIN identity.people p ON p.id = a.person_id
        WHERE a.provider = %(provider)s AND a.subject = %(subject)s
        """,
        {"provider": provider, "subject": subject},
    )


async def upsert_account(db: Db, provider: str, subject: str, person_id: UUID) -> None:
    await db.run(
        """
        INSERT INTO identity.accounts (provider, subject, person_id) VALUES (%(provider)s, %(subject)s, %(person_id)s)
        ON CONFLICT (provider, subject) DO UPDATE SET person_id = excluded.person_id
        """,
        {"provider": provider, "subject": subject, "person_id": person_id},
    )


async def find_membership(db: Db, email: str, workspace_id: UUID | None) -> Row | None:
    return await db.one(
        "SELECT * FROM tenancy.find_membership(%(email)s, %(workspace_id)s)",
        {"email": email, "workspace_id": workspace_id},
    )


async def list_memberships(db: Db, email: str, after: UUID | None, limit: int) -> list[Row]:
    return await db.all(
        "SELECT * FROM tenancy.list_memberships(%(email)s, %(after)s, %(limit)s)",
        {"email": email, "after": after, "limit": limit},
    )


async def find_domain(db: Db, domain: str) -> list[Row]:
    return await db.all("SELECT * FROM tenancy.find_domain(%(domain)s)", {"domain": domain})


async def insert_session(
    db: Db, token_hash: bytes, *, person_id: UUID | None, workspace_id: UUID | None, lifetime: timedelta
) -> None:
    await db.run(
        """
        INSERT INTO identity.sessions (token_hash, person_id, workspace_id, expires_at)
        VALUES (%(hash)s, %(person_id)s, %(workspace_id)s, now() + %(lifetime)s)
        """,
        {"hash": token_hash, "person_id": person_id, "workspace_id": workspace_id, "lifetime": lifetime},
    )


async def find_session(db: Db, token_hash: bytes) -> Row | None:
    return await db.one(
        """
        SELECT s.person_id, s.workspace_id, s.created_at, s.issued_at, s.expires_at, p.email, p.name, p.picture,
          p.created_at AS person_created_at
        FROM identity.sessions s LEFT JOIN identity.people p ON p.id = s.person_id
        WHERE s.token_hash = %(hash)s AND s.expires_at > now()
        """,
        {"hash": token_hash},
    )


async def replace_session(db: Db, old_hash: bytes, new_hash: bytes, grace: timedelta) -> Row | None:
    """A new token for a session; the old one answers a moment longer, for requests on their way.

    None when another request has done it already.
    """
    return await db.one(
        """
        WITH old AS (
          UPDATE identity.sessions s SET expires_at = now() + %(grace)s, issued_at = '9999-01-01'
          FROM identity.sessions before
          WHERE s.token_hash = %(old)s AND before.token_hash = s.token_hash AND s.issued_at < '9999-01-01'
          RETURNING s.person_id, s.workspace_id, s.created_at, before.expires_at
        )
        INSERT INTO identity.sessions (token_hash, person_id, workspace_id, created_at, expires_at)
        SELECT %(new)s, person_id, workspace_id, created_at, expires_at FROM old RETURNING token_hash
        """,
        {"old": old_hash, "new": new_hash, "grace": grace},
    )


async def choose_workspace(db: Db, token_hash: bytes, workspace_id: UUID) -> None:
    await db.run(
        "UPDATE identity.sessions SET workspace_id = %(workspace_id)s WHERE token_hash = %(hash)s",
        {"hash": token_hash, "workspace_id": workspace_id},
    )


async def delete_session(db: Db, token_hash: bytes) -> None:
    await db.run("DELETE FROM identity.sessions WHERE token_hash = %(hash)s", {"hash": token_hash})


async def delete_expired_sessions(db: Db) -> None:
    await db.run("DELETE FROM identity.sessions WHERE expires_at < now()")


async def delete_old_attempts(db: Db, window: timedelta) -> None:
    await db.run("DELETE FROM identity.attempts WHERE since < now() - %(window)s", {"window": window})


async def count_attempt(db: Db, address: str, window: timedelta) -> Row | None:
    """One attempt more from an address: how many in the window now, and the seconds until it ends."""
    return await db.one(
        """
        INSERT INTO identity.attempts (address, failures, since) VALUES (%(address)s, 1, now())
        ON CONFLICT (address) DO UPDATE SET
          failures = CASE WHEN attempts.since > now() - %(window)s THEN attempts.failures + 1 ELSE 1 END,
          since = CASE WHEN attempts.since > now() - %(window)s THEN attempts.since ELSE now() END
        RETURNING failures, ceil(extract(epoch FROM since + %(window)s - now()))::int AS wait
        """,
        {"address": address, "window": window},
    )


async def forget_failures(db: Db, address: str) -> None:
    await db.run("DELETE FROM identity.attempts WHERE address = %(address)s", {"address": address})
