"""SQL of the archive. Every statement is bound to the scope's workspace."""

from dataclasses import asdict
from typing import Any, LiteralString

from tenfold.engagement.events.query import Query
from tenfold.tenancy import analytics
from tenfold.tenancy.scope import BatchScope, Scope

_MATCH: LiteralString = """
    workspace_id IN {workspaces:Array(UUID)}
    AND processing_time BETWEEN {start:DateTime64(3)} AND {end:DateTime64(3)}
    AND ({user_id:String} = '' OR user_id = {user_id:String})
    AND (empty({message_ids:Array(String)}) OR has({message_ids:Array(String)}, message_id))
    AND (empty({events:Array(String)}) OR has({events:Array(String)}, event))
    AND ({event_type:String} = '' OR type = {event_type:String})
    AND ({journey_id:String} = '' OR JSONExtractString(properties, 'journeyId') = {journey_id:String})
    AND ({broadcast_id:String} = '' OR JSONExtractString(properties, 'broadcastId') = {broadcast_id:String})
    AND ({term:String} = '' OR positionCaseInsensitive(event, {term:String}) > 0
      OR positionCaseInsensitive(user_id, {term:String}) > 0 OR message_id = {term:String})
"""


async def find(scope: Scope | BatchScope, query: Query) -> list[dict[str, Any]]:
    return await analytics.query(
        scope,
        "SELECT message_id, type, event, user_id, anonymous, anonymous_id, processing_time, event_time, properties,"
        f" context FROM events WHERE {_MATCH}"
        " ORDER BY processing_time DESC, ordinal DESC LIMIT {limit:UInt32} OFFSET {offset:UInt32}",
        asdict(query),
    )


async def count(scope: Scope | BatchScope, query: Query) -> int:
    rows = await analytics.query(scope, f"SELECT count() AS found FROM events WHERE {_MATCH}", asdict(query))
    return rows[0]["found"]


async def trait_names(scope: Scope | BatchScope) -> list[str]:
    rows = await analytics.query(
        scope,
        """
        SELECT DISTINCT arrayJoin(JSONExtractKeys(properties)) AS name FROM events
        WHERE workspace_id IN {workspaces:Array(UUID)} AND type = 'identify' ORDER BY name LIMIT 1000
        """,
        {},
    )
    return [row["name"] for row in rows]


async def property_names(scope: Scope | BatchScope) -> dict[str, list[str]]:
    rows = await analytics.query(
        scope,
        """
        SELECT event, groupUniqArrayArray(100)(JSONExtractKeys(properties)) AS names FROM events
        WHERE workspace_id IN {workspaces:Array(UUID)} AND type = 'track' AND NOT startsWith(event, 'DF')
        GROUP BY event ORDER BY event LIMIT 1000
        """,
        {},
    )
    return {row["event"]: sorted(row["names"]) for row in rows}


async def stream_users(
    scope: Scope,
    *,
    types: list[str],
    names: list[str],
    prefixes: list[str],
    until: int,
    after: str,
    limit: int,
) -> list[dict[str, Any]]:
    """The next users after `after` with events of these kinds up to the ordinal, each with those events in order."""
    return await analytics.query(
        scope,
        """
        SELECT user_id, groupArray((ordinal, toUnixTimestamp64Milli(event_time), type, event, anonymous_id, properties,
                                    message_id)) AS events
        FROM events
        WHERE workspace_id IN {workspaces:Array(UUID)} AND user_id > {after:String} AND ordinal <= {until:Int64}
          AND has({types:Array(String)}, type)
          AND (type != 'track' OR has({names:Array(String)}, event)
               OR arrayExists(prefix -> startsWith(event, prefix), {prefixes:Array(String)}))
        GROUP BY user_id ORDER BY user_id LIMIT {limit:UInt32}
        """,
        {
            "types": types,
            "names": names,
            "prefixes": prefixes,
            "until": until,
            "after": after,
            "limit": limit,
        },
    )


async def bytes_of_users(scope: Scope, user_ids: list[str]) -> int:
    """What the events of users take, as it was counted when they came."""
    rows = await analytics.query(
        scope,
        "SELECT sum(bytes) AS kept FROM events"
        " WHERE workspace_id IN {workspaces:Array(UUID)} AND has({users:Array(String)}, user_id)",
        {"users": user_ids},
    )
    return rows[0]["kept"]


async def delete_users(scope: Scope, user_ids: list[str]) -> None:
    await analytics.query(
        scope,
        "DELETE FROM events WHERE workspace_id IN {workspaces:Array(UUID)} AND has({users:Array(String)}, user_id)",
        {"users": user_ids},
    )
