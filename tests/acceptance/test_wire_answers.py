"""What we answer is what the wire promises: every sample is held to the schema of its route."""

import json
from typing import Any

import pytest

from tenfold.http.wire import table, validator
from tests.world import Owner, World

PRO = {"type": "Trait", "path": "plan", "operator": {"type": "Equals", "value": "pro"}}


@pytest.fixture
def alice(world: World) -> Owner:
    owner = world.workspace()
    owner.use_mailbox()
    segment, mail = owner.segment("pro", PRO), owner.mail_template()
    variant = {"type": "Email", "templateId": mail["id"]}
    entry = {"type": "EntryNode", "segment": segment["id"], "child": "m"}
    message = {"type": "MessageNode", "id": "m", "variant": variant, "child": "ExitNode"}
    owner.journey("welcome", entry, message)
    owner.identify("ann", plan="pro", email=f"ann-{owner.id}@x.test")
    owner.settle()
    return owner


def matches(route: str, body: Any) -> None:
    """The body fits the route's schema; what was coerced on the way would differ (null for text aside)."""
    accepted, errors = validator().check(table()[route].answers["200"], body)
    assert errors == [], route
    assert json.dumps(accepted) == json.dumps(body).replace(": null", ': ""'), route


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/segments", {}), ("/user-properties", {}), ("/journeys", {}), ("/journeys", {"getPartial": "true"}),
        ("/journeys/stats", {}), ("/content/templates", {}), ("/subscription-groups", {}), ("/events", {"limit": "50"}),
        ("/events", {"includeContext": "true"}), ("/events/traits", {}), ("/events/properties", {}), ("/deliveries", {}),
        ("/deliveries/count", {}), ("/settings/write-keys", {}),
    ],
)  # fmt: skip
def test_reads(alice: Owner, path: str, query: dict[str, str]) -> None:
    body = alice.get(path, **query)
    matches(f"GET /api{path}", body)
    assert body, path


def test_writes_and_searches(alice: Owner) -> None:
    matches("PUT /api/segments", alice.segment("more", PRO))
    trait = {"type": "Trait", "path": "plan"}
    matches("PUT /api/user-properties", alice.put("/user-properties", name="plan", definition=trait))
    matches("PUT /api/content/templates", alice.mail_template("other"))
    group = alice.put("/subscription-groups", name="news", type="OptIn", channel="Email")
    matches("PUT /api/subscription-groups", group)
    matches("POST /api/users", alice.request("POST", "/users", {}).json())
    matches("POST /api/users/count", alice.request("POST", "/users/count", {}).json())
    contents = {
        "subject": {"type": "PlainText", "value": "Hi {{ user.name }}"},
        "bad": {"type": "PlainText", "value": "{{"},
    }
    body = {"channel": "Email", "contents": contents, "userProperties": {"name": "Ann"}}
    rendered = alice.request("POST", "/content/templates/render", body).json()
    matches("POST /api/content/templates/render", rendered)
    assert rendered["contents"]["subject"] == {"type": "Ok", "value": "Hi Ann"}
    assert rendered["contents"]["bad"]["type"] == "Err"


CREATES = [
    ("/segments", {"definition": {"entryNode": {"id": "1", **PRO}, "nodes": []}}),
    ("/user-properties", {"definition": {"type": "Trait", "path": "x"}}),
    ("/journeys", {}),
    ("/content/templates", {"definition": {"type": "Webhook", "identifierKey": "id", "body": "{}"}}),
    ("/subscription-groups", {"type": "OptIn", "channel": "Email"}),
]


@pytest.mark.parametrize(("path", "body"), CREATES)
def test_post_creates_once(alice: Owner, path: str, body: dict[str, Any]) -> None:
    made = alice.request("POST", path, {"name": "new", **body})
    assert made.status_code == 201, made.text
    again = alice.request("POST", path, {"name": "new", **body})
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    assert again.json()["code"] == "conflict"


@pytest.mark.parametrize("path", ["/segments", "/user-properties", "/journeys", "/content/templates"])
def test_a_foreign_id_is_like_an_unknown_one(alice: Owner, world: World, path: str) -> None:
    charlie = world.workspace("charlie")
    kinds = {"/segments": "segments", "/user-properties": "userProperties", "/journeys": "journeys"}
    hers = alice.get(path)[kinds.get(path, "templates")][0]
    more = {"type": "Email"} if "templates" in path else {}
    foreign = charlie.request("DELETE", path, {"id": hers["id"], **more})
    unknown = charlie.request("DELETE", path, {"id": "01a201a7-5536-7c6b-af8b-452bc8cb4b4c", **more})
    assert (foreign.status_code, foreign.content) == (unknown.status_code, unknown.content) == (404, b"")
    assert hers["id"] in {item["id"] for item in alice.get(path)[kinds.get(path, "templates")]}


