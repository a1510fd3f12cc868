"""Tokens count only when everything about them is right. The keys come from a real HTTP server."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tenfold.http.openid import OpenId
from tenfold.kit.errors import Unauthorized, Unavailable
from tenfold.kit.settings import OpenIdSettings

GOOD_KEY = RSAKey.generate_key(2048, {"kid": "good", "alg": "RS256", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "good", "alg": "RS256", "use": "sig"})


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"keys": KeySet([GOOD_KEY]).as_dict(private=False)["keys"]} if self.path == "/jwks" else {
                "issuer": root, "jwks_uri": f"{root}/jwks", "authorization_endpoint": f"{root}/auth", "token_endpoint": f"{root}/token",
            }  # fmt: skip
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    root = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield root
    server.shutdown()
    server.server_close()


def claims(issuer: str, **changes: Any) -> dict[str, Any]:
    moment = int(time.time())
    made = {
        "iss": issuer,
        "aud": "tenfold",
        "sub": "1",
        "exp": moment + 300,
        "iat": moment,
        "email": "Bob@x.test",
        "email_verified": True,
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def signed(body: dict[str, Any], key: Any = GOOD_KEY, algorithm: str = "RS256") -> str:
    return jwt.encode({"alg": algorithm, "kid": "good"}, body, key, algorithms=[algorithm])


def provider(issuer: str) -> OpenId:
    return OpenId(OpenIdSettings(issuer=issuer, client_id="tenfold"))


async def test_a_good_token_says_who_it_is(issuer: str) -> None:
    found = await provider(issuer).verify(signed(claims(issuer, name="Bob")))
    assert (found.subject, found.email, found.email_verified, found.name) == ("1", "Bob@x.test", True, "Bob")
    assert (await provider(issuer).verify(signed(claims(issuer, aud=["x", "tenfold"])))).subject == "1"
    assert not (await provider(issuer).verify(signed(claims(issuer, email_verified=None)))).email_verified


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1}, {"exp": None}, {"iss": "https://evil.test"}, {"iss": None}, {"aud": "other"}, {"aud": None}, {"aud": []},
        {"sub": None}, {"email": None}, {"email": 7}, {"sub": 7}, {"nbf": int(time.time()) + 3600},
    ],
)  # fmt: skip
async def test_a_token_with_a_wrong_claim_is_refused(issuer: str, changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        await provider(issuer).verify(signed(claims(issuer, **changes)))


async def test_forged_tokens_are_refused(issuer: str) -> None:
    body = claims(issuer)
    good = signed(body)
    head, payload, signature = good.split(".")
    nothing = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    admin = base64.urlsafe_b64encode(json.dumps({**body, "email": "alice@x.test"}).encode()).decode().rstrip("=")
    hs256 = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"good"}').decode().rstrip("=")
    mac = hmac.digest(GOOD_KEY.as_pem(private=False), f"{hs256}.{payload}".encode(), "sha256")
    with_public_key = f"{hs256}.{payload}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    forged = [
        signed(body, OTHER_KEY), f"{nothing}.{payload}.", f"{head}.{admin}.{signature}", good[:-4], good[: len(good) // 2],
        f"{head}.{payload}.", "", "..", "x" * 20_000, with_public_key,
    ]  # fmt: skip
    for token in forged:
        with pytest.raises(Unauthorized):
            await provider(issuer).verify(token)


async def test_the_nonce_ties_a_token_to_its_login(issuer: str) -> None:
    token = signed(claims(issuer, nonce="mine"))
    assert await provider(issuer).verify(token, nonce="mine")
    for wrong in ("other", ""):
        with pytest.raises(Unauthorized):
            await provider(issuer).verify(token, nonce=wrong)


async def test_a_provider_that_is_away_is_said_so() -> None:
    with pytest.raises(Unavailable, match="identity provider is away"):
        await provider("http://127.0.0.1:9").verify("a.b.c")
