"""From a definition to predicates over condition states. A definition that can never work is refused here."""

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

from tenfold.engagement.audience import model
from tenfold.engagement.audience.conditions import (
    AnonymousId,
    Condition,
    Count,
    Last,
    Many,
    Performed,
    Test,
    Times,
    Trait,
    key_of,
)
from tenfold.engagement.audience.operators import Compiled, Moment, Predicate, States, compile_trait
from tenfold.kit.clock import from_millis, parse_iso, to_millis
from tenfold.kit.errors import Invalid
from tenfold.kit.jsonpath import MISSING, parse_path
from tenfold.kit.jsontypes import as_list
from tenfold.kit.jstext import to_text

Value = Callable[[States, str], Any]
_TESTABLE = {"Equals", "NotEquals", "Exists", "NotExists", "GreaterThanOrEqual", "LessThan"}
_TWO_TO_64 = 2**64


def compile_segment(segment_id: UUID, name: str, definition: model.SegmentDefinition) -> Compiled:
    """The predicate of a segment and the conditions it reads.

    Raises Invalid, naming the node.
    """
    nodes = {node.id: node for node in definition.nodes}
    return _SegmentCompiler(segment_id, name, nodes).compile(definition.entry_node, ())


def compile_property(definition: model.PropertyDefinition) -> tuple[Value, list[Condition]]:
    """The function that reads a property's value from the states (MISSING for none), and its conditions.

    Raises Invalid, naming the node.
    """
    match definition:
        case model.IdProperty():
            return (lambda _, user_id: user_id), []
        case model.GroupProperty():
            nodes = {node.id: node for node in definition.nodes if node.id}
            if definition.entry not in nodes:
                raise Invalid(f"entry: no node {definition.entry!r}")
            return _group_value(nodes, definition.entry, ())
        case model.PerformedManyProperty():
            return _many_value(definition)
        case _:
            return _latest_value(definition)


class _SegmentCompiler:
    def __init__(self, segment_id: UUID, name: str, nodes: dict[str, model.Node]) -> None:
        self._segment_id, self._name, self._nodes = segment_id, name, nodes

    def compile(self, node: model.Node, above: tuple[str, ...]) -> Compiled:
        if node.id in above:
            raise Invalid(f"node {node.id!r} is its own descendant")
        if isinstance(node, (model.AndNode, model.OrNode)):
            return self._combine(node, (*above, node.id))
        try:
            return self._leaf(node)
        except Invalid as error:
            raise Invalid(f"node {node.id!r}: {error.message}") from error

    def _combine(self, node: model.AndNode | model.OrNode, above: tuple[str, ...]) -> Compiled:
        for child in node.children:
            if child not in self._nodes:
                raise Invalid(f"node {node.id!r}: no child {child!r}")
        parts = [self.compile(self._nodes[child], above) for child in node.children]
        predicates = [predicate for predicate, _ in parts]
        conditions = [condition for _, found in parts for condition in found]
        if not predicates:
            return _never, []
        join = _all_of if isinstance(node, model.AndNode) else _any_of
        return join(predicates), conditions

    def _leaf(self, node: model.Node) -> Compiled:  # noqa: PLR0911 - one line for each kind of node
        match node:
            case model.TraitNode():
                return compile_trait(node)
            case model.PerformedNode():
                return _performed(node)
            case model.LastPerformedNode():
                return _last(Last(node.event, _tests(node.where_properties), _tests(node.has_properties)))
            case model.EmailNode():
                tests = (Test("templateId", "Equals", node.template_id),)
                return _counted(Count(node.event, tests), _whole(node.times or 1), ">=")
            case model.IncludesNode():
                return _includes(node)
            case model.RandomBucketNode():
                return _bucket(self._name, node.percent), []
            case model.EveryoneNode():
                return _always, []
            case _:
                return self._membership(node)

    def _membership(self, node: model.Node) -> Compiled:
        match node:
            case model.SubscriptionGroupNode(subscription_group_id=group, subscription_group_type=kind):
                wanted = Test("action", "Equals", "Subscribe")
                if kind == "OptOut":
                    wanted = Test("action", "NotEquals", "Unsubscribe")
                return _last(Last("DFSubscriptionChange", (Test("subscriptionId", "Equals", group),), (wanted,)))
            case model.UnsubscribedNode(subscription_group_id=group):
                wanted = Test("action", "Equals", "Unsubscribe")
                return _last(Last("DFSubscriptionChange", (Test("subscriptionId", "Equals", group),), (wanted,)))
            case model.ManualNode(version=version):
                mine = (
                    Test("segmentId", "Equals", str(self._segment_id)),
                    Test("version", "Equals", to_text(version)),
                )
                return _last(Last("DFManualSegmentUpdate", mine, (Test("inSegment", "Equals", "1"),)))
            case _:  # KeyedPerformed is answered inside journeys, Broadcast is no more
                return _never, []


