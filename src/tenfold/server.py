"""The server process: HTTP on the main thread's event loop, the worker on a thread with its own."""

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial

import uvloop

from tenfold.doctor import refuse_unsafe
from tenfold.engagement.audience.admitting import admit
from tenfold.engagement.events.accept import Acceptor
from tenfold.http.app import build
from tenfold.http.listener import Listener, bind, url
from tenfold.jobs.pressure import Pressure
from tenfold.kit import collector, telemetry
from tenfold.kit.errors import AppError
from tenfold.kit.logs import get
from tenfold.tenancy import hearing
from tenfold.tenancy.access import key_uses
from tenfold.tenancy.audit.watch import Watch
from tenfold.tenancy.exposition import Exposition
from tenfold.tenancy.gate import Gate
from tenfold.tenancy.metering import series
from tenfold.tenancy.metering import service as metering
from tenfold.tenancy.scope import ClickHouse, Stores
from tenfold.wiring import ENDPOINTS, Installation, changes, clickhouse_of, migrate, shared_memory, site, stores
from tenfold.worker import run_worker

_log = get("server")
_WATCH_SECONDS = 1.0
_CHECK_SECONDS = 15.0
_LAST_LOOK_SECONDS = 5.0
_SWITCH_SECONDS = 0.0005  # the API must not wait long for the worker to let go of the interpreter
_WORKER_CONNECTIONS = 12


def serve(found: Installation, host: str, port: int, role: str, ready: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in flight and return. A mere worker has no address.

    Raises ConfigurationError when the address is taken.
    """
    with contextlib.nullcontext() if role == "worker" else bind(host, port) as place:
        migrate(found)
        refuse_unsafe(found)
        sys.setswitchinterval(_SWITCH_SECONDS)
        uvloop.run(_serve(found, place, role, ready))


async def _serve(found: Installation, place: socket.socket | None, role: str, ready: Callable[[str], None]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    clickhouse, exposition, pressure = clickhouse_of(found.settings), Exposition(), Pressure()
    opening = asyncio.create_task(clickhouse.open())
    end_telemetry = telemetry.start()
    worker = WorkerThread(found, clickhouse, pressure, exposition) if role in ("all", "worker") else None
    collector.calm()
    try:
        if worker:
            worker.start()
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(_watch_postgres(found)), group.create_task(pressure.watch())]
            size = max(2, found.settings.connections)
            if place is not None:
                async with stores(found, clickhouse, name="api", size=size, exposition=exposition) as opened:
                    _tell(exposition, opened.gate)
                    await _api(found, place, opened, stopping, ready)
            else:
                _tell(exposition, Gate(0))
                ready("worker")
                await stopping.wait()
            for task in watching:
                task.cancel()
    finally:
        opening.cancel()
        if worker:
            await asyncio.to_thread(worker.stop)
        await clickhouse.close()
        await asyncio.to_thread(end_telemetry)


def _tell(exposition: Exposition, gate: Gate) -> None:
    """Have the process' usage read whenever metrics are sent."""

    def values(name: str) -> dict[str, float]:
        return next(item.values for item in series.read(exposition, gate) if item.name == name)

    for item in series.read(exposition, gate):
        telemetry.observe(item.name, item.help, series.LABEL, partial(values, item.name), counter=item.counter)


async def _api(
    found: Installation, place: socket.socket, opened: Stores, stopping: asyncio.Event, ready: Callable[[str], None]
) -> None:
    acceptor = Acceptor(opened, admit)
    accepting = asyncio.create_task(acceptor.run())
    watch = Watch(opened)
    keeping_up = [
        asyncio.create_task(watch.run()),
        asyncio.create_task(metering.run(opened)),
        asyncio.create_task(key_uses.run(opened)),
        asyncio.create_task(hearing.run(opened, partial(changes, found))),
        asyncio.create_task(_check_connections(opened)),
    ]
    memory = shared_memory(found.settings)
    application = build(site(found, opened, acceptor, watch, memory), ENDPOINTS)
    listener = Listener(application, lambda: ready(url(place)))
    serving = asyncio.create_task(listener.serve([place]))
    await stopping.wait()
    listener.stop()
    await serving
    accepting.cancel()
    await watch.settled(_LAST_LOOK_SECONDS)
    for task in keeping_up:
        task.cancel()
    if memory:
        await memory.close()
    with contextlib.suppress(AppError):
        await metering.flush(opened)
        await key_uses.flush(opened)


async def _check_connections(opened: Stores) -> None:
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        await opened.app.check()


async def _watch_postgres(found: Installation) -> None:
    """Start the embedded PostgreSQL again when it dies; open requests fail clearly, nothing accepted is lost."""
    while found.postgres is not None:
        await asyncio.sleep(_WATCH_SECONDS)
        if not found.postgres.alive():
            await asyncio.to_thread(found.postgres.restart)


class WorkerThread:
    """A worker with an event loop of its own, so that a long fold does not hold up requests."""

    def __init__(self, found: Installation, clickhouse: ClickHouse, pressure: Pressure, exposition: Exposition) -> None:
        self._found, self._clickhouse, self._pressure = found, clickhouse, pressure
        self._exposition = exposition
        self._loop = uvloop.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._work())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            _log.info("worker stopped")

    async def _work(self) -> None:
        size = _WORKER_CONNECTIONS
        opening = stores(self._found, self._clickhouse, name="worker", size=size, exposition=self._exposition)
        async with opening as opened:
            await run_worker(self._found, opened, self._pressure)
