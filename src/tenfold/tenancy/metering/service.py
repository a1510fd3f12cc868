"""Writing what was metered, and showing it."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any, Final
from uuid import UUID

from tenfold.kit import histogram
from tenfold.kit.clock import iso, now
from tenfold.kit.errors import Invalid, Unavailable
from tenfold.kit.logs import get
from tenfold.storage.db import Row
from tenfold.tenancy import door
from tenfold.tenancy.meter import Tally
from tenfold.tenancy.metering import store
from tenfold.tenancy.quotas import store as quotas_store
from tenfold.tenancy.quotas.model import month_of
from tenfold.tenancy.scope import BatchScope, Scope, Stores

GRANULARITIES: Final = ("minute", "hour", "day", "month")
_FLUSH_SECONDS = 10.0
_MOST_AT_ONCE = 500
_MOST_POINTS = 5_000
_log = get("metering")
_FLOWS = ("events", "messages", "requests", "errors", "statements", "database_ms", "cache_hits", "cache_misses")


async def run(stores: Stores) -> None:
    """Write what was metered every few seconds until cancelled."""
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        try:
            await flush(stores)
        except Unavailable as error:
            _log.warning("usage is written later", error=str(error))


async def flush(stores: Stores) -> None:
    """Write what was metered. What cannot be written is kept for the next time."""
    await _write(stores, stores.meter.drain())


async def _write(stores: Stores, drained: dict[UUID, Tally]) -> None:
    ids = sorted(drained)
    for start in range(0, len(ids), _MOST_AT_ONCE):
        part = ids[start : start + _MOST_AT_ONCE]
        try:
            async with door.workspace(BatchScope(stores, frozenset(part)), metered=False) as db:
                await store.add(db, {key: drained[key] for key in part})
            stores.exposition.add({key: drained[key] for key in part})
        except BaseException:
            stores.meter.put_back({key: drained[key] for key in ids[start:]})
            raise


async def roll(stores: Stores) -> int:
    """Make old rows coarser; always 0, so that the next time is an hour later."""
    async with door.directory(stores) as db:
        await store.roll(db)
    return 0


async def metrics(scope: Scope, since: datetime, until: datetime, granularity: str) -> list[dict[str, Any]]:
    """A workspace's usage by time, the oldest first; the running bucket says how things are now.

    Raises Invalid for more points than anybody can want.
    """
    if granularity not in GRANULARITIES:
        raise Invalid(f"granularity must be one of {', '.join(GRANULARITIES)}")
    if since > until:
        raise Invalid("startDate must not be after endDate")
    if granularity == "minute" and (until - since) / timedelta(minutes=1) > _MOST_POINTS:
        raise Invalid(f"a granularity of minute gives {_MOST_POINTS} points at most; ask for a shorter time")
    await _write(scope.stores, scope.stores.meter.take(scope.workspace_id))
    async with door.workspace(scope) as db:
        rows = await store.read(db, scope.workspace_id, since, until)
        held = {row["resource"]: row["used"] for row in await quotas_store.usage(db, scope.workspace_id)}
    shown = [_shown(scope.workspace_id, at, found) for at, found in by_time(rows, granularity).items()]
    present = floor(now(), granularity)
    if since <= now() < until:
        if not shown or shown[-1]["timestamp"] != iso(present):
            shown.append(_shown(scope.workspace_id, present, _total([])))
        shown[-1] |= _gauges(held, scope.workspace.test_now or now())
    return shown


async def heaviest(stores: Stores, since: datetime, until: datetime, limit: int) -> list[dict[str, Any]]:
    """Usage of each workspace in a span of time, the heaviest for the database first."""
    await flush(stores)
    async with door.platform(stores) as db:
        rows = await store.heaviest(db, since, until, limit)
    found: list[dict[str, Any]] = []
    for row in rows:
        named = {"name": row["name"], "status": row["status"]}
        if row["parent_id"]:
            named["parentWorkspaceId"] = str(row["parent_id"])
        found.append(_shown(row["workspace_id"], until, {**row, "gauges": row["gauges"] or {}}) | named)
    return found


def by_time(rows: Sequence[Row], granularity: str) -> dict[datetime, dict[str, Any]]:
    """Rows of any grain added up by the buckets asked for; a row coarser than these stays whole."""
    grouped: defaultdict[datetime, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[floor(row["at"], granularity)].append(row)
    return {at: _total(found) for at, found in grouped.items()}


def floor(moment: datetime, granularity: str) -> datetime:
    """The beginning of a moment's minute, hour, day or month, in UTC."""
    found = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if granularity != "minute":
        found = found.replace(minute=0)
    if granularity in ("day", "month"):
        found = found.replace(hour=0)
    return found.replace(day=1) if granularity == "month" else found


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {name: sum(row[name] for row in rows) for name in _FLOWS}
    total["lag_ms"] = max((row["lag_ms"] for row in rows), default=0)
    counts = [row["latencies"] for row in rows if row["latencies"]]
    total["latencies"] = [sum(column) for column in zip_longest(*counts, fillvalue=0)]
    told: list[dict[str, int]] = [row["gauges"] for row in rows if row["gauges"]]
    total["gauges"] = told[-1] if told else {}
    return total


def _shown(workspace_id: UUID, at: datetime, row: Mapping[str, Any]) -> dict[str, Any]:
    """TenantMetrics of the wire. A cache hit rate without a look is 0; percentiles without a request are null."""
    looks = row["cache_hits"] + row["cache_misses"]
    return {
        "workspaceId": str(workspace_id),
        "timestamp": iso(at),
        **_gauges(row["gauges"], at),
        "eventCount": row["events"],
        "messageCount": row["messages"],
        "databaseQueryCount": round(row["statements"]),
        "databaseTimeMs": round(row["database_ms"], 1),
        "cacheHitRate": round(row["cache_hits"] / looks, 4) if looks else 0,
        "apiRequestCount": row["requests"],
        "apiErrorCount": row["errors"],
        "apiLatencyP50Ms": histogram.percentile(row["latencies"], 0.5),
        "apiLatencyP99Ms": histogram.percentile(row["latencies"], 0.99),
        "computeLagMs": round(row["lag_ms"]),
    }


def _gauges(used: Mapping[str, int], at: datetime) -> dict[str, int]:
    return {
        "userCount": used.get("users", 0),
        "segmentCount": used.get("segments", 0),
        "journeyCount": used.get("journeys", 0),
        "templateCount": used.get("templates", 0),
        "storageUsedBytes": used.get("storage", 0),
        "messagesThisMonth": used.get(f"messages:{month_of(at)}", 0),
    }
