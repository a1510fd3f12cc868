"""From a request's credentials to the scope it may act in."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Protocol
from uuid import UUID

from tenfold.kit.errors import Forbidden, Invalid, Unauthorized
from tenfold.kit.ids import try_parse_id
from tenfold.kit.jsontypes import as_object
from tenfold.tenancy import workspaces
from tenfold.tenancy.access import admin_keys, key_uses, people, permissions, sessions
from tenfold.tenancy.access.people import Claims
from tenfold.tenancy.access.sessions import Person
from tenfold.tenancy.scope import Actor, Scope, Stores, Workspace

COOKIE = "session"
_ANONYMOUS = Actor("member", "anonymous", "anonymous@email.com")
_HEADERS = ("df-workspace-id", "workspace-id")
_LONGEST_COOKIES = 16_384
_SAFE = ("GET", "HEAD", "OPTIONS")


class Tokens(Protocol):
    """Checks an OpenID Connect token and says whose it is."""

    async def verify(self, token: str) -> Claims: ...


@dataclass(frozen=True, slots=True)
class Visit:
    """A request as far as its credentials go."""

    stores: Stores
    method: str
    headers: Mapping[str, str]
    requested: UUID | None
    request_id: str
    address: str


class Crossing(Exception):
    """A caller who is known named a workspace that is not theirs; `refusal` is what they are told."""

    def __init__(self, actor: Actor, home: Workspace | None, refusal: Forbidden | Unauthorized) -> None:
        super().__init__()
        self.actor, self.home, self.refusal = actor, home, refusal


def requested_workspace(body: Any, query: Mapping[str, Any], headers: Mapping[str, str]) -> UUID | None:
    """The workspace that a request names: in its body, its query or a header.

    Raises Invalid when two differ, or when one is not a UUID.
    """
    named: list[Any] = [(as_object(body) or {}).get("workspaceId")]
    named += [query.get("workspaceId"), query.get("workspace-id"), *(headers.get(name) for name in _HEADERS)]
    if any(value is not None and not isinstance(value, str) for value in named):
        raise Invalid("Invalid workspaceId, not a valid UUID.")
    values = {value.lower() for value in named if value is not None}
    if not values:
        return None
    if len(values) > 1:
        raise Invalid("Mismatched workspaceIds in request.")
    parsed = try_parse_id(values.pop())
    if parsed is None:
        raise Invalid("Invalid workspaceId, not a valid UUID.")
    return parsed


async def session_scope(visit: Visit, mode: str, tokens: Tokens | None) -> tuple[Scope, str | None]:
    """The scope of a person's session, and the session's token when it should be exchanged.

    In `anonymous` mode everybody is Admin of the first workspace, in `single-tenant` mode whoever gave the password.
    Raises Unauthorized without a session, Forbidden or Crossing for a workspace that the person has no part in.
    """
    if mode == "multi-tenant":
        person, session = await _person(visit, tokens)
        return await _persons_scope(visit, person, session), session and session.stale_token
    session = await session_of(visit) if mode == "single-tenant" else None
    if mode == "single-tenant" and session is None:
        raise Unauthorized("no session", empty=True)
    first = await workspaces.first(visit.stores)
    refusal = Forbidden("not a workspace of this session", empty=True)
    if first is None or not first.active:
        raise refusal
    if visit.requested is not None and visit.requested != first.workspace_id:
        raise Crossing(_ANONYMOUS, first, refusal)
    scope = Scope(visit.stores, first, _ANONYMOUS, visit.request_id, visit.address, permissions.ALL)
    return scope, session and session.stale_token


async def session_of(visit: Visit) -> sessions.Session | None:
    """The session of the request's cookie.

    Raises Forbidden for a request that another site made the browser send.
    """
    token = cookie(visit.headers, COOKIE)
    found = await sessions.find(visit.stores, token) if token else None
    if found is not None:
        check_same_site(visit.method, visit.headers)
    return found


async def admin_scope(visit: Visit, external_id: str | None) -> Scope:
    """The scope of an admin key: its own workspace or a child of it, when both are active.

    Raises Unauthorized, with one message for every key that does not fit; Crossing when the key is right and the
    workspace is not its own.
    """
    header = visit.headers.get("authorization")
    if header is None:
        raise Unauthorized("No authorization header")
    parts = header.strip().split(" ")
    if len(parts) != 2 or parts[0] != "Bearer":  # noqa: PLR2004 - scheme and key
        raise Unauthorized("Invalid authorization header")
    key = await admin_keys.opened(visit.stores, parts[1])
    refusal = Unauthorized("API key not valid")
    if key is None or not key.owner.active:
        raise refusal
    actor = Actor("admin-key", str(key.id), key.name)
    target = await _target(visit, key.owner, external_id)
    if target is None:
        raise Crossing(actor, key.owner, refusal)
    if not target.active:
        raise refusal
    key_uses.note(visit.stores, key.owner.workspace_id, key.id)
    return Scope(visit.stores, target, actor, visit.request_id, visit.address, key.permissions)


async def write_key_scope(visit: Visit, refusal: str | None = None) -> Scope:
    """Raises Unauthorized: `refusal` or InvalidWriteKey, or WorkspaceIneligible when no events are taken."""
    found = await workspaces.by_write_key(visit.stores, visit.headers.get("authorization", ""))
    if found is None:
        raise Unauthorized(refusal or "InvalidWriteKey")
    if not found.accepts_events:
        raise Unauthorized(refusal or "WorkspaceIneligible")
    actor = Actor("write-key", str(found.workspace_id))
    return Scope(visit.stores, found, actor, visit.request_id, visit.address)


def check_platform_key(header: str | None, key: str) -> None:
    """Raises Unauthorized. The comparison takes the same time for every wrong key."""
    given = (header or "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode(), key.encode()):
        raise Unauthorized("Platform key not valid")


def check_same_site(method: str, headers: Mapping[str, str]) -> None:
    """A browser's changes must come from our own pages (OWASP CSRF cheat sheet: Fetch Metadata, then Origin).

    Raises Forbidden. What is no browser sends neither header, and has no cookie that somebody else could use.
    """
    if method in _SAFE:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    own = headers.get("host", "")
    same = site in ("same-origin", "none") if site else origin is None or origin.partition("://")[2] == own
    if not same:
        raise Forbidden("this request came from another site")


def cookie(headers: Mapping[str, str], name: str) -> str | None:
    """A cookie's value; none from headers that are too long or cannot be read."""
    header = headers.get("cookie", "")
    if len(header) > _LONGEST_COOKIES:
        return None
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(header)
    except CookieError:
        return None
    return jar[name].value or None if name in jar else None


