"""A transaction in hand: the few ways a statement is sent.

Statements are literal text (`LiteralString`), so SQL put together from strings is a type error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.rows import DictRow

Row = DictRow
Parameters = Mapping[str, Any]


@dataclass(slots=True)
class Db:
    """An open transaction on a connection in pipeline mode: what is not read back costs no round trip.

    `sent` counts its statements.
    """

    connection: AsyncConnection[DictRow]
    sent: int = 0

    async def run(self, statement: LiteralString, parameters: Parameters | None = None) -> None:
        """Send a statement whose result nobody reads; an error shows at the next read or at commit."""
        self.sent += 1
        await self.connection.execute(statement, parameters)

    async def all(self, statement: LiteralString, parameters: Parameters | None = None) -> list[Row]:
        self.sent += 1
        return await (await self.connection.execute(statement, parameters)).fetchall()

    async def one(self, statement: LiteralString, parameters: Parameters | None = None) -> Row | None:
        self.sent += 1
        return await (await self.connection.execute(statement, parameters)).fetchone()

    async def count(self, statement: LiteralString, parameters: Parameters | None = None) -> int:
        """The number of rows that a statement with RETURNING touched."""
        return len(await self.all(statement, parameters))

    async def send(self, statement: LiteralString, parameters: Parameters | None = None) -> "Answer":
        """Send now, read later: several statements share one round trip."""
        self.sent += 1
        return Answer(await self.connection.execute(statement, parameters))


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a statement that was sent and not yet read."""

    cursor: Any

    async def rows(self) -> list[Row]:
        return await self.cursor.fetchall()
