"""Webhooks: an HTTP request as the template wrote it."""

from typing import Any

import httpx

from tenfold.engagement.channels.model import Outcome, Verdict, WebhookRequest

_TIMEOUT = 20
_BODY_KEPT = 64 * 1024
_TOO_MANY, _SERVER_ERROR = 429, 500
MESSAGE_ID_HEADER = "X-Dittofeed-Message-Id"


async def send(client: httpx.AsyncClient, request: WebhookRequest) -> Outcome:
    """Send the request; never raises for what the other side or the network does."""
    merged = {**request.config, **request.secret}
    headers = {**request.config.get("headers", {}), **request.secret.get("headers", {})}
    try:
        response = await client.request(
            str(merged.get("method", "GET")).upper(),
            str(merged.get("url", "")),
            headers={**headers, MESSAGE_ID_HEADER: request.message_id, "Idempotency-Key": request.message_id},
            params=merged.get("params"),
            json=merged.get("data"),
            timeout=_TIMEOUT,
        )
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        return Outcome(Verdict.RETRY, {"message": str(error)})
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, TypeError) as error:
        return Outcome(Verdict.FAILED, {"message": str(error)})
    except httpx.HTTPError as error:
        return Outcome(Verdict.DOUBTFUL, {"message": str(error) or type(error).__name__})
    return Outcome(_verdict(response.status_code), {"response": _shown(response)})


def _verdict(status: int) -> Verdict:
    if status == _TOO_MANY or status >= _SERVER_ERROR:
        return Verdict.RETRY
    return Verdict.SENT if status < httpx.codes.BAD_REQUEST else Verdict.FAILED


def _shown(response: httpx.Response) -> dict[str, Any]:
    return {
        "status": response.status_code,
        "headers": dict(response.headers),
        "body": response.text[:_BODY_KEPT],
    }
