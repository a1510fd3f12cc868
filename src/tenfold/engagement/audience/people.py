"""Finding users and deleting them."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tenfold.engagement.audience import profile_store, store
from tenfold.engagement.audience.profile_store import UserFilter
from tenfold.engagement.events import archive_store
from tenfold.kit.errors import Invalid
from tenfold.kit.ids import try_parse_id
from tenfold.storage.db import Row
from tenfold.tenancy import door, workspaces
from tenfold.tenancy.quotas import store as quotas
from tenfold.tenancy.scope import BatchScope, Scope

_NOBODY = UUID(int=0)
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class UserQuery:
    """Which users, and which page of them."""

    inside: list[str] = field(default_factory=list[str])
    outside: list[str] = field(default_factory=list[str])
    user_ids: list[str] | None = None
    properties: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    cursor: str | None = None
    backwards: bool = False
    limit: int = 10

    @staticmethod
    def of(body: dict[str, Any]) -> "UserQuery":
        """From a checked request body.

        Raises Invalid for a limit out of range.
        """
        limit = body.get("limit", 10)
        if not 1 <= limit <= _MOST:
            raise Invalid(f"limit must be between 1 and {_MOST}")
        return UserQuery(
            inside=body.get("segmentFilter", []),
            outside=body.get("negativeSegmentFilter", []),
            user_ids=body.get("userIds"),
            properties={item["id"]: item["values"] for item in body.get("userPropertyFilter", [])},
            cursor=body.get("cursor"),
            backwards=body.get("direction") == "before",
            limit=int(limit),
        )


async def find(scope: Scope, query: UserQuery) -> dict[str, Any]:
    """A page of users with their properties and segments, and the cursors of its neighbours."""
    whole = await workspaces.family(scope)
    start = _read_cursor(query.cursor)
    async with door.workspace(whole) as db:
        users = _filter(whole, query)
        if query.backwards and start is not None:
            rows = (await profile_store.users_before(db, users, start, query.limit))[::-1]
        else:
            rows = await profile_store.users_after(db, users, start or "", query.limit)
        names = await _names(db, whole)
    answer: dict[str, Any] = {"users": [_shown(row, names) for row in rows], "userCount": 0}
    if len(rows) == query.limit:
        answer["nextCursor"] = _cursor(rows[-1]["user_id"])
    if rows and query.cursor:
        answer["previousCursor"] = _cursor(rows[0]["user_id"])
    return answer


async def count(scope: Scope, query: UserQuery) -> int:
    whole = await workspaces.family(scope)
    async with door.workspace(whole) as db:
        return await profile_store.count_users(db, _filter(whole, query))


async def delete(scope: Scope, user_ids: list[str]) -> None:
    """Remove users and everything of theirs: profile, memberships, events and the storage these took."""
    async with door.workspace(scope) as db:
        await profile_store.delete_users(db, scope.workspace_id, user_ids)
    kept = await archive_store.bytes_of_users(scope, user_ids)
    await archive_store.delete_users(scope, user_ids)
    async with door.workspace(scope) as db:
        await quotas.return_storage(db, scope.workspace_id, kept)


def _filter(scope: BatchScope, query: UserQuery) -> UserFilter:
    return UserFilter(
        list(scope.claimed),
        query.user_ids,
        [try_parse_id(item) or _NOBODY for item in query.inside],
        [try_parse_id(item) or _NOBODY for item in query.outside],
        query.properties,
    )


async def _names(db: Any, scope: BatchScope) -> dict[str, str]:
    properties, segments, *_ = await store.definitions(db, list(scope.claimed))
    return {str(row["id"]): row["name"] for answer in (properties, segments) for row in await answer.rows()}


def _shown(row: Row, names: dict[str, str]) -> dict[str, Any]:
    properties = {key: {"name": names[key], "value": value} for key, value in row["properties"].items() if key in names}
    segments = [{"id": str(key), "name": names[str(key)]} for key in row["segments"] if str(key) in names]
    return {"id": row["user_id"], "properties": properties, "segments": segments}


def _cursor(user_id: str) -> str:
    return base64.b64encode(json.dumps({"u": user_id}).encode()).decode()


def _read_cursor(cursor: str | None) -> str | None:
    """The user id in a cursor; an unreadable cursor is no cursor (as the reference)."""
    try:
        found = json.loads(base64.b64decode(cursor or "", validate=True))["u"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None
