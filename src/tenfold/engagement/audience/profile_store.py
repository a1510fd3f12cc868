"""SQL of profiles and memberships."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from tenfold.storage.db import Answer, Db, Row


@dataclass(slots=True)
class ProfileColumns:
    """Profiles to write, column by column. `properties` is JSON text, `segments` array text."""

    workspaces: list[UUID] = field(default_factory=list[UUID])
    users: list[str] = field(default_factory=list[str])
    states: list[bytes] = field(default_factory=list[bytes])
    properties: list[str] = field(default_factory=list[str])
    segments: list[str] = field(default_factory=list[str])
    wakes: list[datetime | None] = field(default_factory=list[datetime | None])
    lanes: list[UUID | None] = field(default_factory=list[UUID | None])


@dataclass(slots=True)
class MemberColumns:
    """Memberships to add or remove, column by column."""

    workspaces: list[UUID] = field(default_factory=list[UUID])
    segments: list[UUID] = field(default_factory=list[UUID])
    users: list[str] = field(default_factory=list[str])
    times: list[datetime] = field(default_factory=list[datetime])

    def add(self, workspace: UUID, segment: str, user: str, time: datetime) -> None:
        self.workspaces.append(workspace)
        self.segments.append(UUID(segment))
        self.users.append(user)
        self.times.append(time)


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users: every part narrows. `properties` maps property ids to the values allowed."""

    workspace_ids: list[UUID]
    user_ids: list[str] | None = None
    inside: list[UUID] = field(default_factory=list[UUID])
    outside: list[UUID] = field(default_factory=list[UUID])
    properties: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


async def load(db: Db, workspaces: list[UUID], users: list[str]) -> Answer:
    """Profiles by workspace and user, locked until the transaction ends."""
    return await db.send(
        """
        SELECT p.workspace_id, p.user_id, p.state FROM profiles p
        JOIN unnest(%(workspaces)s::uuid[], %(users)s::text[]) AS wanted (workspace_id, user_id)
          ON p.workspace_id = wanted.workspace_id AND p.user_id = wanted.user_id
        FOR UPDATE OF p
        """,
        {"workspaces": workspaces, "users": users},
    )


async def load_page(db: Db, workspace_id: UUID, after: str, limit: int) -> list[Row]:
    return await db.all(
        """
        SELECT user_id, state FROM profiles
        WHERE workspace_id = %(workspace_id)s AND user_id > %(after)s ORDER BY user_id LIMIT %(limit)s FOR UPDATE
        """,
        {"workspace_id": workspace_id, "after": after, "limit": limit},
    )


async def known(db: Db, workspace_id: UUID, users: list[str]) -> frozenset[str]:
    """Which of these users there are."""
    rows = await db.all(
        "SELECT user_id FROM profiles WHERE workspace_id = %(workspace_id)s AND user_id = ANY (%(users)s)",
        {"workspace_id": workspace_id, "users": users},
    )
    return frozenset(row["user_id"] for row in rows)


async def reserve(db: Db, workspace_id: UUID, users: list[str], state: bytes, lane: UUID | None) -> frozenset[str]:
    """Write users down before their first event is folded; those that this made."""
    rows = await db.all(
        """
        INSERT INTO profiles (workspace_id, user_id, state, lane)
        SELECT %(workspace_id)s, user_id, %(state)s, %(lane)s FROM unnest(%(users)s::text[]) AS new (user_id)
        ON CONFLICT DO NOTHING RETURNING user_id
        """,
        {"workspace_id": workspace_id, "users": users, "state": state, "lane": lane},
    )
    return frozenset(row["user_id"] for row in rows)


async def unreserve(db: Db, workspace_id: UUID, users: list[str]) -> None:
    await db.run(
        "DELETE FROM profiles WHERE workspace_id = %(workspace_id)s AND user_id = ANY (%(users)s)",
        {"workspace_id": workspace_id, "users": users},
    )


async def save(db: Db, rows: ProfileColumns) -> None:
    await db.run(
        """
        INSERT INTO profiles (workspace_id, user_id, state, properties, segments, wake_at, lane)
        SELECT workspace_id, user_id, state, properties::jsonb, segments::uuid[], wake_at, lane
        FROM unnest(%(workspaces)s::uuid[], %(users)s::text[], %(states)s::bytea[], %(properties)s::text[],
                    %(segments)s::text[], %(wakes)s::timestamptz[], %(lanes)s::uuid[])
          AS new (workspace_id, user_id, state, properties, segments, wake_at, lane)
        ON CONFLICT (workspace_id, user_id) DO UPDATE SET state = excluded.state, segments = excluded.segments,
          properties = excluded.properties, wake_at = excluded.wake_at, lane = excluded.lane, updated_at = now()
        """,
        _bound(rows),
    )


