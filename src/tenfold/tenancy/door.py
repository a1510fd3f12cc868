"""The door: the only way to a connection. It says for which workspaces, before the first statement.

The setting is local to the transaction, so nothing of it is left when the connection goes back to the pool,
whether the transaction committed, failed or was cancelled. Without it the policies show no row.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tenfold.kit.errors import Forbidden
from tenfold.storage.db import Db
from tenfold.tenancy.scope import BatchScope, Scope, Stores

SETTING = "app.current_workspace_id"


@asynccontextmanager
async def workspace(scope: Scope | BatchScope, *, snapshot: bool = False) -> AsyncGenerator[Db]:
    """A transaction that sees and writes the scope's workspaces only; commits at the end.

    With `snapshot` all its statements see the same moment.
    Raises Forbidden for a scope of no workspace, Unavailable when the database is away.
    """
    if not scope.claimed:
        raise Forbidden("a scope names at least one workspace")
    ids = ",".join(sorted(str(claimed) for claimed in scope.claimed))
    async with scope.stores.app.transaction(SETTING, ids, snapshot=snapshot) as db:
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