def _always(_: States, __: Moment) -> bool:
    return True


def _never(_: States, __: Moment) -> bool:
    return False


def _all_of(predicates: list[Predicate]) -> Predicate:
    """Every child is asked, so that each can say when it changes."""
    return lambda states, moment: False not in [predicate(states, moment) for predicate in predicates]


def _any_of(predicates: list[Predicate]) -> Predicate:
    return lambda states, moment: True in [predicate(states, moment) for predicate in predicates]


def _performed(node: model.PerformedNode) -> Compiled:
    times = 1 if node.times is None else _whole(node.times)
    if (node.times_operator, times) in (("<", 0), (">=", 0)):
        raise Invalid(f"times {node.times_operator} 0 would be true of nobody or of everybody")
    tests = _tests(node.properties)
    if node.time_operator in ("AfterAbsolute", "BeforeAbsolute"):
        limit = _date("absoluteTimestamp", node.absolute_timestamp)
        after = node.time_operator == "AfterAbsolute"
        bounds = {"after": limit} if after else {"before": limit}
        return _counted(Count(node.event, tests, **bounds), times, node.times_operator)
    if node.time_operator == "Within" and node.within_seconds is None:
        raise Invalid("withinSeconds is missing")
    if node.within_seconds is None:
        return _counted(Count(node.event, tests), times, node.times_operator)
    condition = Times(node.event, times + 1, tests)
    return _windowed(condition, int(node.within_seconds * 1000), times, node.times_operator)


def _counted(condition: Count, times: int, operator: str) -> Compiled:
    key, compare = key_of(condition), _COMPARE[operator]
    return (lambda states, _: compare(states.get(key) or 0, times)), [condition]


def _windowed(condition: Times, window: int, times: int, operator: str) -> Compiled:
    key, compare = key_of(condition), _COMPARE[operator]

    def holds(states: States, moment: Moment) -> bool:
        happened = states.get(key) or ()
        inside = [time for time in happened if moment.now - window <= time <= moment.now]
        if ahead := [time for time in happened if time > moment.now]:
            moment.wakes.append(ahead[0])
        deciding = inside[-times:][:1] + inside[-times - 1 :][:1]
        moment.wakes.extend(time + window + 1 for time in deciding)
        return compare(len(inside), times)

    return holds, [condition]


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": lambda count, times: count == times,
    ">=": lambda count, times: count >= times,
    "<": lambda count, times: count < times,
}


def _last(condition: Last) -> Compiled:
    key = key_of(condition)
    return (lambda states, _: bool((state := states.get(key)) and state[2])), [condition]


def _includes(node: model.IncludesNode) -> Compiled:
    parse_path(node.path)
    condition = Trait(node.path)
    key = key_of(condition)

    def holds(states: States, _: Moment) -> bool:
        state = states.get(key)
        items = as_list(state[2]) if state else None
        return items is not None and any(to_text(item) == node.item for item in items)

    return holds, [condition]


