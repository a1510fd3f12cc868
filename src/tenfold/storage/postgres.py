"""PostgreSQL: a pool of connections for one role, and an ear for NOTIFY."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager

import msgspec
from psycopg import AsyncConnection, DataError, OperationalError, sql, waiting
from psycopg.abc import RV, PQGen
from psycopg.conninfo import make_conninfo
from psycopg.errors import CharacterNotInRepertoire, UntranslatableCharacter
from psycopg.rows import DictRow, TupleRow, dict_row
from psycopg.types.array import ListBinaryDumper
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tenfold.kit.clock import monotonic
from tenfold.kit.errors import Invalid, Unavailable
from tenfold.storage.db import Db

_POOL_WAIT_SECONDS = 10
_PLANS_LAST_SECONDS = 5.0
_EAR_SECONDS = 60.0
_PREPARED = 400  # statements kept on a connection: all that the code has
_LIMITS = "SELECT set_config('statement_timeout', %s::text, true), set_config('lock_timeout', %s::text, true)"
_CONNECTION_LIMITS = (
    "SELECT set_config('statement_timeout', %s::text, false), set_config('lock_timeout', %s::text, false)"
)
_SET = "SELECT set_config(%s, %s, true)"
_UNSTORABLE = (DataError, CharacterNotInRepertoire, UntranslatableCharacter)  # the driver and the server say so

# In a busy loop psycopg lets everybody else go first before each statement, so that whoever wants one row waits for
# a crowd several times over. Nothing that we send is so long that others would wait for it.
waiting.MAX_BUSY_TIME = 1.0


class _Connection(AsyncConnection[DictRow]):
    """`planned` is when its prepared statements' plans were last forgotten."""

    planned: float = 0.0

    async def refresh_plans(self) -> None:
        """Forget plans that are some seconds old: tables of queues outgrow them long before they are analysed."""
        if monotonic() - self.planned > _PLANS_LAST_SECONDS:
            self.planned = monotonic()
            await self.execute("DISCARD PLANS", prepare=False)


class _Ear(AsyncConnection[TupleRow]):
    """A connection that mostly waits. The driver would wake up ten times a second to see whether it was interrupted."""

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = _EAR_SECONDS,
        timeout: float | None = None,  # noqa: ASYNC109 - the driver's signature
    ) -> RV:
        return await super().wait(gen, max(interval, _EAR_SECONDS), timeout)


class Pool:
    """Connections of one role. `transaction` begins with a setting, in the same flush as the first statement."""

    def __init__(
        self, url: str, *, user: str, password: str, size: int, name: str, limits: tuple[int, int] | None = None
    ) -> None:
        self._limits = limits
        conninfo = make_conninfo(url, user=user, password=password, application_name=name)
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            conninfo,
            connection_class=_Connection,
            kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": 2},
            min_size=1,
            max_size=size,
            open=False,
            configure=self._configure,
            timeout=_POOL_WAIT_SECONDS,
        )

    async def open(self) -> None:
        await self._pool.open(wait=True, timeout=30)

    async def check(self) -> None:
        """Replace connections that no longer answer, so that no request finds one."""
        await self._pool.check()

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(
        self, setting: str | None, value: str, *, snapshot: bool = False, limits: tuple[int, int] | None = None
    ) -> AsyncGenerator[Db]:
        """A transaction in which `setting` has `value`; it ends with the transaction, whatever happens.

        With `snapshot` all its statements see the same moment. `limits` are how many milliseconds a statement and a
        lock may take, if not the pool's own.
        Raises Unavailable when the database is away, Invalid for text that PostgreSQL cannot hold.
        """
        with _translated():
            async with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
                if snapshot:
                    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                await _prepare(connection, setting, value, limits)
                yield Db(connection)

    @asynccontextmanager
    async def glance(self, setting: str, value: str, *, limits: tuple[int, int] | None = None) -> AsyncGenerator[Db]:
        """As `transaction`, for one statement whose rows are read afterwards: everything travels together.

        There is no BEGIN and no COMMIT: what is sent before the next Sync is one transaction (PostgreSQL 17
        documentation, 53.2.4, Pipelining), so the setting ends with it as well.
        """
        with _translated():
            async with self._pool.connection() as connection, connection.pipeline():
                await _prepare(connection, setting, value, limits)
                yield Db(connection)

    @asynccontextmanager
    async def single(self) -> AsyncGenerator[Db]:
        """For one statement that needs no context: the cheapest way there is."""
        with _translated():
            async with self._pool.connection() as connection:
                await connection.refresh_plans()
                yield Db(connection)

    async def _configure(self, connection: AsyncConnection[DictRow]) -> None:
        await _configure(connection)
        if self._limits is not None:
            await connection.execute(_CONNECTION_LIMITS, self._limits)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except DataError as error:
        if type(error) not in _UNSTORABLE:
            raise
        raise Invalid("a text holds a character that cannot be stored: NUL (U+0000)") from error
    except (PoolTimeout, OperationalError) as error:
        raise Unavailable(f"PostgreSQL is away or busy: {error}") from error


async def _prepare(connection: _Connection, setting: str | None, value: str, limits: tuple[int, int] | None) -> None:
    """Send what goes before the statements of a transaction."""
    await connection.refresh_plans()
    if limits is not None:
        await connection.execute(_LIMITS, limits, prepare=True)
    if setting is not None:
        await connection.execute(_SET, (setting, value), prepare=True)


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    """Arrays travel in binary, JSON is read and written by msgspec: several times faster than the defaults.

    Behind a pooler that hands out another server for each transaction, statements are not prepared: PgBouncer knows
    prepared statements from 1.21 on only.
    """
    server = await (await connection.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    if server is not None and server["pid"] != connection.info.backend_pid:
        connection.prepare_threshold = None
    connection.prepared_max = _PREPARED
    connection.adapters.register_dumper(list, ListBinaryDumper)
    set_json_loads(msgspec.json.decode, connection)
    set_json_dumps(msgspec.json.encode, connection)


@asynccontextmanager
async def hear(url: str, user: str, password: str, channel: str) -> AsyncGenerator[AsyncIterator[str]]:
    """The payloads of NOTIFY on a channel, as they come."""
    conninfo = make_conninfo(url, user=user, password=password, application_name="tenfold-bells")
    async with await _Ear.connect(conninfo, autocommit=True) as connection:
        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        yield (notification.payload async for notification in connection.notifies())
