"""Definitions of user properties and segments, as the wire writes them."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from tenfold.kit.errors import Invalid

Seconds = Annotated[float, msgspec.Meta(ge=0, le=10_000_000_000)]  # three centuries: what dates can carry


class Equals(msgspec.Struct, tag="Equals"):
    value: str | int | float


class NotEquals(msgspec.Struct, tag="NotEquals"):
    value: str | int | float


class Exists(msgspec.Struct, tag="Exists"):
    pass


class NotExists(msgspec.Struct, tag="NotExists"):
    pass


class AtLeast(msgspec.Struct, tag="GreaterThanOrEqual"):
    value: float


class LessThan(msgspec.Struct, tag="LessThan"):
    value: float


class Within(msgspec.Struct, tag="Within", rename="camel"):
    window_seconds: Seconds


class HasBeen(msgspec.Struct, tag="HasBeen", rename="camel"):
    comparator: Literal["GTE", "LT"]
    value: str | int | float
    window_seconds: Seconds


class AbsoluteTimestamp(msgspec.Struct, tag="AbsoluteTimestamp", rename="camel"):
    absolute_timestamp: str
    direction: Literal["after", "before"]


Operator = Equals | NotEquals | Exists | NotExists | AtLeast | LessThan | Within | HasBeen | AbsoluteTimestamp


class PropertyCondition(msgspec.Struct):
    path: str
    operator: Operator


class TraitNode(msgspec.Struct, tag="Trait"):
    id: str
    path: str
    operator: Operator


class AndNode(msgspec.Struct, tag="And"):
    id: str
    children: list[str]


class OrNode(msgspec.Struct, tag="Or"):
    id: str
    children: list[str]


class PerformedNode(msgspec.Struct, tag="Performed", rename="camel"):
    id: str
    event: str
    times: float | None = None
    times_operator: Literal["=", ">=", "<"] = "="
    time_operator: Literal["Within", "AfterAbsolute", "BeforeAbsolute"] | None = None
    within_seconds: Seconds | None = None
    absolute_timestamp: str | None = None
    properties: list[PropertyCondition] = []


class LastPerformedNode(msgspec.Struct, tag="LastPerformed", rename="camel"):
    id: str
    event: str
    where_properties: list[PropertyCondition] = []
    has_properties: list[PropertyCondition] = []


class EmailNode(msgspec.Struct, tag="Email", rename="camel"):
    id: str
    template_id: str
    event: str
    times: float | None = None


class SubscriptionGroupNode(msgspec.Struct, tag="SubscriptionGroup", rename="camel"):
    id: str
    subscription_group_id: str
    subscription_group_type: Literal["OptIn", "OptOut"]


class UnsubscribedNode(msgspec.Struct, tag="SubscriptionGroupUnsubscribed", rename="camel"):
    id: str
    subscription_group_id: str


class RandomBucketNode(msgspec.Struct, tag="RandomBucket"):
    id: str
    percent: float


class IncludesNode(msgspec.Struct, tag="Includes"):
    id: str
    path: str
    item: str


class ManualNode(msgspec.Struct, tag="Manual"):
    id: str
    version: float


class EveryoneNode(msgspec.Struct, tag="Everyone"):
    id: str


class KeyedPerformedNode(msgspec.Struct, tag="KeyedPerformed", rename="camel"):
    id: str
    event: str
    key: str
    times: float | None = None
    times_operator: Literal["=", ">=", "<"] = ">="
    properties: list[PropertyCondition] = []


class BroadcastNode(msgspec.Struct, tag="Broadcast", rename="camel"):
    """Deprecated on the wire: never true."""

    id: str
    broadcast_id: str = ""


Node = (
    TraitNode
    | AndNode
    | OrNode
    | PerformedNode
    | LastPerformedNode
    | EmailNode
    | SubscriptionGroupNode
    | UnsubscribedNode
    | RandomBucketNode
    | IncludesNode
    | ManualNode
    | EveryoneNode
    | KeyedPerformedNode
    | BroadcastNode
)


class SegmentDefinition(msgspec.Struct, rename="camel"):
    entry_node: Node
    nodes: list[Node]


class EqualsText(msgspec.Struct, tag="Equals"):
    value: str


class PropertyEquals(msgspec.Struct):
    path: str
    operator: EqualsText


class TraitProperty(msgspec.Struct, tag="Trait"):
    path: str
    id: str | None = None


class IdProperty(msgspec.Struct, tag="Id"):
    pass


class AnonymousIdProperty(msgspec.Struct, tag="AnonymousId"):
    pass


class PerformedProperty(msgspec.Struct, tag="Performed", rename="camel"):
    event: str
    path: str
    properties: list[PropertyEquals] = []
    skip_re_compute: bool = False
    id: str | None = None


class EventName(msgspec.Struct):
    event: str


class PerformedManyProperty(msgspec.Struct, tag="PerformedMany", rename={"any_of": "or", "skip": "skipReCompute"}):
    any_of: list[EventName]
    skip: bool = False
    id: str | None = None


class FileProperty(msgspec.Struct, tag="File", rename="camel"):
    name: str
    skip_re_compute: bool = False
    id: str | None = None


class KeyedPerformedProperty(msgspec.Struct, tag="KeyedPerformed", rename="camel"):
    """Only read from a journey's events."""

    event: str
    key: str
    path: str
    properties: list[PropertyEquals] = []
    id: str | None = None


class AnyOfNode(msgspec.Struct, tag="AnyOf"):
    id: str
    children: list[str]


GroupNode = AnyOfNode | TraitProperty | PerformedProperty | FileProperty | KeyedPerformedProperty


class GroupProperty(msgspec.Struct, tag="Group"):
    entry: str
    nodes: list[GroupNode]


PropertyDefinition = (
    TraitProperty
    | IdProperty
    | AnonymousIdProperty
    | PerformedProperty
    | PerformedManyProperty
    | FileProperty
    | KeyedPerformedProperty
    | GroupProperty
)


class Definition(msgspec.Struct, frozen=True):
    """A property or segment as the compiler takes it."""

    id: UUID
    name: str
    definition: Any


def parse_segment(document: Any) -> SegmentDefinition:
    return _parse(document, SegmentDefinition)


def parse_property(document: Any) -> PropertyDefinition:
    return _parse(document, PropertyDefinition)


def _parse(document: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(document, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"definition: {error}") from error
