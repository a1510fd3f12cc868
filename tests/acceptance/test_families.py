"""Parents and children: what a parent may see and do, and what nobody else may."""

import pytest

from tests.world import Owner, World


@pytest.fixture
def family(world: World) -> tuple[Owner, Owner, Owner]:
    parent = world.workspace("parent", type="Parent")
    return parent, *(
        world.workspace("child", parentWorkspaceId=parent.id, externalId=f"x-{number}") for number in (1, 2)
    )


def key_of(someone: Owner) -> dict[str, str]:
    return {"authorization": f"Bearer {someone.admin_key}"}


def test_a_parent_sees_its_childrens_users_and_events(family: tuple[Owner, Owner, Owner], world: World) -> None:
    parent, ann, bob = family
    stranger = world.workspace("stranger")
    for owner, user in ((ann, "ann"), (bob, "bob"), (stranger, "eve")):
        owner.track(user, f"seen-{user}")
        owner.settle()
    assert set(parent.users()) == {"ann", "bob"}
    assert set(ann.users()) == {"ann"}
    assert {event["userId"] for event in parent.get("/events", limit="50")["events"]} == {"ann", "bob"}
    assert parent.get("/events")["count"] == 2
    assert ann.get("/events")["count"] == 1
    assert parent.get("/events/properties").keys() >= {"properties"}


def test_a_parents_key_opens_its_children_by_id_and_by_external_id(
    family: tuple[Owner, Owner, Owner], world: World
) -> None:
    parent, ann, bob = family
    for child in (ann, bob):
        query = {"workspaceId": child.id}
        assert world.http.get("/api/admin/segments", params=query, headers=key_of(parent)).status_code == 200
    for opener, target in ((ann, bob), (ann, parent)):
        answer = world.http.get("/api/admin/segments", params={"workspaceId": target.id}, headers=key_of(opener))
        assert answer.status_code == 401
    external = {"externalId": "x-1"}
    roles = world.http.get("/api/admin/roles", params=external, headers=key_of(parent))
    assert roles.status_code == 200
    own = world.http.get("/api/admin/audit-log", params=external, headers=key_of(parent)).json()["events"][-1]
    assert own["target"]["id"] == ann.id
    assert world.http.get("/api/admin/roles", params={"externalId": "x-9"}, headers=key_of(parent)).status_code == 401


def test_a_parent_takes_no_events_and_a_status_reaches_the_keys(
    family: tuple[Owner, Owner, Owner], world: World
) -> None:
    parent, ann, _ = family
    refused = parent.apps("/identify", {"messageId": "1", "userId": "u", "traits": {}})
    assert (refused.status_code, refused.json()) == (401, {"message": "WorkspaceIneligible"})
    world.platform("PUT", f"/workspaces/{parent.id}/status", {"status": "Paused"})
    import time

    time.sleep(1.1)  # so long a status may be remembered
    query = {"workspaceId": ann.id}
    assert world.http.get("/api/admin/segments", params=query, headers=key_of(parent)).status_code == 401
    assert world.http.get("/api/admin/segments", params=query, headers=key_of(ann)).status_code == 200


def test_a_domain_of_a_public_mail_service_is_refused(world: World) -> None:
    answer = world.platform("POST", "/workspaces", {"name": "x", "domain": "GMail.com"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "InvalidDomain"


def test_the_platform_lets_the_first_admin_in_and_reads_its_own_log(world: World) -> None:
    alice = world.workspace()
    made = world.platform("POST", f"/workspaces/{alice.id}/members", {"email": "alice@x.test"})
    assert (made.status_code, made.json()["role"]) == (201, "Admin")
    assert alice.get("/permissions")["memberRoles"][0]["member"]["email"] == "alice@x.test"
    assert world.platform("POST", f"/workspaces/{alice.id}/members", {"email": "x", "role": "Admin"}).status_code == 400
    log = world.platform("GET", "/audit-log?limit=3").json()["events"]
    assert [entry["actor"]["type"] for entry in log] == ["platform"] * 3
    assert any("/members" in entry["changes"]["request"] for entry in log)
    exported = world.platform("GET", "/audit-log/export")
    assert exported.status_code == 200
    from tenfold.tenancy.audit.verify import verify

    assert verify(exported.text.splitlines()).entries > 3


@pytest.mark.parametrize("field", ["admin key", "expired"])
def test_keys_have_rights_an_end_and_a_last_use(world: World, field: str) -> None:
    alice = world.workspace()
    if field == "expired":
        for bad in ("2001-01-01T00:00:00Z", "soon"):
            assert alice.request("POST", "/admin-keys", {"name": "x", "expiresAt": bad}).status_code == 400
        made = alice.request("POST", "/admin-keys", {"name": "short", "expiresAt": "2999-01-01T00:00:00Z"}).json()
        import psycopg

        short = Owner(world, {**alice.made, "adminApiKey": made["apiKey"]})
        assert short.request("GET", "/segments").status_code == 200
        with psycopg.connect(world.server.database_url, user="tenfold_root", autocommit=True) as owner:
            owner.execute("UPDATE admin_keys SET expires_at = now() WHERE id = %s", (made["id"],))
        assert short.request("GET", "/segments").status_code == 401
        return
    made = alice.request("POST", "/admin-keys", {"name": "reader", "permissions": ["segments:read"]})
    assert made.status_code == 200
    assert alice.request("POST", "/admin-keys", {"name": "reader"}).status_code == 409
    assert alice.request("POST", "/admin-keys", {"name": "y", "permissions": ["cats:pet"]}).status_code == 400
    reader = Owner(world, {**alice.made, "adminApiKey": made.json()["apiKey"]})
    assert reader.request("GET", "/segments").status_code == 200
    assert reader.request("GET", "/journeys").status_code == 403
    shown = {key["name"]: key for key in alice.get("/admin-keys")["adminApiKeys"]}
    assert shown["reader"]["permissions"] == ["segments:read"]
    assert shown["reader"]["lastUsedAt"]
    assert "apiKey" not in shown["reader"]
    assert alice.request("DELETE", "/admin-keys", None, id=shown["reader"]["id"]).status_code == 200
    assert reader.request("GET", "/segments").status_code == 401
    assert alice.request("DELETE", "/admin-keys", None, id=shown["reader"]["id"]).status_code == 404


def test_secrets_are_named_and_never_shown(world: World) -> None:
    alice = world.workspace()
    assert alice.request("PUT", "/secrets", {"name": "token", "value": "plain-text"}).status_code == 204
    assert alice.request("PUT", "/secrets", {"name": "api", "configValue": {"key": "plain-key"}}).status_code == 204
    assert alice.request("PUT", "/secrets", {"name": "api", "configValue": {"more": "plain-more"}}).status_code == 204
    assert alice.request("PUT", "/secrets", {"name": "x"}).status_code == 400
    found = alice.request("GET", "/secrets", names=["token", "api"])
    assert "plain" not in found.text
    by_name = {secret["name"]: secret for secret in found.json()}
    assert by_name["api"]["configValue"] == {"key": "********", "more": "********"}
    assert alice.request("DELETE", "/secrets", None, id=by_name["token"]["id"]).status_code == 204
    assert alice.request("DELETE", "/secrets", None, id=by_name["token"]["id"]).status_code == 404
