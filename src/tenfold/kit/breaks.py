"""Long computing in pieces, so that what else the event loop has in hand goes on between them."""

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class Breaks:
    """A break after every so many units of work."""

    every: int
    done: int = 0

    async def after(self, units: int = 1) -> None:
        self.done += units
        if self.done >= self.every:
            self.done = 0
            await asyncio.sleep(0)