async def update(db: Db, rows: ProfileColumns) -> None:
    """Save profiles whose properties stayed as they were."""
    await db.run(
        """
        UPDATE profiles SET state = new.state, segments = new.segments::uuid[], wake_at = new.wake_at, lane = new.lane,
          updated_at = now()
        FROM unnest(%(workspaces)s::uuid[], %(users)s::text[], %(states)s::bytea[], %(segments)s::text[],
                    %(wakes)s::timestamptz[], %(lanes)s::uuid[])
          AS new (workspace_id, user_id, state, segments, wake_at, lane)
        WHERE profiles.workspace_id = new.workspace_id AND profiles.user_id = new.user_id
        """,
        _bound(rows),
    )


async def add_members(db: Db, rows: MemberColumns) -> None:
    await db.run(
        """
        INSERT INTO memberships (workspace_id, segment_id, user_id, entered_at)
        SELECT * FROM unnest(%(workspaces)s::uuid[], %(segments)s::uuid[], %(users)s::text[], %(times)s::timestamptz[])
        ON CONFLICT DO NOTHING
        """,
        {"workspaces": rows.workspaces, "segments": rows.segments, "users": rows.users, "times": rows.times},
    )


async def remove_members(db: Db, rows: MemberColumns) -> None:
    await db.run(
        """
        DELETE FROM memberships USING unnest(%(workspaces)s::uuid[], %(segments)s::uuid[], %(users)s::text[])
          AS gone (workspace_id, segment_id, user_id)
        WHERE memberships.workspace_id = gone.workspace_id AND memberships.segment_id = gone.segment_id
          AND memberships.user_id = gone.user_id
        """,
        {"workspaces": rows.workspaces, "segments": rows.segments, "users": rows.users},
    )


async def peek_wakes(db: Db, limit: int) -> list[Row]:
    """Profiles whose window expires now, the earliest first. Their `id` is the user's."""
    return await db.all(
        """
        SELECT workspace_id, user_id AS id, lane FROM profiles
        WHERE wake_at <= now() AND lane IS NOT NULL ORDER BY wake_at LIMIT %(limit)s
        """,
        {"limit": limit},
    )


async def peek_wake_lanes(db: Db, after: UUID, *, lanes: int, per_lane: int) -> list[Row]:
    """Profiles due in the next lanes after `after`, the earliest few of each; where the walk ended early, its last."""
    return await db.all(
        """
        WITH RECURSIVE walk AS (
          (SELECT lane, 1 AS nth FROM profiles WHERE lane > %(after)s AND wake_at IS NOT NULL ORDER BY lane LIMIT 1)
          UNION ALL
          SELECT (SELECT p.lane FROM profiles p WHERE p.lane > walk.lane AND p.wake_at IS NOT NULL
                  ORDER BY p.lane LIMIT 1), nth + 1
          FROM walk WHERE walk.lane IS NOT NULL AND nth < %(lanes)s
        )
        SELECT walk.lane, due.workspace_id, due.user_id AS id, w.service_class, walk.nth
        FROM walk LEFT JOIN LATERAL (
          SELECT p.workspace_id, p.user_id FROM profiles p
          WHERE p.lane = walk.lane AND p.wake_at <= now() ORDER BY p.wake_at LIMIT %(per_lane)s
        ) AS due ON true LEFT JOIN workspaces w ON w.workspace_id = walk.lane
        WHERE walk.lane IS NOT NULL AND (due.user_id IS NOT NULL OR walk.nth = %(lanes)s)
        """,
        {"after": after, "lanes": lanes, "per_lane": per_lane},
    )


async def members_page(db: Db, workspace_id: UUID, segment_id: UUID, after: str, limit: int) -> list[Row]:
    return await db.all(
        """
        SELECT user_id, entered_at FROM memberships
        WHERE workspace_id = %(workspace_id)s AND segment_id = %(segment_id)s AND user_id > %(after)s
        ORDER BY user_id LIMIT %(limit)s
        """,
        {"workspace_id": workspace_id, "segment_id": segment_id, "after": after, "limit": limit},
    )


async def empty(db: Db, workspace_id: UUID) -> bool:
    """Whether the workspace has never had a user nor an event on its way."""
    row = await db.one(
        """
        SELECT NOT EXISTS (SELECT FROM profiles WHERE workspace_id = %(workspace_id)s)
           AND NOT EXISTS (SELECT FROM inbox WHERE workspace_id = %(workspace_id)s)
           AND NOT EXISTS (SELECT FROM archive_queue WHERE workspace_id = %(workspace_id)s) AS empty
        """,
        {"workspace_id": workspace_id},
    )
    return bool(row and row["empty"])


