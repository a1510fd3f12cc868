"""Requests before folds: how late the API's event loop runs, known to the worker in the same process.

What waits in the inbox is durable and nobody waits for it in person; a request is waited for. When requests run
late, the worker pauses between its batches, so that both cores are not spent on the backlog.
"""

import asyncio
from dataclasses import dataclass

from tenfold.kit.clock import monotonic

_EVERY = 0.2
_LATE = 0.01
_PAUSE = 0.4


@dataclass(slots=True)
class Pressure:
    """Seconds by which the API runs late, written by `watch`, read by `give_way`. 0 where no API runs."""

    late: float = 0.0

    async def watch(self) -> None:
        """Measure the running event loop until cancelled, half of each value from the last measure."""
        while True:
            due = monotonic() + _EVERY
            await asyncio.sleep(_EVERY)
            self.late = (self.late + max(0.0, monotonic() - due)) / 2

    async def give_way(self) -> None:
        """Pause for a moment if requests run late."""
        if self.late > _LATE:
            await asyncio.sleep(_PAUSE)
