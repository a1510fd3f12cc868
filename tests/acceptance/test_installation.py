"""Starting, stopping and starting again; two processes on one directory; the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mailbox import Mailbox
from tests.world import Server, World


def tenfold(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    command = [sys.executable, "-m", "tenfold", *words, "--data-dir", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_a_second_process_is_refused_clearly(server: Server) -> None:
    done = tenfold(server.directory, "serve", "--port", "0")
    assert done.returncode == 1
    assert "in use by another Tenfold" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_bad_setting_stops_the_start_with_one_line(tmp_path: Path) -> None:
    done = tenfold(tmp_path / "data", "serve", AUTH_MODE="nobody")
    assert done.returncode == 1
    assert done.stderr.strip().startswith("tenfold: AUTH_MODE")
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_command_line_works_beside_a_running_server(server: Server) -> None:
    made: dict[str, Any] = json.loads(tenfold(server.directory, "workspace", "create", "from-cli").stdout)
    assert {"workspaceId", "name", "writeKey", "adminApiKey"} <= made.keys()
    again = tenfold(server.directory, "workspace", "create", "from-cli")
    assert (again.returncode, again.stderr.strip()) == (1, "tenfold: a workspace named 'from-cli' exists already")
    listed = [json.loads(line) for line in tenfold(server.directory, "workspace", "list").stdout.splitlines()]
    assert made["workspaceId"] in {row["workspaceId"] for row in listed}
    assert tenfold(server.directory, "migrate", "--check").stdout.strip() == "the schema is current"


def test_reset_asks_first(server: Server) -> None:
    done = tenfold(server.directory, "reset")
    assert done.returncode == 1
    assert "--yes" in done.stderr


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(tmp_path: Path, mailbox: Mailbox) -> None:
    server = Server(tmp_path)
    server.start()
    world = World(server, mailbox)
    alice = world.workspace()
    segment = alice.segment("seen", {"type": "Everyone"})
    alice.identify("ann", plan="pro")
    world.close()
    assert server.stop() == 0
    assert (server.directory / "secret.key").stat().st_mode & 0o777 == 0o600
    server.start()
    world = alice.world = World(server, mailbox)
    alice.settle()
    assert alice.members(segment) == {"ann"}
    world.close()
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.mark.slow
def test_defaults_hold_for_every_workspace_that_has_no_quota_of_its_own(tmp_path: Path, mailbox: Mailbox) -> None:
    server = Server(tmp_path, environment={"DEFAULT_WORKSPACE_QUOTAS": '{"maxSegments": 1, "maxJourneys": null}'})
    server.start()
    world = World(server, mailbox)
    alice = world.workspace()
    definition = {"entryNode": {"type": "Everyone", "id": "1"}, "nodes": []}
    answers = [alice.request("PUT", "/segments", {"name": name, "definition": definition}) for name in ("a", "b")]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert alice.get("/quotas")["quota"]["maxSegments"] == 1
    alice.put("/quotas", maxSegments=2)
    assert alice.request("PUT", "/segments", {"name": "b", "definition": definition}).status_code == 200
    world.close()
    server.stop()


def test_bad_defaults_stop_the_start(tmp_path: Path) -> None:
    for value, said in (
        ('{"maxCats": 1}', "maxCats"),
        ('{"maxSegments": -1}', "maxSegments"),
        ("[]", "expected a JSON object"),
    ):
        done = tenfold(tmp_path / "data", "migrate", DEFAULT_WORKSPACE_QUOTAS=value)
        assert done.returncode == 1
        assert done.stderr.startswith("tenfold: DEFAULT_WORKSPACE_QUOTAS: "), done.stderr
        assert said in done.stderr
