"""The door: the only way to a connection. It says for which workspaces and who acts, before the first statement.

The context is local to the transaction, so nothing of it is left when the connection goes back to the pool,
whether the transaction committed, failed or was cancelled. Without it the policies show no row.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from psycopg import DatabaseError

from tenfold.kit.errors import Forbidden
from tenfold.storage.db import Db
from tenfold.tenancy.context import IDENTITY, PLATFORM, SETTING, signed
from tenfold.tenancy.refusals import exceeded
from tenfold.tenancy.scope import SYSTEM, Actor, BatchScope, Scope, Stores


@asynccontextmanager
async def workspace(scope: Scope | BatchScope, *, snapshot: bool = False) -> AsyncGenerator[Db]:
    """A transaction that sees and writes the scope's workspaces only; commits at the end.

    With `snapshot` all its statements see the same moment.
    Raises Forbidden for a scope of no workspace, Unavailable when the database is away, QuotaExceeded when something
    made in it is one too many.
    """
    if not scope.claimed:
        raise Forbidden("a scope names at least one workspace")
    context = _context(scope.stores, scope.claimed, scope.actor, scope.request_id, scope.address)
    try:
        async with scope.stores.app.transaction(SETTING, context, snapshot=snapshot) as db:
            yield db
    except DatabaseError as error:
        raise exceeded(error) or error from error


@asynccontextmanager
async def identity(stores: Stores) -> AsyncGenerator[Db]:
    """People, their accounts and sessions, and where they are members; no workspace's data."""
    async with stores.app.transaction(SETTING, _context(stores, (IDENTITY,))) as db:
        yield db


@asynccontextmanager
async def platform(stores: Stores) -> AsyncGenerator[Db]:
    """The directory of all workspaces, for whoever runs the installation; none of their data."""
    async with stores.app.transaction(SETTING, _context(stores, (PLATFORM,))) as db:
        yield db


@asynccontextmanager
async def queues(stores: Stores) -> AsyncGenerator[Db]:
    """What is due, across workspaces: ids and times of queue tables, never their content (role `service`)."""
    async with stores.service.transaction(None, "") as db:
        yield db


@asynccontextmanager
async def glance(stores: Stores) -> AsyncGenerator[Db]:
    """As `queues`, for a single statement."""
    async with stores.service.single() as db:
        yield db


@asynccontextmanager
async def directory(stores: Stores) -> AsyncGenerator[Db]:
    """Look a workspace or key up before any is known: only the functions of the directory answer here."""
    async with stores.app.transaction(None, "") as db:
        yield db


def _context(
    stores: Stores, workspaces: Iterable[UUID], actor: Actor = SYSTEM, request_id: str = "", address: str = ""
) -> str:
    return signed(stores.context_key, workspaces, (actor.type, actor.id, actor.name), request_id, address)
