"""`tenfold audit`: check an exported audit log, without a database."""

from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.common import DEFAULT_DIR, DataDir
from tenfold.kit import settings
from tenfold.kit.errors import ConfigurationError
from tenfold.storage import datadir
from tenfold.tenancy.audit.chain import public_key
from tenfold.tenancy.audit.verify import verify

app = typer.Typer(no_args_is_help=True, help="Check exported audit logs.")


@app.command("verify")
def verify_export(
    file: Path,
    key: Annotated[
        str | None, typer.Option(help="The installation's public key, as `tenfold audit key` prints it.")
    ] = None,
) -> None:
    """Show that an export is complete and unchanged; exit 1 and say where it is not."""
    try:
        with file.open(encoding="utf-8") as lines:
            proof = verify(lines, key)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from error
    typer.echo(f"ok: workspace {proof.workspace_id}, entries {proof.first} to {proof.last}, until {proof.until}")
    if key is None:
        typer.echo(f"signed by {proof.key}; compare this with what `tenfold audit key` prints, or pass it as --key")


@app.command("key")
def show_key(data_dir: DataDir = DEFAULT_DIR) -> None:
    """Print the public key that this installation signs its audit logs with."""
    found = settings.load(data_dir)
    typer.echo(public_key(datadir.secret_key(found.data_dir, found.secret_key)))
