"""Errors as answers, in the shapes of the wire; Tenfold's own as problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from tenfold.http.endpoint import Reply
from tenfold.http.wire import BadRequest
from tenfold.kit.errors import (
    AppError,
    Conflict,
    Forbidden,
    NotFound,
    QuotaExceeded,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
)


class Answered(AppError):
    """An error whose answer is already known."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.body))
        self.reply = reply


def reply_to(error: AppError) -> Reply:
    """The answer for an error that somebody expected."""
    if isinstance(error, Answered):
        return error.reply
    if isinstance(error, BadRequest):
        return _bad_request(error)
    if isinstance(error, (Conflict, QuotaExceeded, RateLimited, Unavailable)):
        return _problem(error)
    if isinstance(error, TooLarge):
        return fastify(413, "Request body is too large", "FST_ERR_CTP_BODY_TOO_LARGE")
    return Reply(error.status, _body(error))


def fastify(status: int, message: str, code: str | None = None) -> Reply:
    """A bare error in the shape that Dittofeed's HTTP framework gives it."""
    body: dict[str, Any] = {"statusCode": status}
    if code:
        body["code"] = code
    return Reply(status, {**body, "error": HTTPStatus(status).phrase, "message": message})


def not_found(method: str, path: str) -> Reply:
    return Reply(404, {"message": f"Route {method}:{path} not found", "error": "Not Found", "statusCode": 404})


def _bad_request(error: BadRequest) -> Reply:
    if error.data.get("style") == "message":
        return Reply(400, {"message": error.message})
    return fastify(400, error.message, "FST_ERR_VALIDATION")


def _body(error: AppError) -> Any:
    """The wire answers many 401, 403 and 404 with nothing; `empty` asks for that."""
    if error.data.get("empty") or (isinstance(error, (Forbidden, NotFound)) and not error.explained):
        return None
    if isinstance(error, Unauthorized):
        return {"message": error.message}
    return {**{name: value for name, value in error.data.items() if name != "empty"}, "message": error.message}


def _problem(error: AppError) -> Reply:
    told = {name: value for name, value in error.data.items() if name not in ("headers", "retryAfter")}
    body = {
        "type": f"urn:tenfold:problem:{error.code.replace('_', '-')}",
        "title": error.title or HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "message": error.message,
        "detail": error.message,
        **told,
    }
    wait = error.data.get("retryAfter", 1 if isinstance(error, Unavailable) else None)
    headers = {**error.data.get("headers", {}), **({} if wait is None else {"Retry-After": str(wait)})}
    return Reply(error.status, body, headers, "application/problem+json")
