"""The rules of isolation hold in the database as it is, and whatever breaks one is found."""

from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from tenfold.tenancy.catalogue import faults
from tenfold.tenancy.catalogue_store import RULES
from tests.world import Server

# What somebody might do one day, by mistake or on purpose; each undoes one guard.
DAMAGES: list[tuple[str, LiteralString]] = [
    ("row security", "ALTER TABLE segments NO FORCE ROW LEVEL SECURITY"),
    ("row security", "ALTER TABLE profiles DISABLE ROW LEVEL SECURITY"),
    ("row security", "CREATE TABLE notes (workspace_id uuid NOT NULL PRIMARY KEY)"),
    ("row security", "ALTER TABLE identity.people DISABLE ROW LEVEL SECURITY"),
    ("schemas", "CREATE TABLE tenancy.notes (workspace_id uuid NOT NULL PRIMARY KEY)"),
    ("one policy for the app role", "DROP POLICY workspace ON segments"),
    ("one policy for the app role", "ALTER POLICY workspace ON segments USING (true)"),
    ("one policy for the app role", "ALTER POLICY workspace ON segments WITH CHECK (true)"),
    ("one policy for the app role", "CREATE POLICY more ON segments TO tenfold_app USING (true)"),
    ("one policy for the app role", "ALTER POLICY identity ON identity.sessions USING (true)"),
    ("other policies", "CREATE POLICY everybody ON segments USING (true)"),
    ("other policies", "CREATE POLICY writes ON jobs FOR UPDATE TO tenfold_service USING (true)"),
    ("grants on tables", "GRANT SELECT ON segments TO PUBLIC"),
    ("grants on tables", "GRANT TRUNCATE ON segments TO tenfold_app"),
    ("grants on tables", "GRANT DELETE ON audit_log TO tenfold_app"),
    ("grants on tables", "GRANT SELECT ON tenancy.signing_keys TO tenfold_app"),
    ("grants on tables", "GRANT SELECT ON inbox TO tenfold_service"),
    ("grants on tables", "GRANT INSERT ON workspaces TO tenfold_directory"),
    ("the service role reads no content", "GRANT SELECT (events) ON inbox TO tenfold_service"),
    ("the service role reads no content", "GRANT SELECT (recipient) ON messages TO tenfold_service"),
    ("the service role reads no content", "GRANT UPDATE (due_at) ON jobs TO tenfold_service"),
    ("keys lead with the workspace", "CREATE INDEX broken ON segments (name)"),
    ("keys lead with the workspace", "CREATE UNIQUE INDEX broken ON segments (id, workspace_id)"),
    ("every table has a workspace", "CREATE TABLE notes (id uuid PRIMARY KEY)"),
    ("every table has a workspace", "CREATE TABLE notes (workspace_id text NOT NULL PRIMARY KEY)"),
    ("foreign keys stay in their workspace", ("CREATE UNIQUE INDEX k ON write_keys (id) INCLUDE (hash);"
     " ALTER TABLE segments ADD CONSTRAINT broken FOREIGN KEY (id) REFERENCES write_keys (id) NOT VALID")),
    ("views", "CREATE VIEW everything AS SELECT * FROM segments"),
    ("views", "CREATE MATERIALIZED VIEW everything AS SELECT * FROM segments"),
    ("functions with other rights", ("CREATE FUNCTION tenancy.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
     " AS 'SELECT count(*) FROM segments'")),
    ("functions with other rights", "ALTER FUNCTION tenancy.open_workspace(uuid) RESET search_path"),
    ("functions with other rights", "GRANT EXECUTE ON FUNCTION tenancy.owners_of(uuid[]) TO PUBLIC"),
    ("functions with other rights", "GRANT EXECUTE ON FUNCTION tenancy.count_users() TO tenfold_app"),
    ("roles", "ALTER ROLE tenfold_app BYPASSRLS"),
    ("roles", "ALTER ROLE tenfold_keeper LOGIN"),
    ("roles", "GRANT tenfold_directory TO tenfold_app"),
    ("roles", "ALTER TABLE segments OWNER TO tenfold_app"),
    ("schema rights", "GRANT CREATE ON SCHEMA public TO tenfold_app"),
    ("no enums", "CREATE TYPE mood AS ENUM ('good'); ALTER TABLE segments ADD COLUMN mood mood"),
    ("changes are audited", "DROP TRIGGER audit ON segments"),
    ("changes are audited", "ALTER TABLE journeys DISABLE TRIGGER audit"),
    ("what is limited is counted", "DROP TRIGGER users_in ON profiles"),
    ("what is limited is counted", "ALTER TABLE archive_queue DISABLE TRIGGER events_in"),
    ("what is limited is counted", "DROP TRIGGER quota_out ON segments"),
    ("what is limited is counted", "CREATE TABLE broadcasts (workspace_id uuid NOT NULL PRIMARY KEY)"),
    ("the context is signed", ("CREATE OR REPLACE FUNCTION tenancy.workspaces() RETURNS uuid[] LANGUAGE sql STABLE"
     " RETURN string_to_array(current_setting('app.current_workspace_id', true), ',')::uuid[]")),
    ("the context is signed", "TRUNCATE tenancy.signing_keys"),
]  # fmt: skip


@pytest.fixture
def owner(server: Server) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server.database_url, user="tenfold_root", autocommit=True) as connection:
        yield connection


def test_the_database_keeps_every_rule(owner: psycopg.Connection[Any]) -> None:
    assert faults(owner) == []


@pytest.mark.parametrize(("rule", "damage"), DAMAGES)
def test_what_breaks_a_rule_is_found(owner: psycopg.Connection[Any], rule: str, damage: LiteralString) -> None:
    with owner.transaction(force_rollback=True):
        owner.execute("SET LOCAL lock_timeout = '10s'")
        owner.execute(damage)
        assert rule in {fault.rule for fault in faults(owner)}


def test_what_the_processes_cannot_reach_is_nobodys_fault(owner: psycopg.Connection[Any]) -> None:
    """A database may hold another schema, as managed ones do."""
    with owner.transaction(force_rollback=True):
        owner.execute("CREATE SCHEMA other; CREATE TABLE other.notes (id int)")
        owner.execute("CREATE FUNCTION other.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
        assert faults(owner) == []
        owner.execute("GRANT USAGE ON SCHEMA other TO tenfold_app")
        assert {fault.rule for fault in faults(owner)} == {"row security", "schemas", "one policy for the app role",
            "functions with other rights"}  # fmt: skip


def test_every_rule_has_a_damage_that_it_finds() -> None:
    assert {rule for rule, _ in DAMAGES} == set(RULES)
