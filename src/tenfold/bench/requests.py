"""A flood of list requests beside small workspaces that ask now and then: two processes, over sockets."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import urlsplit

import uvloop

_PAUSE = 0.025
_OK = 200
_Asking = tuple[subprocess.Popen[bytes], IO[str]]


@dataclass(slots=True)
class Asked:
    """What one side saw: seconds of each request, answers other than 200, and for how long it asked."""

    seconds: list[float] = field(default_factory=list[float])
    refused: int = 0
    lasted: float = 0.0

    def add(self, other: "Asked") -> None:
        """The same again, measured at another time."""
        self.seconds += other.seconds
        self.refused += other.refused
        self.lasted += other.lasted

    @property
    def rate(self) -> float:
        return len(self.seconds) / self.lasted if self.lasted else 0.0


def beside(
    url: str, flood: tuple[str, str], small: list[tuple[str, str]], *, many: int, seconds: float
) -> tuple[Asked, Asked]:
    """What the small ones saw, and the flood of `many` connections; workspaces are given by id and admin key."""
    flooding = _start(url, [flood], many, 0.0, seconds) if many else None
    asking = _start(url, small, 1, _PAUSE, seconds)
    return _read(asking), _read(flooding) if flooding else Asked()


def _start(url: str, who: list[tuple[str, str]], many: int, pause: float, seconds: float) -> _Asking:
    told = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed when it is read
    given = json.dumps([url, who, many, pause, seconds])
    command = [sys.executable, "-m", "tenfold.bench.requests", given]
    return subprocess.Popen(command, stdout=told), told  # noqa: S603 - ourselves


def _read(asking: _Asking) -> Asked:
    process, told = asking
    with told:
        process.wait()
        told.seek(0)
        return Asked(**json.loads(told.read()))


async def _ask(url: str, who: list[tuple[str, str]], many: int, pause: float, seconds: float) -> Asked:
    asked, until = Asked(), time.monotonic() + seconds
    started = time.monotonic()
    await asyncio.gather(*(_one(url, who, pause, until, asked) for _ in range(many)))
    asked.lasted = time.monotonic() - started
    return asked


async def _one(url: str, who: list[tuple[str, str]], pause: float, until: float, asked: Asked) -> None:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    number = 0
    while time.monotonic() < until:
        workspace, key = who[number % len(who)]
        number += 1
        began = time.perf_counter()
        writer.write(
            f"GET /api/admin/segments?workspaceId={workspace} HTTP/1.1\r\nhost: {place.netloc}\r\n"
            f"authorization: Bearer {key}\r\n\r\n".encode()
        )
        status = await _answer(reader)
        asked.refused += status != _OK
        asked.seconds.append(time.perf_counter() - began)
        await asyncio.sleep(pause)
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.partition(":")[2]) for line in head.splitlines() if line.startswith("content-length:"))
    await reader.readexactly(length)
    return int(head.split()[1])


def main(given: str) -> None:
    url, who, many, pause, seconds = json.loads(given)
    asked: Any = uvloop.run(_ask(url, [tuple(item) for item in who], many, pause, seconds))
    sys.stdout.write(json.dumps({name: getattr(asked, name) for name in ("seconds", "refused", "lasted")}))


if __name__ == "__main__":
    main(sys.argv[1])
