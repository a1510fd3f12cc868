"""The sender: claim intents fairly, write that they are being sent, send, write what became of them.

The claim is committed before the provider is called. A message found claimed by a process that is gone may have
left: it is settled as doubtful and shown, never sent again.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import httpx

from tenfold.engagement.audience import profile_store
from tenfold.engagement.audience import store as audience_store
from tenfold.engagement.channels import service as channels
from tenfold.engagement.channels import webhook
from tenfold.engagement.channels.model import Email, Outcome, Verdict
from tenfold.engagement.channels.smtp import SmtpConnections, SmtpServer
from tenfold.engagement.deliveries import settle, store
from tenfold.engagement.deliveries.model import unpack
from tenfold.engagement.deliveries.prepare import Inputs, Prepared, Refused, prepare
from tenfold.engagement.deliveries.settle import Settled
from tenfold.engagement.events.model import Internal
from tenfold.engagement.subscriptions import store as subscriptions_store
from tenfold.engagement.templates import store as templates_store
from tenfold.kit.clock import now
from tenfold.kit.errors import Unavailable
from tenfold.kit.ids import new_id
from tenfold.kit.logs import get
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores, Workspace
from tenfold.tenancy.workspaces import workspaces_of

_LANES, _PER_LANE, _BATCH = 32, 8, 32
_LEASE_SECONDS = 120.0
_INACTIVE_PAUSE = timedelta(seconds=30)
_log = get("sender")
_RECORD_TRIES, _RECORD_PAUSE = 60, 1.0


@dataclass(slots=True)
class _Claimed:
    """A claim, worked out: what to send, and what is settled already."""

    scope: BatchScope
    workspaces: dict[UUID, Workspace]
    ready: list[tuple[Row, Prepared]] = field(default_factory=list[tuple[Row, Prepared]])
    settled: list[Settled] = field(default_factory=list[Settled])


class Sender:
    """One sending worker of one event loop."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._identity = new_id()
        self._smtp = SmtpConnections()
        self._http = httpx.AsyncClient(follow_redirects=False)

    async def send_once(self) -> int:
        """Send the next few messages; how many were due."""
        async with door.queues(self._stores) as db:
            rows = (await store.peek(db, lanes=_LANES, per_lane=_PER_LANE))[:_BATCH]
        if not rows:
            return 0
        claimed = await self._claim(rows)
        outcomes = await asyncio.gather(*(self._guarded(prepared) for _, prepared in claimed.ready))
        for (row, prepared), outcome in zip(claimed.ready, outcomes, strict=True):
            claimed.settled.append(Settled.after(row, prepared, outcome))
        await self._record(claimed)
        return len(rows)

    async def settle_abandoned(self, older_than: float = _LEASE_SECONDS) -> int:
        """Settle what a dead worker was sending as doubtful; how many there were."""
        async with door.queues(self._stores) as db:
            rows = await store.peek_abandoned(db, older_than=older_than, not_by=self._identity)
        if not rows:
            return 0
        scope = _scope(self._stores, rows)
        async with door.workspace(scope) as db:
            found = await store.read(db, [row["workspace_id"] for row in rows], [row["id"] for row in rows])
            workspaces = await _workspaces(db, scope)
            await settle.write(db, workspaces, [Settled.doubtful(row) for row in found])
        return len(found)

    async def close(self) -> None:
        await self._smtp.close()
        await self._http.aclose()

    async def _claim(self, rows: list[Row]) -> _Claimed:
        scope = _scope(self._stores, rows)
        async with door.workspace(scope) as db:
            ids = [row["workspace_id"] for row in rows], [row["id"] for row in rows]
            claiming = await store.claim(db, *ids, self._identity)
            claimed = _Claimed(scope, await _workspaces(db, scope))
            taken = await claiming.rows()
            for row, inputs in await _inputs(scope, db, taken):
                prepared = _prepared(inputs)
                if not claimed.workspaces[row["workspace_id"]].active:
                    claimed.settled.append(Settled.later(row, now() + _INACTIVE_PAUSE))
                elif isinstance(prepared, Refused):
                    claimed.settled.append(Settled.refused(row, prepared))
                else:
                    claimed.ready.append((row, prepared))
        return claimed

    async def _guarded(self, prepared: Prepared) -> Outcome:
        """A fault of one message stays with it; since it may have left, it is not tried again."""
        try:
            return await self._transmit(prepared)
        except Exception as error:  # noqa: BLE001 - the channel's border
            _log.error("a provider failed", exc_info=error)
            return Outcome(Verdict.DOUBTFUL, {"message": type(error).__name__})

    async def _transmit(self, prepared: Prepared) -> Outcome:
        if not isinstance(prepared.content, Email):
            return await webhook.send(self._http, prepared.content)
        if prepared.provider is None or prepared.provider.kind == "Test":
            return Outcome(Verdict.SENT)
        server = SmtpServer.of(prepared.provider.config)
        if server is None:
            return Outcome(Verdict.FAILED, {"message": "the SMTP provider lacks a host or has a bad port"})
        return await self._smtp.send(server, prepared.content)

    async def _record(self, claimed: _Claimed) -> None:
        """Write the outcomes; with the database away keep trying, for what has left must be known."""
        for attempt in range(_RECORD_TRIES):
            try:
                async with door.workspace(claimed.scope) as db:
                    await settle.write(db, claimed.workspaces, claimed.settled)
            except Unavailable:
                if attempt == _RECORD_TRIES - 1:
                    raise
                await asyncio.sleep(_RECORD_PAUSE)
            else:
                return


