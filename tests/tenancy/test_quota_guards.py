"""What makes quotas exact, taken away: several processes at once, and what happens without the lock between them."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest

from tenfold.engagement.audience.admitting import admit
from tenfold.engagement.deliveries import store as deliveries_store
from tenfold.engagement.events import store as events_store
from tenfold.engagement.events.model import Event, pack
from tenfold.kit.settings import load
from tenfold.storage.embedded import EmbeddedPostgres
from tenfold.tenancy import door, workspaces
from tenfold.tenancy.quotas import store as quotas_store
from tenfold.tenancy.scope import Scope, Stores
from tenfold.wiring import clickhouse_of, describe, stores
from tests.world import Owner, Server, World

PROCESSES = 12


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Stores]:
    found = describe(load(server.directory), EmbeddedPostgres(server.directory))
    async with stores(found, clickhouse_of(found.settings), name="guards", size=PROCESSES) as made:
        yield made


async def scope_of(opened: Stores, owner: Owner) -> Scope:
    workspace = await workspaces.find(opened, UUID(owner.id))
    assert workspace is not None
    return Scope(opened, workspace)


async def taken(scope: Scope) -> int:
    """Events let in when so many processes each take one at the same moment."""

    async def process(number: int) -> int:
        async with door.workspace(scope) as db:
            event = Event("identify", f"m{number}", f"u{number}", "", "", None, {}, {})
            admitted = await admit(db, scope, [event])
            await asyncio.sleep(0.02)
            if admitted.events:
                owner, lane = [scope.workspace_id], [scope.workspace.root_id]
                await events_store.insert_inbox(db, owner, lane, [1], [pack(admitted.events)], counted=True)
            return len(admitted.events)

    return sum(await asyncio.gather(*(process(number) for number in range(PROCESSES))))


@pytest.mark.parametrize("field", ["maxUsers", "maxEventsPerMonth"])
async def test_processes_together_take_exactly_as_many_as_allowed(world: World, opened: Stores, field: str) -> None:
    alice = world.workspace()
    alice.put("/quotas", **{field: 5})
    assert await taken(await scope_of(opened, alice)) == 5
    alice.settle()
    assert len(alice.users()) == 5


async def test_without_the_lock_they_take_too_many(world: World, opened: Stores) -> None:
    alice = world.workspace()
    alice.put("/quotas", maxEventsPerMonth=5)
    with psycopg.connect(world.server.database_url, user="tenfold_root", autocommit=True) as owner:
        row = owner.execute("SELECT pg_get_functiondef('tenancy.hold_acceptance'::regproc)").fetchone()
        assert row is not None
        try:
            owner.execute(row[0].replace("PERFORM pg_advisory_xact_lock(", "PERFORM abs("))
            assert await taken(await scope_of(opened, alice)) > 5
        finally:
            owner.execute(row[0])


async def test_a_month_is_never_promised_twice(world: World, opened: Stores) -> None:
    """Many workers reserve messages at once, for a parent's children; what is given back can be had again."""
    parent = world.workspace("parent", type="Parent")
    scopes = [await scope_of(opened, world.workspace("child", parentWorkspaceId=parent.id)) for _ in range(4)]
    parent.put("/quotas", maxMessagesPerMonth=13)

    async def reserve(scope: Scope, wanted: int) -> int:
        async with door.workspace(scope) as db:
            rows = await quotas_store.reserve_messages(db, [scope.workspace_id], [wanted])
            await asyncio.sleep(0.01)
        return rows[0]["granted"]

    granted = await asyncio.gather(*(reserve(scope, 5) for scope in scopes * 3))
    assert sum(granted) == 13
    assert parent.get("/quotas")["usage"]["messagesThisMonth"] == 13
    async with door.workspace(scopes[0]) as db:
        month = (await quotas_store.reserve_messages(db, [scopes[0].workspace_id], [0]))[0]["month"]
        await quotas_store.return_messages(db, [scopes[0].workspace_id] * 2, [month] * 2)
    assert await reserve(scopes[1], 5) == 2


async def test_nobody_moves_a_strangers_counter(world: World, opened: Stores) -> None:
    """Not by the functions either that a workspace's own context may call."""
    alice, charlie = world.workspace(), world.workspace("charlie")
    alice.identify("u")
    alice.settle()
    before = alice.get("/quotas")["usage"]
    async with door.workspace(await scope_of(opened, charlie)) as db:
        assert await quotas_store.reserve_messages(db, [UUID(alice.id)], [5]) == []
        await quotas_store.return_storage(db, UUID(alice.id), 10)
        assert await quotas_store.users_room(db, UUID(alice.id)) is None
        assert await quotas_store.hold_acceptance(db, UUID(alice.id)) == []
        assert not await deliveries_store.waiting(db, UUID(alice.id))
    assert alice.get("/quotas")["usage"] == before


async def test_no_trigger_counts_what_somebody_made_up(world: World) -> None:
    """A temporary table with a counting trigger would count for whichever workspace its rows name."""
    alice, charlie = world.workspace(), world.workspace("charlie")
    with psycopg.connect(world.server.database_url, user="tenfold_app", autocommit=True) as app:
        app.execute("SELECT set_config('app.current_workspace_id', %s, false)", (world.server.context(charlie.id),))
        app.execute("CREATE TEMP TABLE made_up (workspace_id uuid)")
        for function, timing in (
            ("count_users()", "REFERENCING NEW TABLE AS moved"),
            ("audit_change('segment', '', '')", "FOR EACH ROW"),
        ):
            statement = f"CREATE TRIGGER t AFTER INSERT ON made_up {timing} EXECUTE FUNCTION tenancy.{function}"
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)  # type: ignore[arg-type]
    assert alice.get("/quotas")["usage"]["users"] == 0
