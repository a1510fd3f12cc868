"""Claiming messages: marked as being sent, worked out, and reserved in the month's quota, all in one transaction."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from tenfold.engagement.audience import profile_store
from tenfold.engagement.audience import store as audience_store
from tenfold.engagement.channels import service as channels
from tenfold.engagement.deliveries import settle, store
from tenfold.engagement.deliveries.model import unpack
from tenfold.engagement.deliveries.prepare import Inputs, Prepared, Refused, prepare
from tenfold.engagement.deliveries.settle import Settled
from tenfold.engagement.events.model import Internal
from tenfold.engagement.subscriptions import store as subscriptions_store
from tenfold.engagement.templates import store as templates_store
from tenfold.kit.breaks import Breaks
from tenfold.kit.clock import now
from tenfold.kit.logs import get
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.quotas import store as quotas
from tenfold.tenancy.scope import BatchScope, Stores, Workspace
from tenfold.tenancy.workspaces import workspaces_of

_AT_A_TIME = 8
_INACTIVE_PAUSE = timedelta(seconds=30)
_log = get("sender")


@dataclass(slots=True)
class Claimed:
    """A claim, worked out: what to send, and what is settled already."""

    scope: BatchScope
    workspaces: dict[UUID, Workspace]
    ready: list[tuple[Row, Prepared]] = field(default_factory=list[tuple[Row, Prepared]])
    settled: list[Settled] = field(default_factory=list[Settled])


async def claim(stores: Stores, rows: list[Row], worker: UUID) -> Claimed:
    """Claim these messages; those over their workspace's quota are held instead."""
    scope = scope_of(stores, rows)
    async with door.workspace(scope) as db:
        ids = [row["workspace_id"] for row in rows], [row["id"] for row in rows]
        claiming = await store.claim(db, *ids, worker)
        claimed = Claimed(scope, await workspaces_of(db, scope.claimed))
        breaks = Breaks(_AT_A_TIME)
        for row, inputs in await _inputs(scope, db, await claiming.rows()):
            await breaks.after()
            prepared = _prepared(inputs)
            if not claimed.workspaces[row["workspace_id"]].active:
                claimed.settled.append(Settled.later(row, now() + _INACTIVE_PAUSE))
            elif isinstance(prepared, Refused):
                claimed.settled.append(Settled.refused(row, prepared))
            else:
                claimed.ready.append((row, prepared))
        claimed.ready = await _reserve(db, claimed.ready)
    return claimed


def scope_of(stores: Stores, rows: list[Row]) -> BatchScope:
    return BatchScope(stores, frozenset(row["workspace_id"] for row in rows))


async def _reserve(db: Db, ready: list[tuple[Row, Prepared]]) -> list[tuple[Row, Prepared]]:
    """Those that the month's quota has room for, the oldest first; the others are held."""
    if not ready:
        return []
    wanted = Counter[UUID](row["workspace_id"] for row, _ in ready)
    granted = {row["workspace_id"]: row for row in await quotas.reserve_messages(db, [*wanted], [*wanted.values()])}
    going: list[tuple[Row, Prepared]] = []
    held: list[Row] = []
    for row, prepared in sorted(ready, key=lambda item: (item[0]["due_at"], item[0]["id"])):
        grant = granted[row["workspace_id"]]
        if grant["granted"] > 0:
            grant["granted"] -= 1
            row["quota_month"] = grant["month"]
            going.append((row, prepared))
        else:
            held.append(row)
    if going:
        await store.note_month(db, [row for row, _ in going])
    if held:
        await store.hold(db, [row["workspace_id"] for row in held], [row["id"] for row in held])
    return going


def _prepared(inputs: Inputs) -> Prepared | Refused:
    """A template's fault stays with its message, whatever it is: its neighbours in the batch are others' messages."""
    try:
        return prepare(inputs)
    except Exception as error:  # noqa: BLE001 - the template's border
        _log.error("a message cannot be prepared", workspace=str(inputs.workspace_id), exc_info=error)
        variant = {"type": "MessageTemplateMisconfigured", "message": type(error).__name__}
        return Refused(Internal.BAD_CONFIGURATION, variant)


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
