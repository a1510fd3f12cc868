"""What a run's own events say: key values, KeyedPerformed segments, and property values from events. Pure."""

from collections.abc import Sequence
from typing import Any

from tenfold.engagement.audience import model as audience
from tenfold.engagement.audience.program import matches
from tenfold.engagement.events.model import Folded
from tenfold.kit.jsonpath import MISSING, compile_path
from tenfold.kit.jstext import to_text


def key_value(properties: Any, path: str) -> str | None:
    """The key in an event: a string or a number, as text; None for anything else."""
    found = compile_path(path)(properties)
    if isinstance(found, bool) or not isinstance(found, (str, int, float)) or found == "":
        return None
    return to_text(found)


def performed(node: audience.KeyedPerformedNode, events: Sequence[Folded], key: str) -> bool:
    """Whether the run's events meet a KeyedPerformed node."""
    count = sum(
        1
        for folded in events
        if matches(node.event, folded.event.event)
        and key_value(folded.event.properties, node.key) == key
        and all(_holds(condition, folded.event.properties) for condition in node.properties)
    )
    times = 1 if node.times is None else node.times
    return {"=": count == times, ">=": count >= times, "<": count < times}[node.times_operator]


def override(definition: Any, events: Sequence[Folded]) -> Any:
    """The value a property takes from the run's events, newest first; MISSING when they have none."""
    match definition:
        case audience.GroupProperty(entry=entry, nodes=nodes):
            return _group({node.id: node for node in nodes if node.id}, entry, events)
        case audience.PerformedProperty() | audience.KeyedPerformedProperty():
            return _newest(definition.event, definition.path, definition.properties, events)
        case audience.FileProperty(name=name):
            return _newest("*", f'$.DFAttachedFiles["{name}"]', [], events)
        case _:
            return MISSING


def _group(nodes: dict[str, Any], entry: str, events: Sequence[Folded]) -> Any:
    node = nodes.get(entry)
    if not isinstance(node, audience.AnyOfNode):
        return override(node, events)
    found = (_group(nodes, child, events) for child in node.children if child != entry)
    return next((value for value in found if value is not MISSING), MISSING)


def _newest(name: str, path: str, conditions: list[audience.PropertyEquals], events: Sequence[Folded]) -> Any:
    for folded in sorted(events, key=lambda item: (item.time, item.ordinal), reverse=True):
        properties = folded.event.properties
        wanted = all(compile_path(item.path)(properties) == item.operator.value for item in conditions)
        value = compile_path(path)(properties)
        if wanted and matches(name, folded.event.event) and value is not MISSING and value is not None:
            return value
    return MISSING


def _holds(condition: audience.PropertyCondition, properties: Any) -> bool:  # noqa: PLR0911 - one line an operator
    """JavaScript's view: strict equality, numbers by Number()."""
    value = compile_path(condition.path)(properties)
    present = value is not MISSING and value is not None and value != ""
    match condition.operator:
        case audience.Equals(value=wanted):
            return _strictly(value, wanted)
        case audience.NotEquals(value=wanted):
            return not _strictly(value, wanted)
        case audience.Exists():
            return present
        case audience.NotExists():
            return not present
        case audience.AtLeast(value=bound):
            return (number := _number(value)) is not None and number >= bound
        case audience.LessThan(value=bound):
            return (number := _number(value)) is not None and number < bound
        case _:
            return False


def _strictly(value: Any, wanted: Any) -> bool:
    return isinstance(value, str) == isinstance(wanted, str) and not isinstance(value, bool) and value == wanted


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
