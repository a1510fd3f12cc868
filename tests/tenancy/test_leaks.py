"""Two workspaces share one connection, and everything goes wrong: nothing of one is ever seen by the other."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from tenfold.kit.errors import Unavailable
from tenfold.kit.settings import load
from tenfold.storage.db import Db
from tenfold.storage.embedded import EmbeddedPostgres
from tenfold.tenancy import door, workspaces
from tenfold.tenancy.access import members, people
from tenfold.tenancy.scope import Scope, Stores
from tenfold.wiring import clickhouse_of, describe, stores
from tests.pooler import Pooler
from tests.world import Server, World

ROUNDS = 4000
SEEN = "SELECT DISTINCT workspace_id FROM segments"  # no filter: only the policy stands between


@pytest.fixture(scope="module")
def pooler(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pooler]:
    running = Pooler(server, tmp_path_factory.mktemp("pooler"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(params=["direct", "PgBouncer"])
async def shared(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Stores]:
    """Stores whose app role has a single connection."""
    found = describe(load(server.directory), EmbeddedPostgres(server.directory))
    if request.param == "PgBouncer":
        found = replace(found, database_url=request.getfixturevalue("pooler").url)
    async with stores(found, clickhouse_of(found.settings), name="leaks", size=1) as opened:
        yield opened


async def scopes_of(shared: Stores, world: World) -> list[Scope]:
    ids = [UUID(world.workspace(name).id) for name in ("alice", "charlie")]
    found = [await workspaces.find(shared, identity) for identity in ids]
    return [Scope(shared, workspace) for workspace in found if workspace]


async def owners_seen(db: Db) -> set[UUID]:
    return {row["workspace_id"] for row in await db.all(SEEN)}


async def reads(scope: Scope, told: Counter[str]) -> None:
    async with door.workspace(scope) as db:
        seen = await owners_seen(db)
        assert seen == {scope.workspace_id}
    told["read"] += 1


async def glances(scope: Scope, told: Counter[str]) -> None:
    assert await door.read(scope, lambda db: db.send(SEEN)) == [{"workspace_id": scope.workspace_id}]
    told["glanced"] += 1


async def fails(scope: Scope, told: Counter[str]) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with door.workspace(scope) as db:
            await db.all("SELECT 1 / 0")
    told["failed"] += 1


async def is_cut_off(scope: Scope, told: Counter[str]) -> None:
    try:
        async with asyncio.timeout(random.uniform(0.0005, 0.01)), door.workspace(scope) as db:
            assert await owners_seen(db) <= {scope.workspace_id}
            await db.all("SELECT pg_sleep(0.005)")
            assert await owners_seen(db) <= {scope.workspace_id}
    except (TimeoutError, Unavailable):
        told["cut off"] += 1


async def fails_at_a_glance(scope: Scope, told: Counter[str]) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        await door.read(scope, lambda db: db.send("SELECT 1 / 0"))
    told["failed at a glance"] += 1


async def is_cancelled(scope: Scope, told: Counter[str]) -> None:
    task = asyncio.create_task(random.choice((reads, glances))(scope, Counter()))
    await asyncio.sleep(random.uniform(0, 0.003))
    task.cancel()
    try:
        await task
    except (asyncio.CancelledError, Unavailable):
        told["cancelled"] += 1


async def forgets(scope: Scope, told: Counter[str]) -> None:
    """Somebody borrows a connection and does not say for which workspace."""
    async with scope.stores.app.transaction(None, "") as db:
        assert await owners_seen(db) == set()
    async with scope.stores.app.single() as db:
        assert await owners_seen(db) == set()
    told["forgot"] += 1


async def hammer(shared: Stores, scopes: list[Scope], rounds: int) -> Counter[str]:
    told: Counter[str] = Counter()
    moves = [reads, reads, glances, glances, fails, fails_at_a_glance, is_cut_off, is_cancelled, forgets]

    async def borrow(number: int) -> None:
        dice = random.Random(number)
        for _ in range(rounds // 8):
            try:
                await dice.choice(moves)(dice.choice(scopes), told)
            except Unavailable:  # one connection for eight, on a busy machine
                told["busy"] += 1

    await asyncio.gather(*(borrow(number) for number in range(8)))
    return told


async def test_nothing_leaks_over_a_shared_connection(shared: Stores, world: World) -> None:
    told = await hammer(shared, await scopes_of(shared, world), 800)
    happened = {"read", "glanced", "failed", "failed at a glance", "cut off", "cancelled", "forgot"}
    assert set(told) - {"busy"} == happened
    assert told["busy"] < 80


@pytest.mark.slow
async def test_nothing_leaks_for_long(shared: Stores, world: World) -> None:
    told = await hammer(shared, await scopes_of(shared, world), ROUNDS)
    assert sum(told.values()) > ROUNDS / 2


async def test_a_setting_for_the_session_would_leak_and_the_test_would_see_it(
    shared: Stores, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard is that the context is local to the transaction: without it, the hammer finds a leak."""
    from psycopg import AsyncConnection

    whole = AsyncConnection.execute

    async def for_the_session(self, query, params=None, **more):  # type: ignore[no-untyped-def]
        text = query.replace("%s, true)", "%s, false)") if isinstance(query, str) else query
        return await whole(self, text, params, **more)

    scopes = await scopes_of(shared, world)
    monkeypatch.setattr(AsyncConnection, "execute", for_the_session)
    with pytest.raises(AssertionError):
        await hammer(shared, scopes, 800)
    monkeypatch.undo()
    async with shared.app.single() as db:
        await db.run("RESET ALL")


async def test_behind_a_pooler_everything_works(pooler: Pooler, server: Server, world: World) -> None:
    """Statements are not prepared there; identity, members and batches go through it all the same."""
    found = replace(describe(load(server.directory), EmbeddedPostgres(server.directory)), database_url=pooler.url)
    alice = world.workspace()
    async with stores(found, clickhouse_of(found.settings), name="pooled", size=3) as opened:
        workspace = await workspaces.find(opened, UUID(alice.id))
        assert workspace is not None
        for turn in range(6):
            claims = people.Claims("test", f"pooled-{turn}", f"pooled{turn}@x.test", email_verified=True)
            person = await people.sign_in(opened, claims)
            await members.take_in(Scope(opened, workspace), person.email, "P", "Viewer")
            part = await people.part(opened, person, workspace.workspace_id)
            assert part is not None
            assert part.role == "Viewer"
