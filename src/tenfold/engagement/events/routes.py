"""The routes of `/api/public/apps` and of `/api/events`."""

from collections.abc import Callable
from dataclasses import replace

from tenfold.engagement.events import decode, search
from tenfold.engagement.events.model import EventType
from tenfold.engagement.events.query import Query
from tenfold.http.app import parse_json
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.http.wire import check_request, table
from tenfold.kit.errors import Invalid

_APPS = "/api/public/apps"
_REFUSALS = {EventType.TRACK: "Invalid write key."}  # the wire words it differently there


def read_batch(raw: bytes) -> decode.Batch:
    return decode.fast_batch(raw) or decode.slow_batch(_checked(raw, "batch"))


def reader(kind: EventType) -> Callable[[bytes], decode.Batch]:
    """How a single message of this kind is read."""
    return lambda raw: decode.Batch([decode.fast_item(raw, kind) or decode.slow_item(_checked(raw, kind), kind)])


async def accept(call: Call) -> Reply:
    await call.services.acceptor.accept(call.scope, decode.events_of(call.body))
    return Reply(204)


async def alias(_: Call) -> Reply:
    raise Invalid("Not yet implemented.")


async def list_events(call: Call) -> Reply:
    return Reply(200, await search.find(call.scope, Query.of(call.query)))


async def traits(call: Call) -> Reply:
    return Reply(200, {"traits": await search.trait_names(call.scope)})


async def properties(call: Call) -> Reply:
    return Reply(200, {"properties": await search.property_names(call.scope)})


def _checked(raw: bytes, name: str) -> object:
    body, _ = check_request(replace(table()[f"POST {_APPS}/{name}"], headers=None), parse_json(raw), {}, {})
    return body


ENDPOINTS = [
    Endpoint("POST", "/batch", Door.WRITE_KEY, accept, reader=read_batch),
    *(
        Endpoint("POST", f"/{kind}", Door.WRITE_KEY, accept, reader=reader(kind), refusal=_REFUSALS.get(kind))
        for kind in EventType
    ),
    Endpoint("POST", _APPS + "/alias", Door.OPEN, alias, reader=bool),
    Endpoint("GET", "/events", Door.WORKSPACE, list_events),
    Endpoint("GET", "/events/traits", Door.WORKSPACE, traits),
    Endpoint("GET", "/events/properties", Door.WORKSPACE, properties),
]
