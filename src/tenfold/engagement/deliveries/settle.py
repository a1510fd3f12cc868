"""Settling messages: the outcome, the event that tells of it, and word to the run that waits."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tenfold.engagement.channels.model import Outcome, Verdict
from tenfold.engagement.deliveries import store
from tenfold.engagement.deliveries.model import OUTCOME_TOPIC, Intent, MessageOutcome, unpack
from tenfold.engagement.deliveries.prepare import Prepared, Refused
from tenfold.engagement.events import service as events
from tenfold.engagement.events.model import Event, EventType, Internal
from tenfold.jobs import queue
from tenfold.kit.clock import now
from tenfold.storage.db import Db, Row
from tenfold.tenancy.metering import store as usage
from tenfold.tenancy.quotas import store as quotas
from tenfold.tenancy.scope import Workspace

_LONGEST_PAUSE = 3600


@dataclass(frozen=True, slots=True)
class Settled:
    """A message with its outcome; `again` is when to try once more, None when it is done."""

    row: Row
    event: Internal
    variant: dict[str, Any] = field(default_factory=dict[str, Any])
    recipient: str | None = None
    sender: str | None = None
    again: datetime | None = None

    @staticmethod
    def after(row: Row, prepared: Prepared, outcome: Outcome) -> "Settled":
        """What an attempt means for the message."""
        retries = unpack(row["intent"]).retries
        if outcome.verdict is Verdict.RETRY and row["attempts"] <= retries:
            pause = min(_LONGEST_PAUSE, 2 ** (row["attempts"] - 1))
            return Settled(row, Internal.MESSAGE_FAILURE, again=now() + timedelta(seconds=pause))
        if outcome.verdict in (Verdict.SENT, Verdict.DOUBTFUL):
            doubt = {"doubtful": True} if outcome.verdict is Verdict.DOUBTFUL else {}
            variant = {**prepared.variant, **_provider(prepared, outcome), **doubt}
            return Settled(row, Internal.MESSAGE_SENT, variant, prepared.recipient, prepared.sender)
        detail = {"type": prepared.variant["type"], **_provider(prepared, outcome)}
        return Settled(row, Internal.MESSAGE_FAILURE, detail, prepared.recipient, prepared.sender)

    @staticmethod
    def refused(row: Row, refusal: Refused) -> "Settled":
        return Settled(row, refusal.event, refusal.variant)

    @staticmethod
    def later(row: Row, due: datetime) -> "Settled":
        return Settled(row, Internal.MESSAGE_FAILURE, again=due)

    @staticmethod
    def doubtful(row: Row) -> "Settled":
        """A message that may have left when its sender died."""
        return Settled(row, Internal.MESSAGE_SENT, {"type": row["channel"], "doubtful": True})


async def write(db: Db, workspaces: dict[UUID, Workspace], settled: list[Settled]) -> list[UUID]:
    """Write outcomes in one transaction; the owners of those sent, one for each.

    A message settled already by someone else is left alone.
    """
    again = [item for item in settled if item.again is not None]
    if again:
        owners, ids = [item.row["workspace_id"] for item in again], [item.row["id"] for item in again]
        put_back = await store.put_back(db, owners, ids, [item.again or now() for item in again])
        await _give_back(db, again, put_back)
    done = [item for item in settled if item.again is None]
    if not done:
        return []
    written = await store.finish(db, [_columns(item, workspaces) for item in done])
    held = {(row["workspace_id"], row["id"]) for row in written}
    mine = [item for item in done if (item.row["workspace_id"], item.row["id"]) in held]
    await _give_back(db, [item for item in mine if item.event is not Internal.MESSAGE_SENT], written)
    owners: list[UUID] = [item.row["workspace_id"] for item in mine if item.event is Internal.MESSAGE_SENT]
    if owners:
        await usage.note_messages(db, owners)
    told: dict[UUID, list[Event]] = defaultdict(list)
    outcomes: dict[UUID, list[MessageOutcome]] = defaultdict(list)
    for item in mine:
        told[item.row["workspace_id"]].append(_event(item))
        if item.row["run_id"] is not None:
            sent = item.event is Internal.MESSAGE_SENT
            outcomes[item.row["workspace_id"]].append(MessageOutcome(item.row["run_id"], item.row["id"], sent))
    lanes = {identity: workspace.root_id for identity, workspace in workspaces.items()}
    await events.record(db, lanes, told)
    jobs = [(owner, lanes[owner], msgspec.msgpack.encode(found)) for owner, found in outcomes.items()]
    await queue.enqueue_many(db, OUTCOME_TOPIC, jobs)
    return owners


async def _give_back(db: Db, unsent: list[Settled], written: list[Row]) -> None:
    """What was reserved in the month's quota for messages that were not sent."""
    held = {(row["workspace_id"], row["id"]) for row in written}
    rows = [item.row for item in unsent if (item.row["workspace_id"], item.row["id"]) in held]
    reserved = [row for row in rows if row["quota_month"] is not None]
    if reserved:
        await quotas.return_messages(
            db, [row["workspace_id"] for row in reserved], [row["quota_month"] for row in reserved]
        )


def tags(row: Row) -> dict[str, str]:
    """What a message carries to providers and back."""
    named = {
        "workspaceId": row["workspace_id"],
        "templateId": row["template_id"],
        "journeyId": row["journey_id"],
        "runId": row["run_id"],
        "nodeId": row["node_id"],
        "broadcastId": row["broadcast_id"],
        "messageId": row["id"],
        "userId": row["user_id"],
        "channel": row["channel"],
    }
    return {name: str(value) for name, value in named.items() if value is not None}


def _columns(item: Settled, workspaces: dict[UUID, Workspace]) -> dict[str, Any]:
    row = item.row
    intent = unpack(row["intent"])
    moment = workspaces[row["workspace_id"]].test_now or now()
    return {
        "workspace_id": row["workspace_id"],
        "id": row["id"],
        "status": str(item.event),
        "variant": {**item.variant, **({"hidden": True} if intent.hidden else {}), **_trigger(intent)},
        "recipient": item.recipient,
        "sender": item.sender,
        "sent_at": moment if item.event is Internal.MESSAGE_SENT else None,
        "status_at": moment,
    }


def _event(item: Settled) -> Event:
    intent = unpack(item.row["intent"])
    named = {name: value for name, value in tags(item.row).items() if name not in ("workspaceId", "userId", "channel")}
    properties = {**named, **_trigger(intent), "variant": item.variant}
    context = {"hidden": True} if intent.hidden else {}
    name = str(item.event)
    return Event(EventType.TRACK.value, str(item.row["id"]), item.row["user_id"], "", name, None, properties, context)


def _trigger(intent: Intent) -> dict[str, str]:
    return {"triggeringMessageId": intent.triggering_message_id} if intent.triggering_message_id else {}


def _provider(prepared: Prepared, outcome: Outcome) -> dict[str, Any]:
    if prepared.provider is None:
        return dict(outcome.detail)
    return {"provider": {"type": prepared.provider.kind, **outcome.detail}}
