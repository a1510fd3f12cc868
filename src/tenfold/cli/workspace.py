"""`tenfold workspace`: make and manage workspaces."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.cli.common import DEFAULT_DIR, DataDir, show, with_stores
from tenfold.kit.errors import NotFound
from tenfold.kit.ids import parse_id
from tenfold.platform.provision import platform_scope, provision
from tenfold.platform.routes import new_workspace, shown, shown_with_keys
from tenfold.tenancy import workspaces
from tenfold.tenancy.access import members
from tenfold.tenancy.scope import Scope, Stores

app = typer.Typer(no_args_is_help=True, help="Make and manage workspaces.")


@app.command("create")
def create_workspace(
    name: str,
    data_dir: DataDir = DEFAULT_DIR,
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

    show(with_stores(data_dir, create))


@app.command("list")
def list_workspaces(data_dir: DataDir = DEFAULT_DIR) -> None:
    """Print all workspaces, one JSON object a line."""

    async def everything(opened: Stores) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after = None
        while rows := await workspaces.page(opened, after=after, status=None, parent_id=None, limit=1000):
            found += map(shown, rows)
            after = rows[-1].workspace_id
        return found

    for row in with_stores(data_dir, everything):
        show(row)


@app.command("show")
def show_workspace(workspace_id: str, data_dir: DataDir = DEFAULT_DIR) -> None:
    """Print a workspace as JSON."""

    async def found(opened: Stores) -> dict[str, Any]:
        return shown((await _scope(opened, workspace_id)).workspace)

    show(with_stores(data_dir, found))


@app.command("suspend")
def suspend_workspace(workspace_id: str, data_dir: DataDir = DEFAULT_DIR) -> None:
    """Take no more events and send nothing until it is resumed."""
    _set_status(data_dir, workspace_id, "Paused")


@app.command("resume")
def resume_workspace(workspace_id: str, data_dir: DataDir = DEFAULT_DIR) -> None:
    """Go on where a suspended or archived workspace stopped."""
    _set_status(data_dir, workspace_id, "Active")


@app.command("archive")
def archive_workspace(workspace_id: str, data_dir: DataDir = DEFAULT_DIR) -> None:
    """Suspend it and give its name and external id free."""
    _set_status(data_dir, workspace_id, "Tombstoned")


def _set_status(data_dir: Path, workspace_id: str, status: str) -> None:
    async def change(opened: Stores) -> dict[str, Any]:
        return shown(await workspaces.set_status(await _scope(opened, workspace_id), status))

    show(with_stores(data_dir, change))


@app.command("invite")
def invite_member(
    workspace_id: str,
    email: str,
    data_dir: DataDir = DEFAULT_DIR,
    role: Annotated[str, typer.Option(help="Admin, WorkspaceManager, Author, Viewer or an own role.")] = "Admin",
) -> None:
    """Let somebody in: they join on their first login with that address."""

    async def invite(opened: Stores) -> dict[str, Any]:
        member = await members.invite(await _scope(opened, workspace_id), email, role)
        return {"workspaceId": workspace_id, "email": member.email, "role": member.role}

    show(with_stores(data_dir, invite))


async def _scope(opened: Stores, workspace_id: str) -> Scope:
    found = await workspaces.find(opened, parse_id(workspace_id, "workspace id"))
    if found is None:
        raise NotFound(f"no workspace {workspace_id}")
    return replace(platform_scope(opened), workspace=found)
