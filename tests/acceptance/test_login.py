"""Signing in: at a real identity provider, and with the installation's password."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tenfold.http.endpoint import Door, mounts
from tenfold.wiring import ENDPOINTS
from tests.browser import SECRET, Browser, Provider
from tests.mailbox import Mailbox
from tests.walker import everything_of, resource_ids, walk
from tests.world import Owner, Server, World

SESSION_ROUTES = [
    (endpoint, path)
    for endpoint in ENDPOINTS
    if endpoint.door in (Door.WORKSPACE, Door.SESSION)
    for path in mounts(endpoint)
    if not path.startswith("/api/admin/")
]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An installation in multi-tenant mode, and its identity provider."""
    provider = Provider()
    environment = {
        "AUTH_MODE": "multi-tenant", "OPEN_ID_ISSUER": provider.issuer, "OPEN_ID_CLIENT_ID": "tenfold",
        "OPEN_ID_CLIENT_SECRET": SECRET,
    }  # fmt: skip
    running = Server(tmp_path_factory.mktemp("office"), environment=environment)
    running.start()
    provider.start(f"{running.url}/dashboard/oauth2/callback")
    yield running
    provider.stop()
    running.stop()


@pytest.fixture
def town(office: Server, mailbox: Mailbox) -> Iterator[World]:
    world = World(office, mailbox)
    yield world
    world.close()


@pytest.fixture
def browser(office: Server) -> Iterator[Browser]:
    opened = Browser(office)
    yield opened
    opened.close()


def address() -> str:
    return f"p{uuid4().hex[:10]}@people.test"


def invite(owner: Owner, email: str, role: str) -> None:
    answer = owner.request("POST", "/permissions", {"email": email, "role": role})
    assert answer.status_code == 201, answer.text


def test_somebody_invited_signs_in_and_works(town: World, browser: Browser) -> None:
    alice, bob = town.workspace(), address()
    invite(alice, bob, "Author")
    back = browser.sign_in(bob.upper(), path="/dashboard/login?returnTo=/dashboard/segments", name="Bob")
    assert (back.status_code, back.headers["location"]) == (302, "/dashboard/segments")
    here = browser.get("/session").json()
    assert here["member"]["email"] == bob
    assert here["workspace"]["id"] == alice.id
    assert "segments:write" in here["permissions"]
    made = browser.put(
        "/segments",
        {
            "workspaceId": alice.id,
            "name": "pro",
            "definition": {"entryNode": {"type": "Everyone", "id": "1"}, "nodes": []},
        },
    )
    assert made.status_code == 200, made.text
    refused = browser.put("/roles", {"workspaceId": alice.id, "name": "x", "permissions": []})
    assert refused.status_code == 403
    (member,) = alice.get("/permissions")["memberRoles"]
    assert (member["member"]["status"], member["member"]["name"]) == ("Member", "Bob")
    log = alice.get("/audit-log", actorId=member["member"]["id"])["events"]
    assert [entry["action"] for entry in log][:3] == ["permission.denied", "segment.created", "member.login"]
    assert {entry["actor"]["name"] for entry in log} == {bob}


def test_a_stranger_signs_in_and_sees_nothing(town: World, browser: Browser) -> None:
    alice = town.workspace()
    assert browser.sign_in(address()).status_code == 302
    assert browser.get("/segments", workspaceId=alice.id).status_code == 403
    assert browser.get("/session").status_code == 403
    assert browser.get("/session/workspaces").json() == {"workspaces": []}


def test_an_address_that_was_not_verified_lets_nobody_in(town: World, browser: Browser) -> None:
    alice, bob = town.workspace(), address()
    invite(alice, bob, "Admin")
    assert browser.sign_in(bob, verified="false").status_code == 403
    assert browser.token is None


def test_people_of_a_domain_join_as_what_the_workspace_chose(town: World, browser: Browser, office: Server) -> None:
    domain = f"{uuid4().hex[:8]}.test"
    alice = town.workspace(domain=domain)
    browser.sign_in(f"bob@{domain}")
    assert "segments:write" not in browser.get("/session", workspaceId=alice.id).json()["permissions"]
    alice.put("/settings/access", domainRole="Author")
    second = Browser(office)
    second.sign_in(f"carol@{domain}")
    assert "segments:write" in second.get("/session", workspaceId=alice.id).json()["permissions"]
    alice.put("/settings/access", domainRole=None)
    third = Browser(office)
    third.sign_in(f"dan@{domain}")
    assert third.get("/session", workspaceId=alice.id).status_code == 403
    second.close()
    third.close()


