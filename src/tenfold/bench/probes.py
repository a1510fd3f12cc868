"""Probes beside a load: how long until an event is a membership, and until its mail is at the server."""

import asyncio
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx

from tenfold.kit.clock import monotonic

_PAUSE, _PATIENCE = 0.01, 10.0
_EVENT = "Probe"


class _Arrivals:
    """The mail server's handler: when each recipient's mail came."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.times |= dict.fromkeys(envelope.rcpt_tos, monotonic())
        return "250 OK"


@contextmanager
def mail_server() -> Generator[tuple[int, dict[str, float]]]:
    """A real SMTP server on loopback: its port, and when each recipient's mail arrived."""
    from aiosmtpd.controller import Controller  # noqa: PLC0415 - only benchmarks and tests have it

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    handler = _Arrivals()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port, handler.times
    finally:
        controller.stop()


class Prober:
    """A workspace with a segment on the probe's event and a journey that mails whoever enters."""

    def __init__(self, client: httpx.AsyncClient, platform_key: str) -> None:
        self._client, self._platform_key = client, platform_key
        self._made: dict[str, Any] = {}
        self._segment = ""
        self.visible: list[float] = []
        self.sent: dict[str, float] = {}

    async def prepare(self, mail_port: int) -> None:
        headers = {"authorization": f"Bearer {self._platform_key}"}
        answer = await self._client.post(
            "/api/platform/workspaces", json={"name": f"probe {time.time()}"}, headers=headers
        )
        self._made = answer.json()
        config = {"type": "Smtp", "host": "127.0.0.1", "port": str(mail_port)}
        await self._put("/settings/email-providers", setDefault=True, config=config)
        mail = {"type": "Email", "from": "a@probe.test", "subject": "Probe", "body": "<p>{{ user.email }}</p>"}
        template = await self._put("/content/templates", name="probe", definition=mail)
        node = {"type": "Performed", "id": "1", "event": _EVENT, "timesOperator": ">="}
        segment = await self._put("/segments", name="probed", definition={"entryNode": node, "nodes": []})
        self._segment = segment["id"]
        variant = {"type": "Email", "templateId": template["id"]}
        message = {"type": "MessageNode", "id": "m", "variant": variant, "child": "ExitNode"}
        entry = {"type": "EntryNode", "segment": self._segment, "child": "m"}
        definition = {"entryNode": entry, "exitNode": {"type": "ExitNode"}, "nodes": [message]}
        await self._put("/journeys", name="probe", status="Running", definition=definition)

    async def probe(self, number: int) -> None:
        """Send one new user and wait until the API shows the membership."""
        user = f"probe-{number}@probe.test"
        batch = [
            {"type": "identify", "messageId": f"i{number}", "userId": user, "traits": {"email": user}},
            {"type": "track", "messageId": f"t{number}", "userId": user, "event": _EVENT},
        ]
        headers = {"authorization": self._made["writeKey"]}
        await self._client.post("/api/public/apps/batch", json={"batch": batch}, headers=headers)
        accepted = self.sent[user] = monotonic()
        while monotonic() - accepted < _PATIENCE:
            answer = await self._admin("POST", "/users", userIds=[user], segmentFilter=[self._segment])
            if answer["users"]:
                break
            await asyncio.sleep(_PAUSE)
        self.visible.append(monotonic() - accepted)

    async def _put(self, path: str, **body: Any) -> Any:
        return await self._admin("PUT", path, **body)

    async def _admin(self, method: str, path: str, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {self._made['adminApiKey']}"}
        whole = {"workspaceId": self._made["workspaceId"], **body}
        answer = await self._client.request(method, f"/api/admin{path}", json=whole, headers=headers)
        return answer.raise_for_status().json() if answer.content else {}
