"""Each guard outside the database's catalogue, and that its test turns red without it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from tenfold.kit.clock import now
from tenfold.kit.errors import Forbidden
from tenfold.kit.flights import Flights
from tenfold.kit.settings import load
from tenfold.storage.clickhouse import ClickHouse
from tenfold.storage.embedded import EmbeddedPostgres
from tenfold.storage.migrate import clickhouse_schema
from tenfold.tenancy import analytics, context, door, workspaces
from tenfold.tenancy.access import admin_keys
from tenfold.tenancy.memory import Memory
from tenfold.tenancy.scope import BatchScope, Scope, Stores
from tenfold.wiring import clickhouse_of, describe, stores
from tests.world import Owner, Server, World


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Stores]:
    found = describe(load(server.directory), EmbeddedPostgres(server.directory))
    async with stores(found, clickhouse_of(found.settings), name="guards", size=2) as made:
        yield made


@pytest.fixture(scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClickHouse]:
    """An archive of this process: events of two workspaces."""
    made = ClickHouse(None, tmp_path_factory.mktemp("archive"), clickhouse_schema())
    yield made
    await made.close()


async def scope_of(opened: Stores, owner: Owner) -> Scope:
    workspace = await workspaces.find(opened, UUID(owner.id))
    assert workspace is not None
    return Scope(opened, workspace)


async def filled(opened: Stores, archive: ClickHouse, world: World) -> list[Scope]:
    scopes = [
        await scope_of(replace(opened, clickhouse=archive), world.workspace(name)) for name in ("alice", "charlie")
    ]
    columns = ["workspace_id", "user_id", "ordinal", "processing_time"]
    for scope in scopes:
        await archive.insert("events", columns, [[scope.workspace_id], ["u"], [1], [now()]], str(uuid4()))
    return scopes


async def holds(check: Callable[..., Awaitable[None]], *arguments: Any) -> bool:
    try:
        await check(*arguments)
    except (AssertionError, pytest.fail.Exception, Forbidden):
        return False
    return True


async def archive_is_bound(scope: Scope) -> None:
    """A statement that forgets its workspace is refused, and one that gets round it sees its own rows only."""
    with pytest.raises(Forbidden):
        await analytics.query(scope, "SELECT workspace_id FROM events", {})
    sly = "SELECT DISTINCT workspace_id FROM events WHERE workspace_id IN {workspaces:Array(UUID)} OR 1 = 1"
    rows = await analytics.query(scope, sly, {"workspaces": [uuid4()]})
    assert [row["workspace_id"] for row in rows] == [scope.workspace_id]
    plain = "SELECT count() AS n FROM events WHERE workspace_id IN {workspaces:Array(UUID)}"
    assert await analytics.query(scope, plain, {"workspaces": [uuid4()]}) == [{"n": 1}]


async def test_the_archive_answers_for_the_scope_alone(
    opened: Stores, archive: ClickHouse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scope in await filled(opened, archive, world):
        await archive_is_bound(scope)
    for guard, broken in (("BINDING", ""), ("_only", lambda _: None)):
        monkeypatch.setattr(analytics, guard, broken)
        assert not await holds(archive_is_bound, scope), guard
        monkeypatch.undo()


async def door_is_narrow(scope: Scope, others: UUID) -> None:
    async with door.workspace(scope) as db:
        seen = await db.all("SELECT DISTINCT workspace_id FROM segments")
    assert [row["workspace_id"] for row in seen] == [scope.workspace_id]
    async with door.workspace(BatchScope(scope.stores, frozenset((scope.workspace_id, others)))) as db:
        batch = await db.all("SELECT workspace_id FROM workspaces")
    assert {row["workspace_id"] for row in batch} == {scope.workspace_id, others}
    with pytest.raises(Forbidden):
        async with door.workspace(BatchScope(scope.stores, frozenset())):
            pass


async def test_the_door_shows_what_the_scope_names(
    opened: Stores, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, charlie = world.workspace(), world.workspace("charlie")
    scope, other = await scope_of(opened, alice), UUID(charlie.id)
    await door_is_narrow(scope, other)
    breaks: list[Callable[..., str]] = [
        lambda *_, **__: "",
        lambda key, *rest: context.signed(b"another key", *rest),
        lambda key, ids, *rest: context.signed(key, [other], *rest),
        lambda key, ids, *rest: context.signed(key, [*ids, other], *rest),
        lambda key, ids, *rest: context.signed(key, ids, *rest).partition(".")[2],
    ]
    for broken in breaks:
        monkeypatch.setattr(door, "signed", broken)
        assert not await holds(door_is_narrow, scope, other)
        monkeypatch.undo()


class Forgetful(Memory):
    """A memory that confuses the keys of one kind."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def recall(self, key: Any) -> Any:
        return super().recall(self._confused(key))

    def keep(self, key: Any, *rest: Any) -> None:
        super().keep(self._confused(key), *rest)

    def _confused(self, key: Any) -> Any:
        return "same" if key[0] == self._kind else key


