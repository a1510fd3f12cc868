"""The HTTP application: endpoints in, an ASGI application out.

The order of checks is the wire's: body, schema, credentials, then the handler.
"""

import gzip
import json
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import msgspec
from litestar import Litestar, Request, Response, route
from litestar.enums import HttpMethod, ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from litestar.types import ASGIApp, Message, Receive, Send
from litestar.types import Scope as AsgiScope

from tenfold.http import problems
from tenfold.http.admission import Gate, Site, admit, finished
from tenfold.http.endpoint import Call, Endpoint, Reply, mounts, wire_name
from tenfold.http.permissions import permission_of
from tenfold.http.problems import Answered
from tenfold.http.wire import WireRoute, check_request, parse_query, table
from tenfold.kit import telemetry
from tenfold.kit.clock import monotonic
from tenfold.kit.errors import AppError, Invalid, TooLarge
from tenfold.kit.ids import new_id
from tenfold.kit.jsontypes import as_list, as_object
from tenfold.kit.logs import get

_log = get("http")
_CORS = {
    b"access-control-allow-origin": b"*",
    b"access-control-allow-methods": b"GET, HEAD, PUT, PATCH, POST, DELETE",
    b"access-control-allow-headers": b"Authorization, Content-Type, df-workspace-id, workspace-id, *",
    b"access-control-expose-headers": b"Content-Disposition, X-Request-Id, Retry-After, RateLimit, RateLimit-Policy",
}
_PATIENCE = 8
_OUR_FAULT = 500
_LONGEST_ADDRESS = 64
_DEEP = "JSON is nested too deeply"


def build(site: Site, endpoints: Sequence[Endpoint]) -> ASGIApp:
    """The ASGI application for these endpoints."""
    handlers = [_mount(site, endpoint, path) for endpoint in endpoints for path in mounts(endpoint)]
    application = Litestar(
        route_handlers=handlers,
        exception_handlers={HTTPException: _framework_error, Exception: _unexpected},
        openapi_config=None,
        logging_config=None,
    )
    return _with_cors(application)


def _mount(site: Site, endpoint: Endpoint, path: str) -> HTTPRouteHandler:
    wire = table().get(wire_name(endpoint), WireRoute())
    gate = Gate(endpoint, path.startswith("/api/admin/"), permission_of(endpoint))

    async def answer(request: Request[Any, Any, Any]) -> Response[Any]:
        if request.scope["path"].endswith("/") and endpoint.path.count("/") > 1:
            return _response(problems.not_found(request.method, request.scope["path"]))
        request_id, since = str(new_id()), monotonic()
        workspace: UUID | None = None
        try:
            call = await admit(site, gate, await _read(site, endpoint, wire, request, request_id))
            workspace = call.workspace_scope and call.workspace_scope.workspace_id
            with telemetry.span(
                f"{endpoint.method} {path}", tenfold_workspace=str(workspace), http_request_id=request_id
            ):
                reply = finished(call, await endpoint.handler(call))
        except AppError as error:
            reply = problems.reply_to(error)
        if workspace is not None:
            site.stores.meter.request(workspace, monotonic() - since, failed=reply.status >= _OUR_FAULT)
        return _response(replace(reply, headers={**reply.headers, "X-Request-Id": request_id}))

    methods = [HttpMethod(endpoint.method), *([HttpMethod.HEAD] if endpoint.method == "GET" else [])]
    handler = route(path, http_method=methods, status_code=200, name=f"{endpoint.method} {path}")
    return handler(answer)


async def _read(
    site: Site, endpoint: Endpoint, wire: WireRoute, request: Request[Any, Any, Any], request_id: str
) -> Call:
    headers = {name.lower(): value for name, value in request.headers.items()}
    raw = await _body(request, headers, site.body_limit)
    query = parse_query(request.scope["query_string"].decode("latin-1"))
    if endpoint.reader is not None:
        check_request(WireRoute(headers=wire.headers), None, query, headers)
        body = endpoint.reader(raw)
    else:
        body, query = check_request(wire, _parse(raw, headers) if raw or wire.body else None, query, headers)
    path = {name: str(value) for name, value in request.path_params.items()}
    address = _address(site, request, headers)
    return Call(site.stores, site.services, body, query, headers, path, raw, request_id, address)


