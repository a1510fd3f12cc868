"""Alerts: told once, to the Admins by mail and to a webhook; over when the cause is."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tenfold.platform.alerts.model import AlertSettings, judge
from tests.mailbox import Mailbox
from tests.world import Owner, Server, World

EVERYONE = {"entryNode": {"type": "Everyone", "id": "1"}, "nodes": []}
QUIET = {"lag_ms": 0, "requests": 0, "errors": 0}


@pytest.mark.parametrize(
    ("limits", "used", "lately", "expected"),
    [
        ({"maxUsers": 10}, {"users": 7}, [QUIET], []),
        ({"maxUsers": 10}, {"users": 8}, [QUIET], [("quota", "users", 80)]),
        ({"maxUsers": 10}, {"users": 12}, [QUIET], [("quota", "users", 100)]),
        ({"maxUsers": None}, {"users": 12}, [QUIET], []),
        ({"maxMessagesPerMonth": 5}, {"messages:2026-10": 5}, [QUIET], []),
        ({"maxMessagesPerMonth": 5}, {"messages:2026-11": 5}, [QUIET], [("quota", "messages", 100)]),
        ({}, {}, [QUIET, {**QUIET, "lag_ms": 61_000}], [("lag", "events", 61)]),
        ({}, {}, [{**QUIET, "requests": 19, "errors": 19}], []),
        (
            {},
            {},
            [{**QUIET, "requests": 30, "errors": 1}, {**QUIET, "requests": 30, "errors": 9}],
            [("errors", "requests", 17)],
        ),
    ],
)
def test_the_rules(limits: Any, used: Any, lately: Any, expected: Any) -> None:
    found = judge(AlertSettings(), limits, used, "2026-11", lately)
    assert [(alert.rule, alert.subject, alert.level) for alert in found] == expected
    silent = AlertSettings(quotas=False, lag_seconds=None, error_percent=None)
    assert judge(silent, limits, used, "2026-11", lately) == []


class Hook:
    """A webhook's receiver that fails the first time."""

    def __init__(self) -> None:
        told: list[dict[str, Any]] = []
        failures = [503]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = failures.pop() if failures else 200
                if status == 200:
                    told.append(json.loads(body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.told = told
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def mailing(tmp_path: Path, mailbox: Mailbox) -> Iterator[World]:
    """An installation that writes mail of its own, and looks for alerts every second."""
    environment = {
        "TENFOLD_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}", "TENFOLD_MAIL_FROM": "tenfold@x.test",
        "TENFOLD_ALERT_SECONDS": "1", "DEFAULT_WORKSPACE_QUOTAS": '{"maxJourneys": 10}',
    }  # fmt: skip
    server = Server(tmp_path, environment=environment)
    server.start()
    with contextlib.closing(World(server, mailbox)) as world:
        yield world
    server.stop()


def wait_for(what: Any, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def alerts(owner: Owner) -> list[tuple[Any, ...]]:
    return [
        (item["rule"], item["subject"], item["level"], "endedAt" in item) for item in owner.get("/alerts")["alerts"]
    ]


def admin(owner: Owner, address: str) -> None:
    assert owner.request("POST", "/permissions", {"email": address, "role": "Admin"}).status_code == 201
    with psycopg.connect(owner.world.server.database_url, user="tenfold_root", autocommit=True) as database:
        database.execute("UPDATE members SET joined_at = now() WHERE workspace_id = %s", (owner.id,))


def test_a_quota_that_fills_is_told_of_once_at_each_level(mailing: World, hook: Hook) -> None:
    alice = mailing.workspace()
    address = f"admin-{alice.id}@x.test"
    admin(alice, address)
    alice.put("/settings/alerts", webhookUrl=hook.url)
    alice.put("/quotas", maxSegments=5)
    ids = [alice.put("/segments", name=f"s{n}", definition=EVERYONE)["id"] for n in range(4)]
    wait_for(lambda: alerts(alice) == [("quota", "segments", 80, False)])
    mailing.mailbox.wait_for(address)
    assert mailing.mailbox.subjects(address) == [f"{alice.made['name']}: the quota of segments is 80 % used: 4 of 5"]
    alice.put("/segments", name="s4", definition=EVERYONE)
    wait_for(lambda: ("quota", "segments", 100, False) in alerts(alice))
    wait_for(lambda: len(mailing.mailbox.received[address]) == 2)
    for _ in range(3):
        alice.get("/segments")
        time.sleep(1)
    assert len(mailing.mailbox.received[address]) == 2, "told once"
    wait_for(lambda: len(hook.told) == 2)
    assert {item["level"] for item in hook.told} == {80, 100}
    assert hook.told[0]["workspaceId"] == alice.id
    for segment in ids:
        alice.request("DELETE", "/segments", {"id": segment})
    wait_for(lambda: alerts(alice) == [("quota", "segments", 100, True)])


def test_what_one_wants_to_be_told_of_is_ones_own_to_say(world: World) -> None:
    alice, charlie = world.workspace(), world.workspace("charlie")
    assert alice.get("/settings/alerts") == {
        "quotas": True,
        "lagSeconds": 60,
        "errorPercent": 5,
        "mail": True,
        "webhookUrl": None,
    }
    assert alice.put("/settings/alerts", lagSeconds=None, webhookUrl="https://x.test/")["lagSeconds"] is None
    assert alice.put("/settings/alerts", mail=False)["webhookUrl"] == "https://x.test/"
    for bad in ({"lagSeconds": -1}, {"errorPercent": "x"}, {"webhookUrl": "ftp://x"}, {"mail": 1}):
        answer = alice.request("PUT", "/settings/alerts", bad)
        assert (answer.status_code, next(iter(bad)) in answer.text) == (400, True)
    assert charlie.get("/settings/alerts")["mail"] is True
    assert charlie.get("/alerts") == {"alerts": []}
