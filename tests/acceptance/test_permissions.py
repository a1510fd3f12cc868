"""Roles hold on every route: what a role may not do, it cannot."""

import pytest

from tenfold.http.endpoint import Endpoint
from tenfold.http.permissions import ANYONE, PERMISSIONS, disagreements, name_of, permission_of
from tenfold.kit.errors import ConfigurationError, Forbidden, Invalid
from tenfold.tenancy.access import permissions
from tenfold.tenancy.access.permissions import ALL, ROLES
from tenfold.wiring import ENDPOINTS
from tests.samples import ADMIN_ROUTES, Sample
from tests.world import Owner, World

UNUSED = "00000000-0000-4000-8000-00000000dead"


@pytest.fixture(scope="module")
def keys(server, mailbox):
    """Alice's workspace, and a key of each role in it."""
    world = World(server, mailbox)
    alice = world.workspace()
    made = {role: alice.request("POST", "/admin-keys", {"name": role, "role": role}).json()["apiKey"] for role in ROLES}
    yield alice, made
    world.close()


def test_the_table_and_the_router_agree() -> None:
    assert disagreements(ENDPOINTS) == []


def test_a_route_without_a_permission_does_not_start() -> None:
    endpoint = ENDPOINTS[-1]
    new = Endpoint("GET", "/everything", endpoint.door, endpoint.handler)
    assert disagreements([*ENDPOINTS, new]) == ["GET /everything has no permission"]
    with pytest.raises(ConfigurationError, match="GET /everything"):
        permission_of(new)


def test_the_roles_add_up_and_admin_may_do_everything() -> None:
    viewer, author, manager, admin = (ROLES[name] for name in ("Viewer", "Author", "WorkspaceManager", "Admin"))
    assert viewer < author < manager < admin == ALL
    assert all(name.endswith(":read") for name in viewer)
    used = set(PERMISSIONS.values()) - {ANYONE}
    assert used <= ALL


@pytest.mark.parametrize(
    ("role", "route", "may"),
    [
        ("Viewer", "GET /segments", True), ("Viewer", "PUT /segments", False), ("Viewer", "GET /audit-log", False),
        ("Author", "PUT /journeys", True), ("Author", "PUT /settings/email-providers", False),
        ("Author", "POST /permissions", False), ("WorkspaceManager", "POST /permissions", True),
        ("WorkspaceManager", "PUT /settings/email-providers", True), ("WorkspaceManager", "GET /settings/write-keys", False),
        ("WorkspaceManager", "POST /admin-keys", False), ("WorkspaceManager", "GET /audit-log", False),
        ("WorkspaceManager", "DELETE /users", False), ("Admin", "DELETE /users", True), ("Admin", "GET /audit-log", True),
    ],
)  # fmt: skip
def test_the_roles_are_what_the_plan_says(role: str, route: str, may: bool) -> None:
    assert (PERMISSIONS[route] in ROLES[role]) is may


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", ADMIN_ROUTES, ids=lambda route: name_of(route[0]))
def test_every_route_asks_for_its_permission(keys, role: str, route: tuple[Endpoint, str]) -> None:
    alice, made = keys
    endpoint, path = route
    sample = Sample(endpoint, alice.id, UNUSED)
    answer = alice.world.http.request(
        endpoint.method,
        path,
        json=sample.body(),
        params=sample.query(),
        headers={"authorization": f"Bearer {made[role]}"},
    )
    refused = answer.status_code == 403 and "this needs the permission" in answer.text
    assert refused is (PERMISSIONS[name_of(endpoint)] not in ROLES[role]), answer.text
    assert answer.status_code < 500, answer.text


def test_a_refusal_says_what_is_missing_and_is_written_down(keys) -> None:
    alice, made = keys
    headers = {"authorization": f"Bearer {made['Viewer']}"}
    answer = alice.world.http.put("/api/admin/segments", json={"workspaceId": alice.id, "name": "x"}, headers=headers)
    assert answer.status_code == 403
    assert answer.json() == {"message": "this needs the permission segments:write", "permission": "segments:write"}
    entry = alice.get("/audit-log", action="permission.denied")["events"][0]
    assert (entry["outcome"], entry["target"]["id"]) == ("denied", "segments:write")


