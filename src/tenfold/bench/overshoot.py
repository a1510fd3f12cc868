"""Limits under fire: many creators at once over HTTP, servers killed among them."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import httpx

from tenfold.bench.machine import Server
from tenfold.bench.probes import mail_server
from tenfold.engagement.events.model import Event, size_of

_CREATORS = 200
_KILL_EVERY = 10  # trials
_OVER, _ACCEPTED = 429, 204
_MESSAGES = "messagesThisMonth"
_EVENT_BYTES = size_of(Event("identify", "m00000001", "one", "", "", None, {"n": 1_000_001}, {}))
_EVERYONE: dict[str, Any] = {"entryNode": {"type": "Everyone", "id": "1"}, "nodes": []}
_HOOK = {"type": "Webhook", "identifierKey": "id", "body": "{}"}
Create = Callable[["Workspace", int], Awaitable[httpx.Response]]


@dataclass(slots=True)
class Outcome:
    """What went wrong in all trials of a resource: too many made, refused while there was room; kills among them."""

    trials: int = 0
    kills: int = 0
    over: int = 0
    refused_early: int = 0


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace of a trial, the client that its creators share, and the mail server: its port, what arrived when."""

    client: httpx.AsyncClient
    made: dict[str, Any]
    mail: tuple[int, dict[str, float]]

    async def admin(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.made['adminApiKey']}"}
        whole = {"workspaceId": self.made["workspaceId"], **body}
        return await self.client.request(method, f"/api/admin{path}", json=whole, headers=headers)

    async def event(self, number: int, *, user: str) -> httpx.Response:
        body = {"messageId": f"m{number:08}", "userId": user, "traits": {"n": 1_000_000 + number}}
        headers = {"authorization": self.made["writeKey"]}
        return await self.client.post("/api/public/apps/identify", json=body, headers=headers)

    async def mail_whoever_goes(self) -> None:
        """A journey that mails everybody who does `go`."""
        config = {"type": "Smtp", "host": "127.0.0.1", "port": str(self.mail[0])}
        await self.admin("PUT", "/settings/email-providers", {"setDefault": True, "config": config})
        mail = {"type": "Email", "from": "a@trial.test", "subject": "Trial", "body": "<p>Hi</p>"}
        template = await self.admin("PUT", "/content/templates", {"name": "trial", "definition": mail})
        variant = {"type": "Email", "templateId": template.json()["id"]}
        message = {"type": "MessageNode", "id": "m", "variant": variant, "child": "ExitNode"}
        entry = {"type": "EventEntryNode", "event": "go", "child": "m"}
        definition = {"entryNode": entry, "exitNode": {"type": "ExitNode"}, "nodes": [message]}
        await self.admin("PUT", "/journeys", {"name": "trial", "status": "Running", "definition": definition})

    async def go(self, number: int) -> httpx.Response:
        user = f"u{number}@{self.made['workspaceId']}.test"
        batch = [
            {"type": "identify", "messageId": f"i{number}", "userId": user, "traits": {"email": user}},
            {"type": "track", "messageId": f"t{number}", "userId": user, "event": "go"},
        ]
        headers = {"authorization": self.made["writeKey"]}
        return await self.client.post("/api/public/apps/batch", json={"batch": batch}, headers=headers)

    async def used(self, resource: str) -> int:
        """As it is shown; of messages what really went out, if that is more."""
        headers = {"authorization": f"Bearer {self.made['adminApiKey']}"}
        query = {"workspaceId": self.made["workspaceId"]}
        answer = await self.client.get("/api/admin/quotas", params=query, headers=headers)
        arrived = sum(self.made["workspaceId"] in user for user in self.mail[1]) if resource == _MESSAGES else 0
        return max(arrived, answer.json()["usage"][resource])


@dataclass(frozen=True, slots=True)
class Resource:
    """How one is made, which field limits it, how its use is shown, and how much one takes.

    What `waits` is accepted over the limit as well and held. `prepare` makes a workspace ready.
    """

    field: str
    shown: str
    create: Create
    each: int = 1
    waits: bool = False
    prepare: Callable[["Workspace"], Awaitable[None]] | None = None