def test_a_full_workspace_keeps_nobody_from_signing_in(town: World, browser: Browser) -> None:
    domain = f"{uuid4().hex[:8]}.test"
    full, other = town.workspace(domain=domain), town.workspace("other")
    full.put("/quotas", maxMembers=0)
    invite(other, f"bob@{domain}", "Viewer")
    assert browser.sign_in(f"bob@{domain}").status_code == 302
    assert browser.get("/session").json()["workspace"]["id"] == other.id
    refused = full.get("/audit-log", action="member.refused")["events"]
    assert [entry["changes"]["reason"] for entry in refused] == ["members quota exceeded: 0 of 0 used"]


def test_a_role_that_is_taken_away_is_gone_at_once(town: World, browser: Browser) -> None:
    alice, bob = town.workspace(), address()
    invite(alice, bob, "Admin")
    invite(alice, address(), "Admin")
    browser.sign_in(bob)
    assert browser.get("/segments", workspaceId=alice.id).status_code == 200
    assert alice.request("DELETE", "/permissions", {"email": bob}).status_code == 409, "the last Admin who joined"
    alice.request("POST", "/permissions", {"email": address(), "role": "Viewer"})
    carol, second = address(), Browser(browser.server)
    invite(alice, carol, "Admin")
    second.sign_in(carol)
    assert alice.request("DELETE", "/permissions", {"email": bob}).status_code == 204
    assert browser.get("/segments", workspaceId=alice.id).status_code == 403
    assert alice.request("PUT", "/permissions", {"email": carol, "role": "Viewer"}).status_code == 409
    second.close()


def test_a_member_of_a_parent_reaches_its_children_and_no_sibling(town: World, browser: Browser) -> None:
    parent = town.workspace("parent", type="Parent")
    child, other = town.workspace("child", parentWorkspaceId=parent.id), town.workspace("other")
    bob = address()
    invite(parent, bob, "Author")
    browser.sign_in(bob)
    assert browser.get("/segments", workspaceId=child.id).status_code == 200
    assert browser.get("/segments", workspaceId=parent.id).status_code == 200
    assert browser.get("/segments", workspaceId=other.id).status_code == 403
    carol, second = address(), Browser(browser.server)
    invite(child, carol, "Author")
    second.sign_in(carol)
    assert second.get("/segments", workspaceId=child.id).status_code == 200
    assert second.get("/segments", workspaceId=parent.id).status_code == 403
    town.platform("PUT", f"/workspaces/{parent.id}/status", {"status": "Paused"})
    assert browser.get("/segments", workspaceId=child.id).status_code == 403
    second.close()


def test_a_chosen_workspace_is_the_one_meant(town: World, browser: Browser) -> None:
    alice, second, other = town.workspace(), town.workspace(), town.workspace("other")
    bob = address()
    invite(alice, bob, "Viewer")
    invite(second, bob, "Author")
    browser.sign_in(bob)
    assert browser.get("/session").json()["workspace"]["id"] == alice.id
    chosen = browser.http.get("/dashboard/select-workspace", params={"workspaceId": second.id})
    assert chosen.status_code == 302
    assert browser.get("/session").json()["workspace"]["id"] == second.id
    refused = browser.http.get("/dashboard/select-workspace", params={"workspaceId": other.id})
    assert refused.status_code == 403
    names = [item["workspaceId"] for item in browser.get("/session/workspaces").json()["workspaces"]]
    assert set(names) == {alice.id, second.id}
    town.platform("PUT", f"/workspaces/{second.id}/status", {"status": "Tombstoned"})
    assert browser.get("/session").json()["workspace"]["id"] == alice.id


def test_an_invitation_runs_out(town: World, browser: Browser, office: Server) -> None:
    alice, bob = town.workspace(), address()
    invite(alice, bob, "Admin")
    with psycopg.connect(office.database_url, user="tenfold_root", autocommit=True) as owner:
        owner.execute("UPDATE members SET expires_at = now() - interval '1 s' WHERE email = %s", (bob,))
    browser.sign_in(bob)
    assert browser.get("/segments", workspaceId=alice.id).status_code == 403


@pytest.mark.parametrize(
    "evil", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "\\\\evil", ""]
)
def test_a_login_leads_nowhere_else(browser: Browser, evil: str) -> None:
    back = browser.sign_in(address(), path=str(httpx.URL("/dashboard/login", params={"returnTo": evil})))
    assert back.headers["location"] == "/api/session"


