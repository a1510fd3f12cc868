"""Quotas: exact at any concurrency, on every path that makes something; deletes make room."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from tests.world import Owner, World

EVERYONE = {"entryNode": {"type": "Everyone", "id": "1"}, "nodes": []}
Make = Callable[[int], tuple[str, str, dict[str, Any]]]

MAKERS: dict[str, Make] = {
    "segments": lambda n: ("PUT", "/segments", {"name": f"s{n}", "definition": EVERYONE}),
    "segments by POST": lambda n: ("POST", "/segments", {"name": f"s{n}", "definition": EVERYONE}),
    "journeys": lambda n: ("PUT", "/journeys", {"name": f"j{n}"}),
    "templates": lambda n: ("POST", "/content/templates", {"name": f"t{n}", "definition": {"type": "Webhook", "identifierKey": "id", "body": "{}"}}),
    "members": lambda n: ("POST", "/permissions", {"email": f"p{n}@x.test", "role": "Viewer"}),
}  # fmt: skip


def field_of(name: str) -> tuple[str, str]:
    resource = name.partition(" ")[0]
    return resource, "max" + resource.capitalize()


def make(someone: Owner, name: str, number: int) -> httpx.Response:
    method, path, body = MAKERS[name](number)
    return someone.request(method, path, body)


async def make_at_once(someone: Owner, name: str, count: int) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=40)
    headers = {"authorization": f"Bearer {someone.admin_key}"}
    async with httpx.AsyncClient(base_url=someone.world.server.url, limits=limits, timeout=120) as client:

        async def one(number: int) -> httpx.Response:
            method, path, body = MAKERS[name](number)
            sent = {"workspaceId": someone.id, **body}
            return await client.request(method, f"/api/admin{path}", json=sent, headers=headers)

        return await asyncio.gather(*(one(number) for number in range(count)))


@pytest.mark.parametrize("name", MAKERS)
def test_one_more_than_allowed_is_refused_and_says_everything(world: World, name: str) -> None:
    alice, (resource, field) = world.workspace(), field_of(name)
    assert alice.put("/quotas", **{field: 2})[field] == 2
    assert [make(alice, name, number).status_code < 300 for number in range(2)] == [True, True]
    refused = make(alice, name, 3)
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    told = refused.json()
    assert told == {
        "type": "urn:tenfold:problem:quota-exceeded", "title": "Quota exceeded", "status": 429, "code": "quota_exceeded",
        "message": f"{resource} quota exceeded: 2 of 2 used", "detail": f"{resource} quota exceeded: 2 of 2 used",
        "workspaceId": alice.id, "resource": resource, "limit": 2, "used": 2, "requested": 1, "resetsAt": None,
    }  # fmt: skip
    shown = alice.get("/quotas")
    assert (shown["usage"][resource], shown["quota"][field], shown["ceiling"][field]) == (2, 2, None)


@pytest.mark.parametrize("name", MAKERS)
def test_many_at_once_make_exactly_as_many_as_allowed(world: World, name: str) -> None:
    alice, (resource, field) = world.workspace(), field_of(name)
    alice.put("/quotas", **{field: 7})
    answers = asyncio.run(make_at_once(alice, name, 60))
    made = [answer for answer in answers if answer.status_code < 300]
    assert len(made) == 7
    assert {answer.status_code for answer in answers if answer not in made} == {429}
    assert alice.get("/quotas")["usage"][resource] == 7


def test_what_is_changed_again_takes_no_room_and_what_is_deleted_gives_it_back(world: World) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxSegments=1, maxMembers=1)
    made = alice.put("/segments", name="s", definition=EVERYONE)
    alice.put("/segments", id=made["id"], name="renamed")
    assert make(alice, "segments", 1).status_code == 429
    assert alice.request("DELETE", "/segments", {"id": made["id"]}).status_code == 204
    assert make(alice, "segments", 1).status_code == 200
    for role in ("Viewer", "Author"):
        assert alice.request("POST", "/permissions", {"email": "bob@x.test", "role": role}).status_code == 201
    assert make(alice, "members", 1).status_code == 429
    alice.request("DELETE", "/permissions", {"email": "bob@x.test"})
    assert make(alice, "members", 1).status_code == 201


def test_a_refused_creation_leaves_nothing_behind(world: World) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxSegments=0)
    before = len(alice.get("/audit-log", limit="1000")["events"])
    assert make(alice, "segments", 1).status_code == 429
    assert [s for s in alice.get("/segments")["segments"] if s["name"] == "s1"] == []
    assert len(alice.get("/audit-log", limit="1000")["events"]) == before


def test_a_limit_below_what_is_used_stops_only_further_creation(world: World) -> None:
    alice = world.workspace()
    ids = [make(alice, "journeys", number).json()["id"] for number in range(3)]
    alice.put("/quotas", maxJourneys=1)
    assert make(alice, "journeys", 9).json()["used"] == 3
    assert alice.request("PUT", "/journeys", {"id": ids[0], "name": "renamed"}).status_code == 200
    alice.put("/quotas", maxJourneys=None)
    assert make(alice, "journeys", 9).status_code == 200


def test_children_share_their_parents_quota(world: World) -> None:
    parent = world.workspace("parent", type="Parent")
    children = [world.workspace("child", parentWorkspaceId=parent.id) for _ in range(3)]
    parent.put("/quotas", maxSegments=4)

    async def all_at_once() -> list[httpx.Response]:
        return [
            answer
            for group in await asyncio.gather(*(make_at_once(child, "segments", 10) for child in children))
            for answer in group
        ]

    answers = asyncio.run(all_at_once())
    assert sum(answer.status_code == 200 for answer in answers) == 4
    told = next(answer.json() for answer in answers if answer.status_code == 429)
    assert (told["workspaceId"], told["limit"], told["used"]) == (parent.id, 4, 4)
    assert parent.get("/quotas")["usage"]["segments"] == 4
    assert sum(child.get("/quotas")["usage"]["segments"] for child in children) == 4


def test_the_platform_sets_a_ceiling(world: World) -> None:
    alice = world.workspace()
    answer = world.platform("PUT", f"/workspaces/{alice.id}/ceiling", {"maxSegments": 2})
    assert (answer.status_code, answer.json()["maxSegments"]) == (200, 2)
    above = alice.request("PUT", "/quotas", {"maxSegments": 3})
    assert above.status_code == 403
    assert above.json()["message"] == "maxSegments may be 2 at most"
    assert alice.request("PUT", "/quotas", {"maxSegments": None}).status_code == 403
    assert alice.put("/quotas", maxSegments=1)["maxSegments"] == 1
    assert alice.request("DELETE", "/quotas", None, x="1").status_code == 204
    assert alice.get("/quotas")["quota"]["maxSegments"] == 2
    assert [make(alice, "segments", number).status_code for number in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("bad", [-1, 1.5, "5", True, [], 2**60])
def test_a_limit_is_a_whole_number(world: World, bad: Any) -> None:
    alice = world.workspace()
    answer = alice.request("PUT", "/quotas", {"maxSegments": bad})
    assert answer.status_code == 400
    assert "maxSegments" in answer.text
    assert alice.get("/quotas")["quota"]["maxSegments"] is None


def test_requests_a_minute(world: World) -> None:
    alice = world.workspace()
    assert "ratelimit" not in alice.request("GET", "/segments").headers
    alice.put("/quotas", maxRequestsPerMinute=5)
    answers = [alice.request("GET", "/segments") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=5;w=60'
    assert answers[0].headers["ratelimit"].startswith('"requests";r=4;t=')
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 12
    assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')
    told = refused.json()
    assert (told["code"], told["type"]) == ("rate_limited", "urn:tenfold:problem:rate-limited")
    assert (told["workspaceId"], told["limit"], told["resetsAt"] is not None) == (alice.id, 5, True)
    event = {"messageId": "1", "userId": "u", "traits": {}}
    assert alice.apps("/identify", event).status_code == 429, "clients that send events count, too"
    assert alice.put("/quotas", maxRequestsPerMinute=None)["maxRequestsPerMinute"] is None
    assert alice.apps("/identify", event).status_code == 204


def test_children_share_their_parents_requests(world: World) -> None:
    parent = world.workspace("parent", type="Parent")
    children = [world.workspace("child", parentWorkspaceId=parent.id) for _ in range(2)]
    parent.put("/quotas", maxRequestsPerMinute=6)
    time.sleep(1.1)  # so long a workspace's limits may be remembered
    statuses = [child.request("GET", "/segments").status_code for _ in range(5) for child in children]
    assert statuses.count(200) == 6
    assert children[0].request("GET", "/segments").json()["workspaceId"] == parent.id


def test_the_counters_are_what_a_recount_finds(world: World) -> None:
    """After everything that the tests of this run made and deleted; and a counter that is off is found."""
    alice = world.workspace()
    alice.put("/segments", name="s", definition=EVERYONE)

    def doctor() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tenfold", "doctor", "--quotas", "--data-dir", str(world.server.directory)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    sound = doctor()
    assert sound.returncode == 0, sound.stdout
    assert "ok     quotas" in sound.stdout
    move = "UPDATE quota_usage SET used = used + %s WHERE workspace_id = %s AND resource = 'segments'"
    with psycopg.connect(world.server.database_url, user="tenfold_root", autocommit=True) as owner:
        owner.execute(move, (1, alice.id))
        drifted = doctor()
        owner.execute(move, (-1, alice.id))
    assert drifted.returncode == 1
    assert f"FAULT  quotas: workspace {alice.id} counts 2 segments and has 1" in drifted.stdout


def test_a_ceiling_cannot_be_lifted_from_within(world: World) -> None:
    """Not even by SQL that runs in the workspace's own context."""
    alice = world.workspace()
    world.platform("PUT", f"/workspaces/{alice.id}/ceiling", {"maxSegments": 2})
    with psycopg.connect(world.server.database_url, user="tenfold_app") as app:
        app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (world.server.context(alice.id),))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only the platform"):
            app.execute("UPDATE quota_ceilings SET limits = '{}'")
    assert alice.get("/quotas")["ceiling"]["maxSegments"] == 2


def test_the_app_role_cannot_move_a_counter(world: World) -> None:
    alice = world.workspace()
    with psycopg.connect(world.server.database_url, user="tenfold_app", autocommit=True) as app:
        for statement in (
            "UPDATE quota_usage SET used = 0",
            "DELETE FROM quota_usage",
            f"SELECT tenancy.move_quota('{alice.id}', 'segments', 'maxSegments', -5)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)  # type: ignore[arg-type]


def test_a_workspace_may_begin_with_quotas_of_its_own(world: World) -> None:
    alice = world.workspace(quotas={"maxSegments": 1, "maxUsers": 0})
    assert alice.get("/quotas")["quota"]["maxSegments"] == 1
    assert [make(alice, "segments", number).status_code for number in range(2)] == [200, 429]
    assert alice.apps("/identify", {"messageId": "1", "userId": "u", "traits": {}}).status_code == 429
    bad = world.platform("POST", "/workspaces", {"name": f"bad {time.time()}", "quotas": {"maxUsers": -1}})
    assert (bad.status_code, "maxUsers" in bad.text) == (400, True)
