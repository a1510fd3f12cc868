"""The archive may be away, and the stores may be elsewhere: the same code goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenfold.storage.embedded import EmbeddedPostgres
from tests.mailbox import Mailbox
from tests.world import Server, World

pytestmark = pytest.mark.slow
NOWHERE = "http://127.0.0.1:9"
PRO = {"type": "Trait", "path": "plan", "operator": {"type": "Equals", "value": "pro"}}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    running = EmbeddedPostgres(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    running.start()
    yield running
    running.stop()


def test_without_the_archive_journeys_go_on_and_no_event_is_lost(tmp_path: Path, mailbox: Mailbox) -> None:
    server = Server(tmp_path, environment={"TENFOLD_CLICKHOUSE_URL": NOWHERE})
    server.start()
    world = World(server, mailbox)
    alice = world.workspace(test_clock=False)
    alice.use_mailbox()
    pro, mail = alice.segment("pro", PRO), alice.mail_template()
    variant = {"type": "Email", "templateId": mail["id"]}
    entry = {"type": "EntryNode", "segment": pro["id"], "child": "m"}
    alice.journey("welcome", entry, {"type": "MessageNode", "id": "m", "variant": variant, "child": "ExitNode"})
    address = f"ann-{alice.id}@x.test"
    alice.identify("ann", email=address, plan="pro")
    mailbox.wait_for(address)
    answer = alice.request("GET", "/events")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
    world.close()
    assert server.stop() == 0

    server._environment.pop("TENFOLD_CLICKHOUSE_URL")
    server.start()
    alice.world = world = World(server, mailbox)
    alice.settle_for_real()
    assert alice.get("/events", eventType="identify")["count"] == 1
    assert alice.get("/events", event="DFInternalMessageSent")["count"] == 1
    world.close()
    server.stop()


def test_an_external_database_serves_as_well(tmp_path: Path, elsewhere: EmbeddedPostgres, mailbox: Mailbox) -> None:
    server = Server(tmp_path, environment={"TENFOLD_DATABASE_URL": elsewhere.url})
    server.start()
    world = World(server, mailbox)
    alice = world.workspace()
    segment = alice.segment("pro", PRO)
    alice.identify("ann", plan="pro")
    alice.settle()
    assert alice.members(segment) == {"ann"}
    assert not (server.directory / "postgres").exists()
    world.close()
    assert server.stop() == 0
