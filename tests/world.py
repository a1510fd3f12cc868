"""The cast and their world: Alice owns a workspace, Charlie owns another and must never see hers."""

import base64
import datetime as dt
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from tenfold.tenancy.context import signed
from tenfold.tenancy.keys import sign
from tests.mailbox import Mailbox

_NUMBERS = itertools.count(int(time.time() * 1000) % 1_000_000_000)


class Server:
    """`tenfold serve` as a process of its own."""

    def __init__(self, directory: Path, *, environment: dict[str, str] | None = None) -> None:
        self.directory = directory / "data"
        self._environment = {**os.environ, "LOG_LEVEL": "WARNING", **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._log = directory / "server.log"
        self.url = ""

    def start(self) -> None:
        command = [sys.executable, "-m", "tenfold", "serve", "--data-dir", str(self.directory), "--port", "0"]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line.startswith("ready http"), self._log.read_text()[-3000:]
        self.url = line.split()[1]

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(60)
        if self._process.stdout:
            self._process.stdout.close()
        return code

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(60)
        if self._process.stdout:
            self._process.stdout.close()

    def kill_postgres(self) -> None:
        """Kill PostgreSQL; one that was just killed is started again by the server first, within seconds."""
        for _ in range(100):
            try:
                os.kill(int((self.directory / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            except (OSError, IndexError, ValueError):  # dead, or its file is just being written
                time.sleep(0.1)
            else:
                return
        raise AssertionError("PostgreSQL did not come back")

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def platform_key(self) -> str:
        return (self.directory / "platform.key").read_text().strip()

    def context(self, *workspaces: str) -> str:
        """A signed context, as only a process of the installation can make it."""
        secret = base64.b64decode((self.directory / "secret.key").read_text())
        key = bytes.fromhex(sign(secret, "context", b""))
        return signed(key, [UUID(workspace) for workspace in workspaces], ("test", "test", ""), "", "")

    @property
    def database_url(self) -> str:
        return f"postgresql:///postgres?host={self.directory}"


class World:
    """What a test needs to tell its story."""

    def __init__(self, server: Server, mailbox: Mailbox) -> None:
        self.server, self.mailbox = server, mailbox
        self.http = httpx.Client(base_url=server.url, timeout=120)

    def close(self) -> None:
        self.http.close()

    def platform(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.server.platform_key}"}
        return self.http.request(method, f"/api/platform{path}", json=body, headers=headers)

    def workspace(self, name: str = "alice", *, test_clock: bool = True, **more: Any) -> "Owner":
        body = {"name": f"{name}-{next(_NUMBERS)}", "testClock": test_clock, **more}
        answer = self.platform("POST", "/workspaces", body)
        assert answer.status_code == 201, answer.text
        return Owner(self, answer.json())


class Owner:
    """Somebody with a workspace, its keys and a mail server to send through."""

    def __init__(self, world: World, made: dict[str, Any]) -> None:
        self.world, self.made = world, made
        self.id, self.write_key, self.admin_key = made["workspaceId"], made["writeKey"], made["adminApiKey"]
        self.now = dt.datetime.fromisoformat(made["testClock"]) if "testClock" in made else None

    def request(self, method: str, path: str, body: Any = None, **query: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.admin_key}"}
        arguments: dict[str, Any] = {"headers": headers}
        if body is not None:
            arguments["json"] = {"workspaceId": self.id, **body}
        if method == "GET" or query:
            arguments["params"] = {"workspaceId": self.id, **query}
        return self.world.http.request(method, f"/api/admin{path}", **arguments)

    def put(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.request("PUT", path, body)
        assert answer.status_code in (200, 201), f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else {}

    def get(self, path: str, **query: Any) -> Any:
        answer = self.request("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, *messages: dict[str, Any]) -> None:
        batch = [{"messageId": f"m-{next(_NUMBERS)}", **message} for message in messages]
        answer = self.apps("/batch", {"batch": batch})
        assert answer.status_code == 204, answer.text

    def apps(self, path: str, body: Any) -> httpx.Response:
        return self.world.http.post(f"/api/public/apps{path}", json=body, headers={"authorization": self.write_key})

    def identify(self, user: str, /, **traits: Any) -> None:
        self.send({"type": "identify", "userId": user, "traits": traits})

    def track(self, user: str, event: str, /, **properties: Any) -> None:
        self.send({"type": "track", "userId": user, "event": event, "properties": properties})

    def settle(self) -> None:
        self._clock({})

    def settle_for_real(self, seconds: float = 20) -> None:
        """For a workspace in real time: wait until the archive holds as many events for a while."""
        deadline, before = time.monotonic() + seconds, -1
        while time.monotonic() < deadline:
            answer = self.request("GET", "/events", limit="1")
            found = answer.json().get("count", -1) if answer.status_code == 200 else -1
            if found == before and found > 0:
                return
            before = found
            time.sleep(1)

    def pass_time(self, **delta: float) -> None:
        """Move the test clock forward."""
        assert self.now is not None
        self.now += dt.timedelta(**delta)
        self._clock({"now": self.now.isoformat()})

    def _clock(self, body: dict[str, str]) -> None:
        answer = self.world.platform("POST", f"/workspaces/{self.id}/clock", body)
        assert answer.status_code == 200, answer.text

    def segment(self, name: str, entry: dict[str, Any], *nodes: dict[str, Any]) -> dict[str, Any]:
        return self.put(
            "/segments", name=name, definition={"entryNode": {"id": "entry", **entry}, "nodes": list(nodes)}
        )

    def journey(self, name: str, entry: dict[str, Any], *nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
        definition = {"entryNode": entry, "exitNode": {"type": "ExitNode"}, "nodes": list(nodes)}
        return self.put("/journeys", **{"name": name, "status": "Running", "definition": definition, **more})

    def mail_template(self, name: str = "mail", subject: str = "Hello {{ user.id }}", **more: Any) -> dict[str, Any]:
        definition = {"type": "Email", "from": "shop@shop.test", "subject": subject, "body": "<p>Hi</p>", **more}
        return self.put("/content/templates", name=name, definition=definition)

    def use_mailbox(self, port: int | None = None) -> None:
        config = {"type": "Smtp", "host": "127.0.0.1", "port": str(port or self.world.mailbox.port)}
        self.put("/settings/email-providers", setDefault=True, config=config)

    def mail_on(self, event: str, *, port: int | None = None) -> dict[str, Any]:
        """Mail everybody who does something, each time."""
        self.use_mailbox(port)
        variant = {"type": "Email", "templateId": self.mail_template()["id"]}
        node = {"type": "MessageNode", "id": "send", "child": "ExitNode", "variant": variant}
        return self.journey("welcome", {"type": "EventEntryNode", "event": event, "child": "send"}, node)

    def users(self, **body: Any) -> dict[str, dict[str, Any]]:
        answer = self.request("POST", "/users", {"limit": 1000, **body})
        assert answer.status_code == 200, answer.text
        return {user["id"]: user for user in answer.json()["users"]}

    def members(self, segment: dict[str, Any]) -> set[str]:
        return set(self.users(segmentFilter=[segment["id"]]))

    def properties(self, user: str) -> dict[str, Any]:
        found = self.users(userIds=[user])[user]["properties"]
        return {item["name"]: item["value"] for item in found.values()}
