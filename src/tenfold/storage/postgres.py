"""PostgreSQL: a pool for one role, and the few ways a statement is sent.

Statements are literal text (`LiteralString`), so SQL put together from strings is a type error.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import AsyncConnection, OperationalError, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tenfold.kit.errors import Unavailable

Row = DictRow
Parameters = Mapping[str, Any]
_POOL_WAIT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Db:
    """An open transaction on a connection in pipeline mode: what is not read back costs no round trip."""

    connection: AsyncConnection[DictRow]

    async def run(self, statement: LiteralString, parameters: Parameters | None = None) -> None:
        """Send a statement whose result nobody reads; an error shows at the next read or at commit."""
        await self.connection.execute(statement, parameters)

    async def all(self, statement: LiteralString, parameters: Parameters | None = None) -> list[Row]:
        return await (await self.connection.execute(statement, parameters)).fetchall()

    async def one(self, statement: LiteralString, parameters: Parameters | None = None) -> Row | None:
        return await (await self.connection.execute(statement, parameters)).fetchone()

    async def count(self, statement: LiteralString, parameters: Parameters | None = None) -> int:
        """The number of rows that a statement with RETURNING touched."""
        return len(await self.all(statement, parameters))

    async def send(self, statement: LiteralString, parameters: Parameters | None = None) -> "Answer":
        """Send now, read later: several statements share one round trip."""
        return Answer(await self.connection.execute(statement, parameters))


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a statement that was sent and not yet read."""

    cursor: Any

    async def rows(self) -> list[Row]:
        return await self.cursor.fetchall()


class Pool:
    """Connections of one role. `transaction` begins with a setting, in the same flush as the first statement."""

    def __init__(self, url: str, *, user: str, password: str, size: int, name: str) -> None:
        conninfo = make_conninfo(url, user=user, password=password, application_name=name)
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            conninfo,
            connection_class=AsyncConnection[DictRow],
            kwargs={"autocommit": True, "row_factory": dict_row, "prepare_threshold": 2},
            min_size=1,
            max_size=size,
            open=False,
            timeout=_POOL_WAIT_SECONDS,
        )

    async def open(self) -> None:
        await self._pool.open(wait=True, timeout=30)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self, setting: LiteralString | None, value: str) -> AsyncIterator[Db]:
        """A transaction in which `setting` has `value`; it ends with the transaction, whatever happens."""
        try:
            async with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
                if setting is not None:
                    await connection.execute(
                        sql.SQL("SET LOCAL {} = {}").format(sql.SQL(setting), sql.Literal(value)), prepare=False
                    )
                yield Db(connection)
        except (PoolTimeout, OperationalError) as error:
            raise Unavailable(f"PostgreSQL is away or busy: {error}") from error


@asynccontextmanager
async def hear(url: str, user: str, password: str, channel: str) -> AsyncIterator[AsyncIterator[str]]:
    """The payloads of NOTIFY on a channel, as they come."""
    conninfo = make_conninfo(url, user=user, password=password, application_name="tenfold-bells")
    async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        yield (notification.payload async for notification in connection.notifies())
