"""Quotas of a workspace."""

from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.tenancy.quotas import service
from tenfold.tenancy.quotas.model import read_limits


async def show(call: Call) -> Reply:
    return Reply(200, await service.show(call.scope))


async def put(call: Call) -> Reply:
    return Reply(200, await service.put(call.scope, read_limits(call.body)))


async def reset(call: Call) -> Reply:
    await service.reset(call.scope)
    return Reply(204)


ENDPOINTS = [
    Endpoint("GET", "/quotas", Door.WORKSPACE, show),
    Endpoint("PUT", "/quotas", Door.WORKSPACE, put),
    Endpoint("DELETE", "/quotas", Door.WORKSPACE, reset),
]
