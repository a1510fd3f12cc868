"""The worker: every loop that moves work forward, on one event loop."""

import asyncio

from tenfold.engagement.audience import backfill, waking
from tenfold.engagement.audience.folding import Folder
from tenfold.engagement.events.archive import archive_once
from tenfold.jobs import queue
from tenfold.jobs.runner import Bells, Step, run_loop
from tenfold.kit.logs import get
from tenfold.storage.postgres import hear
from tenfold.tenancy.scope import Stores
from tenfold.wiring import APP, Installation

_log = get("worker")
_RECONNECT_SECONDS = 1.0


async def run_worker(found: Installation, stores: Stores) -> None:
    """Run all loops until cancelled; what a loop had begun is rolled back and done by the next worker."""
    bells = Bells()
    folder = Folder(stores)
    filling = backfill.Backfill(folder.programs)

    async def fold() -> int:
        done = await folder.fold_once()
        if done:
            bells.ring("archive")
        return done

    def topic(name: str, handler: queue.Handler) -> Step:
        return lambda: queue.work_once(stores, name, handler)

    async with asyncio.TaskGroup() as group:
        group.create_task(_listen(found, bells))
        group.create_task(run_loop("fold", fold, bells.of("inbox"), idle=5))
        group.create_task(
            run_loop("archive", lambda: archive_once(stores), bells.of("archive"), idle=10, gather=0.2)
        )
        group.create_task(run_loop("wake", lambda: waking.wake_once(stores, folder.programs), bells.of("wake"), idle=1))
        group.create_task(run_loop("backfill", topic(backfill.TOPIC, filling.handle), bells.of("jobs-backfill"), idle=1))


async def _listen(found: Installation, bells: Bells) -> None:
    """Ring the bells that other processes and the API name with NOTIFY."""
    password = found.passwords()[APP] or ""
    while True:
        try:
            async with hear(found.database_url, APP, password, "tenfold_work") as heard:
                for bell in list(bells.events):
                    bells.ring(bell)
                async for name in heard:
                    bells.ring(name)
        except Exception as error:  # noqa: BLE001 - without the bells work still goes on, at the loops' own pace
            _log.warning("cannot hear of new work", error=str(error))
        await asyncio.sleep(_RECONNECT_SECONDS)
