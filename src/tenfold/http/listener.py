"""The HTTP server: uvicorn in the process' own event loop, with a bound on the length of a request's head."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenfold.kit.errors import ConfigurationError

_LONGEST_HEAD: Final = 65_536  # bytes
_WAITING_TO_BE_ACCEPTED: Final = 1024
_KEPT_OPEN_SECONDS: Final = 75  # longer than clients keep a connection, so that none is closed under a request
_STOPPING_SECONDS: Final = 10


class Protocol(HttpToolsProtocol):
    """One connection. Whoever sends more than 64 KiB that is neither the end of a head nor a body is cut off."""

    _unread = 0

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > _LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The request's head is too long.")

    def on_headers_complete(self) -> None:
        self._unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)


class Listener(uvicorn.Server):
    """Serves an ASGI application on a socket until it is stopped, then ends what is in flight.

    `ready` is called when it takes connections. Signals are its owner's.
    """

    def __init__(self, application: Any, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=_WAITING_TO_BE_ACCEPTED,
                timeout_keep_alive=_KEPT_OPEN_SECONDS,
                timeout_graceful_shutdown=_STOPPING_SECONDS,
            )
        )
        self._ready = ready
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    async def main_loop(self) -> None:
        """The Date header's clock: a server with nothing to do wakes up once a second, not ten times."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 1)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def url(place: socket.socket) -> str:
    """The address of a socket, as clients write it."""
    host, port = place.getsockname()[:2]
    return f"http://[{host}]:{port}" if place.family == socket.AF_INET6 else f"http://{host}:{port}"


def bind(host: str, port: int) -> socket.socket:
    """A socket with that address; port 0 takes any free one.

    Raises ConfigurationError when it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return found
