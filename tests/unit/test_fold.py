"""The fold: what events make of a profile, in whatever order and however often they come."""

import random
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.engagement.audience import compiler, fold, model
from tenfold.engagement.audience.conditions import key_of, to_spec
from tenfold.engagement.audience.fold import Profile
from tenfold.engagement.audience.program import Program, build
from tenfold.engagement.events.model import Event, Folded

DAY = 86_400_000
NOW = 1_800_000_000_000
_ORDINALS = count(1)


def identify(time: int = NOW, /, **traits: Any) -> Folded:
    return Folded(next(_ORDINALS), NOW, time, Event("identify", "m", "u", "", "", time, traits, {}))


def track(name: str, time: int = NOW, /, **properties: Any) -> Folded:
    return Folded(next(_ORDINALS), NOW, time, Event("track", "m", "u", "", name, time, properties, {}))


def program_of(segments: dict[str, Any], properties: dict[str, Any] | None = None) -> tuple[Program, dict[str, str]]:
    ids = {name: str(uuid4()) for name in (*segments, *(properties or {}))}
    conditions: dict[str, Any] = {}
    for name, definition in segments.items():
        _, found = compiler.compile_segment(UUID(ids[name]), name, model.parse_segment(definition))
        conditions |= {key_of(item): to_spec(item) for item in found}
    for definition in (properties or {}).values():
        _, found = compiler.compile_property(model.parse_property(definition))
        conditions |= {key_of(item): to_spec(item) for item in found}
    rows = [{"key": key, "spec": spec, "status": "ready"} for key, spec in conditions.items()]
    shape = {"status": "Running"}
    made = build(
        1,
        [{"id": UUID(ids[n]), "name": n, "definition": d, **shape} for n, d in (properties or {}).items()],
        [{"id": UUID(ids[n]), "name": n, "definition": d, **shape} for n, d in segments.items()],
        rows,
        [],
    )
    return made, ids


def node(entry: dict[str, Any], *nodes: dict[str, Any]) -> dict[str, Any]:
    return {"entryNode": {"id": "0", **entry}, "nodes": list(nodes)}


def trait(operator: dict[str, Any], path: str = "plan") -> dict[str, Any]:
    return node({"type": "Trait", "path": path, "operator": operator})


def is_in(definition: dict[str, Any], events: list[Folded], now: int = NOW) -> bool:
    program, ids = program_of({"s": definition})
    profile = Profile({}, {}, {}, {})
    fold.observe(profile, events, program, now)
    fold.evaluate(profile, "u", program, now, None)
    return ids["s"] in profile.segments


