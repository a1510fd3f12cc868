"""SQL of usage."""

from datetime import datetime
from uuid import UUID

from tenfold.storage.db import Db, Row
from tenfold.tenancy.meter import Tally


async def add(db: Db, tallies: dict[UUID, Tally]) -> None:
    """Add to the running minute, with what the quota counters say of the moment."""
    rows = sorted(tallies.items())
    await db.run(
        """
        INSERT INTO usage AS u (workspace_id, grain, at, requests, errors, statements, database_ms, cache_hits,
                                cache_misses, lag_ms, latencies, gauges)
        SELECT new.workspace_id, 'minute', date_trunc('minute', now()), requests, errors, statements, database_ms, hits,
          misses, lag, latencies::bigint[], COALESCE((
            SELECT jsonb_object_agg(q.resource, q.used) FROM quota_usage q
            WHERE q.workspace_id = new.workspace_id), '{}')
        FROM unnest(%(workspaces)s::uuid[], %(requests)s::bigint[], %(errors)s::bigint[], %(statements)s::float8[],
                    %(database_ms)s::float8[], %(hits)s::bigint[], %(misses)s::bigint[], %(lag)s::float8[],
                    %(latencies)s::text[])
          AS new (workspace_id, requests, errors, statements, database_ms, hits, misses, lag, latencies)
        WHERE EXISTS (SELECT FROM workspaces w WHERE w.workspace_id = new.workspace_id)
        ORDER BY new.workspace_id
        ON CONFLICT (workspace_id, grain, at) DO UPDATE SET requests = u.requests + excluded.requests,
          errors = u.errors + excluded.errors, statements = u.statements + excluded.statements,
          database_ms = u.database_ms + excluded.database_ms, cache_hits = u.cache_hits + excluded.cache_hits,
          cache_misses = u.cache_misses + excluded.cache_misses, lag_ms = GREATEST(u.lag_ms, excluded.lag_ms),
          latencies = tenancy.add_arrays(u.latencies, excluded.latencies), gauges = excluded.gauges
        """,
        {
            "workspaces": [workspace for workspace, _ in rows],
            "requests": [tally.requests for _, tally in rows],
            "errors": [tally.errors for _, tally in rows],
            "statements": [tally.statements for _, tally in rows],
            "database_ms": [tally.database_ms for _, tally in rows],
            "hits": [tally.cache_hits for _, tally in rows],
            "misses": [tally.cache_misses for _, tally in rows],
            "lag": [tally.lag_ms for _, tally in rows],
            "latencies": ["{" + ",".join(map(str, tally.latencies)) + "}" for _, tally in rows],
        },
    )


async def note_messages(db: Db, owners: list[UUID]) -> None:
    """Count messages that were sent, one for each owner named."""
    await db.run("SELECT tenancy.note_messages(%(owners)s::uuid[])", {"owners": owners})


async def read(db: Db, workspace_id: UUID, since: datetime, until: datetime) -> list[Row]:
    """The rows of a span of time, the oldest first."""
    return await db.all(
        """
        SELECT * FROM usage WHERE workspace_id = %(workspace_id)s AND at >= %(since)s AND at < %(until)s
        ORDER BY at, grain
        """,
        {"workspace_id": workspace_id, "since": since, "until": until},
    )


async def heaviest(db: Db, since: datetime, until: datetime, limit: int) -> list[Row]:
    """The workspaces that used most of the database's time, for the platform."""
    return await db.all(
        "SELECT * FROM tenancy.heaviest_workspaces(%(since)s, %(until)s, %(limit)s)",
        {"since": since, "until": until, "limit": limit},
    )


async def roll(db: Db) -> int:
    """Move minutes of before six hours into hours, hours of before 35 days into days, and forget after three years."""
    row = await db.one("SELECT tenancy.roll_usage() AS moved")
    return row["moved"] if row else 0
