"""Finding events again, in the archive."""

from datetime import datetime
from typing import Any

from tenfold.engagement.events import archive_store
from tenfold.engagement.events.query import Query
from tenfold.tenancy import workspaces
from tenfold.tenancy.scope import Scope


async def find(scope: Scope, query: Query) -> dict[str, Any]:
    """A page of events, newest first, and how many there are in all."""
    whole = await workspaces.family(scope)
    rows = await archive_store.find(whole, query)
    count = await archive_store.count(whole, query)
    return {"events": [_shown(row, with_context=query.with_context) for row in rows], "count": count}


async def trait_names(scope: Scope) -> list[str]:
    return await archive_store.trait_names(await workspaces.family(scope))


async def property_names(scope: Scope) -> dict[str, list[str]]:
    return await archive_store.property_names(await workspaces.family(scope))


def _shown(row: dict[str, Any], *, with_context: bool) -> dict[str, Any]:
    shown = {
        "messageId": row["message_id"],
        "eventType": row["type"],
        "event": row["event"],
        "userId": None if row["anonymous"] else row["user_id"],
        "anonymousId": row["anonymous_id"] or None,
        "processingTime": _text(row["processing_time"]),
        "eventTime": _text(row["event_time"]),
        "traits": row["properties"],
    }
    return {**shown, "context": row["context"]} if with_context else shown


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}"