def test_pages_of_users_join_up(alice: Owner) -> None:
    for number in range(25):
        alice.identify(f"p{number:02}", plan="free")
    alice.settle()
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = alice.request("POST", "/users", {"limit": 10, **cursor}).json()
        seen += [user["id"] for user in page["users"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == sorted(["ann", *(f"p{number:02}" for number in range(25))])


def test_platform_workspaces(world: World) -> None:
    parent = world.platform("POST", "/workspaces", {"name": f"parent-{id(world)}", "type": "Parent"}).json()
    child = {"name": "child", "parentWorkspaceId": parent["workspaceId"], "externalId": "c-1"}
    first, again = (world.platform("POST", "/workspaces", child) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["workspaceId"] == again.json()["workspaceId"]
    assert first.json()["type"] == "Child"
    listed = world.platform("GET", f"/workspaces?parentWorkspaceId={parent['workspaceId']}").json()["workspaces"]
    assert [item["name"] for item in listed] == ["child"]
    path = f"/workspaces/{first.json()['workspaceId']}"
    assert world.platform("PUT", f"{path}/status", {"status": "Paused"}).json()["status"] == "Paused"
    refused = world.http.post(
        "/api/public/apps/batch", json={"batch": []}, headers={"authorization": first.json()["writeKey"]}
    )
    assert (refused.status_code, refused.json()) == (401, {"message": "WorkspaceIneligible"})
    parents_key = {"authorization": f"Bearer {parent['adminApiKey']}"}
    query = {"workspaceId": first.json()["workspaceId"]}
    assert world.http.get("/api/admin/segments", params=query, headers=parents_key).status_code == 401
    assert world.platform("PUT", f"{path}/status", {"status": "Active"}).status_code == 200
    assert world.http.get("/api/admin/segments", params=query, headers=parents_key).status_code == 200
    assert world.http.post("/api/platform/workspaces", json={"name": "x"}).status_code == 401
    for body in ({}, {"name": ""}, {"name": 5}, {"name": "x", "type": "Odd"}, {"name": "x", "parentWorkspaceId": "y"}):
        assert world.platform("POST", "/workspaces", body).status_code == 400, body


def test_users_are_found_by_segment_property_and_id(alice: Owner) -> None:
    for number in range(6):
        alice.identify(f"p{number}", plan="pro" if number < 3 else "free", level=number, city='Ulm "old", town')
    level = alice.put("/user-properties", name="level", definition={"type": "Trait", "path": "level"})
    city = alice.put("/user-properties", name="city", definition={"type": "Trait", "path": "city"})
    pro = next(segment for segment in alice.get("/segments")["segments"] if segment["name"] == "pro")
    alice.settle()
    assert set(alice.users(segmentFilter=[pro["id"]])) == {"ann", "p0", "p1", "p2"}
    assert set(alice.users(negativeSegmentFilter=[pro["id"]])) == {"p3", "p4", "p5"}
    assert set(alice.users(userPropertyFilter=[{"id": level["id"], "values": ["1", "4"]}])) == {"p1", "p4"}
    both = [{"id": level["id"], "values": ["1"]}, {"id": city["id"], "values": ['Ulm "old", town']}]
    assert set(alice.users(userPropertyFilter=both, segmentFilter=[pro["id"]])) == {"p1"}
    assert set(alice.users(userIds=["p2", "nobody"])) == {"p2"}
    assert alice.users(segmentFilter=["no-uuid"]) == {}
    page = alice.request("POST", "/users", {"limit": 2, "cursor": "bm9uc2Vuc2U="}).json()
    following = alice.request("POST", "/users", {"limit": 2, "cursor": page["nextCursor"]}).json()
    back = {"limit": 2, "cursor": following["previousCursor"], "direction": "before"}
    assert alice.request("POST", "/users", back).json()["users"] == page["users"]


def test_a_parent_sees_the_users_of_its_children(world: World) -> None:
    parent = Owner(
        world, world.platform("POST", "/workspaces", {"name": f"family-{id(world)}", "type": "Parent"}).json()
    )
    children = [world.workspace("child", parentWorkspaceId=parent.id) for _ in range(2)]
    for number, child in enumerate(children):
        child.identify(f"of-{number}", plan="pro")
        child.settle()
    assert set(parent.users()) == {"of-0", "of-1"}
    assert set(children[0].users()) == {"of-0"}
    refused = parent.apps("/track", {"messageId": "1", "userId": "u", "event": "e"})
    assert (refused.status_code, refused.json()) == (401, {"message": "Invalid write key."})


def test_a_put_with_a_foreign_id_creates_in_ones_own_workspace(alice: Owner, world: World) -> None:
    charlie = world.workspace("charlie")
    hers = next(segment for segment in alice.get("/segments")["segments"] if segment["name"] == "pro")
    made = charlie.put("/segments", id=hers["id"], name="mine", definition=hers["definition"])
    assert (made["id"], made["workspaceId"]) == (hers["id"], charlie.id)
    still = next(segment for segment in alice.get("/segments")["segments"] if segment["id"] == hers["id"])
    assert still == hers
