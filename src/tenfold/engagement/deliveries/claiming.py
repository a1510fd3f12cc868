"""Claiming messages: reserved in the month's quota, marked as being sent and worked out, all in one transaction."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from tenfold.engagement.audience import profile_store
from tenfold.engagement.audience import store as audience_store
from tenfold.engagement.channels import service as channels
from tenfold.engagement.channels.service import EmailProvider
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

    workspaces: dict[UUID, Workspace]
    ready: list[tuple[Row, Prepared]] = field(default_factory=list[tuple[Row, Prepared]])
    settled: list[Settled] = field(default_factory=list[Settled])

    def add(self, row: Row, prepared: Prepared | Refused) -> None:
        if not self.workspaces[row["workspace_id"]].active:
            self.settled.append(Settled.later(row, now() + _INACTIVE_PAUSE))
        elif isinstance(prepared, Refused):
            self.settled.append(Settled.refused(row, prepared))
        else:
            self.ready.append((row, prepared))


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the workspaces of a claim."""

    workspaces: dict[UUID, Workspace]
    providers: dict[UUID, list[EmailProvider]]
    groups: dict[tuple[UUID, str], Row]
    names: dict[tuple[UUID, str], str]

    def inputs(self, row: Row, template: Mapping[str, Any] | None, profile: Row | None) -> Inputs:
        owner, intent = row["workspace_id"], unpack(row["intent"])
        properties: dict[str, Any] = profile["properties"] if profile else {}
        stored = {name: value for key, value in properties.items() if (name := self.names.get((owner, key)))}
        return Inputs(
            owner,
            row["id"],
            row["user_id"],
            row["template_id"],
            intent,
            template,
            {**stored, "id": row["user_id"], **intent.overrides},
            profile["segments"] if profile else (),
            self.groups.get((owner, intent.subscription_group_id or "")),
            self.providers[owner],
            tags=settle.tags(row),
        )


async def claim(stores: Stores, rows: list[Row], worker: UUID) -> Claimed:
    """Claim these messages; those over their workspace's quota are held instead."""
    scope = scope_of(stores, rows)
    async with door.workspace(scope) as db:
        reserved = await _reserve(db, rows)
        claiming = await store.claim(db, *_ids(reserved), [row["month"] for row in reserved], worker)
        known = await _known(scope, db)
        taken = await claiming.rows()
        await _give_back(db, reserved, taken)
        claimed, breaks = Claimed(known.workspaces), Breaks(_AT_A_TIME)
        for row, inputs in await _inputs(db, taken, known):
            await breaks.after()
            claimed.add(row, _prepared(inputs))
    return claimed


def scope_of(stores: Stores, rows: list[Row]) -> BatchScope:
    return BatchScope(stores, frozenset(row["workspace_id"] for row in rows))


async def _known(scope: BatchScope, db: Db) -> _Known:
    """Asked for in one go, with what was sent before."""
    owners = list(scope.claimed)
    groups = await subscriptions_store.list_all(db, owners)
    named = await audience_store.property_names(db, owners)
    providers = await channels.ask(scope, db)
    return _Known(
        await workspaces_of(db, owners),
        await channels.opened(scope, providers),
        {(row["workspace_id"], str(row["id"])): row for row in await groups.rows()},
        {(row["workspace_id"], str(row["id"])): row["name"] for row in await named.rows()},
    )


async def _reserve(db: Db, rows: list[Row]) -> list[Row]:
    """Those that the month's quota has room for, each with its `month`; the others are held."""
    wanted = Counter[UUID](row["workspace_id"] for row in rows)
    granted = {row["workspace_id"]: row for row in await quotas.reserve_messages(db, [*wanted], [*wanted.values()])}
    going: list[Row] = []
    held: list[Row] = []
    for row in rows:
        grant = granted[row["workspace_id"]]
        grant["granted"] -= 1
        (going if grant["granted"] >= 0 else held).append({**row, "month": grant["month"]})
    if held:
        await store.hold(db, *_ids(held))
    return going


async def _give_back(db: Db, reserved: list[Row], taken: list[Row]) -> None:
    """What was reserved for messages that somebody else took."""
    mine = {(row["workspace_id"], row["id"]) for row in taken}
    lost = [row for row in reserved if (row["workspace_id"], row["id"]) not in mine]
    if lost:
        await quotas.return_messages(db, [row["workspace_id"] for row in lost], [row["month"] for row in lost])


def _ids(rows: list[Row]) -> tuple[list[UUID], list[UUID]]:
    return [row["workspace_id"] for row in rows], [row["id"] for row in rows]


def _prepared(inputs: Inputs) -> Prepared | Refused:
    """A template's fault stays with its message, whatever it is: its neighbours in the batch are others' messages."""
    try:
        return prepare(inputs)
    except Exception as error:  # noqa: BLE001 - the template's border
        _log.error("a message cannot be prepared", workspace=str(inputs.workspace_id), exc_info=error)
        variant = {"type": "MessageTemplateMisconfigured", "message": type(error).__name__}
        return Refused(Internal.BAD_CONFIGURATION, variant)


async def _inputs(db: Db, rows: list[Row], known: _Known) -> list[tuple[Row, Inputs]]:
    """What decides on each message, read for all of them at once."""
    owners = [row["workspace_id"] for row in rows]
    asked = await profile_store.read_profiles(db, owners, [row["user_id"] for row in rows])
    found = await templates_store.definitions(db, owners, [row["template_id"] for row in rows])
    profiles = {(profile["workspace_id"], profile["user_id"]): profile for profile in await asked.rows()}
    templates = {(row["workspace_id"], row["id"]): row["definition"] for row in await found.rows()}
    breaks, result = Breaks(_AT_A_TIME), list[tuple[Row, Inputs]]()
    for row in rows:
        await breaks.after()
        owner = row["workspace_id"]
        template = templates.get((owner, row["template_id"]))
        result.append((row, known.inputs(row, template, profiles.get((owner, row["user_id"])))))
    return result
