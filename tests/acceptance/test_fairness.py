"""One workspace's flood is nothing to another: events, runs, slow providers, connections."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tenfold.bench import requests
from tests.mailbox import Mailbox
from tests.world import Owner, Server, World


def wait_until(what: Any, seconds: float) -> float:
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started


async def flood(owner: Owner, requests: int, each: int) -> None:
    async with httpx.AsyncClient(
        base_url=owner.world.server.url, limits=httpx.Limits(max_connections=30), timeout=120
    ) as client:

        async def one(number: int) -> None:
            batch = [
                {"type": "identify", "messageId": f"{number}-{n}", "userId": f"u{n % 50}", "traits": {"n": n}}
                for n in range(each)
            ]
            answer = await client.post(
                "/api/public/apps/batch", json={"batch": batch}, headers={"authorization": owner.write_key}
            )
            assert answer.status_code == 204

        await asyncio.gather(*(one(number) for number in range(requests)))


def test_an_event_does_not_wait_behind_a_flood(world: World) -> None:
    bob, alice = world.workspace("flood", test_clock=False), world.workspace(test_clock=False)
    asyncio.run(flood(bob, 300, 200))
    alice.identify("me", name="Alice")
    wait_until(lambda: alice.users(userIds=["me"]), 20)
    left = 60_000 - bob.get("/tenant-metrics")["metrics"][-1]["eventCount"]
    assert left > 10_000, "she waited until most of the flood was folded"


class TarPit:
    """A mail server that takes connections and never answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._socket.getsockname()[1]
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._held.append(self._socket.accept()[0])

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for held in self._held:
            held.close()


@pytest.fixture
def tar_pit() -> Iterator[TarPit]:
    made = TarPit()
    yield made
    made.close()


def test_a_provider_that_hangs_holds_up_its_own_workspace_only(world: World, tar_pit: TarPit) -> None:
    bob, alice = world.workspace("slow", test_clock=False), world.workspace(test_clock=False)
    bob.mail_on("hi", port=tar_pit.port)
    alice.mail_on("hi")
    for start in range(0, 400, 100):
        bob.send(
            *(
                {
                    "type": kind,
                    "userId": f"u{n}",
                    "traits": {"email": f"u{n}@slow.test"},
                    "event": "hi",
                    "properties": {},
                }
                for n in range(start, start + 100)
                for kind in ("identify", "track")
            )
        )
    time.sleep(2)
    alice.identify("me", email=f"me-{alice.id}@x.test")
    alice.track("me", "hi")
    world.mailbox.wait_for(f"me-{alice.id}@x.test", 6)
    assert bob.get("/journeys/stats")[0]["nodeStats"]["send"]["waiting"] == 400, "his are all still on their way"


def refusal(owner: Owner, seconds: float) -> httpx.Response:
    """The first 503 to one who asks again and again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = owner.request("GET", "/segments")
        if answer.status_code == 503:
            return answer
    raise AssertionError("nobody was refused")


def test_more_than_the_database_can_do_is_refused_clearly(tmp_path: Any, mailbox: Mailbox) -> None:
    """Back-pressure, not collapse: who waits too long hears 503 and when to come again, and others are served."""
    server = Server(tmp_path, environment={"TENFOLD_CONNECTIONS": "4"})
    server.start()
    world = World(server, mailbox)
    try:
        bob, alice = world.workspace("greedy"), world.workspace()
        with psycopg.connect(server.database_url, user="tenfold_root") as owner:
            owner.execute("LOCK TABLE segments IN ACCESS EXCLUSIVE MODE")
            asked = (server.url, (bob.id, bob.admin_key), [(alice.id, alice.admin_key)])
            pressing = threading.Thread(target=requests.beside, args=asked, kwargs={"many": 1200, "seconds": 8})
            pressing.start()
            heard = refusal(bob, 20)
            owner.rollback()
            pressing.join()
        assert (heard.headers["retry-after"], heard.json()["code"]) == ("1", "unavailable")
        assert alice.request("GET", "/segments").status_code == 200
    finally:
        world.close()
        server.stop()


def test_the_platform_gives_a_workspace_its_class(world: World) -> None:
    alice = world.workspace()
    path = f"/workspaces/{alice.id}"
    assert world.platform("GET", path).json()["class"] == "standard"
    assert world.platform("PUT", f"{path}/class", {"class": "priority"}).json()["class"] == "priority"
    assert world.platform("GET", path).json()["class"] == "priority"
    assert alice.request("GET", "/segments").status_code == 200
    assert world.platform("PUT", f"{path}/class", {"class": "royal"}).status_code == 400
    with psycopg.connect(world.server.database_url, user="tenfold_app") as app:
        app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (world.server.context(alice.id),))
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only the platform"):
            app.execute("UPDATE workspaces SET service_class = 'trial'")


def test_a_statement_ends_when_the_class_says_so(world: World) -> None:
    """A trial's lock is waited for 2 s; the request is answered, and nothing is left behind."""
    alice = world.workspace()
    world.platform("PUT", f"/workspaces/{alice.id}/class", {"class": "trial"})
    with psycopg.connect(world.server.database_url, user="tenfold_root") as owner:
        owner.execute("SELECT FROM workspaces WHERE workspace_id = %s FOR UPDATE", (alice.id,))
        started = time.monotonic()
        answer = alice.request(
            "PUT", "/segments", {"name": "s", "definition": {"entryNode": {"type": "Everyone", "id": "1"}, "nodes": []}}
        )
        took = time.monotonic() - started
        owner.rollback()
    assert (answer.status_code, 1.5 < took < 4.5) == (503, True)
    assert [item for item in alice.get("/segments")["segments"] if item["name"] == "s"] == []
