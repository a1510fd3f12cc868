"""Conditions: the leaves of definitions, each with a small state per user.

A condition's state starts as None, takes events one by one in any order, and two states merge into the state of
all their events. That makes arrival order, retries and backfill irrelevant: the result is that of all events at
once. Its key is a hash of its content, so equal leaves of different definitions share one state.

Times are epoch milliseconds; `Latest`-like states are `[time, ordinal, value]`, the greatest (time, ordinal) wins.
"""

import base64
import hashlib
from bisect import insort
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tenfold.kit.jsonpath import MISSING, compile_path
from tenfold.kit.jstext import to_json, to_number, to_text

State = Any
_HISTORY_LIMIT: Final = 1_000
_MANY_LIMIT: Final = 1_000


class Test(msgspec.Struct, frozen=True, rename="camel"):
    """A condition on a property of an event."""

    path: str
    operator: str  # one of _OPERATORS
    value: str | float = ""

    def holds(self, properties: Any) -> bool:
        found = compile_path(self.path)(properties)
        text = "" if found is MISSING or found is None else to_text(found)
        return _OPERATORS[self.operator](text, self.value)


def _compares(test: Callable[[float, float], bool]) -> Callable[[str, Any], bool]:
    def holds(text: str, value: Any) -> bool:
        number = to_number(text)
        return number is not None and test(number, value)

    return holds


_OPERATORS: Final[dict[str, Callable[[str, Any], bool]]] = {
    "Equals": lambda text, value: text == value,
    "NotEquals": lambda text, value: text != value,
    "Exists": lambda text, _: text != "",
    "NotExists": lambda text, _: text == "",
    "GreaterThanOrEqual": _compares(lambda number, value: number >= value),
    "LessThan": _compares(lambda number, value: number < value),
}


class Identified(msgspec.Struct, frozen=True, tag="identified"):
    """Whether there was any identify."""

    kind = "identify"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:  # noqa: ARG002
        return 1

    def merge(self, one: State, other: State) -> State:
        return one or other


class Trait(msgspec.Struct, frozen=True, tag="trait"):
    """The newest value of a trait that is neither missing nor empty; null is a value that reads as absent."""

    path: str
    kind = "identify"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:  # noqa: ARG002
        value = compile_path(self.path)(properties)
        if value is MISSING or value == "":
            return state
        return _newer(state, [time, ordinal, value])

    def merge(self, one: State, other: State) -> State:
        return _newer(one, other)


class History(msgspec.Struct, frozen=True, tag="history"):
    """Every value of a trait with its time, so that the start of the current run is known."""

    path: str
    kind = "identify"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:  # noqa: ARG002
        value = compile_path(self.path)(properties)
        if value is MISSING or value == "":
            return state
        return self.merge(state, [[time, ordinal, None if value is None else to_text(value)]])

    def merge(self, one: State, other: State) -> State:
        return sorted([*(one or ()), *(other or ())], key=lambda entry: entry[:2])[-_HISTORY_LIMIT:]


class AnonymousId(msgspec.Struct, frozen=True, tag="anonymous"):
    """The newest anonymous id, from events of any kind."""

    kind = "any"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:  # noqa: ARG002
        return _newer(state, [time, ordinal, event.anonymous_id]) if event.anonymous_id else state

    def merge(self, one: State, other: State) -> State:
        return _newer(one, other)


class Performed(msgspec.Struct, frozen=True, tag="performed"):
    """The newest non-empty value at a path of the matching track events."""

    event: str
    path: str
    where: tuple[Test, ...] = ()
    kind = "track"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:  # noqa: ARG002
        value = compile_path(self.path)(properties)
        if value is MISSING or value == "" or not all(test.holds(properties) for test in self.where):
            return state
        return _newer(state, [time, ordinal, value])

    def merge(self, one: State, other: State) -> State:
        return _newer(one, other)


class Last(msgspec.Struct, frozen=True, tag="last"):
    """Whether the newest matching track event has certain properties."""

    event: str
    where: tuple[Test, ...] = ()
    has: tuple[Test, ...] = ()
    kind = "track"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:  # noqa: ARG002
        if not all(test.holds(properties) for test in self.where):
            return state
        return _newer(state, [time, ordinal, all(test.holds(properties) for test in self.has)])

    def merge(self, one: State, other: State) -> State:
        return _newer(one, other)


class Count(msgspec.Struct, frozen=True, tag="count"):
    """How many matching track events there were, optionally only those after or before a moment."""

    event: str
    where: tuple[Test, ...] = ()
    after: int | None = None
    before: int | None = None
    kind = "track"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:  # noqa: ARG002
        late = self.after is not None and time < self.after
        early = self.before is not None and time >= self.before
        if late or early or not all(test.holds(properties) for test in self.where):
            return state
        return (state or 0) + 1

    def merge(self, one: State, other: State) -> State:
        return (one or 0) + (other or 0)


class Times(msgspec.Struct, frozen=True, tag="times"):
    """When matching track events happened: as many of the newest as decide a count, all that lie ahead, in order."""

    event: str
    keep: int
    where: tuple[Test, ...] = ()
    kind = "track"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:  # noqa: ARG002
        if not all(test.holds(properties) for test in self.where):
            return state
        times: list[int] = list(state or ())
        insort(times, time)
        return times

    def merge(self, one: State, other: State) -> State:
        return sorted([*(one or ()), *(other or ())])

    def trim(self, state: State, now: int) -> State:
        """Drop what cannot decide any more."""
        ahead = sum(1 for time in reversed(state) if time > now)
        return state[-(self.keep + ahead) :]


class Many(msgspec.Struct, frozen=True, tag="many"):
    """The newest track events of some names, whole."""

    event: str
    kind = "track"

    def observe(self, state: State, properties: Any, time: int, ordinal: int, event: Any) -> State:
        return self.merge(state, [[time, ordinal, event.event, to_json(properties)]])

    def merge(self, one: State, other: State) -> State:
        return sorted([*(one or ()), *(other or ())], key=lambda entry: entry[:2])[-_MANY_LIMIT:]


Condition = Identified | Trait | History | AnonymousId | Performed | Last | Count | Times | Many


def key_of(condition: Condition) -> str:
    """11 characters that name the condition's content."""
    content = msgspec.json.encode(condition, order="deterministic")
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()[:8]).decode().rstrip("=")


def to_spec(condition: Condition) -> Any:
    return msgspec.to_builtins(condition)


def from_spec(spec: Any) -> Condition:
    return msgspec.convert(spec, Condition)


_KNOWN: Final[dict[str, Condition]] = {}


def known_condition(key: str, spec: Any) -> Condition:
    """The condition of a key: one object for all workspaces, since the key names the content."""
    if key not in _KNOWN:
        _KNOWN[key] = from_spec(spec)
    return _KNOWN[key]


def _newer(one: State, other: State) -> State:
    if one is None or other is None:
        return one or other
    return other if (other[0], other[1]) >= (one[0], one[1]) else one