async def keys_open_their_own(opened: Stores, *owners: Owner) -> None:
    for _ in range(2):
        for owner in owners:
            found = await workspaces.by_write_key(opened, owner.write_key)
            key = await admin_keys.opened(opened, owner.admin_key)
            assert found is not None
            assert key is not None
            assert str(found.workspace_id) == owner.id == str(key.owner.workspace_id)


async def test_what_is_remembered_is_remembered_by_workspace(opened: Stores, world: World) -> None:
    owners = world.workspace(), world.workspace("charlie")
    await keys_open_their_own(opened, *owners)
    for kind in ("workspace", "write-key", "admin-key"):
        assert not await holds(keys_open_their_own, replace(opened, memory=Forgetful(kind)), *owners), kind


class Crowded(Flights):
    """Lookups shared whatever they look for."""

    async def of(self, key: Any, look: Callable[[], Awaitable[Any]]) -> Any:
        return await super().of("same", look)


async def all_at_once_open_their_own(opened: Stores, *owners: Owner) -> None:
    """Many callers of both at the same time, by write key, by admin key and by id."""
    crowd = [owner for owner in owners for _ in range(20)]
    opened.memory.clear()
    keyed = await asyncio.gather(*(admin_keys.opened(opened, owner.admin_key) for owner in crowd))
    assert [str(key.owner.workspace_id) for key in keyed if key] == [owner.id for owner in crowd]
    opened.memory.clear()
    written = await asyncio.gather(*(workspaces.by_write_key(opened, owner.write_key) for owner in crowd))
    assert [str(found.workspace_id) for found in written if found] == [owner.id for owner in crowd]
    opened.memory.clear()
    found = await asyncio.gather(*(workspaces.find(opened, UUID(owner.id)) for owner in crowd))
    assert [str(item.workspace_id) for item in found if item] == [owner.id for owner in crowd]


async def test_a_shared_lookup_is_shared_by_those_who_ask_the_same(opened: Stores, world: World) -> None:
    owners = world.workspace(), world.workspace("charlie")
    await all_at_once_open_their_own(opened, *owners)
    assert not await holds(all_at_once_open_their_own, replace(opened, flights=Crowded()), *owners)


async def test_a_sealed_secret_opens_in_its_own_workspace_only(opened: Stores) -> None:
    from cryptography.exceptions import InvalidTag

    from tenfold.tenancy import keys

    hers, his = uuid4(), uuid4()
    sealed = keys.seal(opened.secret, hers, "token", b"plain")
    assert keys.unseal(opened.secret, hers, "token", sealed) == b"plain"
    for workspace, purpose in ((his, "token"), (hers, "other")):
        with pytest.raises(InvalidTag):
            keys.unseal(opened.secret, workspace, purpose, sealed)
