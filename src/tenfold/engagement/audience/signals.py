"""What the fold tells the slices above: segments entered and left, and events they asked for.

A signal is a job of topic `signal`, written in the fold's own transaction.
"""

import msgspec

from tenfold.engagement.events.model import Folded

TOPIC = "signal"


class SegmentChange(msgspec.Struct, array_like=True):
    """A user entered or left a watched segment. `at` is the processing time in epoch milliseconds."""

    user_id: str
    segment_id: str
    entered: bool
    at: int


class Signal(msgspec.Struct, array_like=True):
    """What one fold of one workspace has to tell."""

    changes: list[SegmentChange] = []
    events: list[Folded] = []


def pack(signal: Signal) -> bytes:
    return msgspec.msgpack.encode(signal)


def unpack(data: bytes) -> Signal:
    return msgspec.msgpack.decode(data, type=Signal)
