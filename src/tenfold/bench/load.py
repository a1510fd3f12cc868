"""Load over HTTP: batches at a steady rate, as a client would send them."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import msgspec

from tenfold.bench import fill
from tenfold.kit.clock import monotonic
from tenfold.tenancy.keys import basic_credentials

_ACCEPTED = 204
_BODIES = 400
_MARK = b"--mark--"  # in every message id; a body sent again gets ids of its own


@dataclass(slots=True)
class Sent:
    """What became of the requests: seconds that each took, and how many were refused."""

    events: int = 0
    refused: int = 0
    seconds: list[float] = field(default_factory=list[float])
    wall: float = 0.0

    @property
    def rate(self) -> float:
        return self.events / self.wall if self.wall else 0.0


async def steady(url: str, workspaces: list[UUID], *, rate: int, batch: int, seconds: float, users: int) -> Sent:
    """Send `rate` events a second in batches to the workspaces in turn; requests start on time, done or not."""
    bodies, sent = _bodies(batch, users), Sent()
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client, asyncio.TaskGroup() as group:
        started = monotonic()
        for number in range(int(rate / batch * seconds)):
            await asyncio.sleep(max(0.0, started + number * batch / rate - monotonic()))
            workspace = workspaces[number % len(workspaces)]
            body = bodies[number % len(bodies)].replace(_MARK, b"%08x" % number)
            group.create_task(_send(client, workspace, body, batch, sent))
    sent.wall = monotonic() - started
    return sent


async def _send(client: httpx.AsyncClient, workspace: UUID, body: bytes, batch: int, sent: Sent) -> None:
    headers = {
        "authorization": basic_credentials(workspace, fill.WRITE_KEY_VALUE),
        "content-type": "application/json",
    }
    started = monotonic()
    answer = await client.post("/api/public/apps/batch", content=body, headers=headers)
    sent.seconds.append(monotonic() - started)
    if answer.status_code == _ACCEPTED:
        sent.events += batch
    else:
        sent.refused += 1


def _bodies(batch: int, users: int) -> list[bytes]:
    dice = random.Random()  # noqa: S311 - a benchmark's dice; message ids must differ between runs
    bodies: list[bytes] = []
    for _ in range(_BODIES):
        present = fill.some_users(dice, users, max(1, batch // 2))
        bodies.append(msgspec.json.encode({"batch": [_marked(fill.message(dice, present)) for _ in range(batch)]}))
    return bodies


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "messageId": message["messageId"] + _MARK.decode()}
