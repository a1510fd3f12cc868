"""The machine's side of a benchmark: a server process, what it costs, a mail server."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tenfold.kit.errors import Unavailable

_TICKS = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)  # user and system time, own and of ended children; after the command's name, proc(5)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is up: where, and as which process."""

    url: str
    pid: int
    started_in: float


class Server:
    """`tenfold serve` on a data directory, as a process that can be killed and started again."""

    def __init__(self, directory: Path, module: str = "tenfold") -> None:
        self._directory, self._module = directory, module
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> Running:
        """Start it, and wait until it takes requests."""
        started = time.monotonic()
        command = [sys.executable, "-m", self._module, "serve", "--data-dir", str(self._directory), "--port", "0"]
        environment = {**os.environ, "LOG_LEVEL": "ERROR"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - ourselves
        self._process = process
        line: list[str] = process.stdout.readline().split() if process.stdout else []
        if line[:1] != ["ready"]:
            raise Unavailable("the server did not start")
        self.url = line[1]
        return Running(self.url, process.pid, round(time.monotonic() - started, 2))

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    @property
    def platform_key(self) -> str:
        return (self._directory / "platform.key").read_text().strip()

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(60)


@contextmanager
def serving(directory: Path, module: str = "tenfold") -> Generator[Running]:
    """A server that runs until the end."""
    server = Server(directory, module)
    try:
        yield server.start()
    finally:
        server.stop()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all below it, so far."""
    return sum(_cpu(found) for found in _family(pid))


def resident_mib(pid: int) -> int:
    """Private and shared memory of a process alone, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def _family(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(item) for task in tasks for item in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(found for child in children for found in _family(child))]


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[_TIMES])) / _TICKS


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of the values lie, in milliseconds for seconds given; 0 for none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 1) if ordered else 0.0
