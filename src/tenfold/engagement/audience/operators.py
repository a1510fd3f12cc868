"""What a trait's operator says about the states of its conditions, and when that may change by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tenfold.engagement.audience import model
from tenfold.engagement.audience.conditions import Condition, History, Identified, State, Trait, key_of
from tenfold.kit.clock import parse_iso, parse_loosely, to_millis
from tenfold.kit.errors import Invalid
from tenfold.kit.jsonpath import parse_path
from tenfold.kit.jstext import to_number, to_text


@dataclass(slots=True)
class Moment:
    """Now, whose profile, and the moments at which an answer given may change."""

    now: int
    user_id: str
    wakes: list[int] = field(default_factory=list[int])


States = dict[str, State]
Predicate = Callable[[States, Moment], bool]
Compiled = tuple[Predicate, list[Condition]]


def compile_trait(node: model.TraitNode) -> Compiled:
    """The predicate of a trait node and the conditions that it reads.

    Raises Invalid for a path or a date that cannot be read.
    """
    parse_path(node.path)
    trait = Trait(node.path)
    read = _reader(key_of(trait))
    match node.operator:
        case model.HasBeen():
            return _has_been(node.path, node.operator)
        case model.NotEquals() | model.NotExists():
            identified = key_of(Identified())
            return _negative(read, identified, node.operator), [trait, Identified()]
        case model.Within(window_seconds=seconds):
            return _within(read, int(seconds * 1000)), [trait]
        case model.AbsoluteTimestamp():
            return _absolute(read, node.operator), [trait]
        case _:
            return _positive(read, node.operator), [trait]


def in_window(time: int, window: int, moment: Moment) -> bool:
    """Whether now - window <= time <= now; notes when that changes."""
    if time > moment.now:
        moment.wakes.append(time)
        return False
    if time + window < moment.now:
        return False
    moment.wakes.append(time + window + 1)
    return True


def _reader(key: str) -> Callable[[States], str]:
    """The current value as text; '' when there is none."""

    def read(states: States) -> str:
        state = states.get(key)
        return "" if state is None or state[2] is None else to_text(state[2])

    return read


def _positive(read: Callable[[States], str], operator: model.Operator) -> Predicate:
    match operator:
        case model.Equals(value=value):
            wanted = to_text(value)
            return lambda states, _: read(states) == wanted
        case model.AtLeast(value=value):
            return lambda states, _: (number := to_number(read(states))) is not None and number >= value
        case model.LessThan(value=value):
            return lambda states, _: (number := to_number(read(states))) is not None and number < value
        case _:
            return lambda states, _: read(states) != ""


def _negative(read: Callable[[States], str], identified: str, operator: Any) -> Predicate:
    if isinstance(operator, model.NotExists):
        return lambda states, _: identified in states and read(states) == ""
    wanted = to_text(operator.value)
    return lambda states, _: identified in states and read(states) != wanted


def _within(read: Callable[[States], str], window: int) -> Predicate:
    def holds(states: States, moment: Moment) -> bool:
        date = parse_loosely(read(states))
        return date is not None and in_window(to_millis(date), window, moment)

    return holds


def _absolute(read: Callable[[States], str], operator: model.AbsoluteTimestamp) -> Predicate:
    bound = parse_iso(operator.absolute_timestamp)
    if bound is None:
        raise Invalid(f"absoluteTimestamp {operator.absolute_timestamp!r} is not an ISO 8601 date")
    limit, after = to_millis(bound), operator.direction == "after"

    def holds(states: States, _: Moment) -> bool:
        text = read(states)
        if text == "":
            return False
        date = parse_loosely(text)
        return ((to_millis(date) if date else 0) >= limit) is after

    return holds


def _has_been(path: str, operator: model.HasBeen) -> Compiled:
    history = History(path)
    key, wanted, window = key_of(history), to_text(operator.value), int(operator.window_seconds * 1000)
    at_least = operator.comparator == "GTE"

    def holds(states: States, moment: Moment) -> bool:
        since = _since(states.get(key), wanted)
        if since is None:
            return False
        moment.wakes.append(since + window)
        return (moment.now - since >= window) is at_least

    return holds, [history]


def _since(entries: State, wanted: str) -> int | None:
    """When the trait became what it is, if that is the wanted value."""
    since = None
    known: list[tuple[int, int, str | None]] = entries or []
    for time, _, text in reversed(known):
        if text != wanted:
            break
        since = time
    return since
