"""A real PgBouncer in transaction mode before the test's PostgreSQL."""

import os
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tenfold.storage.embedded import _as_user, _hand_over
from tests.browser import free_port
from tests.world import Server

_HOME = Path(__file__).parents[1] / ".venv" / "pgbouncer"
_PROGRAM = _HOME / "usr" / "sbin" / "pgbouncer"


class Pooler:
    """One server connection for everybody, so that whatever leaks is seen."""

    def __init__(self, server: Server, directory: Path) -> None:
        if not _PROGRAM.exists():
            assert "CI" not in os.environ, "tests/tools/pgbouncer must have run"
            pytest.skip("PgBouncer is not installed (tests/tools/pgbouncer)")
        self._port = free_port()
        self._file = directory / "pgbouncer.ini"
        self._users = directory / "users.txt"
        self._log = directory / "pgbouncer.log"
        self._users.write_text('"tenfold_app" ""\n"tenfold_service" ""\n')
        self._file.write_text(
            f"[databases]\npostgres = host={server.directory} dbname=postgres\n[pgbouncer]\npool_mode = transaction\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self._port}\nunix_socket_dir =\nauth_type = trust\n"
            f"auth_file = {self._users}\ndefault_pool_size = 1\nmax_client_conn = 200\nserver_reset_query_always = 0\n"
            "ignore_startup_parameters = extra_float_digits\n"
        )
        _hand_over(directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        libraries = ":".join(map(str, (_HOME / "usr" / "lib").glob("*-linux-gnu")))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_user(), str(_PROGRAM), str(self._file)],
                stdout=log,
                stderr=log,
                env={**os.environ, "LD_LIBRARY_PATH": libraries},
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self.url, user="tenfold_app", connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(self._log.read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
