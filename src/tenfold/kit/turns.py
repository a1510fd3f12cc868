"""One at a time for each key, and so many waiting at most."""

import asyncio
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager

from tenfold.kit.errors import Unavailable


class Turns:
    """Locks by key that exist only while somebody wants them."""

    def __init__(self, most_waiting: int) -> None:
        self._most = most_waiting
        self._wanted: dict[Hashable, int] = {}
        self._locks: dict[Hashable, asyncio.Lock] = {}

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncGenerator[None]:
        """Hold the key, after whoever came before.

        Raises Unavailable when too many wait for it.
        """
        wanted = self._wanted.get(key, 0)
        if wanted > self._most:
            raise Unavailable("too many requests of this workspace are waiting; try again in a moment")
        self._wanted[key] = wanted + 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                yield
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key], self._locks[key]