async def _person(visit: Visit, tokens: Tokens | None) -> tuple[Person, sessions.Session | None]:
    """Who asks, by token or by session."""
    scheme, _, token = visit.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token and tokens is not None:
        claims = await tokens.verify(token.strip())
        known = await people.known(visit.stores, claims) if claims.email_verified else None
        return known or await people.sign_in(visit.stores, claims), None
    found = await session_of(visit)
    if found is None or found.person is None:
        raise Unauthorized("no session", empty=True)
    return found.person, found


async def _persons_scope(visit: Visit, person: Person, session: sessions.Session | None) -> Scope:
    chosen = session.workspace_id if session else None
    part = await people.part(visit.stores, person, visit.requested or chosen)
    if part is None and visit.requested is None and chosen is not None:
        part = await people.part(visit.stores, person, None)
    actor = people.actor(person)
    refusal = Forbidden("not a workspace of this session", empty=True)
    if part is None and visit.requested is not None:
        home = await people.part(visit.stores, person, None)
        at_home = await workspaces.find(visit.stores, home.workspace_id) if home else None
        raise Crossing(actor, at_home, refusal)
    workspace = await workspaces.find(visit.stores, part.workspace_id) if part else None
    if part is None or workspace is None or not workspace.active:
        raise refusal
    return Scope(visit.stores, workspace, actor, visit.request_id, visit.address, part.permissions)


async def _target(visit: Visit, owner: Workspace, external_id: str | None) -> Workspace | None:
    requested = visit.requested
    if requested is None and external_id is not None:
        return await workspaces.by_external_id(visit.stores, owner.workspace_id, external_id)
    if requested is None or requested == owner.workspace_id:
        return owner
    child = await workspaces.find_now(visit.stores, requested)
    return child if child and child.parent_id == owner.workspace_id else None