RESOURCES: dict[str, Resource] = {
    "segments": Resource(
        "maxSegments", "segments", lambda w, n: w.admin("PUT", "/segments", {"name": f"s{n}", "definition": _EVERYONE})
    ),
    "journeys": Resource("maxJourneys", "journeys", lambda w, n: w.admin("PUT", "/journeys", {"name": f"j{n}"})),
    "templates": Resource(
        "maxTemplates",
        "templates",
        lambda w, n: w.admin("POST", "/content/templates", {"name": f"t{n}", "definition": _HOOK}),
    ),
    "members": Resource(
        "maxMembers",
        "members",
        lambda w, n: w.admin("POST", "/permissions", {"email": f"p{n}@x.test", "role": "Viewer"}),
    ),
    "users": Resource("maxUsers", "users", lambda w, n: w.event(n, user=f"u{n}")),
    "events": Resource("maxEventsPerMonth", "eventsThisMonth", lambda w, n: w.event(n, user="one")),
    "messages": Resource(
        "maxMessagesPerMonth", _MESSAGES, Workspace.go, waits=True, prepare=Workspace.mail_whoever_goes
    ),
    "storage": Resource("maxStorageBytes", "storageBytes", lambda w, n: w.event(n, user="one"), each=_EVENT_BYTES),
}


async def trials(server: Server, resource: Resource, count: int, dice: random.Random) -> Outcome:
    """So many trials, each with a workspace of its own, a limit at random and 200 creators at once."""
    outcome = Outcome()
    with mail_server() as mail:
        for number in range(count):
            await _trial(server, resource, mail, dice, outcome, kills=number % _KILL_EVERY == _KILL_EVERY - 1)
    return outcome


async def _trial(
    server: Server,
    resource: Resource,
    mail: tuple[int, dict[str, float]],
    dice: random.Random,
    outcome: Outcome,
    *,
    kills: bool,
) -> None:
    outcome.trials += 1
    limit = dice.randrange(_CREATORS + 20)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=64)) as client:
        workspace = await _workspace(Workspace(client, {}, mail), server, resource, limit)
        killing = asyncio.create_task(_kill_soon(server, dice)) if kills else None
        answers = await asyncio.gather(*(_attempt(resource, workspace, n) for n in range(_CREATORS)))
    if killing:
        await killing
        outcome.kills += 1
        await asyncio.to_thread(server.start)
        answers = await _fill_up(server, resource, workspace)
    await _judge(server, resource, workspace, limit, answers, outcome)


async def _workspace(plan: Workspace, server: Server, resource: Resource, limit: int) -> Workspace:
    headers = {"authorization": f"Bearer {server.platform_key}"}
    name = {"name": f"trial {time.time_ns()}"}
    answer = await plan.client.post("/api/platform/workspaces", json=name, headers=headers)
    workspace = replace(plan, made=answer.json())
    if resource.prepare:
        await resource.prepare(workspace)
    await workspace.admin("PUT", "/quotas", {resource.field: limit * resource.each})
    return workspace


async def _attempt(resource: Resource, workspace: Workspace, number: int) -> int | None:
    """The status; None when nobody answered."""
    with suppress(httpx.HTTPError):
        return (await resource.create(workspace, number)).status_code
    return None


async def _fill_up(server: Server, resource: Resource, workspace: Workspace) -> list[int | None]:
    """After a kill: as many creators again, so that the limit is reached if it can be."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=httpx.Limits(max_connections=64)) as client:
        again = replace(workspace, client=client)
        return await asyncio.gather(*(_attempt(resource, again, 10_000 + n) for n in range(_CREATORS + 20)))


async def _judge(
    server: Server,
    resource: Resource,
    workspace: Workspace,
    limit: int,
    answers: list[int | None],
    outcome: Outcome,
) -> None:
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        seen = replace(workspace, client=client)
        deadline = time.monotonic() + 20
        refused = answers.count(_ACCEPTED) >= limit if resource.waits else _OVER in answers
        used = await seen.used(resource.shown)
        while used < limit * resource.each and refused and time.monotonic() < deadline:
            await asyncio.sleep(0.2)  # events are counted when they are folded
            used = await seen.used(resource.shown)
    outcome.over += max(0, used - limit * resource.each) // resource.each
    outcome.refused_early += refused and used + resource.each <= limit * resource.each


async def _kill_soon(server: Server, dice: random.Random) -> None:
    await asyncio.sleep(dice.random() * 0.4)
    await asyncio.to_thread(server.kill)
