"""Journeys as the wire writes them, and a run on its way through one."""

from typing import Annotated, Any, Literal

import msgspec

from tenfold.engagement.events.model import Folded
from tenfold.kit.errors import Invalid

EXIT = "ExitNode"
Seconds = Annotated[float, msgspec.Meta(ge=0, le=10_000_000_000)]  # three centuries: what dates can carry


class SegmentEntry(msgspec.Struct, tag="EntryNode", rename="camel"):
    segment: str
    child: str
    re_enter: bool = False
    id: str = "EntryNode"


class EventEntry(msgspec.Struct, tag="EventEntryNode"):
    event: str
    child: str
    key: str | None = None
    id: str = "EventEntryNode"


class ExitNode(msgspec.Struct, tag="ExitNode"):
    pass


class SecondDelay(msgspec.Struct, tag="Second"):
    seconds: Seconds


class LocalTimeDelay(msgspec.Struct, tag="LocalTime", rename="camel"):
    hour: Annotated[int, msgspec.Meta(ge=0, le=23)]
    minute: Annotated[int, msgspec.Meta(ge=0, le=59)] = 0
    allowed_days_of_week: list[int] | None = None
    default_timezone: str | None = None


class UserPropertyDelay(msgspec.Struct, tag="UserProperty", rename="camel"):
    user_property: str
    offset_seconds: Seconds = 0
    offset_direction: Literal["after", "before"] = "after"


class DelayNode(msgspec.Struct, tag="DelayNode"):
    id: str
    variant: SecondDelay | LocalTimeDelay | UserPropertyDelay
    child: str


class WaitForChild(msgspec.Struct, rename="camel"):
    id: str
    segment_id: str


class WaitForNode(msgspec.Struct, tag="WaitForNode", rename="camel"):
    id: str
    timeout_seconds: Seconds
    timeout_child: str
    segment_children: list[WaitForChild]


class SplitVariant(msgspec.Struct, rename="camel"):
    segment: str
    true_child: str
    false_child: str


class SegmentSplitNode(msgspec.Struct, tag="SegmentSplitNode"):
    id: str
    variant: SplitVariant


class CohortChild(msgspec.Struct):
    id: str
    percent: float


class RandomCohortNode(msgspec.Struct, tag="RandomCohortNode"):
    id: str
    children: list[CohortChild]


class RateLimitNode(msgspec.Struct, tag="RateLimitNode"):
    id: str


class MessageNode(msgspec.Struct, tag="MessageNode", rename="camel"):
    id: str
    variant: dict[str, Any]
    child: str
    name: str | None = None
    subscription_group_id: str | None = None
    skip_on_failure: bool = False
    retry_count: int | None = None


Node = DelayNode | WaitForNode | SegmentSplitNode | RandomCohortNode | RateLimitNode | MessageNode
Entry = SegmentEntry | EventEntry


class Definition(msgspec.Struct, rename="camel"):
    entry_node: Entry
    exit_node: ExitNode
    nodes: list[Node]

    def node(self, node_id: str) -> Node | None:
        return next((node for node in self.nodes if node.id == node_id), None)


class Run(msgspec.Struct, array_like=True):
    """Where a user stands in a journey.

    `until` is the end of a delay or wait at the current node, `message_id` the message that it waits for,
    `sent` what became of it. Times are epoch milliseconds. `events` are those that belong to this run.
    """

    node_id: str
    started_at: int
    until: int | None = None
    message_id: str | None = None
    sent: bool | None = None
    events: list[Folded] = []
    hidden: bool = False


def pack(run: Run) -> bytes:
    return msgspec.msgpack.encode(run)


def unpack(data: bytes) -> Run:
    return msgspec.msgpack.decode(data, type=Run)


def parse(document: Any) -> Definition:
    """A definition from its JSON.

    Raises Invalid, naming the place.
    """
    try:
        return msgspec.convert(document, Definition, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"definition: {error}", type="BadValues") from error
