"""An event as it is kept: what the client said, in a compact and stable form."""

import hashlib
from enum import StrEnum
from typing import Any

import msgspec


class EventType(StrEnum):
    IDENTIFY = "identify"
    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"


class Internal(StrEnum):
    """The names of the events that the platform itself records."""

    MESSAGE_SENT = "DFInternalMessageSent"
    MESSAGE_FAILURE = "DFMessageFailure"
    MESSAGE_SKIPPED = "DFMessageSkipped"
    BAD_CONFIGURATION = "DFBadWorkspaceConfiguration"
    NODE_PROCESSED = "DFJourneyNodeProcessed"
    EARLY_EXIT = "DFJourneyEarlyExit"
    SUBSCRIPTION_CHANGE = "DFSubscriptionChange"
    USER_GROUP = "DFUserGroupAssignment"
    GROUP_USER = "DFGroupUserAssignment"


class Event(msgspec.Struct, array_like=True):
    """One message of a client.

    `time` is the client's timestamp in epoch milliseconds, None when it sent none, 0 when it cannot be read.
    `part` tells apart the events that one message of a client becomes.
    """

    type: str
    message_id: str
    user_id: str
    anonymous_id: str
    event: str
    time: int | None
    properties: dict[str, Any]
    context: dict[str, Any]
    part: int = 0

    @property
    def user(self) -> str:
        """The one identity of the event: the user id, else the anonymous id."""
        return self.user_id or self.anonymous_id

    @property
    def hidden(self) -> bool:
        return self.context.get("hidden") is True


class Folded(msgspec.Struct, array_like=True):
    """An event in its place: `ordinal` among all received, `at` processed (epoch milliseconds), `time` it happened."""

    ordinal: int
    at: int
    time: int
    event: Event


def identity(event: Event) -> bytes:
    """The key under which a message counts once: 16 bytes of the SHA-256 of its id and part."""
    text = f"{event.part}:{event.message_id}" if event.part else event.message_id
    return hashlib.sha256(text.encode()).digest()[:16]


_PACKER = msgspec.msgpack.Encoder()
_UNPACKER = msgspec.msgpack.Decoder(list[Event])


def pack(events: list[Event]) -> bytes:
    """Raises OverflowError for whole numbers beyond 64 bits; `decode.plain` makes floats of them."""
    return _PACKER.encode(events)


def size_of(event: Event) -> int:
    """The bytes that an event takes."""
    return len(_PACKER.encode(event))


def sizes_in(packed: bytes, count: int) -> int:
    """The bytes of all events of a packed list, without the list's own header (MessagePack: 1, 3 or 5 bytes)."""
    return len(packed) - (1 if count < 16 else 3 if count < 65_536 else 5)  # noqa: PLR2004


def unpack(data: bytes) -> list[Event]:
    return _UNPACKER.decode(data)


_FOLDED = msgspec.msgpack.Decoder(list[Folded])


def pack_folded(events: list[Folded]) -> bytes:
    return _PACKER.encode(events)


def unpack_folded(data: bytes) -> list[Folded]:
    return _FOLDED.decode(data)


def ordinal(seq: int, index: int) -> int:
    """The place of an event among all that were received: later means greater."""
    return (seq << 20) | index
