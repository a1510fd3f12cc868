"""A message from intent to outcome."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec


class Intent(msgspec.Struct, array_like=True):
    """Why and how a message is to be sent; written before anything leaves.

    `overrides` are property values from the events that brought the user here.
    """

    variant: dict[str, Any]
    subscription_group_id: str | None = None
    overrides: dict[str, Any] = {}
    triggering_message_id: str | None = None
    retries: int = 3
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class NewMessage:
    """An intent with its place: whose, for whom, from which journey node or broadcast."""

    workspace_id: UUID
    lane: UUID
    id: UUID
    user_id: str
    template_id: UUID
    intent: Intent
    journey_id: UUID | None = None
    run_id: UUID | None = None
    node_id: str | None = None
    broadcast_id: UUID | None = None


class MessageOutcome(msgspec.Struct, array_like=True):
    """What a run that waits for its message is told."""

    run_id: UUID
    message_id: UUID
    sent: bool


OUTCOME_TOPIC = "message-outcome"


def pack(intent: Intent) -> bytes:
    return msgspec.msgpack.encode(intent)


def unpack(data: bytes) -> Intent:
    return msgspec.msgpack.decode(data, type=Intent)
