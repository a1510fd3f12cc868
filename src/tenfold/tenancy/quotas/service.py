"""Reading and setting quotas. A limit of requests holds at once here, and within a second in other processes."""

from typing import Any

from tenfold.kit.clock import iso, now
from tenfold.tenancy import door
from tenfold.tenancy.quotas import store
from tenfold.tenancy.quotas.model import FIELDS, Limits, check_ceiling, effective, next_month, shown_usage
from tenfold.tenancy.scope import Scope


async def show(scope: Scope) -> dict[str, Any]:
    """The limits that hold, the platform's ceiling, and what is used of each."""
    async with door.workspace(scope) as db:
        row = await store.read(db, scope.workspace_id) or {}
        used = {item["resource"]: item["used"] for item in await store.usage(db, scope.workspace_id)}
    ceiling: Limits = row.get("ceiling") or {}
    moment = scope.workspace.test_now or now()
    held = effective(row.get("own") or {}, row.get("defaults") or {}, ceiling)
    return {
        "quota": {**_named(scope, held), **_times(row)},
        "ceiling": _named(scope, ceiling),
        "usage": shown_usage(used, moment),
        "resetsAt": iso(next_month(moment)),
    }


async def put(scope: Scope, wanted: Limits) -> dict[str, Any]:
    """Set the named limits; the others stay. Lowering one below what is used stops only further creation.

    Raises Forbidden above the platform's ceiling.
    """
    async with door.workspace(scope) as db:
        row = await store.read(db, scope.workspace_id) or {}
        check_ceiling(wanted, row.get("ceiling") or {})
        await store.put(db, scope.workspace_id, dict(wanted))
    scope.stores.memory.forget(scope.workspace_id)
    return (await show(scope))["quota"]


async def reset(scope: Scope) -> None:
    """Back to the defaults."""
    async with door.workspace(scope) as db:
        await store.delete(db, scope.workspace_id)
    scope.stores.memory.forget(scope.workspace_id)


async def put_ceiling(scope: Scope, wanted: Limits) -> dict[str, Any]:
    """Set what the platform allows at most."""
    async with door.workspace(scope) as db:
        await store.put_ceiling(db, scope.workspace_id, dict(wanted))
    scope.stores.memory.forget(scope.workspace_id)
    return (await show(scope))["ceiling"]


def _named(scope: Scope, limits: Limits) -> dict[str, Any]:
    return {"workspaceId": str(scope.workspace_id), **{field: limits.get(field) for field in FIELDS}}


def _times(row: dict[str, Any]) -> dict[str, str]:
    """A quota that nobody set has no times."""
    return {
        name: iso(row[key]) for name, key in (("createdAt", "created_at"), ("updatedAt", "updated_at")) if row.get(key)
    }
