"""Letting a request in: its credentials, its workspace, its permission; and a note of whoever reached too far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from tenfold.http import auth
from tenfold.http.auth import Crossing, Visit
from tenfold.http.cookies import session_cookie
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.permissions import ANYONE
from tenfold.kit.clock import iso, monotonic, now
from tenfold.kit.errors import Forbidden, Invalid, RateLimited
from tenfold.tenancy.access import permissions, sessions
from tenfold.tenancy.audit import log
from tenfold.tenancy.audit.watch import Reach, Watch, named_ids
from tenfold.tenancy.context import PLATFORM
from tenfold.tenancy.quotas import rate
from tenfold.tenancy.quotas.rate import Limiter
from tenfold.tenancy.quotas.rate_shared import SharedLimiter
from tenfold.tenancy.scope import Actor, Scope, Stores, platform_workspace

_NEVER_LIMITED = ("/quotas",)  # or a limit of nothing could not be lifted


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
    limiter: Limiter = field(default_factory=Limiter)
    shared: SharedLimiter | None = None


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
        scope = await auth.write_key_scope(_visit(site, gate, call), gate.endpoint.refusal)
        return replace(call, workspace_scope=scope, rate_headers=await _let_in(site, scope))
    try:
        scope, renewed = await _member(site, gate, call)
    except Crossing as crossing:
        visit = _visit(site, gate, call)
        ids = frozenset[UUID]((visit.requested,) if visit.requested else ())
        site.watch.note(Reach(crossing.actor, call.request_id, call.address, _named(gate), crossing.home, ids))
        raise crossing.refusal from None
    _note(site, gate, call, scope)
    told = dict[str, str]() if gate.endpoint.path in _NEVER_LIMITED else await _let_in(site, scope)
    await _permit(gate, scope)
    return replace(call, workspace_scope=scope, renewed_cookie=renewed, rate_headers=told)


def finished(call: Call, reply: Reply) -> Reply:
    """The reply with the session's new token, if it has one, and with what is left of the workspace's requests."""
    renewed = {} if call.renewed_cookie is None else {"Set-Cookie": call.renewed_cookie}
    return replace(reply, headers={**reply.headers, **call.rate_headers, **renewed})


async def _let_in(site: Site, scope: Scope) -> Mapping[str, str]:
    """What the answer tells of the workspace's limit of requests, if it has one.

    Raises RateLimited when this request is one too many.
    """
    limits = rate.limits_of(scope.workspace)
    if not limits:
        return {}
    verdict = await site.shared.take(limits) if site.shared else site.limiter.take(limits, monotonic())
    if verdict is None:
        return {}
    told = rate.headers(verdict)
    if verdict.wait is None:
        return told
    limit, wait = verdict.limit.limit, max(1, math.ceil(verdict.wait))
    raise RateLimited(
        f"too many requests: {limit} a minute are allowed; try again in {wait} s",
        workspaceId=str(verdict.limit.workspace_id),
        resource="requestsPerMinute",
        limit=limit,
        used=limit,
        requested=1,
        resetsAt=iso(now() + timedelta(seconds=wait)),
        retryAfter=wait,
        headers=told,
    )


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
