"""The last use of an admin key is written soon, by nobody's request, and never for another workspace."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from tenfold.kit.clock import now
from tenfold.kit.settings import load
from tenfold.storage.embedded import EmbeddedPostgres
from tenfold.tenancy import workspaces
from tenfold.tenancy.access import admin_keys, key_uses
from tenfold.tenancy.scope import KeyUse, Scope, Stores
from tenfold.wiring import clickhouse_of, describe, stores
from tests.world import Owner, Server, World


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Stores]:
    found = describe(load(server.directory), EmbeddedPostgres(server.directory))
    async with stores(found, clickhouse_of(found.settings), name="uses", size=2) as made:
        yield made


async def use(opened: Stores, owner: Owner) -> KeyUse:
    key = await admin_keys.opened(opened, owner.admin_key)
    assert key is not None
    key_uses.note(opened, key.owner.workspace_id, key.id)
    return opened.key_uses[key.id]


async def last_use(opened: Stores, owner: Owner) -> object:
    found = await workspaces.find(opened, UUID(owner.id))
    assert found is not None
    return (await admin_keys.page(Scope(opened, found)))[0]["last_used_at"]


async def test_uses_of_several_workspaces_are_written_together(opened: Stores, world: World) -> None:
    alice, charlie = world.workspace(), world.workspace("charlie")
    used = [await use(opened, alice), await use(opened, charlie)]
    await key_uses.flush(opened)
    assert opened.key_uses == {}
    assert [await last_use(opened, alice), await last_use(opened, charlie)] == [item.at for item in used]


async def test_whoever_looks_sees_the_last_use(opened: Stores, world: World) -> None:
    alice = world.workspace()
    assert await last_use(opened, alice) is None
    used = await use(opened, alice)
    assert await last_use(opened, alice) == used.at


async def test_an_earlier_use_told_by_another_process_later_changes_nothing(opened: Stores, world: World) -> None:
    alice = world.workspace()
    used = await use(opened, alice)
    await key_uses.flush(opened)
    opened.key_uses[used.key_id] = KeyUse(used.workspace_id, used.key_id, used.at - timedelta(seconds=20))
    assert await last_use(opened, alice) == used.at


async def test_a_use_is_written_in_its_own_workspace_only(opened: Stores, world: World) -> None:
    alice, charlie = world.workspace(), world.workspace("charlie")
    used = await use(opened, alice)
    opened.key_uses[used.key_id] = KeyUse(UUID(charlie.id), used.key_id, now() + timedelta(days=1))
    await key_uses.flush(opened)
    assert await last_use(opened, alice) is None