def test_a_login_that_was_begun_elsewhere_is_refused(browser: Browser, office: Server) -> None:
    """An attacker's answer of the provider does not sign somebody else in as the attacker."""
    attacker = Browser(office)
    answer = attacker.http.get("/dashboard/login")
    callback = None
    for _ in range(6):
        url = answer.request.url.join(answer.headers["location"])
        if "/oauth2/callback" in str(url):
            callback = url
            break
        if url.path.startswith("/interaction/"):
            url = url.copy_merge_params({"email": address()})
        answer = attacker.http.get(url)
    assert callback is not None
    assert browser.http.get(callback).status_code == 401
    browser.http.get("/dashboard/login")
    assert browser.http.get(callback).status_code == 401, "another login is under way in this browser"
    assert attacker.http.get(callback.copy_set_param("code", "wrong")).status_code == 401
    assert browser.token is None
    attacker.close()


def test_a_session_is_renewed_and_ends(town: World, browser: Browser, office: Server) -> None:
    alice, bob = town.workspace(), address()
    invite(alice, bob, "Viewer")
    browser.http.cookies.set("session", "planted-before-the-login", domain="127.0.0.1")
    answer = browser.sign_in(bob)
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Lax" in answer.headers["set-cookie"]
    first = browser.token
    assert first != "planted-before-the-login"
    with psycopg.connect(office.database_url, user="tenfold_root", autocommit=True) as owner:
        assert owner.execute(
            "SELECT count(*) FROM identity.sessions WHERE encode(token_hash, 'escape') = %s", (first,)
        ).fetchone() == (0,)
        owner.execute("UPDATE identity.sessions SET issued_at = now() - interval '2 hours' WHERE expires_at > now()")
    assert browser.get("/session").status_code == 200
    second = browser.token
    assert second != first
    assert browser.get("/session").status_code == 200
    with psycopg.connect(office.database_url, user="tenfold_root", autocommit=True) as owner:
        owner.execute("UPDATE identity.sessions SET expires_at = now() WHERE expires_at < now() + interval '2 minutes'")
    stolen = httpx.get(f"{office.url}/api/session", cookies={"session": str(first)})
    assert stolen.status_code == 401, "the old token"
    out = browser.http.get("/dashboard/signout")
    assert out.status_code == 302
    assert "/session/end" in out.headers["location"]
    assert httpx.get(f"{office.url}/api/session", cookies={"session": str(second)}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True), ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False), ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "", "origin": "https://evil.test"}, False), ({"sec-fetch-site": "", "origin": "null"}, False),
    ],
)  # fmt: skip
def test_another_site_cannot_use_a_session(
    town: World, browser: Browser, headers: dict[str, str], allowed: bool
) -> None:
    alice, bob = town.workspace(), address()
    invite(alice, bob, "Admin")
    browser.sign_in(bob)
    answer = browser.put("/roles", {"workspaceId": alice.id, "name": "x", "permissions": []}, **headers)
    assert (answer.status_code == 200) is allowed, answer.text