TRAITS = [
    ({"type": "Equals", "value": "pro"}, [identify(plan="pro")], True),
    ({"type": "Equals", "value": 10}, [identify(plan="10")], True),
    ({"type": "Equals", "value": "1"}, [identify(plan=1.0)], True),
    ({"type": "Equals", "value": "1000"}, [identify(plan=1e3)], True),
    ({"type": "Equals", "value": "true"}, [identify(plan=True)], True),
    ({"type": "Equals", "value": "pro"}, [identify(plan="pro"), identify()], True),
    ({"type": "Equals", "value": "pro"}, [identify(plan="pro"), identify(plan="")], True),
    ({"type": "Equals", "value": "pro"}, [identify(plan="pro"), identify(plan=None)], False),
    ({"type": "Equals", "value": "pro"}, [identify(NOW, plan="pro"), identify(NOW - 1, plan="free")], True),
    ({"type": "Equals", "value": "pro"}, [identify(NOW, plan="free"), identify(NOW, plan="pro")], True),
    ({"type": "NotEquals", "value": "pro"}, [identify()], True),
    ({"type": "NotEquals", "value": "pro"}, [track("x")], False),
    ({"type": "NotEquals", "value": "pro"}, [identify(plan="pro"), identify()], False),
    ({"type": "Exists"}, [identify(plan="x")], True),
    ({"type": "Exists"}, [identify(plan="x"), identify(plan=None)], False),
    ({"type": "NotExists"}, [identify()], True),
    ({"type": "NotExists"}, [track("x")], False),
    ({"type": "NotExists"}, [identify(plan="x")], False),
    ({"type": "GreaterThanOrEqual", "value": 10}, [identify(plan="10")], True),
    ({"type": "GreaterThanOrEqual", "value": 10}, [identify(plan="many")], False),
    ({"type": "LessThan", "value": 10}, [identify(plan=9.5)], True),
    ({"type": "LessThan", "value": 10}, [identify()], False),
    ({"type": "Within", "windowSeconds": 60}, [identify(plan=str(NOW // 1000 - 60))], True),
    ({"type": "Within", "windowSeconds": 60}, [identify(plan=str(NOW // 1000 - 61))], False),
    ({"type": "Within", "windowSeconds": 60}, [identify(plan=str(NOW // 1000 + 5))], False),
    ({"type": "AbsoluteTimestamp", "absoluteTimestamp": "2020-01-01T00:00:00Z", "direction": "after"},
     [identify(plan="2021-05-05")], True),
    ({"type": "AbsoluteTimestamp", "absoluteTimestamp": "2020-01-01T00:00:00Z", "direction": "before"},
     [identify(plan="2021-05-05")], False),
    ({"type": "HasBeen", "comparator": "GTE", "value": "pro", "windowSeconds": 86400},
     [identify(NOW - 2 * DAY, plan="pro"), identify(NOW - 1, plan="pro")], True),
    ({"type": "HasBeen", "comparator": "GTE", "value": "pro", "windowSeconds": 86400},
     [identify(NOW - 2 * DAY, plan="pro"), identify(NOW - 2, plan="x"), identify(NOW - 1, plan="pro")], False),
    ({"type": "HasBeen", "comparator": "LT", "value": "pro", "windowSeconds": 86400},
     [identify(NOW - 5, plan="pro")], True),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "events", "wanted"), TRAITS)
def test_traits(operator: dict[str, Any], events: list[Folded], wanted: bool) -> None:
    assert is_in(trait(operator), events) is wanted


def performed(**more: Any) -> dict[str, Any]:
    return node({"type": "Performed", "event": "buy", **more})


PERFORMED = [
    ({}, [track("buy")], True),
    ({}, [track("buy"), track("buy")], False),
    ({"times": 2, "timesOperator": ">="}, [track("buy"), track("buy"), track("buy")], True),
    ({"times": 2, "timesOperator": "<"}, [track("buy")], True),
    ({"times": 2, "timesOperator": "<"}, [track("view")], True),
    ({"times": 0}, [track("view")], True),
    ({"times": 0}, [track("buy")], False),
    ({"event": "bu*", "timesOperator": ">="}, [track("buzz")], True),
    ({"event": "b*y", "timesOperator": ">="}, [track("buy")], False),
    ({"event": "*", "timesOperator": ">="}, [track("anything")], True),
    ({"withinSeconds": 60, "timesOperator": ">="}, [track("buy", NOW - 60_000)], True),
    ({"withinSeconds": 60, "timesOperator": ">="}, [track("buy", NOW - 60_001)], False),
    ({"withinSeconds": 60, "timesOperator": ">="}, [track("buy", NOW + 1)], False),
    ({"properties": [{"path": "price", "operator": {"type": "GreaterThanOrEqual", "value": 10}}]},
     [track("buy", price=9), track("buy", price=10)], True),
    ({"properties": [{"path": "sku", "operator": {"type": "NotEquals", "value": "a"}}]}, [track("buy")], True),
    ({"properties": [{"path": "sku", "operator": {"type": "Equals", "value": "1"}}]}, [track("buy", sku=1.0)], True),
    ({"timeOperator": "AfterAbsolute", "absoluteTimestamp": "2030-01-01T00:00:00Z"}, [track("buy")], False),
    ({"timeOperator": "BeforeAbsolute", "absoluteTimestamp": "2030-01-01T00:00:00Z"}, [track("buy")], True),
]  # fmt: skip


@pytest.mark.parametrize(("more", "events", "wanted"), PERFORMED)
def test_performed(more: dict[str, Any], events: list[Folded], wanted: bool) -> None:
    assert is_in(performed(**more), events) is wanted


@pytest.mark.parametrize(("name", "user", "wanted"), [("test", "user-b", True), ("test", "user-1", False)])
def test_random_buckets_are_those_of_the_reference(name: str, user: str, wanted: bool) -> None:
    program, ids = program_of({name: node({"type": "RandomBucket", "percent": 0.5})})
    profile = Profile({}, {}, {}, {})
    fold.evaluate(profile, user, program, NOW, None)
    assert (ids[name] in profile.segments) is wanted


BROKEN = [
    (trait({"type": "Exists"}, "$["), "node '0'"),
    (performed(times=0, timesOperator="<"), "node '0'"),
    (performed(times=0, timesOperator=">="), "node '0'"),
    (performed(times=1.5), "whole number"),
    (performed(properties=[{"path": "x", "operator": {"type": "Within", "windowSeconds": 5}}]), "Within"),
    (node({"type": "And", "children": ["nope"]}), "no child 'nope'"),
    (node({"type": "And", "children": ["1"]}, {"type": "Or", "id": "1", "children": ["1"]}), "its own descendant"),
    (trait({"type": "AbsoluteTimestamp", "absoluteTimestamp": "soon", "direction": "after"}), "soon"),
    (trait({"type": "Sounds"}), "definition"),
]


@pytest.mark.parametrize(("definition", "words"), BROKEN)
def test_a_definition_that_can_never_work_is_refused_by_name(definition: dict[str, Any], words: str) -> None:
    with pytest.raises(model.Invalid, match=words.replace("[", r"\[")):
        program_of({"s": definition})


def test_a_window_that_passes_lets_the_user_go_at_its_wake_time() -> None:
    program, ids = program_of({"s": performed(withinSeconds=60, timesOperator=">=")})
    profile = Profile({}, {}, {}, {})
    fold.observe(profile, [track("buy", NOW - 10_000)], program, NOW)
    fold.evaluate(profile, "u", program, NOW, None)
    wake = profile.wake_at
    assert wake == NOW + 50_001
    assert fold.evaluate(profile, "u", program, wake - 1, set()).left == []
    assert fold.evaluate(profile, "u", program, wake, set()).left == [ids["s"]]
    assert profile.wake_at is None


ALL = {
    "trait": trait({"type": "Equals", "value": "pro"}),
    "not": trait({"type": "NotEquals", "value": "pro"}),
    "been": trait({"type": "HasBeen", "comparator": "GTE", "value": "pro", "windowSeconds": 3}),
    "once": performed(),
    "often": performed(times=2, timesOperator=">=", withinSeconds=6),
    "exactly": performed(times=1, timesOperator="=", withinSeconds=4),
    "last": node({"type": "LastPerformed", "event": "buy", "hasProperties": [
        {"path": "sku", "operator": {"type": "Equals", "value": "a"}}]}),
}  # fmt: skip
VALUES = {"plan": {"type": "Trait", "path": "plan"}, "sku": {"type": "Performed", "event": "buy", "path": "sku"}}
MOMENTS = st.integers(NOW - 8_000, NOW + 2_000)
EVENTS = st.lists(
    st.one_of(
        st.builds(lambda t, v: ("identify", t, v), MOMENTS, st.sampled_from(["pro", "free", "", None])),
        st.builds(lambda t, v: ("buy", t, v), MOMENTS, st.sampled_from(["a", "b", ""])),
    ),
    max_size=12,
)


def _folded(events: list[tuple[str, int, Any]]) -> list[Folded]:
    made = []
    for number, (kind, time, value) in enumerate(events):
        name, key = ("", "plan") if kind == "identify" else (kind, "sku")
        event = Event("identify" if kind == "identify" else "track", "m", "u", "", name, time, {key: value}, {})
        made.append(Folded(number, NOW, time, event))
    return made


@given(EVENTS, st.randoms(use_true_random=False), st.integers(0, 12))
def test_order_batches_and_backfill_do_not_matter(
    events: list[tuple[str, int, Any]], dice: random.Random, cut: int
) -> None:
    """One by one in any order, or half of them merged in from elsewhere: the same answers as all at once."""
    program, _ = program_of(ALL, VALUES)
    whole = Profile({}, {}, {}, {})
    fold.observe(whole, _folded(events), program, NOW)
    fold.evaluate(whole, "u", program, NOW, None)
    shuffled = _folded(events)
    dice.shuffle(shuffled)
    live, archived = Profile({}, {}, {}, {}), Profile({}, {}, {}, {})
    for folded in shuffled[cut:]:
        moved = fold.observe(live, [folded], program, NOW)
        fold.evaluate(live, "u", program, NOW, moved)
    fold.observe(archived, shuffled[:cut], program, NOW)
    for key, state in archived.states.items():
        fold.merge(live, key, program.live[key], state, NOW)
    fold.evaluate(live, "u", program, NOW, None)
    assert live.segments.keys() == whole.segments.keys()
    assert live.properties == whole.properties
    assert live.wakes == whole.wakes


def test_any_of_takes_the_first_child_that_has_a_value() -> None:
    group = {"type": "Group", "entry": "any", "nodes": [
        {"type": "AnyOf", "id": "any", "children": ["a", "b"]},
        {"type": "Performed", "id": "a", "event": "buy", "path": "mail"},
        {"type": "Trait", "id": "b", "path": "mail"},
    ]}  # fmt: skip
    program, ids = program_of({}, {"mail": group})
    profile = Profile({}, {}, {}, {})
    fold.observe(profile, [identify(mail="trait"), track("buy", mail=None)], program, NOW)
    fold.evaluate(profile, "u", program, NOW, None)
    assert profile.properties[ids["mail"]] == "trait"
    moved = fold.observe(profile, [track("buy", mail="event")], program, NOW)
    fold.evaluate(profile, "u", program, NOW, moved)
    assert profile.properties[ids["mail"]] == "event"


def test_stored_types_are_kept() -> None:
    program, ids = program_of({}, VALUES)
    profile = Profile({}, {}, {}, {})
    fold.observe(profile, [identify(plan="123")], program, NOW)
    fold.evaluate(profile, "u", program, NOW, None)
    assert fold.unpack(fold.pack(profile)).properties == {ids["plan"]: "123"}
