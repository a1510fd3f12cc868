"""The command line: `tenfold serve`, `migrate`, `reset`, `workspace ...`."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from tenfold.bench.suite import BENCHES
from tenfold.bench.suite import run as run_benches
from tenfold.kit import logs, settings
from tenfold.kit.errors import AppError, ConfigurationError, NotFound
from tenfold.kit.ids import parse_id
from tenfold.platform.provision import platform_scope, provision
from tenfold.platform.routes import new_workspace, shown, shown_with_keys
from tenfold.server import Address
from tenfold.server import serve as run_server
from tenfold.storage.migrate import drop_postgres, pending
from tenfold.tenancy import workspaces
from tenfold.tenancy.scope import Scope, Stores
from tenfold.wiring import Installation, clickhouse_of, drop_events, installation, migrate, stores, visit

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tenfold, a multi-tenant engagement platform.")
workspace_app = typer.Typer(no_args_is_help=True, help="Make and manage workspaces.")
app.add_typer(workspace_app, name="workspace")
DataDir = Annotated[Path, typer.Option(help="Where the embedded stores and the keys live.", envvar="TENFOLD_DATA_DIR")]
_DEFAULT_DIR = Path("tenfold-data")


def main() -> None:
    """Run a command; an expected error is one line on standard error and exit code 1."""
    logs.configure(os.environ.get("LOG_LEVEL", "INFO").upper())
    try:
        app()
    except AppError as error:
        sys.exit(f"tenfold: {error.message}")


@app.command()
def serve(
    data_dir: DataDir = _DEFAULT_DIR,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    role: Annotated[str, typer.Option(help="all, api or worker.")] = "all",
) -> None:
    """Start the server; prints `ready URL` once it takes requests. Stops cleanly on SIGTERM."""
    if role not in ("all", "api", "worker"):
        raise ConfigurationError("--role: expected all, api or worker")
    with installation(settings.load(data_dir)) as found:
        run_server(found, Address(host, port), role, lambda url: typer.echo(f"ready {url}"))


@app.command("migrate")
def migrate_command(
    data_dir: DataDir = _DEFAULT_DIR,
    check: Annotated[bool, typer.Option("--check", help="Only tell what is pending; exit 1 if anything is.")] = False,  # noqa: FBT002
) -> None:
    """Bring the database to the current schema."""
    with visit(settings.load(data_dir)) as found:
        names = pending(found.database_url) if check else migrate(found)
    for name in names:
        typer.echo(f"{'pending' if check else 'ran'} {name}")
    if not names:
        typer.echo("the schema is current")
    raise typer.Exit(1 if check and names else 0)


@app.command()
def reset(
    data_dir: DataDir = _DEFAULT_DIR,
    yes: Annotated[bool, typer.Option("--yes", help="Really drop everything.")] = False,  # noqa: FBT002
) -> None:
    """Drop all data and make the schema anew."""
    if not yes:
        raise ConfigurationError("reset drops every workspace and event; say --yes to do it")
    with installation(settings.load(data_dir)) as found:
        drop_postgres(found.database_url)
        migrate(found)
        asyncio.run(drop_events(found.settings))
    typer.echo("everything was dropped")


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones; all when none is named.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results there, too.")] = None,
) -> None:
    """Run the benchmarks: fold, accept, steady, idle."""
    if unknown := set(names or ()) - BENCHES.keys():
        raise ConfigurationError(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    report = run_benches(names or [], lambda text: typer.echo(text, err=True))
    for line in report.lines:
        sign = ">=" if line.at_least else "<="
        asked = f"{sign} {line.target:g}"
        typer.echo(
            f"{line.bench:<8}{line.workspaces:>7}  {line.name:<30}{line.value:>10g} {line.unit:<12}{asked:>10}"
            f"{line.ratio:>8g}"
        )
    if json_file:
        json_file.write_text(json.dumps([{**asdict(line), "ratio": line.ratio} for line in report.lines], indent=1))


@workspace_app.command("create")
def create_workspace(
    name: str,
    data_dir: DataDir = _DEFAULT_DIR,
    parent: Annotated[str | None, typer.Option(help="Id of the parent workspace.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Your own id for it; asking again gives the same.")] = None,
    kind: Annotated[str, typer.Option("--type", help="Root, Parent or Child.")] = "Root",
    test_clock: Annotated[bool, typer.Option("--test-clock", help="Its time moves only when told.")] = False,  # noqa: FBT002
) -> None:
    """Make a workspace and print its id and keys as JSON."""
    body: dict[str, Any] = {"name": name, "type": kind, "testClock": test_clock}
    body |= {key: value for key, value in (("parentWorkspaceId", parent), ("externalId", external_id)) if value}

    async def create(opened: Stores) -> dict[str, Any]:
        return shown_with_keys(await provision(platform_scope(opened), new_workspace(body)))

    _print(_with_stores(data_dir, create))


@workspace_app.command("list")
def list_workspaces(data_dir: DataDir = _DEFAULT_DIR) -> None:
    """Print all workspaces, one JSON object a line."""

    async def everything(opened: Stores) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = None
        while rows := await workspaces.page(opened, after=after, status=None, parent_id=None, limit=1000):
            found += map(shown, rows)
            after = rows[-1].workspace_id
        return found

    for row in _with_stores(data_dir, everything):
        _print(row)


@workspace_app.command("show")
def show_workspace(workspace_id: str, data_dir: DataDir = _DEFAULT_DIR) -> None:
    """Print a workspace as JSON."""

    async def show(opened: Stores) -> dict[str, Any]:
        return shown((await _scope(opened, workspace_id)).workspace)

    _print(_with_stores(data_dir, show))


@workspace_app.command("suspend")
def suspend_workspace(workspace_id: str, data_dir: DataDir = _DEFAULT_DIR) -> None:
    """Take no more events and send nothing until it is resumed."""
    _set_status(data_dir, workspace_id, "Paused")


@workspace_app.command("resume")
def resume_workspace(workspace_id: str, data_dir: DataDir = _DEFAULT_DIR) -> None:
    """Go on where a suspended or archived workspace stopped."""
    _set_status(data_dir, workspace_id, "Active")


@workspace_app.command("archive")
def archive_workspace(workspace_id: str, data_dir: DataDir = _DEFAULT_DIR) -> None:
    """Suspend it and give its name and external id free."""
    _set_status(data_dir, workspace_id, "Tombstoned")


def _set_status(data_dir: Path, workspace_id: str, status: str) -> None:
    async def change(opened: Stores) -> dict[str, Any]:
        return shown(await workspaces.set_status(await _scope(opened, workspace_id), status))

    _print(_with_stores(data_dir, change))


async def _scope(opened: Stores, workspace_id: str) -> Scope:
    found = await workspaces.find(opened, parse_id(workspace_id, "workspace id"))
    if found is None:
        raise NotFound(f"no workspace {workspace_id}")
    return replace(platform_scope(opened), workspace=found)


def _with_stores(data_dir: Path, work: Callable[[Stores], Awaitable[T]]) -> T:
    """Run something short with the stores, beside a running server or alone."""

    async def run(found: Installation) -> T:
        async with stores(found, clickhouse_of(found.settings), name="cli", size=2) as opened:
            return await work(opened)

    with visit(settings.load(data_dir)) as found:
        migrate(found)
        return asyncio.run(run(found))


def _print(value: Any) -> None:
    typer.echo(json.dumps(value))
