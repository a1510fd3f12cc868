"""Taking a few from a long queue reads those few, also when the queue has just outgrown its statistics."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from tenfold.engagement.deliveries import store as deliveries
from tenfold.engagement.events import store as events
from tenfold.engagement.journeys import run_store as runs
from tenfold.jobs import store as jobs
from tenfold.kit.settings import load
from tenfold.storage import postgres
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores
from tenfold.wiring import clickhouse_of, installation, migrate, stores

ALICE, NOBODY = UUID(int=1), UUID(int=0)
LONG, FEW = 5_000, 20
QUEUES: dict[str, LiteralString] = {
    "messages": """
        INSERT INTO messages (workspace_id, id, lane, state, channel, user_id, template_id, intent)
        SELECT owner, gen_random_uuid(), owner, 'Pending', 'Email', 'u' || n, owner, ''
        FROM generate_series(1, %(many)s) AS n,
          LATERAL (SELECT CASE WHEN %(spread)s THEN md5(n::text)::uuid ELSE %(alice)s END) AS o (owner)
        RETURNING id AS key
    """,
    "inbox": """
        INSERT INTO inbox (workspace_id, lane, size, events)
        SELECT owner, owner, 1, '' FROM generate_series(1, %(many)s) AS n,
          LATERAL (SELECT CASE WHEN %(spread)s THEN md5(n::text)::uuid ELSE %(alice)s END) AS o (owner)
        RETURNING seq AS key
    """,
    "jobs": """
        INSERT INTO jobs (workspace_id, topic, lane, payload)
        SELECT owner, 'plans', owner, '' FROM generate_series(1, %(many)s) AS n,
          LATERAL (SELECT CASE WHEN %(spread)s THEN md5(n::text)::uuid ELSE %(alice)s END) AS o (owner)
        RETURNING id AS key
    """,
    "runs": """
        INSERT INTO runs (workspace_id, id, journey_id, version, user_id, key, state, lane, due_at, started_at)
        SELECT owner, gen_random_uuid(), owner, 1, 'u' || gen_random_uuid(), '', '', owner, now(), now()
        FROM generate_series(1, %(many)s) AS n,
          LATERAL (SELECT CASE WHEN %(spread)s THEN md5(n::text)::uuid ELSE %(alice)s END) AS o (owner)
        RETURNING id AS key
    """,
}


async def claim(db: Db, keys: list[Any]) -> list[Row]:
    owners = [ALICE] * len(keys)
    return await (await deliveries.claim(db, owners, keys, ["2026-01"] * len(keys), NOBODY)).rows()


async def finish(db: Db, keys: list[Any]) -> list[Row]:
    await claim(db, keys)
    given = dict.fromkeys(("status", "recipient", "sender", "sent_at", "status_at"))
    return await deliveries.finish(db, [{"workspace_id": ALICE, "id": key, "variant": {}, **given} for key in keys])


async def hold(db: Db, keys: list[Any]) -> list[Any]:
    await deliveries.hold(db, [ALICE] * len(keys), keys)
    return keys


async def take_events(db: Db, keys: list[Any]) -> list[Row]:
    return await (await events.take_inbox(db, "plans", [ALICE], [ALICE] * len(keys), keys)).rows()


async def take_jobs(db: Db, keys: list[Any]) -> list[Row]:
    found = await (await jobs.take(db, [ALICE] * len(keys), keys)).rows()
    await jobs.finish(db, [ALICE] * len(keys), keys)
    return found


async def take_runs(db: Db, keys: list[Any]) -> list[Row]:
    await runs.take_waiting(db, [ALICE] * len(keys), keys)
    return await (await runs.take(db, [ALICE] * len(keys), keys)).rows()


@pytest.fixture(scope="module")
async def owner(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Any, psycopg.Connection[Any]]]:
    """An installation without workers, and its owner, for whom nothing is checked."""
    directory: Path = tmp_path_factory.mktemp("plans")
    with installation(load(directory)) as found:
        migrate(found)
        with psycopg.connect(found.database_url, autocommit=True) as made:
            made.execute("SET session_replication_role = replica")
            made.execute(
                "INSERT INTO workspaces (workspace_id, root_id, name, type, status) "
                "VALUES (%(alice)s, %(alice)s, 'alice', 'Root', 'Active')",
                {"alice": ALICE},
            )
            yield found, made


@asynccontextmanager
async def opened(found: Any) -> AsyncIterator[Stores]:
    async with stores(found, clickhouse_of(found.settings), name="plans", size=2) as made:
        yield made


def fill(owner: psycopg.Connection[Any], table: str, many: int, *, spread: bool = False) -> list[Any]:
    """Rows of Alice's, or spread over as many workspaces; their keys."""
    bound = {"alice": ALICE, "many": many, "spread": spread}
    return [row[0] for row in owner.execute(QUEUES[table], bound).fetchall()]


@pytest.mark.parametrize(
    ("table", "take"),
    [
        ("messages", claim), ("messages", finish), ("messages", hold), ("inbox", take_events), ("jobs", take_jobs),
        ("runs", take_runs),
    ],
)  # fmt: skip
async def test_taking_a_few_reads_a_few(
    owner: tuple[Any, psycopg.Connection[Any]],
    monkeypatch: pytest.MonkeyPatch,
    table: str,
    take: Callable[[Db, list[Any]], Awaitable[list[Any]]],
) -> None:
    found, boss = owner
    monkeypatch.setattr(postgres, "_PLANS_LAST_SECONDS", 0.2)
    async with opened(found) as made:
        boss.execute(f"TRUNCATE {table}")  # type: ignore[arg-type]
        others = fill(boss, table, 300, spread=True)
        boss.execute(f"VACUUM ANALYZE {table}")  # type: ignore[arg-type]
        for _ in range(8):  # until the plan is kept
            await read_by(made, table, take, others[:FEW])
        keys = fill(boss, table, LONG)
        await asyncio.sleep(0.25)
        taken, read = await read_by(made, table, take, keys[100 : 100 + FEW])
    assert taken == FEW
    assert read < LONG / 10


async def read_by(
    made: Stores, table: str, take: Callable[[Db, list[Any]], Awaitable[list[Any]]], keys: list[Any]
) -> tuple[int, int]:
    """How many were taken, and how many rows of the table that took to read."""
    async with door.workspace(BatchScope(made, frozenset((ALICE,)))) as db:
        before = await rows_read(db, table)
        taken = len(await take(db, keys))
        return taken, await rows_read(db, table) - before


async def rows_read(db: Db, table: str) -> int:
    row = await db.one(
        "SELECT seq_tup_read + idx_tup_fetch AS found FROM pg_stat_xact_user_tables WHERE relname = %(table)s",
        {"table": table},
    )
    return row["found"] if row else 0


async def test_events_of_a_lane_are_taken_by_one_worker_at_a_time(
    owner: tuple[Any, psycopg.Connection[Any]],
) -> None:
    """Else later events of a user could be folded before earlier ones."""
    found, boss = owner
    scope = frozenset((ALICE,))
    async with opened(found) as made:
        boss.execute("TRUNCATE inbox")
        first, *later = fill(boss, "inbox", 3)
        async with door.workspace(BatchScope(made, scope)) as one:
            assert [row["seq"] for row in await take_events(one, [first])] == [first]
            async with door.workspace(BatchScope(made, scope)) as other:
                assert await take_events(other, later) == []
        async with door.workspace(BatchScope(made, scope)) as other:
            rows = await take_events(other, [first, *later])
    assert sorted(row["seq"] for row in rows) == later, "in order, and none twice"
