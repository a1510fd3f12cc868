"""Cookies that we set: for this site only, out of reach of scripts."""

from tenfold.http.auth import COOKIE
from tenfold.tenancy.access.sessions import LIFETIME


def session_cookie(token: str, *, secure: bool) -> str:
    return cookie(COOKIE, token, path="/", seconds=int(LIFETIME.total_seconds()), secure=secure)


def no_session(*, secure: bool) -> str:
    return cookie(COOKIE, "", path="/", seconds=0, secure=secure)


def cookie(name: str, value: str, *, path: str, seconds: int, secure: bool) -> str:
    """A Set-Cookie value (RFC 6265bis)."""
    parts = [f"{name}={value}", f"Path={path}", f"Max-Age={seconds}", "HttpOnly", "SameSite=Lax"]
    return "; ".join([*parts, "Secure"] if secure else parts)
