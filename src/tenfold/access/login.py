"""Signing in and out: with the installation's password, or at an identity provider (OpenID Connect)."""

import hmac
import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from tenfold.access import login_state
from tenfold.access.login_state import LoginState
from tenfold.http import auth
from tenfold.http.auth import COOKIE, Visit
from tenfold.http.cookies import cookie, no_session, session_cookie
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.openid import OpenId
from tenfold.kit.clock import iso
from tenfold.kit.errors import Forbidden, Invalid, NotFound, Unauthorized
from tenfold.kit.ids import parse_id
from tenfold.tenancy import workspaces
from tenfold.tenancy.access import people, sessions
from tenfold.tenancy.access.passwords import Password
from tenfold.tenancy.access.sessions import Person
from tenfold.tenancy.audit import log
from tenfold.tenancy.scope import Actor, Scope, Stores

_CALLBACK = "/dashboard/oauth2/callback"


async def password_login(call: Call) -> Reply:
    """Open a session for whoever knows the installation's password (single-tenant mode only)."""
    password: Password | None = call.services.password
    if call.services.auth_mode != "single-tenant" or password is None:
        raise NotFound
    auth.check_same_site("POST", call.headers)
    await sessions.count_attempt(call.stores, call.address)
    right = await password.matches(call.body["password"])
    await _note_login(call, Actor("member", "anonymous", "anonymous@email.com"), allowed=right)
    if not right:
        return Reply(401, {"error": "Invalid password"})
    await sessions.forget_attempts(call.stores, call.address)
    token = await sessions.start(call.stores, None)
    return Reply(200, None, {"Set-Cookie": session_cookie(token, secure=call.services.secure_cookies)})


async def password_logout(call: Call) -> Reply:
    if call.services.auth_mode != "single-tenant":
        raise NotFound
    return await _ended(call, "/dashboard/auth/single-tenant")


async def login(call: Call) -> Reply:
    """Send the browser to the identity provider."""
    provider = _provider(call)
    state = LoginState(
        secrets.token_urlsafe(24),
        secrets.token_urlsafe(24),
        secrets.token_urlsafe(48),
        login_state.safe_return(call.query.get(call.services.return_parameter)),
        login_state.expiry(),
    )
    url = await provider.authorization_url(
        _redirect_uri(call), state=state.state, nonce=state.nonce, verifier=state.verifier
    )
    return Reply(302, None, {"Location": url, "Set-Cookie": _state_cookie(call, state)})


async def callback(call: Call) -> Reply:
    """The browser is back: open a session with a new token, whatever it had before."""
    provider = _provider(call)
    state = login_state.unpack(call.stores.secret, auth.cookie(call.headers, login_state.COOKIE))
    given = str(call.query.get("state", ""))
    if state is None or not hmac.compare_digest(given.encode(), state.state.encode()):
        raise Unauthorized("this login was not begun here, or too long ago; begin again at /dashboard/login")
    if "error" in call.query:
        raise Unauthorized(f"the identity provider says: {call.query['error']}")
    code = str(call.query.get("code", ""))
    claims = await provider.exchange(_redirect_uri(call), code=code, nonce=state.nonce, verifier=state.verifier)
    person = await people.sign_in(call.stores, claims)
    if old := auth.cookie(call.headers, COOKIE):
        await sessions.end(call.stores, old)
    token = await sessions.start(call.stores, person.id)
    await _note_login(call, people.actor(person), person=person, allowed=True)
    cookies = session_cookie(token, secure=call.services.secure_cookies)
    return Reply(302, None, {"Location": state.return_to, "Set-Cookie": cookies})


async def logout(call: Call) -> Reply:
    """End the session here and at the provider."""
    url = await _provider(call).end_session_url()
    after = {"post_logout_redirect_uri": _base(call), "client_id": _provider(call).settings.client_id}
    return await _ended(call, f"{url}?{urlencode(after)}" if url else "/dashboard/login")


