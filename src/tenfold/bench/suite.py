"""The benchmarks by name. Each prepares its own installation and says what it measured beside what is asked of it."""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import uvloop

from tenfold.bench import fill, folding, isolation, load, machine, metering, overshoot, probes, requests, store
from tenfold.bench import neighbours as neighbour
from tenfold.kit import collector, settings
from tenfold.tenancy.audit import log
from tenfold.tenancy.scope import Stores
from tenfold.wiring import Installation, clickhouse_of, installation, migrate, stores

_SIZES = (100, 2_000, 10_000)
_ISOLATION_SIZES = (1_000, 10_000)
_SIZES_OF = {
    "isolate": _ISOLATION_SIZES,
    "idle": (max(_SIZES),),
    "neighbours": (100,),
    "quotas": (100,),
    "meter": (50,),
}
_USERS_IN_ALL = 40_000
_FOLDED, _ACCEPT_RATE, _ACCEPT_SECONDS = 60_000, 5_500, 10
_STEADY_RATE, _STEADY_SECONDS, _PROBES_A_SECOND = 1_000, 15, 5
_IDLE_SECONDS = 30
_METERED_BATCHES, _METERED_KILLS = 10_000, 8
_WARM_SECONDS, _ASK_SECONDS = 3, 15
_POLICIES = {"fair": "tenfold", "first come": "tenfold.bench.first_come"}
_ALONE_SECONDS, _FLOOD_EVENTS, _FLOOD_MESSAGES = 20, 1_000_000, 100_000
_SETTLE_SECONDS = 20  # PostgreSQL tidies up after the workspaces were made


@dataclass(frozen=True, slots=True)
class Line:
    """One measure: its value, what is asked (`>=` or `<=` a target), and the ratio of the two (1 or more is good)."""

    bench: str
    workspaces: int
    name: str
    value: float
    unit: str
    target: float
    at_least: bool = False

    @property
    def ratio(self) -> float:
        if not self.value or not self.target:
            return 1.0 if self.value == self.target else 0.0
        return round(self.value / self.target if self.at_least else self.target / self.value, 2)


@dataclass(slots=True)
class Report:
    lines: list[Line] = field(default_factory=list[Line])

    def at_least(self, bench: str, size: int, name: str, value: float, unit: str, target: float) -> None:
        self.lines.append(Line(bench, size, name, value, unit, target, at_least=True))

    def at_most(self, bench: str, size: int, name: str, value: float, unit: str, target: float) -> None:
        self.lines.append(Line(bench, size, name, value, unit, target))


def run(names: list[str], tell: Callable[[str], None]) -> Report:
    """Run the benchmarks named, or all."""
    report = Report()
    for name in names or list(BENCHES):
        for size in _SIZES_OF.get(name, _SIZES):
            tell(f"{name} with {size} workspaces ...")
            with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as directory:
                BENCHES[name](Path(directory), size, report)
    return report


