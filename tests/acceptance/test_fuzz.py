"""Many bent requests: none shows anything of Alice's, none changes anything of hers, none makes the server stumble."""

import os
import random
from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.fuzzer import Loot, Probe, fire, probes
from tests.walker import everything_of, resource_ids
from tests.world import Owner, World

PROBES = int(os.environ.get("PROBES", "100000"))


def prepared(world: World) -> tuple[Owner, Loot, bytes]:
    """Alice with a mark on everything that is hers, and what Charlie knows."""
    mark = f"alice-only-{uuid4().hex}"
    world.workspace("first")
    alice, charlie = world.workspace(mark), world.workspace("charlie")
    alice.identify("ann", plan=mark, email=f"{mark}@x.test")
    alice.track("ann", mark)
    alice.segment(mark, {"type": "Trait", "path": mark, "operator": {"type": "Exists"}})
    ids = list(resource_ids(alice).values())
    alice.settle()
    return alice, Loot(charlie.id, charlie.admin_key, ids, alice.id, alice.admin_key, alice.write_key), mark.encode()


def judge_for(mark: bytes, loot: Loot) -> Callable[[Probe, int, bytes], str | None]:
    def judge(probe: Probe, status: int, body: bytes) -> str | None:
        if mark in body:
            return "something of Alice's was shown"
        if status >= 500:
            return "the server stumbled"
        if probe.kind in ("admin key", "write key", "platform") and status < 400:
            return "a forged key was taken"
        return None

    return judge


async def harmless(world: World, count: int) -> int:
    """How many probes were sent; each is judged, and Alice's workspace compared before and after."""
    alice, loot, mark = prepared(world)
    before = everything_of(world, alice.id)
    found = await fire(world.server.url, probes(random.Random(5), loot, count), judge_for(mark, loot))
    assert found.leaks == []
    assert len(found.kinds) == 7
    assert everything_of(world, alice.id) == before
    assert found.statuses[200] + found.statuses[204] > count / 50, "some probes are requests that are answered"
    return sum(found.kinds.values())


async def test_thousands_of_probes_find_nothing(world: World) -> None:
    assert await harmless(world, 3000) == 3000


@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_a_hundred_thousand_probes_find_nothing(world: World) -> None:
    assert await harmless(world, PROBES) == PROBES


async def test_the_judge_sees_a_leak(world: World) -> None:
    """With Alice's own key her mark is in the answers: the judge would have noticed."""
    alice, loot, mark = prepared(world)
    hers = Loot(alice.id, alice.admin_key, loot.ids, alice.id, alice.admin_key, alice.write_key)
    found = await fire(world.server.url, probes(random.Random(5), hers, 300), judge_for(mark, hers))
    assert any("something of Alice's was shown" in leak for leak in found.leaks)
