"""Whether usage is right to the unit, and what counting costs."""

import asyncio
import random
import statistics
import time
from typing import Any
from uuid import UUID

import httpx
import msgspec

from tenfold.bench import fill, folding, isolation, store
from tenfold.bench.machine import Server
from tenfold.engagement.audience.folding import LOOPS_FLOODS_FIRST, Folder
from tenfold.tenancy.gate import Gate
from tenfold.tenancy.keys import basic_credentials
from tenfold.tenancy.scope import Stores

_BATCH = 100
_ACCEPTED = 204
_TURNS, _EVENTS_A_TURN = 5, 40_000
_ACQUIRES = 200_000


async def send_all(server: Server, workspaces: list[UUID], batches: int, kills: int) -> dict[UUID, int]:
    """Send batches to the workspaces, each until it is acknowledged, while servers die; how many events each got."""
    dice = random.Random()  # noqa: S311 - a benchmark's dice
    queue = [(n, dice.choice(workspaces)) for n in range(batches)]
    sent: dict[UUID, int] = dict.fromkeys(workspaces, 0)
    for _, workspace in queue:
        sent[workspace] += _BATCH
    ends = [len(queue) * (n + 1) // (kills + 1) for n in range(kills)]
    done = asyncio.Event()
    killing = asyncio.create_task(_kill_at(server, queue, ends, done))
    await asyncio.gather(*(_send(server, queue, random.Random(n)) for n in range(24)))  # noqa: S311 - as above
    done.set()
    await killing
    return sent


async def _send(server: Server, queue: list[tuple[int, UUID]], dice: random.Random) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        while queue:
            number, workspace = queue.pop()
            users = fill.some_users(dice, 2_000, _BATCH // 2)
            messages = [{**fill.message(dice, users), "messageId": f"{number}-{n}"} for n in range(_BATCH)]
            body = msgspec.json.encode({"batch": messages})
            headers = {
                "authorization": basic_credentials(workspace, fill.WRITE_KEY_VALUE),
                "content-type": "application/json",
            }
            while not await _acknowledged(client, server, body, headers):  # noqa: ASYNC110 - a server is starting again
                await asyncio.sleep(0.2)


async def _acknowledged(client: httpx.AsyncClient, server: Server, body: bytes, headers: dict[str, str]) -> bool:
    try:
        answer = await client.post(f"{server.url}/api/public/apps/batch", content=body, headers=headers)
    except httpx.HTTPError:
        return False
    return answer.status_code == _ACCEPTED


async def _kill_at(server: Server, queue: list[tuple[int, UUID]], ends: list[int], done: asyncio.Event) -> None:
    """Kill and start again whenever the queue is down to the next of these lengths."""
    for left in sorted(ends, reverse=True):
        while len(queue) > left and not done.is_set():  # noqa: ASYNC110 - the senders' progress
            await asyncio.sleep(0.05)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)


async def read_usage(server: Server) -> dict[UUID, int]:
    """Events of each workspace, as the platform's usage shows them."""
    headers = {"authorization": f"Bearer {server.platform_key}"}
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        answer = await client.get("/api/platform/usage", params={"limit": 10_000}, headers=headers)
    found: list[dict[str, Any]] = answer.json()["workspaces"]
    return {UUID(item["workspaceId"]): item["eventCount"] for item in found}


async def settled_usage(server: Server, wanted: int, patience: float) -> dict[UUID, int]:
    """Usage once it has stopped growing, or has reached what is wanted."""
    deadline = time.monotonic() + patience
    found = await read_usage(server)
    while sum(found.values()) < wanted and time.monotonic() < deadline:
        await asyncio.sleep(1)
        found = await read_usage(server)
    return found


async def cost(stores: Stores, url: str) -> float:
    """Events folded a second without the counting triggers, divided by those with them, in turn; the median."""
    made = await fill.workspaces(stores, 100)
    ratios: list[float] = []
    for turn in range(_TURNS * 2):
        rates: dict[bool, float] = {}
        for on in (True, False) if turn % 2 else (False, True):
            await asyncio.to_thread(isolation.as_owner, url, *(store.METER.on if on else store.METER.off).split(";"))
            await folding.backlog(stores, made, _EVENTS_A_TURN, turn * 2 + on, 400)
            rates[on] = await _fold(stores)
        ratios.append(rates[False] / rates[True])
    await asyncio.to_thread(isolation.as_owner, url, *store.METER.on.split(";"))
    return statistics.median(ratios[2:])


async def _fold(stores: Stores) -> float:
    folder, started = Folder(stores), time.perf_counter()
    folded = sum(await asyncio.gather(*(folding.drain(folder, floods_first=first) for first in LOOPS_FLOODS_FIRST)))
    return folded / (time.perf_counter() - started)


async def gate_cost(known: int) -> float:
    """Microseconds to take a free place and give it back, with so many workspaces known."""
    gate = Gate(12)
    lanes = [UUID(int=n + 1) for n in range(known)]
    for lane in lanes:
        async with gate.place(lane, 1):
            pass
    started = time.perf_counter()
    for number in range(_ACQUIRES):
        async with gate.place(lanes[number % known], 1):
            pass
    return (time.perf_counter() - started) / _ACQUIRES * 1e6
