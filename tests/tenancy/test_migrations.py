"""The recorded schema is what the migrations make, and a changed migration is refused."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tenfold.kit.errors import ConfigurationError
from tenfold.storage import migrate
from tenfold.storage.embedded import _BIN, EmbeddedPostgres
from tenfold.tenancy.catalogue import faults
from tests.mailbox import Mailbox
from tests.world import Server, World

SNAPSHOT = Path(__file__).parents[2] / "src" / "tenfold" / "migrations" / "postgres" / "schema.snapshot"
ROLES = {
    "tenfold_app": "a",
    "tenfold_service": "b",
    "tenfold_directory": None,
    "tenfold_keeper": None,
    "tenfold_auditor": None,
    "tenfold_accountant": None,
}
KEY = b"k" * 32


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    running = EmbeddedPostgres(tmp_path_factory.mktemp("migrations"))
    running.start()
    yield running
    running.stop()


def dump(postgres: EmbeddedPostgres) -> str:
    command = [str(_BIN / "pg_dump"), postgres.url, "--schema-only", "--no-comments", "--restrict-key=snapshot"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in text.splitlines() if line and not line.startswith("--")) + "\n"


def test_the_snapshot_is_what_a_replay_makes(postgres: EmbeddedPostgres) -> None:
    assert migrate.migrate_postgres(postgres.url, ROLES, KEY)
    assert migrate.migrate_postgres(postgres.url, ROLES, KEY) == []
    made = dump(postgres)
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(made)
    assert made == SNAPSHOT.read_text(), "delete the snapshot, run this test and commit what it writes"


def test_a_migration_changed_after_it_ran_is_refused(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.migrate_postgres(postgres.url, ROLES, KEY)
    assert migrate.pending(postgres.url) == []
    changed = [migrate.Migration(item.name, item.text + "-- edited") for item in migrate.known("postgres")]
    monkeypatch.setattr(migrate, "known", lambda _: changed)
    with pytest.raises(ConfigurationError, match="was changed after it ran"):
        migrate.pending(postgres.url)


def test_reset_leaves_nothing_and_the_schema_can_be_made_again(postgres: EmbeddedPostgres) -> None:
    migrate.migrate_postgres(postgres.url, ROLES, KEY)
    migrate.drop_postgres(postgres.url)
    assert len(migrate.pending(postgres.url)) == len(migrate.known("postgres"))
    assert migrate.migrate_postgres(postgres.url, ROLES, KEY)
    assert dump(postgres) == SNAPSHOT.read_text()


@pytest.mark.slow
def test_an_owner_that_is_no_superuser_will_do(tmp_path: Path, mailbox: Mailbox) -> None:
    """What a managed PostgreSQL gives: a role that may create roles, and a database of its own."""
    managed = EmbeddedPostgres(tmp_path / "managed")
    (tmp_path / "managed").mkdir()
    managed.start()
    with psycopg.connect(managed.url, autocommit=True) as root:
        root.execute("CREATE ROLE boss LOGIN CREATEROLE")
        root.execute("CREATE DATABASE shop OWNER boss")
        hosted = root.execute("SELECT current_setting('unix_socket_directories')").fetchone()
    assert hosted is not None
    url = f"postgresql://boss@/shop?host={hosted[0]}"
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server", environment={"TENFOLD_DATABASE_URL": url})
    server.start()
    world = World(server, mailbox)
    alice, charlie = world.workspace(), world.workspace("charlie")
    alice.put("/quotas", maxSegments=1)
    segment = alice.segment("seen", {"type": "Everyone"})
    alice.identify("ann")
    alice.settle()
    assert alice.members(segment) == {"ann"}
    assert charlie.users() == {}
    assert any(entry["action"] == "segment.created" for entry in alice.get("/audit-log")["events"])
    with psycopg.connect(url, autocommit=True) as owner:
        assert faults(owner) == []
        assert owner.execute("SELECT count(*) FROM segments").fetchone() == (0,), "the owner is bound, too"
    world.close()
    server.stop()
    managed.stop()
