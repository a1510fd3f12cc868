"""OpenID Connect Core 1.0 with an identity provider: the code flow with PKCE (RFC 7636), and tokens that are verified.

A token counts only with the provider's signature, its issuer, our audience and an end that lies ahead.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tenfold.http import oauth
from tenfold.kit.clock import monotonic
from tenfold.kit.errors import Unauthorized, Unavailable
from tenfold.kit.settings import OpenIdSettings
from tenfold.tenancy.access.people import Claims

_ALGORITHMS: Final = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
]
_SCOPE: Final = "openid email profile"
_KEYS_AGE_SECONDS = 30.0  # keys are fetched again for an unknown one, at most so often
_TIMEOUT_SECONDS = 10.0
_LEEWAY_SECONDS = 60
_LONGEST_TOKEN = 16_384


@dataclass(slots=True)
class OpenId:
    """One identity provider, discovered on first use."""

    settings: OpenIdSettings
    _document: dict[str, Any] = field(default_factory=dict[str, Any])
    _keys: KeySet | None = None
    _fetched: float = 0.0

    async def authorization_url(self, redirect_uri: str, *, state: str, nonce: str, verifier: str) -> str:
        """Where to send the browser."""
        return oauth.authorization_url(
            (await self._discovered())["authorization_endpoint"],
            self.settings.client_id,
            redirect_uri,
            scope=_SCOPE,
            state=state,
            nonce=nonce,
            verifier=verifier if self.settings.pkce else None,
        )

    async def exchange(self, redirect_uri: str, *, code: str, nonce: str, verifier: str) -> Claims:
        """Who the code is for.

        Raises Unauthorized when the provider or the token's checks say no.
        """
        url, headers, body = oauth.token_request(
            (await self._discovered())["token_endpoint"],
            self.settings.client_id,
            self.settings.client_secret,
            redirect_uri,
            code=code,
            verifier=verifier if self.settings.pkce else None,
        )
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
            try:
                answer = await client.post(url, headers=headers, content=body)
            except httpx.HTTPError as error:
                raise Unavailable(f"the identity provider is away: {error}") from error
        if answer.status_code != HTTPStatus.OK:
            raise Unauthorized("the identity provider refused the login")
        return await self.verify(str(answer.json().get("id_token", "")), nonce=nonce)

    async def verify(self, token: str, nonce: str | None = None) -> Claims:
        """The claims of a token.

        Raises Unauthorized, with one message whatever is wrong.
        """
        refusal = Unauthorized("token not valid")
        if not token or len(token) > _LONGEST_TOKEN:
            raise refusal
        claims = await self._decoded(token)
        wanted: dict[str, Any] = {
            "iss": {"essential": True, "value": (await self._discovered())["issuer"]},
            "aud": {"essential": True, "value": self.settings.client_id},
            "exp": {"essential": True},
            "sub": {"essential": True},
        }
        if nonce is not None:
            wanted["nonce"] = {"essential": True, "value": nonce}
        try:
            jwt.JWTClaimsRegistry(None, _LEEWAY_SECONDS, **wanted).validate(claims)
        except JoseError as error:
            raise refusal from error
        return self._claims(claims)

    async def end_session_url(self) -> str | None:
        return self.settings.end_session_url or (await self._discovered()).get("end_session_endpoint")

    def _claims(self, claims: dict[str, Any]) -> Claims:
        email, verified = claims.get("email"), claims.get("email_verified")
        if not isinstance(email, str) or not isinstance(claims["sub"], str):
            raise Unauthorized("token not valid")
        optional = {name: claims[name] for name in ("name", "picture") if isinstance(claims.get(name), str)}
        return Claims(self.settings.provider, claims["sub"], email, verified in (True, "true"), **optional)

    async def _decoded(self, token: str) -> dict[str, Any]:
        """The payload, once its signature fits one of the provider's keys, fetched anew if need be."""
        for fetch in (False, True):
            keys = await self._key_set(fetch=fetch)
            if keys is None:
                break
            try:
                return dict(jwt.decode(token, keys, algorithms=_ALGORITHMS).claims)
            except (JoseError, ValueError):
                continue
        raise Unauthorized("token not valid")

    async def _key_set(self, *, fetch: bool) -> KeySet | None:
        if self._keys is not None and not fetch:
            return self._keys
        if self._keys is not None and monotonic() < self._fetched + _KEYS_AGE_SECONDS:
            return None
        self._fetched = monotonic()
        self._keys = KeySet.import_key_set(await _get((await self._discovered())["jwks_uri"]))  # type: ignore[arg-type]
        return self._keys

    async def _discovered(self) -> dict[str, Any]:
        if not self._document:
            issuer = self.settings.issuer
            found = await _get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            given = {
                "authorization_endpoint": self.settings.authorization_url,
                "token_endpoint": self.settings.token_url,
            }
            self._document = {**found, **{name: url for name, url in given.items() if url}}
        return self._document


async def _get(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
        try:
            answer = await client.get(url)
            return answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"the identity provider is away: {error}") from error
