"""Deleting users: everything that is theirs, in every slice."""

from tenfold.engagement.audience import people
from tenfold.engagement.deliveries import store as deliveries_store
from tenfold.engagement.journeys import run_store
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.tenancy import door
from tenfold.tenancy.scope import Scope


async def delete_users(scope: Scope, user_ids: list[str]) -> None:
    """Remove users with their profile, memberships, runs, messages and events."""
    async with door.workspace(scope) as db:
        await run_store.delete_users(db, scope.workspace_id, user_ids)
        await deliveries_store.delete_users(db, scope.workspace_id, user_ids)
    await people.delete(scope, user_ids)


async def delete(call: Call) -> Reply:
    await delete_users(call.scope, (call.body or call.query)["userIds"])
    return Reply(204)


ENDPOINTS = [
    Endpoint("DELETE", "/users", Door.WORKSPACE, delete),
    Endpoint("DELETE", "/users/v2", Door.WORKSPACE, delete),
]