async def select_workspace(call: Call) -> Reply:
    """Which workspace requests mean that name none. Raises Forbidden for one that the person has no part in."""
    visit = Visit(call.stores, "GET", call.headers, None, call.request_id, call.address)
    found, token = await auth.session_of(visit), auth.cookie(call.headers, COOKIE)
    if found is None or found.person is None or token is None:
        raise Unauthorized("no session", empty=True)
    wanted = parse_id(call.query.get("workspaceId"), "workspaceId")
    if await people.part(call.stores, found.person, wanted) is None:
        raise Forbidden("not a workspace of this session", empty=True)
    await sessions.choose(call.stores, token, wanted)
    return Reply(302, None, {"Location": login_state.safe_return(call.query.get("returnTo"))})


async def session(call: Call) -> Reply:
    """Who is signed in, in which workspace, and what they may do there."""
    scope = call.scope
    member: dict[str, Any] = {"id": scope.actor.id, "email": scope.actor.name}
    shown = {"id": str(scope.workspace_id), "name": scope.workspace.name, "type": scope.workspace.type}
    return Reply(200, {"member": member, "workspace": shown, "permissions": sorted(scope.permissions)})


async def session_workspaces(call: Call) -> Reply:
    """The workspaces in which the person of this session is a member or invited."""
    visit = Visit(call.stores, "GET", call.headers, None, call.request_id, call.address)
    found = await auth.session_of(visit)
    if found is None or found.person is None:
        raise Unauthorized("no session", empty=True)
    after = parse_id(call.query["cursor"], "cursor") if "cursor" in call.query else None
    rows = await people.places(call.stores, found.person, after)
    shown = [
        {
            "workspaceId": str(row["workspace_id"]),
            "name": row["name"],
            "role": row["role"],
            "joinedAt": row["joined_at"] and iso(row["joined_at"]),
        }
        for row in rows
    ]
    return Reply(200, {"workspaces": shown})


async def _ended(call: Call, location: str) -> Reply:
    if token := auth.cookie(call.headers, COOKIE):
        await sessions.end(call.stores, token)
    cleared = no_session(secure=call.services.secure_cookies)
    return Reply(302, None, {"Location": location, "Set-Cookie": cleared})


async def _note_login(call: Call, actor: Actor, *, allowed: bool, person: Person | None = None) -> None:
    """A login belongs in the log of the workspace that the person arrives in."""
    scope = await _arrival(call.stores, actor, person)
    if scope is not None:
        told = replace(scope, request_id=call.request_id, address=call.address)
        await log.record(told, "member.login", ("member", actor.id), allowed=allowed)


async def _arrival(stores: Stores, actor: Actor, person: Person | None) -> Scope | None:
    if person is None:
        arrived = await workspaces.first(stores)
    else:
        part = await people.part(stores, person, None)
        arrived = await workspaces.find(stores, part.workspace_id) if part else None
    return Scope(stores, arrived, actor) if arrived else None


def _provider(call: Call) -> OpenId:
    provider: OpenId | None = call.services.openid
    if provider is None:
        raise NotFound
    return provider


def _redirect_uri(call: Call) -> str:
    return _base(call) + _CALLBACK


def _base(call: Call) -> str:
    """Where browsers reach this installation: as it was told, else as this one did."""
    if call.services.public_url:
        return call.services.public_url
    host = call.headers.get("host", "")
    if not host:
        raise Invalid("the request names no host")
    return f"{'https' if call.services.secure_cookies else 'http'}://{host}"


def _state_cookie(call: Call, state: LoginState) -> str:
    value = login_state.pack(call.stores.secret, state)
    return cookie(
        login_state.COOKIE, value, path=_CALLBACK, seconds=login_state.SECONDS, secure=call.services.secure_cookies
    )


ENDPOINTS = [
    Endpoint("POST", "/api/public/single-tenant/login", Door.OPEN, password_login),
    Endpoint("GET", "/api/public/single-tenant/signout", Door.OPEN, password_logout),
    Endpoint("GET", "/dashboard/login", Door.OPEN, login),
    Endpoint("GET", _CALLBACK, Door.OPEN, callback),
    Endpoint("GET", "/dashboard/signout", Door.OPEN, logout),
    Endpoint("GET", "/dashboard/select-workspace", Door.OPEN, select_workspace),
    Endpoint("GET", "/session", Door.SESSION, session),
    Endpoint("GET", "/api/session/workspaces", Door.OPEN, session_workspaces),
]
