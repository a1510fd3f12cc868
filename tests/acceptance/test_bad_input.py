"""Bad input gets the wire's answer, and nothing is stored by halves."""

import base64
import gzip
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.world import Owner, World


@pytest.fixture(scope="module")
def alice(server: Any, mailbox: Any) -> Any:
    world = World(server, mailbox)
    yield world.workspace()
    world.close()


def post(owner: Owner, path: str, content: bytes, **headers: str) -> Any:
    named = {"authorization": owner.write_key, "content-type": "application/json", **headers}
    return owner.world.http.post(f"/api/public/apps{path}", content=content, headers=named)


GOOD = {"type": "track", "messageId": "good", "userId": "u", "event": "e"}
DEEP = b'{"messageId":"d","userId":"u","event":"e","properties":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001

REFUSED = [
    ("/track", b"{", 400), ("/track", b"", 400), ("/track", b"[]", 400), ("/track", b'"x"', 400), ("/track", b"{}", 400),
    ("/track", b'{"messageId":"1","userId":"u"}', 400), ("/track", b'{"messageId":{},"userId":"u","event":"e"}', 400),
    ("/identify", b'{"messageId":"1"}', 400), ("/identify", b'{"messageId":"1","userId":"u","traits":[]}', 400),
    ("/batch", b'{"batch":[{"type":"alias","messageId":"1","userId":"u"}]}', 400), ("/batch", b'{"batch":5}', 400),
    ("/batch", json.dumps({"batch": [GOOD, {"type": "track"}]}).encode(), 400), ("/alias", b"{}", 400),
    ("/track", DEEP, 400), ("/track", b"\xff\xfe", 400), ("/track", b" " * (6 * 1024 * 1024), 413), ("/nope", b"{}", 404),
]  # fmt: skip


@pytest.mark.parametrize(("path", "content", "status"), REFUSED)
def test_a_bad_message_is_refused_whole(alice: Owner, path: str, content: bytes, status: int) -> None:
    answer = post(alice, path, content)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]


def test_nothing_of_a_refused_batch_is_stored(alice: Owner) -> None:
    post(alice, "/batch", json.dumps({"batch": [GOOD, {"type": "alias"}]}).encode())
    alice.settle()
    assert alice.get("/events", messageId="good")["count"] == 0