def fold(directory: Path, size: int, report: Report) -> None:
    """A backlog folded by one worker process: with users seen for the first time, then with known ones."""

    async def work(opened: Stores) -> dict[str, Any]:
        made = await fill.workspaces(opened, size)
        return await folding.measure(opened, made, _FOLDED, max(2, _USERS_IN_ALL // size))

    measured = _prepared(directory, work)
    report.at_least("fold", size, "new users", measured["first"], "events/s", 10_000)
    report.at_least("fold", size, "known users", measured["again"], "events/s", 10_000)


def accept(directory: Path, size: int, report: Report) -> None:
    """Batches of 100 over HTTP while the worker folds them, sender and server on the same cores."""
    made = _prepared(directory, lambda opened: fill.workspaces(opened, size))
    with machine.serving(directory) as server:
        sent = asyncio.run(_accepted(server.url, made, max(2, _USERS_IN_ALL // size)))
        report.at_most("accept", size, "start on an existing directory", server.started_in, "s", 5)
    report.at_least("accept", size, "accepted", round(sent.rate), "events/s", 5_000)
    report.at_most("accept", size, "request p99", machine.percentile(sent.seconds, 0.99), "ms", 200)
    report.at_most("accept", size, "refused", sent.refused, "requests", 0)


def steady(directory: Path, size: int, report: Report) -> None:
    """1,000 events a second, and probes beside them."""
    made = _prepared(directory, lambda opened: fill.workspaces(opened, size))
    with machine.serving(directory) as server, probes.mail_server() as (port, arrivals):
        key = (directory / "platform.key").read_text().strip()
        users = max(2, _USERS_IN_ALL // size)
        prober, sent = asyncio.run(_steadily(server.url, key, port, made, users, arrivals))
        memory = machine.resident_mib(server.pid)
    mails = [arrivals[user] - at for user, at in prober.sent.items() if user in arrivals]
    report.at_least("steady", size, "accepted", round(sent.rate), "events/s", _STEADY_RATE * 0.98)
    report.at_most("steady", size, "membership p50", machine.percentile(prober.visible, 0.5), "ms", 1000)
    report.at_most("steady", size, "membership p99", machine.percentile(prober.visible, 0.99), "ms", 1000)
    report.at_most("steady", size, "mail p99", machine.percentile(mails, 0.99), "ms", 2000)
    report.at_least("steady", size, "mails of probes", len(mails), "mails", len(prober.sent))
    report.at_most("steady", size, "memory of the server", memory, "MiB", 2048)


def idle(directory: Path, size: int, report: Report) -> None:
    """What a server with nothing to do costs."""
    _prepared(directory, lambda opened: fill.workspaces(opened, size))
    with machine.serving(directory) as server:
        asyncio.run(asyncio.sleep(_SETTLE_SECONDS))
        before = machine.cpu_seconds(server.pid)
        asyncio.run(asyncio.sleep(_IDLE_SECONDS))
        spent = machine.cpu_seconds(server.pid) - before
    report.at_most("idle", size, "CPU", round(100 * spent / _IDLE_SECONDS, 2), "% of a core", 1)


def isolate(directory: Path, size: int, report: Report) -> None:
    """The price of lock, context and signature on reads, of the log on writes, of a permission check."""
    with installation(settings.load(directory)) as found:
        migrate(found)
        asyncio.run(_isolated(found, size, report))
    report.at_most("isolate", size, "permission check", round(isolation.permission_check(), 2), "us", 5)


async def _isolated(found: Installation, size: int, report: Report) -> None:
    async with stores(found, clickhouse_of(found.settings), name="bench", size=found.settings.connections) as opened:
        for name, switch, most in (("log", store.AUDIT, 1.15), ("quota", store.QUOTA, 1.1)):
            cost = await isolation.trigger_cost(opened, found.database_url, switch)
            report.at_most("isolate", size, f"write with the {name}", round(cost, 3), "x without", most)
        chosen = await isolation.prepare(opened, found.database_url, size)
        for signed in (True, False):
            migrate(replace(found, settings=replace(found.settings, signed_context=signed)))
            for name, ratio in (await isolation.reads(opened, chosen)).items():
                told = name if signed else f"{name}, unsigned"
                report.at_most("isolate", size, told, round(ratio, 3), "x unguarded", 1.05)


def neighbours(directory: Path, size: int, report: Report) -> None:
    """One workspace floods beside 99 small ones: events, then messages; by turns, first come, with caps."""

    async def work(opened: Stores) -> dict[str, neighbour.Waits]:
        flood, *others = await fill.workspaces(opened, size + 50)
        small, children = others[:99], others[99:]
        found = {"fold, alone": await neighbour.alone(opened, small, _ALONE_SECONDS)}
        for policy in ("fair", "first come", "first come", "fair", "caps"):  # so that a drifting machine favours none
            events = _FLOOD_EVENTS // 10 if policy == "caps" else _FLOOD_EVENTS  # its rate is told soon
            seen = await neighbour.fold(opened, policy, [flood], small, events)
            found.setdefault(f"fold, {policy}", neighbour.Waits()).add(seen)
        for policy in ("first come", "fair"):
            flooding = [flood, *children]
            found[f"fold, 50 children, {policy}"] = await neighbour.fold(opened, policy, flooding, small, _FLOOD_EVENTS)
        found["send, alone"] = await neighbour.send(opened, "fair", flood, small, 0, _ALONE_SECONDS)
        for policy in neighbour.SENDERS:
            found[f"send, {policy}"] = await neighbour.send(opened, policy, flood, small, _FLOOD_MESSAGES, 0)
        return found

    found: dict[str, neighbour.Waits] = _prepared(directory, work)
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as fresh:
        _asking(Path(fresh), size, report)
    for kind in ("fold", "send"):
        quiet = found[f"{kind}, alone"]
        report.at_most("neighbours", size, f"{kind}, alone: p99", quiet.p99, "ms", 0)
        for name in [name for name in found if name.startswith(kind) and not name.endswith("alone")]:
            unfair = found[f"{name.rpartition(', ')[0]}, first come"]
            report.at_most("neighbours", size, f"{name}: p99", round(found[name].p99 / quiet.p99, 2), "x alone", 2)
            whole = round(found[name].rate / unfair.rate, 3)
            report.at_least("neighbours", size, f"{name}: all", whole, "x first come", 0.95)


def _asking(directory: Path, size: int, report: Report) -> None:
    """A flood of list requests over 200 connections: by turns and first come, in turns themselves."""
    with machine.serving(directory) as server:
        key = (directory / "platform.key").read_text().strip()
        flood, *small = asyncio.run(_with_keys(server.url, key, 100))
    quiet = requests.Asked()
    seen = {policy: (requests.Asked(), requests.Asked()) for policy in _POLICIES}
    for policy in ("fair", "first come", "first come", "fair"):
        with machine.serving(directory, _POLICIES[policy]) as server:
            requests.beside(server.url, flood, small, many=200, seconds=_WARM_SECONDS)
            quiet.add(requests.beside(server.url, flood, small, many=0, seconds=_ASK_SECONDS)[0])
            for whole, part in zip(
                seen[policy], requests.beside(server.url, flood, small, many=200, seconds=_ASK_SECONDS), strict=True
            ):
                whole.add(part)
    _told(quiet, seen, size, report)


def _told(
    quiet: requests.Asked, seen: dict[str, tuple[requests.Asked, requests.Asked]], size: int, report: Report
) -> None:
    alone = machine.percentile(quiet.seconds, 0.99)
    rates = {policy: sum(side.rate for side in sides) for policy, sides in seen.items()}
    report.at_most("neighbours", size, "list requests, alone: p99", alone, "ms", 0)
    for policy, (asked, flooding) in seen.items():
        name, beside = f"list requests, {policy}", machine.percentile(asked.seconds, 0.99)
        report.at_most("neighbours", size, f"{name}: p99", round(beside / alone, 2), "x alone", 2)
        report.at_least("neighbours", size, f"{name}: all", round(rates[policy]), "requests/s", 0)
        wait = machine.percentile(flooding.seconds, 0.5)
        report.at_most("neighbours", size, f"{name}: the flood itself waits", round(wait / alone, 2), "x alone", 0)
    whole = round(rates["fair"] / rates["first come"], 3)
    report.at_least("neighbours", size, "list requests, fair: all", whole, "x first come", 0.95)


async def _with_keys(url: str, key: str, count: int) -> list[tuple[str, str]]:
    """New workspaces, by id and admin key."""
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        made = [await client.post("/api/platform/workspaces", json={"name": f"asks {n}"}) for n in range(count)]
    return [(answer.json()["workspaceId"], answer.json()["adminApiKey"]) for answer in made]


def quotas(directory: Path, size: int, report: Report) -> None:
    """200 creators at once, again and again, with kills among them: no limit passed, none refused early."""
    _prepared(directory, lambda opened: fill.workspaces(opened, 1))
    server, dice = machine.Server(directory), random.Random()  # noqa: S311 - a benchmark's dice
    server.start()
    try:
        for name, resource in overshoot.RESOURCES.items():
            found = asyncio.run(overshoot.trials(server, resource, size, dice))
            report.at_most("quotas", size, f"{name}, over the limit", found.over, f"in {found.kills} kills", 0)
            report.at_most("quotas", size, f"{name}, refused early", found.refused_early, "trials", 0)
    finally:
        server.stop()


def meter(directory: Path, size: int, report: Report) -> None:
    """Usage beside a recount after many events and kills; what counting costs; what the gate costs."""
    made: list[UUID] = _prepared(directory, lambda opened: fill.workspaces(opened, size))
    server = machine.Server(directory)
    server.start()
    try:
        sent = asyncio.run(metering.send_all(server, made, _METERED_BATCHES, _METERED_KILLS))
        shown = asyncio.run(metering.settled_usage(server, sum(sent.values()), 120))
    finally:
        server.stop()
    off = sum(abs(shown.get(workspace, 0) - count) for workspace, count in sent.items())
    report.at_least("meter", size, "events acknowledged", sum(sent.values()), "events", _METERED_BATCHES * 100)
    report.at_most("meter", size, f"usage off, {_METERED_KILLS} kills", off, "events", 0)
    with (
        tempfile.TemporaryDirectory(prefix="tenfold-bench-") as other,
        installation(settings.load(Path(other))) as found,
    ):
        migrate(found)
        ratio = asyncio.run(_metering_cost(found))
    report.at_most("meter", size, "fold with counting", round(ratio, 3), "x without", 1.02)
    report.at_most("meter", 10_000, "a place at the gate", round(asyncio.run(metering.gate_cost(10_000)), 2), "us", 10)


async def _metering_cost(found: Installation) -> float:
    async with stores(found, clickhouse_of(found.settings), name="bench", size=4) as opened:
        return await metering.cost(opened, found.database_url)


BENCHES: dict[str, Callable[[Path, int, Report], None]] = {
    "fold": fold,
    "accept": accept,
    "steady": steady,
    "idle": idle,
    "isolate": isolate,
    "neighbours": neighbours,
    "quotas": quotas,
    "meter": meter,
}


async def _accepted(url: str, made: list[UUID], users: int) -> load.Sent:
    await load.steady(url, made, rate=1_000, batch=100, seconds=2, users=users)
    return await load.steady(url, made, rate=_ACCEPT_RATE, batch=100, seconds=_ACCEPT_SECONDS, users=users)


async def _steadily(
    url: str, key: str, port: int, made: list[UUID], users: int, arrivals: dict[str, float]
) -> tuple[probes.Prober, load.Sent]:
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        prober = probes.Prober(client, key)
        await prober.prepare(port)
        await load.steady(url, made, rate=_STEADY_RATE, batch=10, seconds=3, users=users)
        sending = asyncio.create_task(
            load.steady(url, made, rate=_STEADY_RATE, batch=10, seconds=_STEADY_SECONDS, users=users)
        )
        async with asyncio.TaskGroup() as group:
            for number in range(_STEADY_SECONDS * _PROBES_A_SECOND):
                group.create_task(prober.probe(number))
                await asyncio.sleep(1 / _PROBES_A_SECOND)
        sent = await sending
        for _ in range(50):
            if prober.sent.keys() <= arrivals.keys():
                break
            await asyncio.sleep(0.1)
    return prober, sent


def _prepared(directory: Path, work: Callable[[Stores], Awaitable[Any]]) -> Any:
    """Do something with the stores of a fresh installation, then close it."""
    collector.calm()  # as a server does
    with installation(settings.load(directory)) as found:
        migrate(found)

        async def run_work() -> Any:
            async with stores(found, clickhouse_of(found.settings), name="bench", size=4) as opened:
                done = await work(opened)
                while await log.chain_pending(opened):  # what making the workspaces left to do
                    pass
                return done

        return uvloop.run(run_work())  # as a server does
