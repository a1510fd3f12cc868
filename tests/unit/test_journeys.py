"""The step and the delays: where a run goes, told as tables."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tenfold.engagement.journeys import delays, keyed, model
from tenfold.engagement.journeys.model import Run
from tenfold.engagement.journeys.step import World, step
from tenfold.kit.clock import from_millis, to_millis

NOW = 1_800_000_000_000
RUN = UUID(int=7)


def world(now: int = NOW, *, segments: tuple[str, ...] = (), running: bool = True, **properties: Any) -> World:
    return World(now, RUN, "u", running, properties, properties, lambda segment: segment in segments)


def journey(*nodes: dict[str, Any]) -> model.Definition:
    entry = {"type": "EntryNode", "segment": "s", "child": nodes[0]["id"]}
    return model.parse({"entryNode": entry, "exitNode": {"type": "ExitNode"}, "nodes": list(nodes)})


def delay(seconds: int, child: str = "ExitNode") -> dict[str, Any]:
    return {"type": "DelayNode", "id": "d", "variant": {"type": "Second", "seconds": seconds}, "child": child}


MESSAGE = {"type": "MessageNode", "id": "m", "variant": {"type": "Email", "templateId": "t"}, "child": "ExitNode"}
WAIT = {
    "type": "WaitForNode", "id": "w", "timeoutSeconds": 60, "timeoutChild": "ExitNode",
    "segmentChildren": [{"id": "m", "segmentId": "a"}, {"id": "d", "segmentId": "b"}],
}  # fmt: skip


def test_a_delay_waits_and_goes_on() -> None:
    definition, run = journey(delay(60, "m"), MESSAGE), Run("d", NOW)
    effects = step(definition, run, world())
    assert (effects.due, effects.waits_for, effects.passed) == (NOW + 60_000, "time", [])
    assert step(definition, run, world(NOW + 59_999)).due == NOW + 60_000
    effects = step(definition, run, world(NOW + 60_000))
    assert effects.passed == [("d", "DelayNode")]
    assert effects.message is not None
    assert run.node_id == "m"


def test_a_message_is_asked_for_once_and_waits_for_its_outcome() -> None:
    definition, run = journey(MESSAGE), Run("m", NOW)
    first = step(definition, run, world())
    assert first.message is not None
    assert step(definition, run, world()).message is None
    run.sent = True
    assert step(definition, run, world()).ended


@pytest.mark.parametrize(
    ("sent", "skip", "path"),
    [(True, False, ["m", "d", "ExitNode"]), (False, False, ["m", "ExitNode"]), (False, True, ["m", "d", "ExitNode"])],
)
def test_a_failure_leaves_unless_it_is_to_be_skipped(sent: bool, skip: bool, path: list[str]) -> None:
    definition = journey({**MESSAGE, "child": "d", "skipOnFailure": skip}, delay(0))
    run = Run("m", NOW)
    step(definition, run, world())
    run.sent = sent
    effects = step(definition, run, world())
    assert effects.ended
    assert [node for node, _ in effects.passed] == path


@pytest.mark.parametrize(
    ("segments", "now", "node"),
    [
        ((), NOW, "w"),
        (("a",), NOW, "m"),
        (("a", "b"), NOW, "m"),
        (("b",), NOW, "ExitNode"),
        ((), NOW + 60_000, "ExitNode"),
    ],
)
def test_a_wait_takes_the_first_true_segment_or_times_out(segments: tuple[str, ...], now: int, node: str) -> None:
    definition, run = journey(WAIT, MESSAGE, delay(0)), Run("w", NOW)
    step(definition, run, world())
    step(definition, run, world(now, segments=segments))
    assert run.node_id == node


def test_paused_journeys_hold_users_at_the_next_message() -> None:
    definition, run = journey(delay(0, "m"), MESSAGE), Run("d", NOW)
    effects = step(definition, run, world(running=False))
    assert (effects.message, effects.waits_for, run.node_id) == (None, "resume", "m")
    assert step(definition, run, world()).message is not None


def test_a_circle_ends_and_an_unknown_child_is_the_exit() -> None:
    assert step(journey(delay(0, "d")), Run("d", NOW), world()).ended
    assert step(journey(delay(0, "nowhere")), Run("d", NOW), world()).ended


def test_cohorts_are_drawn_by_share_and_stay_drawn() -> None:
    children = [{"id": "a", "percent": 30, "name": "a"}, {"id": "b", "percent": 50, "name": "b"}]
    definition = journey(
        {"type": "RandomCohortNode", "id": "r", "children": children}, {**delay(9), "id": "a"}, {**delay(9), "id": "b"}
    )
    found = {"a": 0, "b": 0, "ExitNode": 0}
    for number in range(2000):
        runs = [Run("r", NOW), Run("r", NOW)]
        for run in runs:
            step(definition, run, World(NOW, UUID(int=number), "u", True, {}, {}, lambda _: False))
        assert runs[0].node_id == runs[1].node_id
        found[runs[0].node_id] += 1
    assert found["a"] == pytest.approx(600, abs=90)
    assert found["b"] == pytest.approx(1000, abs=90)


LOCAL = [
    ("2027-03-27T12:00", {"hour": 9}, "2027-03-28T09:00"),  # the clocks go forward in between
    ("2027-10-30T12:00", {"hour": 9}, "2027-10-31T09:00"),  # and back
    ("2027-06-01T08:59", {"hour": 9}, "2027-06-01T09:00"),
    ("2027-06-01T09:00", {"hour": 9}, "2027-06-02T09:00"),
    ("2027-06-01T23:30", {"hour": 0, "minute": 30, "allowedDaysOfWeek": [0]}, "2027-06-06T00:30"),  # a Sunday
    ("2027-06-06T10:00", {"hour": 9, "allowedDaysOfWeek": [0]}, "2027-06-13T09:00"),
]


@pytest.mark.parametrize(("now", "variant", "wanted"), LOCAL)
def test_local_time_follows_the_zone_and_its_weekdays(now: str, variant: dict[str, Any], wanted: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    present = to_millis(datetime.fromisoformat(now).replace(tzinfo=zone))
    node = journey({**delay(0), "variant": {"type": "LocalTime", **variant}}).nodes[0]
    assert isinstance(node, model.DelayNode)
    end = delays.end_of(node.variant, present, {"timezone": "Europe/Berlin"}, {})
    assert from_millis(end).astimezone(zone).isoformat()[:16] == wanted


@pytest.mark.parametrize(
    ("properties", "default", "zone"),
    [
        ({"timezone": "Asia/Tokyo"}, "Europe/Berlin", "Asia/Tokyo"), ({"latLon": "52.52,13.40"}, None, "Europe/Berlin"),
        ({"timezone": "Mars/Base"}, "Europe/Berlin", "Europe/Berlin"), ({}, None, "UTC"), ({"latLon": "x"}, "odd", "UTC"),
    ],
)  # fmt: skip
def test_zones(properties: dict[str, Any], default: str | None, zone: str) -> None:
    assert delays.zone_of(properties, default).key == zone


@pytest.mark.parametrize(
    ("value", "offset", "end"),
    [
        ("2027-01-15T08:00:10Z", {}, 10_000), (1_800_000_010, {}, 10_000), (NOW + 10_000, {}, 10_000),
        (NOW + 10_000, {"offsetSeconds": 4, "offsetDirection": "before"}, 6_000), (NOW - 1, {}, 0), ("soon", {}, 0),
        (None, {}, 0), (NOW + 10_000, {"offsetSeconds": 4}, 14_000),
    ],
)  # fmt: skip
def test_delays_until_a_users_date(value: Any, offset: dict[str, Any], end: int) -> None:
    node = journey({**delay(0), "variant": {"type": "UserProperty", "userProperty": "p", **offset}}).nodes[0]
    assert isinstance(node, model.DelayNode)
    assert delays.end_of(node.variant, NOW, {}, {"p": value}) == NOW + end


@pytest.mark.parametrize(
    ("value", "key"), [("a", "a"), (7, "7"), (7.0, "7"), (True, None), (None, None), ({}, None), ("", None)]
)
def test_keys_are_text_or_numbers(value: Any, key: str | None) -> None:
    assert keyed.key_value({"id": value}, "id") == key


@pytest.mark.parametrize(
    "variant",
    [
        {"type": "LocalTime", "hour": 99},
        {"type": "LocalTime", "hour": 9, "minute": 60},
        {"type": "Second", "seconds": 1e300},
    ],
)
def test_a_delay_that_can_never_end_is_refused(variant: dict[str, Any]) -> None:
    with pytest.raises(model.Invalid, match="definition"):
        journey({**delay(0), "variant": variant})
