"""What a slice says about its routes: method, path, who may call, and the function that answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tenfold.tenancy.scope import Scope, Stores


class Door(Enum):
    """Through which credential a route is reached."""

    WORKSPACE = "workspace"  # /api with a session and /api/admin with an admin key
    SESSION = "session"  # /api only
    ADMIN = "admin"  # /api/admin only
    WRITE_KEY = "write-key"  # /api/public/apps
    PLATFORM = "platform"  # /api/platform
    OPEN = "open"  # no credential


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed the wire's checks. Behind the door OPEN it has no scope."""

    stores: Stores
    services: Any
    body: Any
    query: dict[str, Any]
    headers: Mapping[str, str]
    path: Mapping[str, str]
    raw: bytes
    request_id: str = ""
    address: str = ""
    workspace_scope: Scope | None = None
    renewed_cookie: str | None = None
    rate_headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def scope(self) -> Scope:
        if self.workspace_scope is None:
            raise LookupError("this route has no workspace")
        return self.workspace_scope


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: JSON for a body that is neither bytes nor a stream of them, nothing for None."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content_type: str = "application/json; charset=utf-8"


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route.

    `path` begins after the door's prefix. `wire` names its schema in the wire's table if not the path.
    `reader` makes the body from the raw bytes where a route is too hot for the general way. `refusal` is what the
    route says to a wrong key if not the usual.
    """

    method: str
    path: str
    door: Door
    handler: Handler
    wire: str | None = None
    reader: Callable[[bytes], Any] | None = None
    refusal: str | None = None


_PREFIXES = {
    Door.WORKSPACE: ("/api", "/api/admin"),
    Door.SESSION: ("/api",),
    Door.ADMIN: ("/api/admin",),
    Door.WRITE_KEY: ("/api/public/apps", "/v1", "/api/public/apps/v1"),
    Door.PLATFORM: ("/api/platform",),
    Door.OPEN: ("",),
}


def mounts(endpoint: Endpoint) -> list[str]:
    """The full paths under which an endpoint answers."""
    return [prefix + endpoint.path for prefix in _PREFIXES[endpoint.door]]


def wire_name(endpoint: Endpoint) -> str:
    """The endpoint's name in the wire's table."""
    return endpoint.wire or f"{endpoint.method} {_PREFIXES[endpoint.door][0]}{endpoint.path}"
