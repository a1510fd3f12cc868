"""Servers die among many creators: a limit is still reached exactly, and the counters are what there is."""

import asyncio
import contextlib
import random

import httpx
import psycopg
import pytest

from tenfold.tenancy.catalogue import quota_drift
from tests.mailbox import Mailbox
from tests.world import Owner, Server, World

TRIALS, CREATORS, ROOM = 4, 60, 9
EVERYONE = {"entryNode": {"type": "Everyone", "id": "1"}, "nodes": []}


async def create(server: Server, owner: Owner, number: int) -> int:
    """Ask until there is an answer, as a client does; a creation that was answered by a death may have happened."""
    body = {"workspaceId": owner.id, "name": f"s{number}", "definition": EVERYONE}
    headers = {"authorization": f"Bearer {owner.admin_key}"}
    while True:
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
                answer = await client.put("/api/admin/segments", json=body, headers=headers)
            if answer.status_code in (200, 429):
                return answer.status_code
        await asyncio.sleep(0.05)


async def trial(server: Server, owner: Owner, dice: random.Random) -> list[int]:
    creating = [asyncio.create_task(create(server, owner, number)) for number in range(CREATORS)]
    await asyncio.sleep(dice.uniform(0.02, 0.4))
    if dice.random() < 0.5:
        server.kill_postgres()
    else:
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    return await asyncio.gather(*creating)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_limit_is_exact_whoever_dies(doomed: Server, mailbox: Mailbox) -> None:
    dice = random.Random(3)
    for _ in range(TRIALS):
        world = World(doomed, mailbox)
        alice = world.workspace()
        alice.put("/quotas", maxSegments=ROOM)
        answers = asyncio.run(trial(doomed, alice, dice))
        world.close()
        world = World(doomed, mailbox)
        alice.world = world
        named = {item["name"] for item in alice.get("/segments")["segments"]}
        assert len([name for name in named if name.startswith("s") and name[1:].isdigit()]) == ROOM
        assert alice.get("/quotas")["usage"]["segments"] == ROOM
        assert answers.count(200) <= ROOM
        assert set(answers) <= {200, 429}
        with psycopg.connect(doomed.database_url, user="tenfold_root", autocommit=True) as owner:
            assert quota_drift(owner) == []
        world.close()
