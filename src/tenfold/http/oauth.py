"""The messages of the OAuth 2.0 code flow (RFC 6749, RFC 7636), by Authlib; with types, which Authlib lacks."""
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportUnknownArgumentType=false

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge


def authorization_url(
    endpoint: str, client_id: str, redirect_uri: str, *, scope: str, state: str, nonce: str, verifier: str | None
) -> str:
    """Where a browser asks for a code. With a verifier the code is bound to it (PKCE)."""
    proof: dict[str, str] = {}
    if verifier is not None:
        proof = {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
    return prepare_grant_uri(
        endpoint, client_id, "code", redirect_uri=redirect_uri, scope=scope, state=state, nonce=nonce, **proof
    )


def token_request(
    endpoint: str, client_id: str, client_secret: str | None, redirect_uri: str, *, code: str, verifier: str | None
) -> tuple[str, dict[str, str], str]:
    """URL, headers and body of the request that turns a code into tokens."""
    proof = {} if verifier is None else {"code_verifier": verifier}
    body = prepare_token_request("authorization_code", redirect_uri=redirect_uri, code=code, **proof)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    client = ClientAuth(client_id, client_secret, "client_secret_basic" if client_secret else "none")
    return client.prepare("POST", endpoint, headers, body)