def _scope(stores: Stores, rows: list[Row]) -> BatchScope:
    return BatchScope(stores, frozenset(row["workspace_id"] for row in rows))


def _prepared(inputs: Inputs) -> Prepared | Refused:
    """A template's fault stays with its message, whatever it is: its neighbours in the batch are others' messages."""
    try:
        return prepare(inputs)
    except Exception as error:  # noqa: BLE001 - the template's border
        _log.error("a message cannot be prepared", workspace=str(inputs.workspace_id), exc_info=error)
        variant = {"type": "MessageTemplateMisconfigured", "message": type(error).__name__}
        return Refused(Internal.BAD_CONFIGURATION, variant)


async def _workspaces(db: Db, scope: BatchScope) -> dict[UUID, Workspace]:
    return await workspaces_of(db, list(scope.claimed))


async def _inputs(scope: BatchScope, db: Db, rows: list[Row]) -> list[tuple[Row, Inputs]]:
    """What decides on each message, read for all of them at once."""
    workspaces = list(scope.claimed)
    owners, users = [row["workspace_id"] for row in rows], [row["user_id"] for row in rows]
    profiles = {(p["workspace_id"], p["user_id"]): p for p in await profile_store.read_profiles(db, owners, users)}
    wanted = [row["template_id"] for row in rows]
    found = await templates_store.definitions(db, owners, wanted)
    templates = {(row["workspace_id"], row["id"]): row["definition"] for row in found}
    groups = {(g["workspace_id"], str(g["id"])): g for g in await subscriptions_store.list_all(db, workspaces)}
    providers = await channels.load(scope, db, workspaces)
    named = await audience_store.property_names(db, workspaces)
    names = {(row["workspace_id"], str(row["id"])): row["name"] for row in named}
    result: list[tuple[Row, Inputs]] = []
    for row in rows:
        owner, intent = row["workspace_id"], unpack(row["intent"])
        profile = profiles.get((owner, row["user_id"]))
        stored = {
            names[owner, key]: value
            for key, value in (profile or {"properties": {}})["properties"].items()
            if (owner, key) in names
        }
        inputs = Inputs(
            owner,
            row["id"],
            row["user_id"],
            row["template_id"],
            intent,
            templates.get((owner, row["template_id"])),
            {**stored, "id": row["user_id"], **intent.overrides},
            profile["segments"] if profile else (),
            groups.get((owner, intent.subscription_group_id or "")),
            providers[owner],
            tags=settle.tags(row),
        )
        result.append((row, inputs))
    return result
