"""A person at a browser, as far as cookies and redirects go, and the identity provider they sign in at."""

import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.world import Server

_SCRIPT = Path(__file__).parent / "node" / "provider.mjs"
SECRET = "a-secret-of-the-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Provider:
    """A certified OpenID Connect provider (oidc-provider, from npm) as a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def start(self, redirect: str) -> None:
        command = ["node", str(_SCRIPT), str(self.port), redirect]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == "ready", "npm ci --prefix tests/node was not run"

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


class Browser:
    """Keeps cookies and follows redirects one by one."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.url, timeout=60, headers={"sec-fetch-site": "same-origin"})

    def close(self) -> None:
        self.http.close()

    def sign_in(self, email: str, *, path: str = "/dashboard/login", **claims: str) -> httpx.Response:
        """From our login page over the provider's and back; the answer of our callback."""
        answer = self.http.get(path)
        return self.follow(answer, email, **claims)

    def follow(self, answer: httpx.Response, email: str, **claims: str) -> httpx.Response:
        for _ in range(10):
            if answer.status_code not in (302, 303) or "/oauth2/callback" in str(answer.request.url):
                return answer
            url = answer.request.url.join(answer.headers["location"])
            if urlsplit(str(url)).path.startswith("/interaction/"):
                url = url.copy_merge_params({"email": email, **claims})
            answer = self.http.get(url)
        raise AssertionError("the redirects do not end")

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.http.get(f"/api{path}", params=query)

    def put(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.http.put(f"/api{path}", json=body, headers=headers)

    @property
    def token(self) -> str | None:
        return self.http.cookies.get("session")
