"""Looking the same thing up once for all who ask at the same time, so that a crowd costs what one does."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

Found = TypeVar("Found")


class Flights:
    """Lookups in hand, by key: one that runs, and one for whoever asks meanwhile.

    Nobody is given an answer that was looked up before they asked: what was revoked by then is revoked.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[Any]] = {}
        self._next: dict[Hashable, asyncio.Task[Any]] = {}

    async def of(self, key: Hashable, look: Callable[[], Awaitable[Found]]) -> Found:
        """What `look` finds, or what it raises; `key` stands for what it looks for."""
        task: asyncio.Task[Found] | None = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._begin(key, look))
        return await asyncio.shield(task)

    async def _begin(self, key: Hashable, look: Callable[[], Awaitable[Found]]) -> Found:
        while (before := self._running.get(key)) is not None:
            await asyncio.wait((before,))
        self._running[key] = self._next.pop(key)
        try:
            return await look()
        finally:
            del self._running[key]
