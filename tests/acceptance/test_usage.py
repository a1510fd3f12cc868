"""Usage: what a workspace used by minute, hour and day; what all used, for the platform."""

import datetime as dt
import time
import uuid
from typing import Any

import psycopg
import pytest

from tests.world import Owner, World


def metrics(owner: Owner, **query: Any) -> list[dict[str, Any]]:
    return owner.get("/tenant-metrics", **query)["metrics"]


def test_a_workspace_sees_what_it_used(world: World) -> None:
    alice = world.workspace()
    for number in range(5):
        alice.identify(f"u{number}", email="x@x.test")
    alice.segment("everyone", {"type": "Everyone"})
    alice.settle()
    point = metrics(alice, granularity="minute")[-1]
    assert {key: point[key] for key in ("workspaceId", "userCount", "segmentCount", "journeyCount", "templateCount", "messagesThisMonth")} == {
        "workspaceId": alice.id, "userCount": 5, "segmentCount": 1, "journeyCount": 0, "templateCount": 0, "messagesThisMonth": 0,
    }  # fmt: skip
    points = metrics(alice, granularity="day")
    assert len(points) == 1
    assert points[0]["eventCount"] == 5
    assert points[0]["storageUsedBytes"] > 100
    assert points[0]["apiRequestCount"] >= 6
    assert points[0]["apiErrorCount"] == 0
    assert points[0]["databaseQueryCount"] > 10
    assert points[0]["databaseTimeMs"] > 0
    assert 0 < points[0]["cacheHitRate"] <= 1
    assert 0 < points[0]["apiLatencyP50Ms"] <= points[0]["apiLatencyP99Ms"]
    assert points[0]["timestamp"].endswith("T00:00:00.000Z")


def test_requests_are_counted_to_the_unit(world: World) -> None:
    alice = world.workspace()
    before = sum(point["apiRequestCount"] for point in metrics(alice))
    for _ in range(20):
        alice.get("/segments")
    assert sum(point["apiRequestCount"] for point in metrics(alice)) == before + 21


def test_the_hours_and_days_add_up_to_what_the_minutes_were(world: World) -> None:
    alice = world.workspace()
    alice.identify("u")
    alice.settle()
    metrics(alice)
    now = dt.datetime.now(dt.UTC)
    with psycopg.connect(world.server.database_url, user="tenfold_root", autocommit=True) as owner:
        for days, count in ((0.3, 40), (0.31, 2), (40, 300), (40.01, 7), (400, 1000)):
            owner.execute(
                "INSERT INTO usage (workspace_id, grain, at, events, latencies) VALUES (%s, 'minute', date_trunc('minute', %s::timestamptz), %s, '{1,2}')",
                (alice.id, now - dt.timedelta(days=days), count),
            )
        owner.execute("SELECT tenancy.roll_usage()")
        owner.execute("SELECT tenancy.roll_usage()")
        rows = owner.execute(
            "SELECT grain, sum(events)::int FROM usage WHERE workspace_id = %s GROUP BY 1 ORDER BY 1", (alice.id,)
        ).fetchall()
    assert rows == [("day", 1307), ("hour", 42), ("minute", 1)]
    found = metrics(alice, granularity="day", startDate=(now - dt.timedelta(days=500)).isoformat())
    assert sum(point["eventCount"] for point in found) == 1350
    stamps = [point["timestamp"] for point in found]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    "bad",
    [
        {"granularity": "week"},
        {"startDate": "soon"},
        {"startDate": "2026-02-01", "endDate": "2026-01-01"},
        {"granularity": "minute", "startDate": "2020-01-01"},
    ],
)
def test_what_makes_no_sense_is_refused(world: World, bad: dict[str, str]) -> None:
    alice = world.workspace()
    answer = alice.request("GET", "/tenant-metrics", **bad)
    assert answer.status_code == 400
    assert next(iter(bad)) in answer.text


def test_messages_are_counted_when_they_are_sent(world: World) -> None:
    alice = world.workspace()
    alice.mail_on("hi")
    alice.identify("u", email="usage@x.test")
    alice.track("u", "hi")
    alice.settle()
    point = metrics(alice)[-1]
    assert (point["messageCount"], point["messagesThisMonth"], point["journeyCount"]) == (1, 1, 1)
    assert point["eventCount"] == 2, "what the platform itself records is not the customer's"


def test_a_parents_usage_holds_its_childrens_events(world: World) -> None:
    parent = world.workspace("parent", type="Parent")
    child = world.workspace("child", parentWorkspaceId=parent.id)
    child.identify("u")
    child.settle()
    assert (metrics(parent)[-1]["eventCount"], metrics(parent)[-1]["userCount"]) == (1, 1)


def test_charlie_sees_nothing_of_alices_usage(world: World) -> None:
    alice, charlie = world.workspace(), world.workspace("charlie")
    alice.identify("u")
    alice.settle()
    assert sum(point["eventCount"] for point in metrics(charlie)) == 0
    answer = charlie.request("GET", "/tenant-metrics", workspaceId=alice.id)
    assert answer.status_code in (400, 401)


def test_the_platform_sees_the_heaviest_first(world: World) -> None:
    alice = world.workspace("heavy")
    for number in range(30):
        alice.identify(f"u{number}")
    alice.settle()
    deadline = time.monotonic() + 20
    while True:
        found = world.platform("GET", "/usage").json()["workspaces"]
        mine = [item for item in found if item["workspaceId"] == alice.id]
        if mine and mine[0]["databaseTimeMs"] > 0:
            break
        assert time.monotonic() < deadline
        time.sleep(1)
    assert (mine[0]["eventCount"], mine[0]["name"]) == (30, alice.made["name"])
    times = [item["databaseTimeMs"] for item in found]
    assert times == sorted(times, reverse=True)
    assert world.platform("GET", "/usage?limit=0").status_code == 400
    assert len(world.platform("GET", "/usage?limit=1").json()["workspaces"]) == 1


def test_the_platform_sees_who_holds_connections(world: World) -> None:
    shown = world.platform("GET", "/connections").json()
    assert shown["connections"] > 0
    assert shown["waiting"] == 0
    assert all(uuid.UUID(lane["rootWorkspaceId"]) for lane in shown["lanes"])


def test_a_strangers_probes_are_not_alices_usage(world: World) -> None:
    alice, charlie = world.workspace(), world.workspace("charlie")

    def now() -> tuple[int, ...]:
        found = metrics(alice, granularity="day")
        return tuple(
            sum(point[name] for point in found) for name in ("apiRequestCount", "databaseQueryCount", "eventCount")
        )

    first, second = now(), now()
    for _ in range(20):
        assert charlie.request("GET", "/segments", workspaceId=alice.id).status_code == 401
        assert (
            world.http.get(
                "/api/admin/segments", params={"workspaceId": alice.id}, headers={"authorization": "Bearer x"}
            ).status_code
            == 401
        )
        assert charlie.request("DELETE", "/users", {"workspaceId": alice.id, "userIds": ["u"]}).status_code == 401
    third = now()
    assert third[0] - second[0] == 1 == second[0] - first[0]
    assert third[2] == 0, "no event of hers came of it"