_FILTER: LiteralString = """
    p.workspace_id = ANY (%(workspace_ids)s)
    AND (%(user_ids)s::text[] IS NULL OR p.user_id = ANY (%(user_ids)s))
    AND p.segments @> %(inside)s::uuid[] AND NOT p.segments && %(outside)s::uuid[]
    AND NOT EXISTS (
      SELECT FROM unnest(%(property_ids)s::text[], %(property_values)s::text[]) AS wanted (id, options)
      WHERE NOT COALESCE(p.properties ->> wanted.id = ANY (options::text[]), false))
"""


async def users_after(db: Db, users: UserFilter, after: str, limit: int) -> list[Row]:
    """The next users by id."""
    return await db.all(
        "SELECT p.workspace_id, p.user_id, p.properties, p.segments FROM profiles p WHERE "
        + _FILTER
        + "AND p.user_id > %(after)s ORDER BY p.user_id LIMIT %(limit)s",
        {**_filter(users), "after": after, "limit": limit},
    )


async def users_before(db: Db, users: UserFilter, before: str, limit: int) -> list[Row]:
    """The users before an id, nearest first."""
    return await db.all(
        "SELECT p.workspace_id, p.user_id, p.properties, p.segments FROM profiles p WHERE "
        + _FILTER
        + "AND p.user_id < %(before)s ORDER BY p.user_id DESC LIMIT %(limit)s",
        {**_filter(users), "before": before, "limit": limit},
    )


async def count_users(db: Db, users: UserFilter) -> int:
    row = await db.one("SELECT count(*) AS found FROM profiles p WHERE " + _FILTER, _filter(users))
    return row["found"] if row else 0


async def read_profiles(db: Db, workspace_ids: list[UUID], user_ids: list[str]) -> Answer:
    """Properties and segments of users, for whoever writes to them."""
    return await db.send(
        """
        SELECT p.workspace_id, p.user_id, p.properties, p.segments FROM profiles p
        JOIN unnest(%(workspaces)s::uuid[], %(users)s::text[]) AS wanted (workspace_id, user_id)
          ON p.workspace_id = wanted.workspace_id AND p.user_id = wanted.user_id
        """,
        {"workspaces": workspace_ids, "users": user_ids},
    )


async def delete_users(db: Db, workspace_id: UUID, user_ids: list[str]) -> None:
    bound = {"workspace_id": workspace_id, "users": user_ids}
    await db.run("DELETE FROM memberships WHERE workspace_id = %(workspace_id)s AND user_id = ANY (%(users)s)", bound)
    await db.run("DELETE FROM profiles WHERE workspace_id = %(workspace_id)s AND user_id = ANY (%(users)s)", bound)


def _bound(rows: ProfileColumns) -> dict[str, object]:
    return {
        "workspaces": rows.workspaces,
        "users": rows.users,
        "states": rows.states,
        "properties": rows.properties,
        "segments": rows.segments,
        "wakes": rows.wakes,
        "lanes": rows.lanes,
    }


def _filter(users: UserFilter) -> dict[str, object]:
    return {
        "workspace_ids": users.workspace_ids,
        "user_ids": users.user_ids,
        "inside": users.inside,
        "outside": users.outside,
        "property_ids": list(users.properties),
        "property_values": [_array_text(values) for values in users.properties.values()],
    }


def _array_text(values: list[str]) -> str:
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"


async def waiting(db: Db, workspace_id: UUID) -> bool:
    """Whether a profile of the workspace is due now."""
    row = await db.one(
        """
        SELECT EXISTS (
          SELECT FROM profiles WHERE workspace_id = %(workspace_id)s AND wake_at <= now() AND lane IS NOT NULL
        ) AS waiting
        """,
        {"workspace_id": workspace_id},
    )
    return bool(row and row["waiting"])


async def next_wake(db: Db, workspace_id: UUID) -> datetime | None:
    """When the next profile of a test clock's workspace is due, in the clock's time."""
    row = await db.one(
        "SELECT min(wake_at) AS due FROM profiles WHERE workspace_id = %(workspace_id)s AND lane IS NULL",
        {"workspace_id": workspace_id},
    )
    return row["due"] if row else None


async def release_wakes(db: Db, workspace_id: UUID, lane: UUID, moment: datetime) -> None:
    """Hand the profiles due by a test clock's time to the workers."""
    await db.run(
        """
        UPDATE profiles SET lane = %(lane)s, wake_at = 'epoch'
        WHERE workspace_id = %(workspace_id)s AND lane IS NULL AND wake_at <= %(moment)s
        """,
        {"workspace_id": workspace_id, "lane": lane, "moment": moment},
    )
    await db.run("NOTIFY tenfold_work, 'wake'")
