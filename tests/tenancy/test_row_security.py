"""The lock itself: what PostgreSQL lets the processes' own role see, whatever the application does."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tests.world import Owner, Server, World

TABLES = """
    SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity, pg_get_userbyid(c.relowner) AS owner,
      (SELECT array_agg(a.attname::text ORDER BY k.ord) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (num, ord)
         JOIN pg_attribute a ON a.attnum = k.num AND a.attrelid = c.oid
       WHERE i.indrelid = c.oid AND i.indisprimary) AS primary_key
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'migrations'
    ORDER BY c.relname
"""


def connect(server: Server, role: str) -> psycopg.Connection[Any]:
    return psycopg.connect(server.database_url, user=role, autocommit=True)


@pytest.fixture
def owner(server: Server) -> Iterator[psycopg.Connection[Any]]:
    with connect(server, "tenfold_root") as connection:
        yield connection


@pytest.fixture
def app(server: Server) -> Iterator[psycopg.Connection[Any]]:
    with connect(server, "tenfold_app") as connection:
        yield connection


def tables(connection: psycopg.Connection[Any]) -> list[str]:
    return [row[0] for row in connection.execute(TABLES).fetchall()]


def seen(connection: psycopg.Connection[Any], table: str) -> int:
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    found = connection.execute(statement).fetchone()
    assert found is not None
    return found[0]


@pytest.fixture
def alice(world: World) -> Owner:
    made = world.workspace()
    made.identify("ann", plan="pro")
    made.settle()
    return made


def test_every_table_is_locked_and_begins_with_its_workspace(owner: psycopg.Connection[Any]) -> None:
    for name, enabled, forced, _, primary_key in owner.execute(TABLES).fetchall():
        assert enabled, f"{name} has no row security"
        assert forced, f"{name} does not bind its owner"
        assert primary_key[0] == "workspace_id", f"{name} does not lead with the workspace"


def test_every_policy_checks_what_is_read_and_what_is_written(owner: psycopg.Connection[Any]) -> None:
    policies = owner.execute("SELECT tablename, qual, with_check FROM pg_policies WHERE 'tenfold_app' = ANY (roles)")
    found = {name: (reads, writes) for name, reads, writes in policies.fetchall()}
    assert set(found) == set(tables(owner))
    for name, (reads, writes) in found.items():
        assert reads == writes, name
        assert "tenancy.workspaces()" in reads, name


def test_the_processes_roles_own_nothing_and_bypass_nothing(owner: psycopg.Connection[Any]) -> None:
    roles = owner.execute(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname ~ '^tenfold_[^r]'"
    ).fetchall()
    assert {row[0] for row in roles} == {"tenfold_app", "tenfold_service", "tenfold_directory"}
    assert all(not any(row[1:]) for row in roles)
    owned = owner.execute("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) ~ '^tenfold_[^r]'").fetchone()
    assert owned == (0,)


def test_no_tenant_column_is_an_enum(owner: psycopg.Connection[Any]) -> None:
    enums = owner.execute(
        "SELECT a.attrelid::regclass FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE t.typtype = 'e' AND a.attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
    ).fetchall()
    assert enums == []


def test_without_a_workspace_nothing_is_seen_and_nothing_written(
    alice: Owner, app: psycopg.Connection[Any], owner: psycopg.Connection[Any]
) -> None:
    assert [seen(app, table) for table in tables(owner)] == [0] * len(tables(owner))
    for setting in ("", None):
        if setting is not None:
            app.execute("SELECT set_config('app.current_workspace_id', %s, false)", (setting,))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("INSERT INTO event_ids VALUES (%s, %s)", (alice.id, uuid4().bytes))


def test_a_workspace_sees_itself_and_cannot_write_elsewhere(
    alice: Owner, world: World, app: psycopg.Connection[Any]
) -> None:
    charlie = world.workspace("charlie")
    with app.transaction():
        app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (charlie.id,))
        assert app.execute("SELECT DISTINCT workspace_id::text FROM segments").fetchall() == [(charlie.id,)]
        assert app.execute("DELETE FROM profiles WHERE workspace_id = %s", (alice.id,)).rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege), app.transaction():
            app.execute("INSERT INTO event_ids VALUES (%s, %s)", (alice.id, uuid4().bytes))
        with pytest.raises(psycopg.errors.InsufficientPrivilege), app.transaction():
            app.execute("UPDATE segments SET workspace_id = %s", (alice.id,))
    assert seen(app, "segments") == 0


def test_a_batch_sees_exactly_the_workspaces_it_claimed(
    alice: Owner, world: World, app: psycopg.Connection[Any]
) -> None:
    bob, charlie = world.workspace("bob"), world.workspace("charlie")
    with app.transaction():
        app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (f"{alice.id},{bob.id}",))
        found = {row[0] for row in app.execute("SELECT workspace_id::text FROM workspaces").fetchall()}
    assert found == {alice.id, bob.id}
    assert charlie.id not in found


def test_the_service_role_reads_what_is_due_and_no_content(server: Server) -> None:
    with connect(server, "tenfold_service") as service:
        service.execute("SELECT workspace_id, seq, lane, size FROM inbox")
        service.execute("SELECT workspace_id, id, lane, due_at FROM runs")
        for statement in (
            "SELECT events FROM inbox", "SELECT state FROM profiles", "SELECT * FROM segments", "SELECT intent FROM messages",
            "DELETE FROM inbox", "SELECT * FROM workspaces", "SELECT payload FROM jobs",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                service.execute(statement)


def test_the_directory_answers_for_one_key_at_a_time(alice: Owner, app: psycopg.Connection[Any]) -> None:
    assert seen(app, "write_keys") == 0
    assert app.execute("SELECT count(*) FROM tenancy.find_write_key(%s)", (uuid4(),)).fetchone() == (0,)
    for statement in (
        "SET ROLE tenfold_directory",
        "SET ROLE tenfold_root",
        "ALTER TABLE profiles NO FORCE ROW LEVEL SECURITY",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(sql.SQL(statement))  # type: ignore[arg-type]


GUARDS = [
    ("ALTER TABLE segments DISABLE ROW LEVEL SECURITY", test_every_table_is_locked_and_begins_with_its_workspace),
    ("ALTER TABLE segments NO FORCE ROW LEVEL SECURITY", test_every_table_is_locked_and_begins_with_its_workspace),
    ("DROP POLICY workspace ON segments", test_every_policy_checks_what_is_read_and_what_is_written),
    ("ALTER POLICY workspace ON segments WITH CHECK (true)", test_every_policy_checks_what_is_read_and_what_is_written),
    ("ALTER POLICY workspace ON segments USING (true)", test_every_policy_checks_what_is_read_and_what_is_written),
    ("ALTER ROLE tenfold_app BYPASSRLS", test_the_processes_roles_own_nothing_and_bypass_nothing),
    ("ALTER TABLE segments OWNER TO tenfold_app", test_the_processes_roles_own_nothing_and_bypass_nothing),
]  # fmt: skip


@pytest.mark.parametrize(("removal", "test"), GUARDS, ids=[removal for removal, _ in GUARDS])
def test_a_guard_that_is_removed_turns_its_test_red(owner: psycopg.Connection[Any], removal: str, test: Any) -> None:
    with owner.transaction(force_rollback=True):
        owner.execute(sql.SQL(removal))  # type: ignore[arg-type]
        with pytest.raises(AssertionError):
            test(owner)
