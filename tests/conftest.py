"""One real installation for the whole run: `tenfold serve` with its own stores, and a real mail server."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mailbox import Mailbox
from tests.world import Server, World


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("installation"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def mailbox() -> Iterator[Mailbox]:
    opened = Mailbox()
    opened.start()
    yield opened
    opened.stop()


@pytest.fixture
def world(server: Server, mailbox: Mailbox) -> Iterator[World]:
    made = World(server, mailbox)
    yield made
    made.close()


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Server]:
    """An installation that a test may kill."""
    running = Server(tmp_path)
    running.start()
    yield running
    with contextlib.suppress(ProcessLookupError):
        running.stop()


@pytest.fixture
def fresh_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"
