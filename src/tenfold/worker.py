"""The worker: every loop that moves work forward, on one event loop."""

import asyncio
from functools import partial

from tenfold.engagement.audience import backfill, signals, waking
from tenfold.engagement.audience.folding import FOLDS_AT_ONCE, Folder
from tenfold.engagement.deliveries.model import OUTCOME_TOPIC
from tenfold.engagement.deliveries.sending import Sender
from tenfold.engagement.events.archive import archive_once
from tenfold.engagement.journeys import advancing, entering
from tenfold.engagement.journeys.service import START_TOPIC
from tenfold.jobs import queue
from tenfold.jobs.due import ring_due
from tenfold.jobs.pressure import Pressure
from tenfold.jobs.runner import Bells, Step, run_loop
from tenfold.kit.logs import get
from tenfold.tenancy.audit import log
from tenfold.tenancy.scope import Stores
from tenfold.wiring import Installation
from tenfold.wiring import bells as bells_of

_log = get("worker")
_RECONNECT_SECONDS = 1.0
_LOOK = 2.0  # seconds between looks at what comes due by time: so late a timer may be
_IDLE = 30.0  # seconds between looks that nothing asked for
_HOURLY = 3600.0
_AUDIT_LOOK = 10.0  # readers of the log chain it themselves; this is for checkpoints and tidiness
_GATHER_EVENTS = 0.02  # a fold of many events costs little more than one of few
_GATHER_ARCHIVE = 0.2


async def run_worker(found: Installation, stores: Stores, pressure: Pressure) -> None:
    """Run all loops until cancelled; what a loop had begun is rolled back and done by the next worker."""
    bells, folder, sender = Bells(), Folder(stores), Sender(stores)
    topics: dict[str, queue.Handler] = {
        backfill.TOPIC: backfill.Backfill(folder.programs).handle,
        signals.TOPIC: entering.handle_signals,
        OUTCOME_TOPIC: entering.handle_outcomes,
        START_TOPIC: entering.handle_starts,
    }
    if found.postgres is not None:  # no other process can be sending
        await sender.settle_abandoned(older_than=0)

    async def fold() -> int:
        done = await folder.fold_once()
        if done:
            bells.ring("archive")
            await pressure.give_way()
        return done

    def loop(name: str, step: Step, *, gather: float = 0.0, idle: float = _IDLE) -> None:
        group.create_task(run_loop(name, step, bells.of(name), idle=idle, gather=gather))

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_listen(found, bells))
            group.create_task(run_loop("due", partial(ring_due, stores, bells), asyncio.Event(), idle=_LOOK))
            for _ in range(FOLDS_AT_ONCE):
                loop("inbox", fold, gather=_GATHER_EVENTS)
            loop("archive", lambda: archive_once(stores), gather=_GATHER_ARCHIVE)
            loop("wake", lambda: waking.wake_once(stores, folder.programs))
            loop("runs", lambda: advancing.advance_once(stores))
            loop("messages", sender.send_once)
            loop("abandoned", sender.settle_abandoned)
            loop("audit", partial(log.chain_pending, stores), idle=_AUDIT_LOOK)
            loop("retention", partial(log.trim_all, stores), idle=_HOURLY)
            for topic, handler in topics.items():
                loop(f"jobs-{topic}", partial(queue.work_once, stores, topic, handler))
    finally:
        await sender.close()


async def _listen(found: Installation, bells: Bells) -> None:
    """Ring the bells that other processes and the API name with NOTIFY."""
    while True:
        try:
            async with bells_of(found) as heard:
                for bell in list(bells.events):
                    bells.ring(bell)
                async for name in heard:
                    bells.ring(name)
        except Exception as error:  # noqa: BLE001 - without the bells work still goes on, at the loops' own pace
            _log.warning("cannot hear of new work", error=str(error))
        await asyncio.sleep(_RECONNECT_SECONDS)
