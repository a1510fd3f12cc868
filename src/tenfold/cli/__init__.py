"""The command line: `tenfold serve`, `migrate`, `reset`, `doctor`, `workspace ...`, `audit ...`."""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tenfold import doctor
from tenfold.bench.suite import BENCHES
from tenfold.bench.suite import run as run_benches
from tenfold.cli import audit, workspace
from tenfold.cli.common import DEFAULT_DIR, DataDir
from tenfold.kit import logs, settings
from tenfold.kit.errors import AppError, ConfigurationError
from tenfold.server import serve as run_server
from tenfold.storage.migrate import drop_postgres, pending
from tenfold.wiring import drop_events, in_use, installation, migrate, visit

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tenfold, a multi-tenant engagement platform.")
app.add_typer(workspace.app, name="workspace")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Run a command; an expected error is one line on standard error and exit code 1."""
    logs.configure(os.environ.get("LOG_LEVEL", "INFO").upper())
    try:
        app()
    except AppError as error:
        sys.exit(f"tenfold: {error.message}")


@app.command()
def serve(
    data_dir: DataDir = DEFAULT_DIR,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    role: Annotated[str, typer.Option(help="all, api or worker.")] = "all",
) -> None:
    """Start the server; prints `ready URL` once it takes requests. Stops cleanly on SIGTERM."""
    if role not in ("all", "api", "worker"):
        raise ConfigurationError("--role: expected all, api or worker")
    given = settings.load(data_dir)
    settings.check_access(given)
    with installation(given) as found:
        run_server(found, host, port, role, lambda url: typer.echo(f"ready {url}"))


@app.command("migrate")
def migrate_command(
    data_dir: DataDir = DEFAULT_DIR,
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
    data_dir: DataDir = DEFAULT_DIR,
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


@app.command("doctor")
def doctor_command(
    data_dir: DataDir = DEFAULT_DIR,
    quotas: Annotated[bool, typer.Option("--quotas", help="Recount what quotas count, too.")] = False,  # noqa: FBT002
) -> None:
    """Check an installation: keys, disk, schema, versions, isolation, roles, pooling. Exit 1 on any fault."""
    given = settings.load(data_dir)
    beside = in_use(given.data_dir)
    with visit(given) as found:
        findings = list(doctor.examine(found, beside_server=beside, quotas=quotas))
    for finding in findings:
        typer.echo(f"ok     {finding.check}" if finding.fault is None else f"FAULT  {finding.check}: {finding.fault}")
    raise typer.Exit(1 if any(finding.fault for finding in findings) else 0)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Which ones; all when none is named.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results there, too.")] = None,
) -> None:
    """Run the benchmarks: fold, accept, steady, idle, isolate, neighbours, quotas, meter."""
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
