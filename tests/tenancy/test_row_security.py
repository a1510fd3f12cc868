"""The lock itself: what PostgreSQL lets the processes' own role see, whatever the application does."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from tenfold.tenancy.context import PLATFORM
from tests.world import Owner, Server, World

TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relnamespace IN ('public'::regnamespace, 'identity'::regnamespace) AND c.relkind IN ('r', 'p')
      AND c.relname <> 'migrations' ORDER BY 1
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
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*table.split(".")))
    found = connection.execute(statement).fetchone()
    assert found is not None
    return found[0]


@pytest.fixture
def alice(world: World) -> Owner:
    made = world.workspace()
    made.identify("ann", plan="pro")
    made.settle()
    return made


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
        app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (world.server.context(charlie.id),))
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
        app.execute(
            "SELECT set_config('app.current_workspace_id', %s, true)", (world.server.context(alice.id, bob.id),)
        )
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


FORGERIES = ["{charlie}", "{signature}.{charlie}|test|test|||", "{signature}{charlie}", "", ".", "{other}", "{mine}"]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_context_that_was_not_signed_opens_nothing(
    alice: Owner, world: World, app: psycopg.Connection[Any], forgery: str
) -> None:
    """Alice's own context is known to whoever runs SQL in it; nothing made from it opens Charlie's workspace."""
    charlie = world.workspace("charlie")
    mine = world.server.context(alice.id)
    parts = {
        "charlie": charlie.id,
        "signature": mine.partition(".")[0],
        "mine": mine.replace(alice.id, f"{alice.id},{charlie.id}"),
        "other": mine.replace(alice.id, charlie.id),
    }
    for local in (True, False):
        with app.transaction(force_rollback=True):
            app.execute("SELECT set_config('app.current_workspace_id', %s, %s)", (forgery.format(**parts), local))
            assert seen(app, "workspaces") == 0
            assert seen(app, "segments") == 0


def test_the_key_cannot_be_read_and_no_context_can_be_signed(app: psycopg.Connection[Any]) -> None:
    for statement in ("SELECT * FROM tenancy.signing_keys", "SET ROLE tenfold_keeper", "SELECT * FROM identity.people"):
        if "people" in statement:
            assert app.execute("SELECT * FROM identity.people").fetchall() == []
            continue
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(sql.SQL(statement))  # type: ignore[arg-type]


def test_a_running_context_is_not_shown_to_other_sessions(
    alice: Owner, world: World, app: psycopg.Connection[Any]
) -> None:
    """It travels as a parameter, so what pg_stat_activity shows of a session of the same role cannot be replayed."""
    with connect(world.server, "tenfold_app") as other, other.transaction():
        other.execute("SELECT set_config('app.current_workspace_id', %s, true)", (world.server.context(alice.id),))
        shown = app.execute("SELECT query FROM pg_stat_activity WHERE usename = 'tenfold_app'").fetchall()
    assert all(alice.id not in (row[0] or "") for row in shown)


def test_the_list_of_all_workspaces_is_the_platforms(alice: Owner, world: World, app: psycopg.Connection[Any]) -> None:
    def listed(context: str) -> int:
        with app.transaction():
            app.execute("SELECT set_config('app.current_workspace_id', %s, true)", (context,))
            found = app.execute("SELECT count(*) FROM tenancy.list_workspaces(NULL, NULL, NULL, 10)").fetchone()
            assert found is not None
            return found[0]

    assert listed(world.server.context(alice.id)) == 0
    assert listed(world.server.context(str(PLATFORM))) > 0
