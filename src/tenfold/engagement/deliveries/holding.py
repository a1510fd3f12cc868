"""Messages over the month's quota wait here, and go on when the month turns or the limit is raised."""

from tenfold.engagement.deliveries import store
from tenfold.jobs.fairness import Round
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores

_MOST = 500


async def release_once(stores: Stores, place: Round) -> int:
    """Let go as many messages as there is room for, of the next workspaces that hold some; how many went."""
    async with door.queues(stores) as db:
        rows = await place.look(lambda after: store.peek_held(db, after, _MOST))
    if not rows:
        return 0
    found = [row["lane"] for row in rows]
    place.after = found[-1]
    async with door.workspace(BatchScope(stores, frozenset(found))) as db:
        return await store.release_held(db, found, _MOST)
