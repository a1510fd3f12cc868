"""Charlie calls every route with Alice's ids: he hears what he would hear of ids that nobody has."""

import time
from uuid import uuid4

import pytest

from tenfold.http.endpoint import Door
from tenfold.wiring import ENDPOINTS
from tests.samples import ADMIN_ROUTES, Sample
from tests.walker import everything_of, resource_ids, walk
from tests.world import Owner, World

KINDS = ["workspace", "segment", "user-property", "template", "subscription-group", "admin-key", "secret", "journey"]


@pytest.fixture(scope="module")
def alice(server, mailbox):
    world = World(server, mailbox)
    owner = world.workspace()
    owner.identify("ann", plan="pro")
    owner.ids = resource_ids(owner)
    owner.settle()
    yield owner
    world.close()


def bearer(someone: Owner) -> dict[str, str]:
    return {"authorization": f"Bearer {someone.admin_key}"}


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_of_alice_is_like_one_that_nobody_has(alice: Owner, world: World, kind: str) -> None:
    before = everything_of(world, alice.id)
    real, absent = world.workspace("charlie"), world.workspace("charlie")
    with_hers = walk(world.http, bearer(real), ADMIN_ROUTES, own=real.id, identity=alice.ids[kind])
    with_nobodys = walk(world.http, bearer(absent), ADMIN_ROUTES, own=absent.id, identity=str(uuid4()))
    assert with_hers == with_nobodys
    assert everything_of(world, alice.id) == before
    assert all(status < 500 for _, status, _ in with_hers)


@pytest.mark.parametrize("kind", KINDS)
def test_each_reach_is_told_to_alice(alice: Owner, world: World, kind: str) -> None:
    charlie = world.workspace("charlie")
    walk(world.http, bearer(charlie), ADMIN_ROUTES, own=charlie.id, identity=alice.ids[kind])
    key = charlie.get("/admin-keys")["adminApiKeys"][0]["id"]
    deadline, found = time.monotonic() + 10, []
    while not found and time.monotonic() < deadline:
        time.sleep(0.2)
        found = alice.get("/audit-log", action="workspace.crossing", actorId=key)["events"]
    assert {entry["target"]["id"] for entry in found} == {alice.ids[kind]}
    assert {entry["target"]["type"] for entry in found} == {kind}


def test_the_walk_reaches_the_handlers(world: World) -> None:
    charlie = world.workspace("charlie")
    answers = walk(world.http, bearer(charlie), ADMIN_ROUTES, own=charlie.id, identity=str(uuid4()))
    turned_away = [route for route, status, _ in answers if status in (400, 401, 403)]
    allowed = {  # these want more than a schema can say
        "PUT /api/admin/settings/email-providers", "PUT /api/admin/settings/email-providers/default",
        "PUT /api/admin/roles", "POST /api/admin/admin-keys", "POST /api/admin/segments", "PUT /api/admin/segments",
        "PUT /api/admin/secrets", "GET /api/admin/deliveries", "GET /api/admin/deliveries/count", "GET /api/admin/audit-log",
        "POST /api/admin/content/templates", "POST /api/admin/journeys", "PUT /api/admin/journeys", "PUT /api/admin/user-properties",
        "POST /api/admin/user-properties",
    }  # fmt: skip
    assert set(turned_away) <= allowed, [answer for answer in answers if answer[0] in set(turned_away) - allowed]


@pytest.mark.parametrize("name", ["body", "query", "query-dash", "df-workspace-id", "workspace-id"])
def test_a_workspace_of_alice_is_like_one_that_nobody_has(alice: Owner, world: World, name: str) -> None:
    charlie = world.workspace("charlie")
    answers = []
    for workspace in (alice.id, str(uuid4())):
        headers, body, query = bearer(charlie), {"workspaceId": workspace, "name": "x"}, {}
        if name.endswith("workspace-id"):
            headers[name] = workspace
        if name.startswith("query"):
            query = {"workspaceId" if name == "query" else "workspace-id": workspace}
        answer = world.http.put("/api/admin/segments", json=body, params=query, headers=headers)
        answers.append((answer.status_code, answer.text))
    assert answers[0] == answers[1] == (401, '{"message":"API key not valid"}')


def test_values_that_disagree_or_are_no_ids_are_refused(alice: Owner, world: World) -> None:
    charlie = world.workspace("charlie")
    both = world.http.get(
        "/api/admin/segments", params={"workspaceId": charlie.id}, headers={**bearer(charlie), "workspace-id": alice.id}
    )
    assert (both.status_code, both.json()) == (400, {"message": "Mismatched workspaceIds in request."})
    for bad in (
        "x",
        alice.id[:-1],
        alice.id + "0",
        "{" + alice.id + "}",
        alice.id.replace("-", ""),
        "'; DROP TABLE x;--",
    ):
        answer = world.http.get("/api/admin/segments", params={"workspaceId": bad}, headers=bearer(charlie))
        assert (answer.status_code, answer.json()) == (400, {"message": "Invalid workspaceId, not a valid UUID."}), bad


def test_the_platforms_routes_take_no_other_key(alice: Owner, world: World) -> None:
    for endpoint in (endpoint for endpoint in ENDPOINTS if endpoint.door is Door.PLATFORM):
        path = Sample(endpoint, alice.id, alice.id).path("/api/platform" + endpoint.path)
        for header in (
            f"Bearer {alice.admin_key}",
            alice.write_key,
            "",
            "Bearer",
            f"Bearer {world.server.platform_key}x",
        ):
            answer = world.http.request(endpoint.method, path, json={}, headers={"authorization": header})
            assert answer.status_code == 401, (path, header)
