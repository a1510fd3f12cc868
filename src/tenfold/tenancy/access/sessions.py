"""Sessions of people at a browser. The token is random and kept as a hash; it is exchanged for a new one every hour."""

import secrets as random
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from tenfold.kit.clock import now
from tenfold.kit.errors import RateLimited
from tenfold.storage.db import Row
from tenfold.tenancy import door, keys
from tenfold.tenancy.access import identity_store as store
from tenfold.tenancy.scope import Stores

LIFETIME = timedelta(days=14)
_ROTATED_AFTER = timedelta(hours=1)
_OLD_TOKEN_ANSWERS = timedelta(seconds=60)
_ATTEMPTS, _WINDOW = 10, timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signed in: an address that their provider has verified."""

    id: UUID
    email: str
    name: str | None
    picture: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """`person` None: signed in with the installation's password. `stale_token`: to be exchanged for a new one."""

    person: Person | None
    workspace_id: UUID | None
    stale_token: str | None


async def start(stores: Stores, person_id: UUID | None, workspace_id: UUID | None = None) -> str:
    """Open a session; its token. Sessions that have run out are swept on the way."""
    token = random.token_urlsafe(32)
    async with door.identity(stores) as db:
        await store.delete_expired_sessions(db)
        await store.insert_session(
            db, keys.digest(token), person_id=person_id, workspace_id=workspace_id, lifetime=LIFETIME
        )
    return token


async def find(stores: Stores, token: str) -> Session | None:
    digest = keys.digest(token)
    row = await stores.flights.of(("session", digest), partial(_find, stores, digest))
    return None if row is None else Session(_person(row), row["workspace_id"], token if _stale(row) else None)


async def _find(stores: Stores, digest: bytes) -> Row | None:
    async with door.identity(stores) as db:
        return await store.find_session(db, digest)


async def rotate(stores: Stores, token: str) -> str | None:
    """A new token for the same session; None when another request has just taken it."""
    fresh = random.token_urlsafe(32)
    async with door.identity(stores) as db:
        row = await store.replace_session(db, keys.digest(token), keys.digest(fresh), _OLD_TOKEN_ANSWERS)
    return fresh if row else None


async def choose(stores: Stores, token: str, workspace_id: UUID) -> None:
    async with door.identity(stores) as db:
        await store.choose_workspace(db, keys.digest(token), workspace_id)


async def end(stores: Stores, token: str) -> None:
    async with door.identity(stores) as db:
        await store.delete_session(db, keys.digest(token))


async def count_attempt(stores: Stores, address: str) -> None:
    """One more login from an address, counted before it is looked at, so that many at once gain nothing.

    Raises RateLimited after ten that failed within a quarter of an hour.
    """
    async with door.identity(stores) as db:
        await store.delete_old_attempts(db, _WINDOW)
        row = await store.count_attempt(db, address, _WINDOW)
    if row is not None and row["failures"] > _ATTEMPTS:
        raise RateLimited("too many attempts; try again later", retryAfter=max(1, row["wait"]))


async def forget_attempts(stores: Stores, address: str) -> None:
    async with door.identity(stores) as db:
        await store.forget_failures(db, address)


def _person(row: Row) -> Person | None:
    if row["person_id"] is None:
        return None
    return Person(row["person_id"], row["email"], row["name"], row["picture"], row["person_created_at"])


def _stale(row: Row) -> bool:
    """An exchanged token has been issued "in the future" and is never exchanged again."""
    return row["issued_at"] < now() - _ROTATED_AFTER
