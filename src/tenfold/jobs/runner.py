"""The loops of a worker: do work while there is some, then wait for the bell or a while."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from psycopg import OperationalError

from tenfold.kit import telemetry
from tenfold.kit.errors import Unavailable
from tenfold.kit.logs import get

_PAUSE_AFTER_FAULT = 1.0
_log = get("worker")
Step = Callable[[], Awaitable[int]]


@dataclass(slots=True)
class Bells:
    """One event per kind of work, rung by NOTIFY from any process and by the loops themselves."""

    events: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    def ring(self, name: str) -> None:
        """Ring one bell; `jobs` rings those of all topics."""
        self.of(name).set()
        if name == "jobs":
            for bell in [bell for key, bell in self.events.items() if key.startswith("jobs-")]:
                bell.set()

    def of(self, name: str) -> asyncio.Event:
        return self.events.setdefault(name, asyncio.Event())


async def run_loop(name: str, step: Step, bell: asyncio.Event, *, idle: float, gather: float = 0.0) -> None:
    """Repeat `step` while it returns more than 0; then wait for the bell, `idle` seconds at most.

    `gather` seconds pass between bell and work, so that more comes together. A fault is logged, never fatal.
    """
    while True:
        bell.clear()
        try:
            while await _traced(name, step) > 0:  # noqa: ASYNC110 - the step is the work, not a wait
                await asyncio.sleep(0)
        except (Unavailable, OperationalError) as error:
            _log.warning("a store is away", loop=name, error=str(error))
            await asyncio.sleep(_PAUSE_AFTER_FAULT)
        except Exception as error:  # noqa: BLE001 - the loop outlives any fault of its work
            _log.error("work failed", loop=name, exc_info=error)
            await asyncio.sleep(_PAUSE_AFTER_FAULT)
        await _wait(bell, idle)
        await asyncio.sleep(gather)


async def _traced(name: str, step: Step) -> int:
    with telemetry.span(f"work {name}"):
        return await step()


async def _wait(bell: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(bell.wait(), seconds)
    except TimeoutError:
        return
