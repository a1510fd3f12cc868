"""ClickHouse, a server over HTTP or chDB inside this process, behind one client.

chDB allows one engine per process, and both clients block: every call runs on one thread of its own.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import clickhouse_connect
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from tenfold.kit.clock import now
from tenfold.kit.errors import Unavailable

T = TypeVar("T")
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
Client = Any  # the driver's own annotations are partly unknown


class ClickHouse:
    """A client that any event loop of the process may use. It connects when first used, and makes the schema then."""

    def __init__(self, url: str | None, directory: Path, schema: Sequence[str]) -> None:
        self._schema = schema
        self._tables = [name for statement in schema for name in _TABLE.findall(statement)]
        self.embedded = url is None or url.startswith("chdb://")
        self._dsn = url if url and url != "chdb://" else f"chdb://{directory / 'clickhouse'}"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clickhouse")
        self._client: Client = None

    async def open(self) -> None:
        """Connect ahead of need: the embedded engine and what it imports take a second. Being away is no fault here."""
        if self.embedded:
            with contextlib.suppress(Unavailable):
                await self._call(_warm_up)

    async def ping(self) -> None:
        """Raises Unavailable when it does not answer."""
        await self._call(lambda client: client.command("SELECT 1"))

    async def command(self, statement: str) -> None:
        await self._call(lambda client: client.command(statement))

    async def query(
        self, statement: LiteralString, parameters: Mapping[str, Any], *, only: str | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a statement. `only` is a condition that the engine adds to every table that it reads."""
        settings = {"additional_table_filters": _filters(self._tables, only)} if only else {}

        def read(client: Client) -> list[dict[str, Any]]:
            answer = client.query(statement, parameters=dict(parameters), query_tz=UTC, settings=settings)
            return list(answer.named_results())

        return await self._call(read)

    async def insert(
        self, table: LiteralString, columns: Sequence[str], values: Sequence[Sequence[Any]], token: str
    ) -> None:
        """Insert one block, column by column. The same token twice within the table's window counts once."""
        settings = {"insert_deduplication_token": token, "insert_deduplicate": 1}

        def write(client: Client) -> None:
            client.insert(table, values, column_names=columns, column_oriented=True, settings=settings)

        await self._call(write)

    async def close(self) -> None:
        if self._client is not None:
            await self._call(lambda client: client.close())
        self._thread.shutdown(wait=True)

    async def _call(self, work: Callable[[Client], T]) -> T:
        def run() -> T:
            if self._client is None:
                self._client = self._connect()
            return work(self._client)

        try:
            return await asyncio.wrap_future(self._thread.submit(run))
        except (ClickHouseError, OSError) as error:
            raise Unavailable(f"ClickHouse is away: {error}") from error

    def _connect(self) -> Client:
        client: Client = clickhouse_connect.get_client(dsn=self._dsn)  # pyright: ignore[reportUnknownMemberType]
        for statement in self._schema:
            client.command(statement)
        return client


def _warm_up(client: Client) -> None:
    client.command("CREATE TEMPORARY TABLE IF NOT EXISTS warm_up (day DateTime64(3), word String) ENGINE = Memory")
    client.insert("warm_up", [[now()], ["x"]], column_names=["day", "word"], column_oriented=True)
    list(client.query("SELECT * FROM warm_up").named_results())


def _filters(tables: Sequence[str], condition: str) -> str:
    """A map in ClickHouse's own notation: every table, and what is to hold of its rows."""
    quoted = condition.replace("\\", "\\\\").replace("'", "\\'")
    return "{" + ", ".join(f"'{table}': '{quoted}'" for table in tables) + "}"
