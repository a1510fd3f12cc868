"""Two processes: what one changes about a workspace, the other knows at once, though it remembers for a minute."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from tenfold.kit.settings import load
from tenfold.storage.embedded import EmbeddedPostgres
from tenfold.tenancy import hearing, workspaces
from tenfold.tenancy.access import admin_keys
from tenfold.tenancy.scope import Stores
from tenfold.wiring import changes, clickhouse_of, describe, stores
from tests.world import Owner, Server, World

SOON = 20.0  # seconds; untold, it would take sixty


@asynccontextmanager
async def another_process(server: Server, *, deaf: bool = False) -> AsyncGenerator[Stores]:
    """Stores that hear of changes as the API does; or whose ear is never told anything."""
    found = describe(load(server.directory), EmbeddedPostgres(server.directory))
    async with stores(found, clickhouse_of(found.settings), name="ears", size=2) as opened:
        listening = asyncio.create_task(hearing.run(opened, silence if deaf else partial(changes, found)))
        yield opened
        listening.cancel()


@asynccontextmanager
async def silence() -> AsyncGenerator[AsyncIterator[str]]:
    async def nothing() -> AsyncIterator[str]:
        await asyncio.sleep(3600)
        yield ""

    yield nothing()


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Stores]:
    async with another_process(server) as made:
        await until(lambda: remembers_longer(made))
        yield made


async def remembers_longer(opened: Stores) -> bool:
    """Whether something is still remembered after more than the second for which it holds unheard."""
    opened.memory.keep("probe", "found", (), opened.memory.changes)
    await asyncio.sleep(1.1)
    return opened.memory.recall("probe") is not None


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SOON):
        while not await holds():  # noqa: ASYNC110 - another process is asked
            await asyncio.sleep(0.01)


async def seen(opened: Stores, alice: Owner, key: str) -> dict[str, Any]:
    """What the other process takes Alice's workspace and keys for."""
    found = await workspaces.find(opened, UUID(alice.id))
    assert found is not None
    return {
        "status": found.status,
        "class": found.service_class,
        "requests": found.own_requests,
        "limited": found.events_limited,
        "write key": await workspaces.by_write_key(opened, alice.write_key) is not None,
        "admin key": await admin_keys.opened(opened, key) is not None,
    }


def platform(path: str, **body: Any) -> Callable[[Owner, str], Any]:
    return lambda alice, _: alice.world.platform("PUT", f"/workspaces/{alice.id}/{path}", body)


def admin(method: str, path: str, **body: Any) -> Callable[[Owner, str], Any]:
    return lambda alice, _: alice.request(method, path, body)


AS_MADE = {
    "status": "Active",
    "class": "standard",
    "requests": None,
    "limited": False,
    "write key": True,
    "admin key": True,
}
CHANGES: dict[str, tuple[Callable[[Owner, str], Any], dict[str, Any]]] = {
    "class": (platform("class", **{"class": "trial"}), {"class": "trial"}),
    "requests": (admin("PUT", "/quotas", maxRequestsPerMinute=1000), {"requests": 1000}),
    "ceiling": (platform("ceiling", maxUsers=5), {"limited": True}),
    "status": (platform("status", status="Paused"), {"status": "Paused"}),
    "write key": (
        admin("DELETE", "/settings/write-keys", writeKeyName="default-write-key"),
        {"write key": False},
    ),
    "admin key": (
        lambda alice, identity: alice.request("DELETE", "/admin-keys", id=identity),
        {"admin key": False},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_known_in_another_process(opened: Stores, world: World, change: str) -> None:
    alice, (make, becomes) = world.workspace(), CHANGES[change]
    made = alice.request("POST", "/admin-keys", {"name": "second"}).json()
    assert await seen(opened, alice, made["apiKey"]) == AS_MADE

    async def known() -> bool:
        return await seen(opened, alice, made["apiKey"]) == {**AS_MADE, **becomes}

    answer = await asyncio.to_thread(make, alice, made["id"])
    assert answer.is_success, answer.text
    await until(known)


async def test_a_parents_limit_is_known_of_its_children(opened: Stores, world: World) -> None:
    parent = world.workspace("parent", type="Parent")
    child = UUID(world.workspace("child", parentWorkspaceId=parent.id).id)

    async def limited() -> bool:
        found = await workspaces.find(opened, child)
        return found is not None and found.parents_requests == 70

    assert not await limited()
    await asyncio.to_thread(parent.put, "/quotas", maxRequestsPerMinute=70)
    await until(limited)


async def test_an_ear_that_is_told_nothing_is_not_trusted(server: Server) -> None:
    """As behind a pooler that loses NOTIFY: what is remembered holds for a second."""
    async with another_process(server, deaf=True) as opened:
        await asyncio.sleep(0.5)
        assert not await remembers_longer(opened)