ODD = [
    {"properties": {"n": 10**400}}, {"properties": {"n": 2**70}}, {"properties": {"t": "a\x00b"}},
    {"properties": {"t": "\ud800"}}, {"timestamp": "yesterday"}, {"timestamp": "9999-12-31T23:59:59Z"},
    {"timestamp": "0001-01-01T00:00:00Z"}, {"userId": 123}, {"context": {"x": None}}, {"extra": {"kept": True}},
    {"event": ""}, {"event": "x" * 10_000}, {"properties": {"": {"": ""}}},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_are_kept_without_harm(alice: Owner, odd: dict[str, Any]) -> None:
    body = json.dumps({"messageId": f"odd-{ODD.index(odd)}", "userId": "odd", "event": "odd", **odd})
    answer = post(alice, "/track", body.encode())
    assert answer.status_code == 204, answer.text
    alice.settle()
    assert alice.get("/events", messageId=f"odd-{ODD.index(odd)}")["count"] == 1


def test_types_are_coerced_as_the_reference_does(alice: Owner) -> None:
    assert post(alice, "/identify", b'{"messageId":7,"userId":42,"anonymousId":null}').status_code == 204
    alice.settle()
    assert "42" in alice.users()


def test_gzip_bodies_are_read_and_bombs_are_refused(alice: Owner) -> None:
    body = gzip.compress(json.dumps(GOOD | {"messageId": "zip"}).encode())
    assert post(alice, "/track", body, **{"content-encoding": "gzip"}).status_code == 204
    bomb = gzip.compress(b" " * (50 * 1024 * 1024))
    assert post(alice, "/track", bomb, **{"content-encoding": "gzip"}).status_code == 413
    assert post(alice, "/track", b"no gzip", **{"content-encoding": "gzip"}).status_code == 400


@pytest.mark.parametrize("head", ["x-long: " + "x" * 100_000, "x: y\r\n" * 20_000], ids=["one header", "many"])
def test_a_head_without_end_is_cut_off(alice: Owner, head: str) -> None:
    place = urlsplit(alice.world.server.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(f"GET /api HTTP/1.1\r\nhost: x\r\n{head}".encode())
        assert b" 400 " in connection.recv(1000)
        assert connection.recv(1000) == b""
    assert alice.world.http.get("/api").status_code == 200


def test_a_long_body_in_many_pieces_is_no_head(alice: Owner) -> None:
    body = json.dumps(GOOD | {"messageId": "pieces", "properties": {"long": "x" * 400_000}}).encode()
    pieces = (body[at : at + 1000] for at in range(0, len(body), 1000))
    headers = {"authorization": alice.write_key, "content-type": "application/json"}
    answer = alice.world.http.post("/api/public/apps/track", content=pieces, headers=headers)
    assert answer.status_code == 204, answer.text


@pytest.mark.parametrize(
    ("header", "status", "message"),
    [
        (None, 400, "headers must have required property 'authorization'"), ("Basic x", 401, "InvalidWriteKey"),
        ("", 401, "InvalidWriteKey"), ("Basic eDp5", 401, "InvalidWriteKey"), ("Basic \xff", 401, "InvalidWriteKey"),
    ],
)  # fmt: skip
def test_wrong_write_keys(alice: Owner, header: str | None, status: int, message: str) -> None:
    headers = {} if header is None else {"authorization": header.encode("latin-1")}
    answer = alice.world.http.post("/api/public/apps/batch", json={"batch": []}, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (status, message)


def test_a_known_key_with_a_wrong_secret_is_refused(alice: Owner) -> None:
    key_id = alice.get("/settings/write-keys")[0]["secretId"]
    for value in ("0" * 16, ""):
        wrong = "Basic " + base64.b64encode(f"{key_id}:{value}".encode()).decode()
        answer = alice.world.http.post("/api/public/apps/batch", json={"batch": []}, headers={"authorization": wrong})
        assert (answer.status_code, answer.json()["message"]) == (401, "InvalidWriteKey")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/segments", {}), ("PUT", "/segments", {"name": "x"}), ("PUT", "/segments", {"name": "x", "id": "y"}),
        ("PUT", "/segments", {"name": "x", "definition": {"entryNode": {"type": "Nope", "id": "1"}, "nodes": []}}),
        ("PUT", "/journeys", {"name": "j", "status": "Running"}), ("PUT", "/journeys", {"name": "j", "status": "Paused"}),
        ("PUT", "/journeys", {}), ("PUT", "/user-properties", {"name": "id", "definition": {"type": "Id"}}),
        ("PUT", "/content/templates", {}), ("POST", "/users", {"limit": "many"}), ("POST", "/users", {"limit": 0}),
        ("PUT", "/settings/email-providers", {"config": {"type": "Pigeon"}}),
    ],
)  # fmt: skip
def test_bad_resources_are_a_400_with_a_reason(alice: Owner, method: str, path: str, body: dict[str, Any]) -> None:
    answer = alice.request(method, path, body)
    assert answer.status_code == 400, answer.text
    assert answer.json().get("message")


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/events", {"limit": "-1"}, 400), ("/events", {"startDate": "soon"}, 400), ("/deliveries", {"limit": "0"}, 400),
        ("/deliveries", {"sortBy": "color"}, 400), ("/deliveries", {"cursor": "nonsense"}, 200),
        ("/segments", {"ids": "nonsense"}, 200),
    ],
)  # fmt: skip
def test_bad_queries(alice: Owner, path: str, query: dict[str, str], status: int) -> None:
    assert alice.request("GET", path, **query).status_code == status


def test_workspaces_that_disagree_or_make_no_sense(alice: Owner) -> None:
    headers = {"authorization": f"Bearer {alice.admin_key}", "df-workspace-id": "01a201a7-5536-7c6b-af8b-452bc8cb4b4c"}
    answer = alice.world.http.get("/api/admin/segments", params={"workspaceId": alice.id}, headers=headers)
    assert (answer.status_code, answer.json()) == (400, {"message": "Mismatched workspaceIds in request."})
    answer = alice.world.http.get(
        "/api/admin/segments", params={"workspaceId": "x"}, headers={"authorization": f"Bearer {alice.admin_key}"}
    )
    assert (answer.status_code, answer.json()) == (400, {"message": "Invalid workspaceId, not a valid UUID."})
