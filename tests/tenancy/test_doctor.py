"""`tenfold doctor` finds what is wrong, and a server that is not safe does not start."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from tenfold.storage.embedded import EmbeddedPostgres
from tenfold.storage.probe import version_fault
from tests.world import Server


def tenfold(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tenfold", *words, "--data-dir", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_a_sound_installation_has_no_fault(server: Server) -> None:
    done = tenfold(server.directory, "doctor")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) >= 9
    assert all(line.startswith("ok     ") for line in lines), done.stdout


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that is not running, for damage."""
    directory = tmp_path_factory.mktemp("stopped") / "data"
    assert tenfold(directory, "migrate").returncode == 0
    return directory


def run_sql(directory: Path, statement: LiteralString) -> None:
    postgres = EmbeddedPostgres(directory)
    postgres.start()
    with psycopg.connect(postgres.url, autocommit=True) as owner:
        owner.execute(statement)
    postgres.stop()


@pytest.mark.parametrize(
    ("damage", "repair", "said"),
    [
        ("ALTER TABLE segments NO FORCE ROW LEVEL SECURITY", "ALTER TABLE segments FORCE ROW LEVEL SECURITY", "segments does not bind its owner"),
        ("GRANT SELECT ON profiles TO PUBLIC", "REVOKE SELECT ON profiles FROM PUBLIC", "profiles grants SELECT to everybody"),
    ],
)  # fmt: skip
def test_an_unsafe_server_does_not_start(
    stopped: Path, damage: LiteralString, repair: LiteralString, said: str
) -> None:
    run_sql(stopped, damage)
    served = tenfold(stopped, "serve", "--port", "0")
    examined = tenfold(stopped, "doctor")
    run_sql(stopped, repair)
    assert served.returncode == 1
    assert served.stdout == ""
    assert "this installation is not safe" in served.stderr
    assert said in served.stderr
    assert examined.returncode == 1
    assert "FAULT  isolation: " in examined.stdout
    assert said in examined.stdout
    assert tenfold(stopped, "doctor").returncode == 0


def test_keys_that_others_can_read_and_another_secret_are_found(stopped: Path) -> None:
    (stopped / "platform.key").write_text("k" * 64)
    (stopped / "platform.key").chmod(0o644)
    done = tenfold(stopped, "doctor")
    (stopped / "platform.key").chmod(0o600)
    assert done.returncode == 1
    assert "FAULT  keys: platform.key can be read by others" in done.stdout
    other = tenfold(stopped, "doctor", TENFOLD_SECRET_KEY=base64.b64encode(b"x" * 32).decode())
    assert other.returncode == 1
    assert "FAULT  signed context: the database does not know this installation's key" in other.stdout


@pytest.mark.parametrize(
    ("version", "said"),
    [(140012, "too old"), (150013, "known holes"), (150014, None), (160009, "known holes"), (170006, None), (180000, None)],
)  # fmt: skip
def test_versions_with_known_holes_are_named(version: int, said: str | None) -> None:
    fault = version_fault(version)
    assert (fault is None) if said is None else (fault is not None and said in fault)


def test_signatures_can_be_switched_off_and_on(stopped: Path) -> None:
    """What an operator may choose for some microseconds a statement; doctor says so."""
    assert tenfold(stopped, "migrate", TENFOLD_SIGNED_CONTEXT="false").returncode == 0
    examined = tenfold(stopped, "doctor", TENFOLD_SIGNED_CONTEXT="false")
    assert examined.returncode == 0, examined.stdout
    assert "ok     context (signatures are switched off)" in examined.stdout
    strict = tenfold(stopped, "doctor")
    assert strict.returncode == 1
    assert "the context is signed" in strict.stdout
    assert "FAULT  signed context" in strict.stdout
    assert tenfold(stopped, "migrate").returncode == 0
    assert tenfold(stopped, "doctor").returncode == 0