def test_permissions_that_do_not_exist_are_named() -> None:
    with pytest.raises(Invalid, match="cats:pet"):
        permissions.check(["segments:read", "cats:pet"])
    with pytest.raises(Forbidden, match="audit:read"):
        permissions.check_grantable(ROLES["Author"], ["segments:read", "audit:read"])


def test_a_workspace_makes_its_own_roles(world: World) -> None:
    alice = world.workspace()
    made = alice.put("/roles", name="Analyst", permissions=["events:read", "deliveries:read"])
    assert made == {"name": "Analyst", "permissions": ["deliveries:read", "events:read"], "builtIn": False}
    alice.request("POST", "/permissions", {"email": "Bob@X.test", "role": "Analyst"})
    members = alice.get("/permissions")["memberRoles"]
    assert [(item["member"]["email"], item["roles"][0]["role"]) for item in members] == [("bob@x.test", "Analyst")]
    in_use = alice.request("DELETE", "/roles", None, name="Analyst")
    assert in_use.status_code == 409
    assert "1 member(s) have this role" in in_use.text
    alice.request("PUT", "/permissions", {"email": "bob@x.test", "role": "Viewer"})
    assert alice.request("DELETE", "/roles", None, name="Analyst").status_code == 204
    for bad in (
        {"name": "Admin", "permissions": []},
        {"name": "x", "permissions": ["cats:pet"]},
        {"name": " ", "permissions": []},
    ):
        assert alice.request("PUT", "/roles", bad).status_code == 400, bad
    names = [role["name"] for role in alice.get("/roles")["roles"]]
    assert names == ["Viewer", "Author", "WorkspaceManager", "Admin"]


def test_nobody_hands_out_more_than_they_have(keys) -> None:
    alice, made = keys
    manager = Owner(alice.world, {**alice.made, "adminApiKey": made["WorkspaceManager"]})
    assert manager.request("POST", "/permissions", {"email": "bob@x.test", "role": "Author"}).status_code == 201
    above = manager.request("POST", "/permissions", {"email": "bob@x.test", "role": "Admin"})
    assert above.status_code == 403
    assert "you cannot give what you do not have" in above.text
    alice.request("POST", "/permissions", {"email": "carol@x.test", "role": "Admin"})
    assert manager.request("DELETE", "/permissions", {"email": "carol@x.test"}).status_code == 403
    assert manager.request("PUT", "/permissions", {"email": "carol@x.test", "role": "Viewer"}).status_code == 403
    keeper = alice.request("POST", "/admin-keys", {"name": "keeper", "permissions": ["admin-keys:write"]}).json()
    narrow = Owner(alice.world, {**alice.made, "adminApiKey": keeper["apiKey"]})
    assert narrow.request("POST", "/admin-keys", {"name": "all"}).status_code == 403
    assert (
        narrow.request("POST", "/admin-keys", {"name": "same", "permissions": ["admin-keys:write"]}).status_code == 200
    )


def test_members_have_an_address_and_a_role_that_exist(world: World) -> None:
    alice = world.workspace()
    for bad in ("", "bob", "bob@", "@x.test", "b ob@x.test", "bob@x", "a" * 250 + "@x.test", "bob@x.test\n,eve@x.test"):
        assert alice.request("POST", "/permissions", {"email": bad, "role": "Viewer"}).status_code == 400, bad
    assert alice.request("POST", "/permissions", {"email": "bob@x.test", "role": "Boss"}).status_code == 400
    assert alice.request("PUT", "/permissions", {"email": "bob@x.test", "role": "Viewer"}).status_code == 404
    assert alice.request("DELETE", "/permissions", {"email": "bob@x.test"}).status_code == 404
    invited = alice.request("POST", "/permissions", {"email": "bob@x.test", "role": "Viewer"}).json()
    assert invited["role"] == "Viewer"
    assert invited["workspaceId"] == alice.id
    (member,) = alice.get("/permissions")["memberRoles"]
    assert member["member"]["status"] == "Invited"
    assert member["member"]["invitedUntil"]
    assert alice.request("DELETE", "/permissions", {"email": "BOB@x.test"}).status_code == 204
    assert alice.get("/permissions")["memberRoles"] == []
