"""A workspace's definitions, compiled for folding: which conditions an event touches, and what depends on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from tenfold.engagement.audience import compiler, model
from tenfold.engagement.audience.compiler import Value
from tenfold.engagement.audience.conditions import Condition, key_of, known_condition
from tenfold.engagement.audience.operators import Predicate
from tenfold.kit.errors import Invalid
from tenfold.kit.logs import get

_log = get("audience")
_MATCHES_KEPT = 10_000
_COMPILED_KEPT = 100_000  # workspaces often have the same definitions; what is equal is compiled once
_PERSONAL = (b"RandomBucket", b"Manual")  # nodes whose meaning depends on the segment's id or name
_ANY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Property:
    """A running user property whose conditions are all ready."""

    id: str
    name: str
    value: Value
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Segment:
    """A running segment whose conditions are all ready."""

    id: str
    holds: Predicate
    keys: frozenset[str]


@dataclass(slots=True)
class Program:
    """Compiled definitions of one version. `live` conditions take events; definitions answer once theirs are ready."""

    version: int
    live: Mapping[str, Condition] = field(default_factory=dict[str, Condition])
    properties: list[Property] = field(default_factory=list[Property])
    segments: list[Segment] = field(default_factory=list[Segment])
    known: frozenset[str] = frozenset()
    watched_segments: frozenset[str] = frozenset()
    watched_events: tuple[str, ...] = ()
    _matches: dict[tuple[str, str], tuple[tuple[str, Condition], ...]] = field(
        default_factory=dict[tuple[str, str], tuple[tuple[str, Condition], ...]]
    )

    def touched_by(self, kind: str, name: str) -> tuple[tuple[str, Condition], ...]:
        """The conditions that an event of this type and name may move."""
        found = self._matches.get((kind, name))
        if found is None:
            found = tuple((key, item) for key, item in self.live.items() if touches(item, kind, name))
            if len(self._matches) >= _MATCHES_KEPT:
                self._matches.clear()
            self._matches[kind, name] = found
        return found

    def watches_event(self, name: str) -> bool:
        return any(matches(pattern, name) for pattern in self.watched_events)


def touches(condition: Condition, kind: str, name: str) -> bool:
    if condition.kind == "any":
        return True
    return condition.kind == kind and (kind != "track" or matches(getattr(condition, "event", ""), name))


def matches(pattern: str, name: str) -> bool:
    """A trailing `*` is a prefix; `*` and nothing mean any event; any other `*` is itself."""
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return pattern in ("", name)


def build(
    version: int,
    properties: Iterable[Mapping[str, Any]],
    segments: Iterable[Mapping[str, Any]],
    conditions: Iterable[Mapping[str, Any]],
    watches: Iterable[Mapping[str, Any]],
) -> Program:
    """The program of a workspace from its rows. A definition at fault is left out and named in the log."""
    rows, seen = list(conditions), list(watches)
    ready = frozenset(row["key"] for row in rows if row["status"] == "ready")
    found_properties, found_segments = list(properties), list(segments)
    return Program(
        version=version,
        live={row["key"]: known_condition(row["key"], row["spec"]) for row in rows if row["status"] != "pending"},
        properties=[item for row in found_properties if (item := _property(row)) and item.keys <= ready],
        segments=[item for row in found_segments if (item := _segment(row)) and item.keys <= ready],
        known=frozenset(str(row["id"]) for row in (*found_properties, *found_segments)),
        watched_segments=frozenset(row["subject"] for row in seen if row["kind"] == "segment"),
        watched_events=tuple({row["subject"] for row in seen if row["kind"] == "event"}),
    )


def _property(row: Mapping[str, Any]) -> Property | None:
    if row["status"] != "Running":
        return None
    try:
        value, keys = _compiled_property(msgspec.json.encode(row["definition"]))
    except Invalid as error:
        _log.error("user property cannot be computed", property=str(row["id"]), error=error.message)
        return None
    return Property(str(row["id"]), row["name"], value, keys)


def _segment(row: Mapping[str, Any]) -> Segment | None:
    if row["status"] != "Running":
        return None
    text = msgspec.json.encode(row["definition"])
    personal = any(kind in text for kind in _PERSONAL)
    try:
        holds, keys = _compiled_segment(text, row["id"] if personal else _ANY, row["name"] if personal else "")
    except Invalid as error:
        _log.error("segment cannot be computed", segment=str(row["id"]), error=error.message)
        return None
    return Segment(str(row["id"]), holds, keys)


@lru_cache(maxsize=_COMPILED_KEPT)
def _compiled_property(text: bytes) -> tuple[Value, frozenset[str]]:
    value, conditions = compiler.compile_property(model.parse_property(msgspec.json.decode(text)))
    return value, frozenset(map(key_of, conditions))


@lru_cache(maxsize=_COMPILED_KEPT)
def _compiled_segment(text: bytes, segment_id: UUID, name: str) -> tuple[Predicate, frozenset[str]]:
    definition = model.parse_segment(msgspec.json.decode(text))
    holds, conditions = compiler.compile_segment(segment_id, name, definition)
    return holds, frozenset(map(key_of, conditions))
