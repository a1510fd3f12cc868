"""A journey calls a real HTTP server, tries again when that is busy, and keeps what is secret out of the records."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.world import World


class Receiver(ThreadingHTTPServer):
    """Keeps requests; answers with the statuses given, then with 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.statuses: list[int] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append((self.path, dict(self.headers.items()), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_a_webhook_goes_out_once_it_is_taken(world: World, receiver: Receiver) -> None:
    alice = world.workspace()
    body = {
        "config": {
            "url": f"http://127.0.0.1:{receiver.server_port}/hook?a=1", "method": "POST",
            "headers": {"X-Shop": "tea"}, "data": {"user": "{{ user.id }}", "plan": "{{ user.plan }}"},
        },
        "secret": {"headers": {"Authorization": "Bearer hidden"}},
    }  # fmt: skip
    definition = {"type": "Webhook", "identifierKey": "id", "body": json.dumps(body)}
    template = alice.put("/content/templates", name="hook", definition=definition)
    alice.put("/user-properties", name="plan", definition={"type": "Trait", "path": "plan"})
    entry = {"type": "EventEntryNode", "event": "Upgraded", "child": "m"}
    variant = {"type": "Webhook", "templateId": template["id"]}
    alice.journey("hook", entry, {"type": "MessageNode", "id": "m", "variant": variant, "child": "ExitNode"})
    receiver.statuses = [503]
    alice.identify("ann", plan="pro")
    alice.track("ann", "Upgraded")
    alice.settle()
    (_, first, _), (path, headers, sent) = receiver.requests
    assert (path, sent) == ("/hook?a=1", {"user": "ann", "plan": "pro"})
    assert (headers["X-Shop"], headers["Authorization"]) == ("tea", "Bearer hidden")
    assert headers["Idempotency-Key"] == first["Idempotency-Key"]
    delivery = alice.get("/deliveries")["items"][0]
    assert (delivery["variant"]["type"], delivery["variant"]["response"]["status"]) == ("Webhook", 200)
    records = json.dumps([delivery, alice.get("/events", limit="50")])
    assert "hidden" not in records

    receiver.statuses = [400]
    alice.track("ann", "Upgraded")
    alice.settle()
    assert len(receiver.requests) == 3
    assert alice.get("/events", event="DFMessageFailure")["count"] == 1
    assert len(alice.get("/deliveries")["items"]) == 1
