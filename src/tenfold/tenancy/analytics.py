"""Questions to the archive. ClickHouse embedded knows no row policies, so each statement must bind its workspace."""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from tenfold.kit.errors import Forbidden
from tenfold.tenancy.scope import Scope

BINDING: Final = "workspace_id = {workspace_id:UUID}"


async def query(scope: Scope, statement: LiteralString, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a statement, with `workspace_id` bound to the scope's.

    Raises Forbidden for a statement that does not narrow to it, Unavailable when ClickHouse is away.
    """
    if BINDING not in statement:
        raise Forbidden("a statement to the archive names its workspace")
    return await scope.stores.clickhouse.query(statement, {**parameters, "workspace_id": scope.workspace_id})
