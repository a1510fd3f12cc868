"""A workspace's alerts, and what it wants to be told of."""

from typing import Any

from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.kit.clock import iso
from tenfold.platform.alerts import store
from tenfold.platform.alerts.model import AlertSettings
from tenfold.storage.db import Row
from tenfold.tenancy import door


async def list_alerts(call: Call) -> Reply:
    async with door.workspace(call.scope) as db:
        rows = await store.list_all(db, call.scope.workspace_id)
    return Reply(200, {"alerts": [_shown(row) for row in rows]})


async def get_settings(call: Call) -> Reply:
    async with door.workspace(call.scope) as db:
        settings = await store.read_settings(db, call.scope.workspace_id)
    return Reply(200, AlertSettings.read(settings).shown())


async def put_settings(call: Call) -> Reply:
    """Set what is named; the rest stays."""
    named = {name: call.body[name] for name in AlertSettings().shown() if name in call.body}
    async with door.workspace(call.scope) as db:
        before = AlertSettings.read(await store.read_settings(db, call.scope.workspace_id)).shown()
        after = AlertSettings.read({**before, **named}).shown()
        await store.put_settings(db, call.scope.workspace_id, after)
    return Reply(200, after)


def _shown(row: Row) -> dict[str, Any]:
    ended = {"endedAt": iso(row["ended_at"])} if row["ended_at"] else {}
    named = {name: row[name] for name in ("rule", "subject", "level", "message")}
    return {**named, "since": iso(row["since"]), **ended}


ENDPOINTS = [
    Endpoint("GET", "/alerts", Door.WORKSPACE, list_alerts),
    Endpoint("GET", "/settings/alerts", Door.WORKSPACE, get_settings),
    Endpoint("PUT", "/settings/alerts", Door.WORKSPACE, put_settings),
]
