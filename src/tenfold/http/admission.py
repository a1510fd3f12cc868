"""Letting a request in: its credentials, its workspace, its permission; and a note of whoever reached too far."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import msgspec

from tenfold.http import auth
from tenfold.http.auth import Crossing, Visit
from tenfold.http.cookies import session_cookie
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.permissions import ANYONE
from tenfold.kit.errors import Forbidden, Invalid
from tenfold.tenancy.access import permissions, sessions
from tenfold.tenancy.audit import log
from tenfold.tenancy.audit.watch import Reach, Watch, named_ids
from tenfold.tenancy.context import PLATFORM
from tenfold.tenancy.scope import Actor, Scope, Stores, platform_workspace


@dataclass(frozen=True, slots=True)
class Site:
    """What every handler shares."""

    stores: Stores
    services: Any
    auth_mode: str
    platform_key: str
    body_limit: int
    watch: Watch
    tokens: auth.Tokens | None = None
    secure_cookies: bool = False
    trusted_proxies: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Gate:
    """One mounted route: its endpoint, whether under /api/admin, and the permission it asks for."""

    endpoint: Endpoint
    admin: bool
    permission: str | None


async def admit(site: Site, gate: Gate, call: Call) -> Call:
    """The call with its scope.

    Raises Unauthorized, Forbidden or Invalid. What a known caller named beyond their own is noted.
    """
    door = gate.endpoint.door
    if door is Door.OPEN:
        return call
    if door is Door.PLATFORM:
        return await _platform(site, gate, call)
    if door is Door.WRITE_KEY:
        return replace(
            call, workspace_scope=await auth.write_key_scope(_visit(site, gate, call), gate.endpoint.refusal)
        )
    try:
        scope, renewed = await _member(site, gate, call)
    except Crossing as crossing:
        visit = _visit(site, gate, call)
        ids = frozenset[UUID]((visit.requested,) if visit.requested else ())
        site.watch.note(Reach(crossing.actor, call.request_id, call.address, _named(gate), crossing.home, ids))
        raise crossing.refusal from None
    _note(site, gate, call, scope)
    await _permit(gate, scope)
    return replace(call, workspace_scope=scope, renewed_cookie=renewed)


def finished(call: Call, reply: Reply) -> Reply:
    """The reply with the session's new token, if it has one."""
    if call.renewed_cookie is None:
        return reply
    return replace(reply, headers={**reply.headers, "Set-Cookie": call.renewed_cookie})


async def _member(site: Site, gate: Gate, call: Call) -> tuple[Scope, str | None]:
    visit = _visit(site, gate, call)
    if gate.admin:
        return await auth.admin_scope(visit, call.query.get("externalId")), None
    scope, stale = await auth.session_scope(visit, site.auth_mode, site.tokens)
    fresh = await sessions.rotate(site.stores, stale) if stale else None
    return scope, session_cookie(fresh, secure=site.secure_cookies) if fresh else None


async def _permit(gate: Gate, scope: Scope) -> None:
    """Raises Forbidden, and writes down that it did."""
    if gate.permission is None or gate.permission == ANYONE:
        return
    try:
        permissions.require(scope.permissions, gate.permission)
    except Forbidden:
        changes = {"request": _named(gate)}
        await log.record(scope, "permission.denied", ("permission", gate.permission), allowed=False, changes=changes)
        raise


async def _platform(site: Site, gate: Gate, call: Call) -> Call:
    """The platform's key opens its door; each use is written into the platform's own log."""
    auth.check_platform_key(call.headers.get("authorization"), site.platform_key)
    actor = Actor("platform", "platform")
    scope = Scope(site.stores, platform_workspace(PLATFORM), actor, call.request_id, call.address, permissions.ALL)
    target = ("workspace", call.path.get("workspace_id", str(PLATFORM)))
    await log.record(scope, "platform.request", target, changes={"request": _named(gate)})
    return replace(call, workspace_scope=scope)


def _visit(site: Site, gate: Gate, call: Call) -> Visit:
    try:
        guarded = gate.endpoint.door is not Door.WRITE_KEY
        requested = auth.requested_workspace(call.body, call.query, call.headers) if guarded else None
    except Invalid as error:
        raise Invalid(error.message, empty=not gate.admin) from error
    return Visit(site.stores, gate.endpoint.method, call.headers, requested, call.request_id, call.address)


def _note(site: Site, gate: Gate, call: Call, scope: Scope) -> None:
    ids = named_ids(call.raw, msgspec.json.encode(call.query), msgspec.json.encode(call.path))
    site.watch.note(Reach(scope.actor, scope.request_id, scope.address, _named(gate), scope.workspace, ids))


def _named(gate: Gate) -> str:
    prefix = "/api/admin" if gate.admin else "/api/platform" if gate.endpoint.door is Door.PLATFORM else "/api"
    return f"{gate.endpoint.method} {prefix}{gate.endpoint.path}"
