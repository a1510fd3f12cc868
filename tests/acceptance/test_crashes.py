"""Processes die at random moments under load; what was acknowledged is counted once, and no mail goes out twice."""

import contextlib
import os
import random
import threading
import time
from typing import Any

import httpx
import pytest

from tests.mailbox import Mailbox
from tests.world import Owner, Server, World

KILLS = int(os.environ.get("KILLS", "12"))
USERS = 40


class Load:
    """Sends events without pause, and remembers which were acknowledged."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._stop = threading.Event()
        self.acknowledged: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        number = 0
        self._client = httpx.Client(timeout=10)
        while not self._stop.is_set():
            number += 1
            user = f"u{number % USERS}-{self._owner.id}"
            batch: list[dict[str, Any]] = [
                {"type": "track", "messageId": f"t{number}", "userId": user, "event": "Tick"},
                {"type": "identify", "messageId": f"i{number}", "userId": user, "traits": {"email": f"{user}@x.test"}},
            ]
            self._until_acknowledged({"batch": batch})
            self.acknowledged.append((user, number))

    def _until_acknowledged(self, body: Any) -> None:
        """A client keeps sending the same batch until it hears 204."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                url = f"{self._owner.world.server.url}/api/public/apps/batch"
                answer = self._client.post(url, json=body, headers={"authorization": self._owner.write_key})
                if answer.status_code == 204:
                    return
            time.sleep(0.05)


@pytest.mark.slow
def test_a_restart_gets_past_what_a_killed_server_left_behind(doomed: Server) -> None:
    """PostgreSQL and its parent die within moments of each other, in any order; the next start still succeeds."""
    for pause in (0.0, 0.005, 0.02, 0.05, 0.1, 0.3):
        doomed.kill_postgres()
        time.sleep(1 + pause)
        doomed.kill()
        doomed.start()
        assert httpx.get(f"{doomed.url}/api").status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killing_everything_loses_nothing_and_doubles_nothing(doomed: Server, mailbox: Mailbox) -> None:
    dice = random.Random(7)
    world = World(doomed, mailbox)
    alice = world.workspace(test_clock=True)
    alice.use_mailbox()
    template = alice.mail_template()
    segment = alice.segment("seen", {"type": "Performed", "event": "Tick", "timesOperator": ">=", "times": 2})
    node = {"type": "MessageNode", "id": "m", "variant": {"type": "Email", "templateId": template["id"]}}
    entry = {"type": "EntryNode", "segment": segment["id"], "child": "m"}
    alice.journey("j", entry, {**node, "child": "ExitNode"})
    load = Load(alice)
    load.start()
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.5, 2.5))
        if dice.random() < 0.5:
            doomed.kill_postgres()
        else:
            doomed.kill()
            doomed.start()
            world.http.close()
            world.http = httpx.Client(base_url=doomed.url, timeout=120)
    deadline, enough = time.monotonic() + 300, max(3 * USERS, len(load.acknowledged) + 10)
    while len(load.acknowledged) < enough:
        assert time.monotonic() < deadline, "too little was sent to show anything"
        time.sleep(0.1)
    load.stop()
    alice.settle()
    sent = len(load.acknowledged)
    assert alice.get("/events", event="Tick")["count"] == sent
    exact = alice.segment("exact", {"type": "Performed", "event": "Tick", "timesOperator": "=", "times": sent // USERS})
    more = alice.segment(
        "more", {"type": "Performed", "event": "Tick", "timesOperator": "=", "times": sent // USERS + 1}
    )
    alice.settle()
    assert len(alice.members(exact)) == USERS - sent % USERS
    assert len(alice.members(more)) == sent % USERS
    ids = mailbox.message_ids()
    assert len(ids) == len(set(ids)), "a message was sent twice"
    expected = {user for user, _ in load.acknowledged}
    deliveries = alice.get("/deliveries", limit="1000")["items"]
    assert sorted(item["userId"] for item in deliveries) == sorted(expected)
    unseen = {item["userId"] for item in deliveries if not mailbox.received[f"{item['userId']}@x.test"]}
    doubtful = {item["userId"] for item in deliveries if item["variant"].get("doubtful")}
    world.close()
    assert unseen <= doubtful, "a message was lost without a word"
