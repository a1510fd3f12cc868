"""The routes of `/api/settings/email-providers`."""

from tenfold.engagement.channels import service
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.kit.ids import try_parse_id


async def put_provider(call: Call) -> Reply:
    await service.configure(call.scope, call.body["config"], as_default=call.body.get("setDefault", False))
    return Reply(201)


async def put_default(call: Call) -> Reply:
    await service.choose_default(
        call.scope,
        kind=call.body.get("emailProvider"),
        provider_id=try_parse_id(call.body.get("emailProviderId")),
        from_address=call.body.get("fromAddress"),
    )
    return Reply(201)


ENDPOINTS = [
    Endpoint("PUT", "/settings/email-providers", Door.WORKSPACE, put_provider),
    Endpoint("PUT", "/settings/email-providers/default", Door.WORKSPACE, put_default),
]
