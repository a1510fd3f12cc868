"""The worker: every loop that moves work forward, on one event loop."""

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial

from tenfold.engagement.audience import backfill, signals, waking
from tenfold.engagement.audience.folding import GATHER_SECONDS, LOOPS_FLOODS_FIRST, Folder
from tenfold.engagement.audience.programs import Programs
from tenfold.engagement.deliveries.holding import release_once
from tenfold.engagement.deliveries.model import OUTCOME_TOPIC
from tenfold.engagement.deliveries.sending import SENDS_AT_ONCE, Sender
from tenfold.engagement.events.archive import archive_once
from tenfold.engagement.journeys import advancing, entering
from tenfold.engagement.journeys.service import START_TOPIC
from tenfold.jobs import queue
from tenfold.jobs.due import ring_due
from tenfold.jobs.fairness import Round
from tenfold.jobs.pressure import Pressure
from tenfold.jobs.runner import Bells, Step, run_loop
from tenfold.kit.errors import AppError
from tenfold.kit.logs import get
from tenfold.platform.alerts import service as alerts
from tenfold.platform.alerts.service import Teller
from tenfold.tenancy.audit import log
from tenfold.tenancy.metering import service as metering
from tenfold.tenancy.scope import Stores
from tenfold.wiring import Installation
from tenfold.wiring import bells as bells_of

_log = get("worker")
_RECONNECT_SECONDS = 1.0
_LOOK = 2.0  # seconds between looks at what comes due by time: so late a timer may be
_IDLE = 30.0  # seconds between looks that nothing asked for
_HOURLY = 3600.0
_AUDIT_LOOK = 10.0  # readers of the log chain it themselves; this is for checkpoints and tidiness
_GATHER_ARCHIVE = 0.2


@dataclass(frozen=True, slots=True)
class Loop:
    """One kind of work, by the name of its bell; `gather` seconds pass between bell and work."""

    name: str
    step: Step
    idle: float = _IDLE
    gather: float = 0.0


async def run_worker(found: Installation, stores: Stores, pressure: Pressure) -> None:
    """Run all loops until cancelled; what a loop had begun is rolled back and done by the next worker."""
    bells, folder = Bells(), Folder(stores)
    sender, teller = Sender(stores, partial(bells.ring, "messages")), Teller(found.settings.mail)
    if found.postgres is not None:  # no other process can be sending
        await sender.settle_abandoned(older_than=0)

    async def fold(*, floods_first: bool) -> int:
        done = await folder.fold_once(floods_first=floods_first)
        if done:
            bells.ring("archive")
            await pressure.give_way()
        return done

    folds = [Loop("inbox", partial(fold, floods_first=first), gather=GATHER_SECONDS) for first in LOOPS_FLOODS_FIRST]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_listen(found, bells))
            group.create_task(metering.run(stores))
            group.create_task(run_loop("due", partial(ring_due, stores, bells), asyncio.Event(), idle=_LOOK))
            for item in [
                *folds,
                *_timed(stores, folder.programs, found.settings.alert_seconds),
                *_sending(stores, sender),
                *_jobs(stores, folder, teller),
            ]:
                bell = bells.of(item.name)
                group.create_task(run_loop(item.name, item.step, bell, idle=item.idle, gather=item.gather))
    finally:
        await sender.close()
        await teller.close()
        with contextlib.suppress(AppError):
            await metering.flush(stores)


def _timed(stores: Stores, programs: Programs, alert_seconds: int) -> list[Loop]:
    return [
        Loop("archive", partial(archive_once, stores), gather=_GATHER_ARCHIVE),
        Loop("wake", partial(waking.wake_once, stores, programs, Round())),
        Loop("runs", partial(advancing.advance_once, stores, Round())),
        Loop("audit", partial(log.chain_pending, stores), idle=_AUDIT_LOOK),
        Loop("retention", partial(log.trim_all, stores), idle=_HOURLY),
        Loop("usage", partial(metering.roll, stores), idle=_HOURLY),
        Loop("alerts", partial(alerts.look_once, stores), idle=max(1, alert_seconds)),
    ]


def _sending(stores: Stores, sender: Sender) -> list[Loop]:
    return [
        *[Loop("messages", sender.send_once)] * SENDS_AT_ONCE,
        Loop("held", partial(release_once, stores, Round())),
        Loop("abandoned", sender.settle_abandoned),
    ]


def _jobs(stores: Stores, folder: Folder, teller: Teller) -> list[Loop]:
    topics: dict[str, queue.Handler] = {
        backfill.TOPIC: backfill.Backfill(folder.programs).handle,
        signals.TOPIC: entering.handle_signals,
        OUTCOME_TOPIC: entering.handle_outcomes,
        START_TOPIC: entering.handle_starts,
        alerts.TOPIC: teller.handle,
    }
    return [
        Loop(f"jobs-{topic}", partial(queue.work_once, stores, topic, handler, Round()))
        for topic, handler in topics.items()
    ]


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
