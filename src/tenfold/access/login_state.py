"""What a login must remember between leaving for the identity provider and coming back, in a signed cookie."""

import base64
import hmac
import json
from dataclasses import asdict, dataclass

from tenfold.kit.clock import now, to_millis
from tenfold.tenancy import keys

COOKIE = "login"
SECONDS = 600
_PURPOSE = "login state"


@dataclass(frozen=True, slots=True)
class LoginState:
    """`state` and `nonce` tie the answer to this browser, `verifier` proves it to the provider (RFC 7636)."""

    state: str
    nonce: str
    verifier: str
    return_to: str
    expires: int


def expiry() -> int:
    return to_millis(now()) + SECONDS * 1000


def pack(secret: bytes, state: LoginState) -> str:
    body = base64.urlsafe_b64encode(json.dumps(asdict(state)).encode()).decode().rstrip("=")
    return f"{body}.{keys.sign(secret, _PURPOSE, body.encode())}"


def unpack(secret: bytes, text: str | None) -> LoginState | None:
    """The state, unless it was not signed by us or has run out."""
    body, _, signature = (text or "").partition(".")
    expected = keys.sign(secret, _PURPOSE, body.encode())
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return None
    state = LoginState(**json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
    return state if state.expires > to_millis(now()) else None


def safe_return(path: str | None) -> str:
    """A path on this site; anything else leads home, so that a login cannot be used to send people elsewhere."""
    text = path or ""
    plain = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() and "\\" not in text
    return text if plain else HOME


HOME = "/api/session"
