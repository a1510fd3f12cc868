"""A workspace's usage by time, for whoever may read it, and that of all workspaces, for the platform."""

from datetime import datetime, timedelta
from typing import Any

from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.kit.clock import now, parse_loosely
from tenfold.kit.errors import Invalid
from tenfold.tenancy.metering import service

_USUAL_SPAN = timedelta(days=1)
_MOST = 10_000


async def metrics(call: Call) -> Reply:
    since, until = span(call.query)
    granularity = call.query.get("granularity", "hour")
    return Reply(200, {"metrics": await service.metrics(call.scope, since, until, granularity)})


async def heaviest(call: Call) -> Reply:
    since, until = span(call.query)
    limit = str(call.query.get("limit", 100))
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST:
        raise Invalid(f"limit must be between 1 and {_MOST}")
    found = await service.heaviest(call.stores, since, until, int(limit))
    return Reply(200, {"workspaces": found})


async def connections(call: Call) -> Reply:
    """Who holds connections of this process now, and who waits for one."""
    gate = call.stores.gate
    used = sorted(gate.use().items(), key=lambda item: item[1], reverse=True)
    lanes = [{"rootWorkspaceId": str(key), "inUse": held, "waiting": waiting} for key, (held, waiting) in used]
    return Reply(200, {"connections": gate.places, "waiting": gate.waiting, "lanes": lanes})


def span(query: dict[str, Any]) -> tuple[datetime, datetime]:
    """From startDate to before endDate: the last day if nothing else is said.

    Raises Invalid, naming the field.
    """
    found: dict[str, datetime] = {}
    for name in ("startDate", "endDate"):
        if name in query:
            parsed = parse_loosely(str(query[name]))
            if parsed is None:
                raise Invalid(f"{name} is not a date")
            found[name] = parsed
    until = found.get("endDate", now() + timedelta(seconds=1))
    return found.get("startDate", until - _USUAL_SPAN), until


ENDPOINTS = [
    Endpoint("GET", "/tenant-metrics", Door.WORKSPACE, metrics),
    Endpoint("GET", "/usage", Door.PLATFORM, heaviest),
    Endpoint("GET", "/connections", Door.PLATFORM, connections),
]