def test_no_session_and_broken_sessions_are_refused_alike(town: World, office: Server) -> None:
    alice = town.workspace()
    url = f"{office.url}/api/segments?workspaceId={alice.id}"
    for cookie in (
        None,
        "session=",
        "session=x",
        "session=" + "x" * 5000,
        'session="',
        "a" * 20_000,
        "session=x; session=y",
    ):
        answer = httpx.get(url, headers={"cookie": cookie} if cookie else {})
        assert (answer.status_code, answer.content) == (401, b""), cookie
    for token in ("x", "a.b.c", "e30.e30.", "x" * 30_000, "eyJhbGciOiJub25lIn0.e30."):
        answer = httpx.get(url, headers={"authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.text) == (401, '{"message":"token not valid"}'), token


def test_charlie_walks_every_route_in_his_session(town: World, browser: Browser) -> None:
    alice = town.workspace()
    ids = resource_ids(alice)
    alice.settle()
    before = everything_of(town, alice.id)
    walks: list[Any] = []
    for identity in (ids["segment"], str(uuid4())):
        charlie, person = town.workspace("charlie"), Browser(browser.server)
        email = address()
        invite(charlie, email, "Admin")
        person.sign_in(email)
        answers = walk(person.http, {}, SESSION_ROUTES, own=charlie.id, identity=identity)
        walks.append([(route, status, text.replace(email, "EMAIL")) for route, status, text in answers])
        person.close()
    assert walks[0] == walks[1]
    assert everything_of(town, alice.id) == before


def test_charlies_session_cannot_name_alices_workspace(town: World, browser: Browser) -> None:
    alice, charlie, email = town.workspace(), town.workspace("charlie"), address()
    invite(charlie, email, "Admin")
    browser.sign_in(email)
    answers = {browser.get("/segments", workspaceId=workspace).status_code for workspace in (alice.id, str(uuid4()))}
    assert answers == {403}
    found: list[Any] = []
    for _ in range(50):
        found = alice.get("/audit-log", action="workspace.crossing")["events"]
        if found:
            break
        browser.http.get("/api")
    assert [entry["actor"]["name"] for entry in found] == [email]


def test_a_bad_setting_stops_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    for environment, name in (
        ({"AUTH_MODE": "multi-tenant"}, "OPEN_ID_ISSUER"), ({"AUTH_MODE": "single-tenant"}, "PASSWORD"),
        ({"AUTH_MODE": "open"}, "AUTH_MODE"), ({"OPEN_ID_ISSUER": "ftp://x"}, "OPEN_ID_ISSUER"),
        ({"OPEN_ID_ISSUER": "https://x.test"}, "OPEN_ID_CLIENT_ID"), ({"ENABLE_PKCE": "maybe"}, "ENABLE_PKCE"),
    ):  # fmt: skip
        server = Server(tmp_path_factory.mktemp("bad"), environment=environment)
        with pytest.raises(AssertionError):
            server.start()
        assert server.log.strip().splitlines()[-1].startswith(f"tenfold: {name}: "), server.log
        server.kill()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"AUTH_MODE": "single-tenant", "PASSWORD": "correct horse", "TENFOLD_TRUSTED_PROXIES": "127.0.0.1"}
    running = Server(tmp_path_factory.mktemp("shop"), environment=environment)
    running.start()
    yield running
    running.stop()


def test_the_password_opens_the_first_workspace(shop: Server, mailbox: Mailbox) -> None:
    world, browser = World(shop, mailbox), Browser(shop)
    alice, charlie = world.workspace(), world.workspace("charlie")
    assert browser.get("/segments", workspaceId=alice.id).status_code == 401
    wrong = browser.http.post("/api/public/single-tenant/login", json={"password": "wrong"})
    assert (wrong.status_code, wrong.json()) == (401, {"error": "Invalid password"})
    right = browser.http.post("/api/public/single-tenant/login", json={"password": "correct horse"})
    assert (right.status_code, right.content) == (200, b"")
    assert browser.get("/segments", workspaceId=alice.id).status_code == 200
    assert browser.get("/segments", workspaceId=charlie.id).status_code == 403
    logins = alice.get("/audit-log", action="member.login")["events"]
    assert [entry["outcome"] for entry in logins] == ["allowed", "denied"]
    out = browser.http.get("/api/public/single-tenant/signout")
    assert (out.status_code, out.headers["location"]) == (302, "/dashboard/auth/single-tenant")
    assert browser.get("/segments", workspaceId=alice.id).status_code == 401
    browser.close()
    world.close()


def test_a_trusted_proxy_says_whose_request_it_is(shop: Server, world: World, mailbox: Mailbox) -> None:
    behind = World(shop, mailbox)
    for town_of, told in ((behind, "203.0.113.7"), (world, "127.0.0.1")):
        alice = town_of.workspace()
        headers = {"authorization": f"Bearer {alice.admin_key}", "x-forwarded-for": "198.51.100.1, 203.0.113.7"}
        body = {"workspaceId": alice.id, "name": "g", "type": "OptIn", "channel": "Email"}
        assert town_of.http.put("/api/admin/subscription-groups", json=body, headers=headers).status_code == 200
        entry = alice.get("/audit-log", action="subscription-group.created")["events"][0]
        assert entry["ip"] == told
    behind.close()


def test_a_password_cannot_be_guessed(shop: Server) -> None:
    url = f"{shop.url}/api/public/single-tenant/login"
    answers = [httpx.post(url, json={"password": f"guess {number}"}) for number in range(14)]
    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["retry-after"]) > 0
    assert httpx.post(url, json={"password": "correct horse"}).status_code == 429


def test_the_password_login_is_absent_elsewhere(office: Server) -> None:
    answer = httpx.post(f"{office.url}/api/public/single-tenant/login", json={"password": "x"})
    assert (answer.status_code, answer.content) == (404, b"")
    assert httpx.get(f"{office.url}/api/public/single-tenant/signout").status_code == 404