def _address(site: Site, request: Request[Any, Any, Any], headers: Mapping[str, str]) -> str:
    """The caller's address; a proxy that is trusted says whose request it passes on."""
    peer = request.client.host if request.client else ""
    if peer in site.trusted_proxies and (forwarded := headers.get("x-forwarded-for")):
        return forwarded.rpartition(",")[2].strip()[:_LONGEST_ADDRESS]
    return peer


async def _body(request: Request[Any, Any, Any], headers: Mapping[str, str], limit: int) -> bytes:
    """The body. One that is too large is read to its end, if that is near, so that the client hears the answer."""
    chunks, size = list[bytes](), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit * _PATIENCE:
            break
    if size > limit:
        raise TooLarge
    raw = b"".join(chunks)
    return _gunzip(raw, limit) if headers.get("content-encoding") == "gzip" else raw


def _gunzip(raw: bytes, limit: int) -> bytes:
    try:
        plain = zlib.decompressobj(wbits=31).decompress(raw, limit + 1)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise Invalid(f"the gzip body cannot be read: {error}", statusCode=400, error="Bad Request") from error
    if len(plain) > limit:
        raise TooLarge
    return plain


def _parse(raw: bytes, headers: Mapping[str, str]) -> Any:
    """The JSON body; lone surrogates become U+FFFD, as they do when JavaScript writes UTF-8."""
    content_type = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content_type == "text/plain":
        return raw.decode(errors="replace")
    if content_type != "application/json":
        raise Answered(
            problems.fastify(415, f"Unsupported Media Type: {content_type}", "FST_ERR_CTP_INVALID_MEDIA_TYPE")
        )
    if not raw:
        message = "Body cannot be empty when content-type is set to 'application/json'"
        raise Answered(problems.fastify(400, message, "FST_ERR_CTP_EMPTY_JSON_BODY"))
    return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """JSON as JavaScript reads it.

    Raises an error that answers 400 with the parser's message.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return msgspec.to_builtins(_mended(json.loads(raw)))
    except RecursionError as error:
        raise Answered(problems.fastify(400, _DEEP)) from error
    except ValueError as error:
        raise Answered(problems.fastify(400, str(error))) from error


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if (items := as_object(value)) is not None:
        return {_mended(key): _mended(item) for key, item in items.items()}
    if (found := as_list(value)) is not None:
        return [_mended(item) for item in found]
    return value


def _response(reply: Reply) -> Response[Any]:
    headers = dict(reply.headers)
    if reply.body is None:
        return Response(b"", status_code=reply.status, headers=headers, media_type="")
    body: Any = reply.body
    if isinstance(body, AsyncIterator):
        stream = cast("AsyncIterator[bytes]", body)
        return Stream(stream, status_code=reply.status, headers=headers, media_type=reply.content_type)
    content = reply.body if isinstance(reply.body, bytes) else msgspec.json.encode(reply.body)
    return Response(content, status_code=reply.status, headers=headers, media_type=reply.content_type)


def _framework_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if error.status_code in (404, 405):
        return _response(problems.not_found(request.method, request.scope["path"]))
    return _response(problems.fastify(error.status_code, error.detail))


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("request failed", path=request.scope["path"], exc_info=error)
    return _response(problems.fastify(500, "Something went wrong on our side."))


def _with_cors(application: ASGIApp) -> ASGIApp:
    async def respond(scope: AsgiScope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_CORS.items()]
            await send(message)

        if scope["type"] == ScopeType.HTTP and scope["method"] == "OPTIONS":
            await send_with_headers({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await application(scope, receive, send_with_headers)

    return respond
