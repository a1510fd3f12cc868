"""What commands share: options, stores for something short, output."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from tenfold.kit import settings
from tenfold.tenancy.scope import Stores
from tenfold.wiring import Installation, clickhouse_of, migrate, stores, visit

T = TypeVar("T")
DataDir = Annotated[Path, typer.Option(help="Where the embedded stores and the keys live.", envvar="TENFOLD_DATA_DIR")]
DEFAULT_DIR = Path("tenfold-data")


def with_stores(data_dir: Path, work: Callable[[Stores], Awaitable[T]]) -> T:
    """Run something short with the stores, beside a running server or alone."""

    async def run(found: Installation) -> T:
        async with stores(found, clickhouse_of(found.settings), name="cli", size=2) as opened:
            return await work(opened)

    with visit(settings.load(data_dir)) as found:
        migrate(found)
        return asyncio.run(run(found))


def show(value: Any) -> None:
    typer.echo(json.dumps(value))