def _bucket(name: str, percent: float) -> Predicate:
    if not 0 <= percent <= 1:
        raise Invalid("percent must be between 0 and 1")

    def holds(_: States, moment: Moment) -> bool:
        digest = hashlib.md5(f"{moment.user_id}{name}".encode(), usedforsecurity=False).digest()
        return int.from_bytes(digest[:8]) < percent * _TWO_TO_64

    return holds


def _tests(conditions: list[model.PropertyCondition]) -> tuple[Test, ...]:
    return tuple(_test(condition) for condition in conditions)


def _test(condition: model.PropertyCondition) -> Test:
    operator: Any = condition.operator
    kind: str = operator.__struct_config__.tag
    if kind not in _TESTABLE:
        raise Invalid(f"operator {kind} cannot be used on an event's property")
    parse_path(condition.path)
    value = getattr(operator, "value", "")
    return Test(condition.path, kind, value if kind in ("GreaterThanOrEqual", "LessThan") else to_text(value))


def _whole(times: float) -> int:
    if times < 0 or not float(times).is_integer():
        raise Invalid("times must be a whole number of 0 or more")
    return int(times)


def _date(name: str, text: str | None) -> int:
    parsed = parse_iso(text or "")
    if parsed is None:
        raise Invalid(f"{name} is not an ISO 8601 date")
    return to_millis(parsed)


def _latest_value(definition: Any) -> tuple[Value, list[Condition]]:
    condition = _latest_condition(definition)
    if condition is None:
        return (lambda _, __: MISSING), []
    key = key_of(condition)

    def read(states: States, _: str) -> Any:
        state = states.get(key)
        return MISSING if state is None or state[2] is None else state[2]

    return read, [condition]


def _latest_condition(definition: Any) -> Condition | None:
    """The one condition of a simple property; None when only journeys can answer it."""
    if isinstance(definition, model.AnonymousIdProperty):
        return AnonymousId()
    if isinstance(definition, model.KeyedPerformedProperty) or getattr(definition, "skip_re_compute", False):
        return None
    if isinstance(definition, model.FileProperty):
        return Performed("*", f'$.DFAttachedFiles["{definition.name}"]')
    if definition.path == "":
        return None
    parse_path(definition.path)
    if isinstance(definition, model.TraitProperty):
        return Trait(definition.path)
    tests = tuple(Test(item.path, "Equals", item.operator.value) for item in definition.properties)
    for test in tests:
        parse_path(test.path)
    return Performed(definition.event, definition.path, tests)


def _many_value(definition: model.PerformedManyProperty) -> tuple[Value, list[Condition]]:
    conditions: list[Condition] = [] if definition.skip else [Many(item.event) for item in definition.any_of]
    keys = [key_of(condition) for condition in conditions]

    def read(states: States, _: str) -> Any:
        entries = [entry for key in keys for entry in states.get(key) or ()]
        newest = sorted(entries, key=lambda entry: entry[:2], reverse=True)
        shown = [
            {
                "event": name,
                "timestamp": from_millis(time).strftime("%Y-%m-%dT%H:%M:%S"),
                "properties": properties,
            }
            for time, _, name, properties in newest
        ]
        return shown or MISSING

    return read, conditions


def _group_value(nodes: dict[str, Any], entry: str, above: tuple[str, ...]) -> tuple[Value, list[Condition]]:
    node = nodes[entry]
    if not isinstance(node, model.AnyOfNode):
        return _latest_value(node)
    if entry in above:
        raise Invalid(f"node {entry!r} is its own descendant")
    for child in node.children:
        if child not in nodes:
            raise Invalid(f"node {entry!r}: no child {child!r}")
    parts = [_group_value(nodes, child, (*above, entry)) for child in node.children]
    values = [value for value, _ in parts]

    def read(states: States, user_id: str) -> Any:
        found = (value(states, user_id) for value in values)
        return next((item for item in found if item is not MISSING), MISSING)

    return read, [condition for _, found in parts for condition in found]
