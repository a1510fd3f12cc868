"""Redis or Valkey, shared by all processes. It is never waited for long, and whoever asks can do without it."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from tenfold.kit.errors import Unavailable

_PATIENCE_SECONDS = 0.25


class SharedMemory:
    """A connection pool to a server, for one event loop; no answer is waited for longer than `patience` seconds."""

    def __init__(self, url: str, *, patience: float = _PATIENCE_SECONDS) -> None:
        self._client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            url, socket_timeout=patience, socket_connect_timeout=patience
        )

    def script(self, source: str) -> AsyncScript:
        """A Lua script, sent whole the first time and by its hash from then on."""
        return self._client.register_script(source)

    async def run(self, script: AsyncScript, keys: Sequence[str], arguments: Sequence[float]) -> Any:
        """One round trip.

        Raises Unavailable when the server is away or slow.
        """
        try:
            return await script(keys=list(keys), args=list(arguments))
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable(f"Redis is away: {error}") from error

    async def close(self) -> None:
        await self._client.aclose()
