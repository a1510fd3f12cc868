"""Events for the slices above: record the platform's own, in the caller's transaction."""

from collections.abc import Mapping
from uuid import UUID

from tenfold.engagement.events import store
from tenfold.engagement.events.model import Event, pack
from tenfold.storage.db import Db


async def record(db: Db, lanes: Mapping[UUID, UUID], events: Mapping[UUID, list[Event]]) -> None:
    """Put events of several workspaces into their inboxes; `lanes` maps each workspace to its root."""
    given = [(workspace, found) for workspace, found in events.items() if found]
    if not given:
        return
    await store.insert_inbox(
        db,
        [workspace for workspace, _ in given],
        [lanes[workspace] for workspace, _ in given],
        [len(found) for _, found in given],
        [pack(found) for _, found in given],
        counted=False,
    )
    await store.notify(db)
