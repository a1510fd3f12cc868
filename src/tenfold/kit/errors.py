"""The one hierarchy of errors. HTTP appears only in the status a rim should answer with."""

from typing import Any, ClassVar


class AppError(Exception):
    """Something the caller should know about, with a stable code and a plain message.

    `data` holds further fields for the body of the answer; `explained` tells whether a message was given.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = ""  # of the problem; the status' own phrase when there is none

    def __init__(self, message: str = "", **data: Any) -> None:
        super().__init__(message or type(self).__doc__ or self.code)
        self.message = str(self)
        self.explained = bool(message)
        self.data = data


class Invalid(AppError):
    """The request cannot be understood."""

    code, status = "invalid", 400


class Unauthorized(AppError):
    """The credentials are missing or wrong."""

    code, status = "unauthorized", 401


class Forbidden(AppError):
    """The caller has no right to this."""

    code, status = "forbidden", 403


class NotFound(AppError):
    """There is no such thing here."""

    code, status = "not_found", 404


class Conflict(AppError):
    """The name or id is already taken."""

    code, status = "conflict", 409


class TooLarge(AppError):
    """The body is larger than allowed."""

    code, status = "too_large", 413


class QuotaExceeded(AppError):
    """Quota exceeded."""

    code, status = "quota_exceeded", 429
    title = "Quota exceeded"


class RateLimited(AppError):
    """Too many requests; try again later."""

    code, status = "rate_limited", 429


class Unavailable(AppError):
    """A store is away; try again in a moment."""

    code, status = "unavailable", 503


class ConfigurationError(AppError):
    """A setting has a value that cannot be used."""

    code, status = "configuration", 500
