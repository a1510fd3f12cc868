"""The door: the only way to a connection. It says for which workspaces and who acts, before the first statement.

The context is local to the transaction, so nothing of it is left when the connection goes back to the pool,
whether the transaction committed, failed or was cancelled. Without it the policies show no row.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol
from uuid import UUID

from psycopg import DatabaseError

from tenfold.kit import telemetry
from tenfold.kit.clock import monotonic
from tenfold.kit.errors import Forbidden
from tenfold.storage.db import Answer, Db, Row
from tenfold.tenancy.context import IDENTITY, PLATFORM, SETTING, signed
from tenfold.tenancy.gate import OURS
from tenfold.tenancy.refusals import exceeded
from tenfold.tenancy.scope import SYSTEM, Actor, BatchScope, Scope, Stores
from tenfold.tenancy.service_class import CLASSES, STANDARD, weight

_OURS = (OURS, "priority")


class _Begin(Protocol):
    def __call__(
        self, setting: str, value: str, *, limits: tuple[int, int] | None
    ) -> AbstractAsyncContextManager[Db]: ...


@asynccontextmanager
async def workspace(scope: Scope | BatchScope, *, snapshot: bool = False, metered: bool = True) -> AsyncGenerator[Db]:
    """A transaction that sees and writes the scope's workspaces only; commits at the end.

    With `snapshot` all its statements see the same moment. Unless `metered` is off, its workspaces are charged for it.
    Raises Forbidden for a scope of no workspace, Unavailable when the database is away or busy, QuotaExceeded when
    something made in it is one too many.
    """
    begin = partial(scope.stores.app.transaction, snapshot=snapshot)
    async with _entered(scope, begin, metered=metered) as db:
        yield db


async def read(scope: Scope | BatchScope, send: Callable[[Db], Awaitable[Answer]]) -> list[Row]:
    """The rows of a single statement, in one round trip: they are read when the transaction has ended."""
    async with _entered(scope, scope.stores.app.glance) as db:
        answer = await send(db)
    return await answer.rows()


@asynccontextmanager
async def _entered(scope: Scope | BatchScope, begin: _Begin, *, metered: bool = True) -> AsyncGenerator[Db]:
    if not scope.claimed:
        raise Forbidden("a scope names at least one workspace")
    stores = scope.stores
    context = _context(stores, scope.claimed, scope.actor, scope.request_id, scope.address)
    lane, kind = (scope.workspace.root_id, scope.workspace.service_class) if isinstance(scope, Scope) else _OURS
    async with stores.gate.place(lane, weight(kind)):
        since, used = monotonic(), 0
        try:
            async with begin(SETTING, context, limits=_limits(kind)) as db:
                with telemetry.span("transaction", tenfold_workspaces=len(scope.claimed), tenfold_lane=str(lane)):
                    yield db
                used = db.sent
        except DatabaseError as error:
            raise exceeded(error) or error from error
        finally:
            if metered:
                stores.meter.statements(scope.claimed, used, monotonic() - since)


def _limits(kind: str) -> tuple[int, int] | None:
    """How long statements and locks may take, where it is not what the connections have anyway."""
    found = CLASSES[kind]
    return None if kind == STANDARD else (found.statement_timeout, found.lock_timeout)


@asynccontextmanager
async def identity(stores: Stores) -> AsyncGenerator[Db]:
    """People, their accounts and sessions, and where they are members; no workspace's data."""
    async with _ours(stores), stores.app.transaction(SETTING, _context(stores, (IDENTITY,))) as db:
        yield db


@asynccontextmanager
async def platform(stores: Stores) -> AsyncGenerator[Db]:
    """The directory of all workspaces, for whoever runs the installation; none of their data."""
    async with _ours(stores), stores.app.transaction(SETTING, _context(stores, (PLATFORM,))) as db:
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
    """One look at a workspace or key before any is known: only the functions of the directory answer here."""
    async with _ours(stores), stores.app.single() as db:
        yield db


def _ours(stores: Stores) -> AbstractAsyncContextManager[None]:
    lane, kind = _OURS
    return stores.gate.place(lane, weight(kind))


def _context(
    stores: Stores, workspaces: Iterable[UUID], actor: Actor = SYSTEM, request_id: str = "", address: str = ""
) -> str:
    return signed(stores.context_key, workspaces, (actor.type, actor.id, actor.name), request_id, address)
