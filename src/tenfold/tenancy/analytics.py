"""Questions to the archive: twice bound to their workspace.

The statement names its workspace, so that the order of the table carries it; and the engine adds the same condition to
every table that it reads (`additional_table_filters`), so that what a statement forgets is still not seen. Embedded
ClickHouse knows no users and no row policies.
"""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from tenfold.kit.errors import Forbidden
from tenfold.tenancy.scope import BatchScope, Scope

BINDING: Final = "workspace_id IN {workspaces:Array(UUID)}"


async def query(
    scope: Scope | BatchScope, statement: LiteralString, parameters: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The rows of a statement, with `workspaces` bound to the scope's.

    Raises Forbidden for a statement that does not narrow to it, Unavailable when ClickHouse is away.
    """
    if BINDING not in statement:
        raise Forbidden("a statement to the archive names its workspace")
    bound = {**parameters, "workspaces": sorted(scope.claimed)}
    return await scope.stores.clickhouse.query(statement, bound, only=_only(scope))


def _only(scope: Scope | BatchScope) -> str:
    ids = ", ".join(f"toUUID('{workspace}')" for workspace in sorted(scope.claimed))
    return f"workspace_id IN ({ids})"
