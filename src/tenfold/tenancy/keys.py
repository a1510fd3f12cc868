"""Secrets at rest and keys in hand.

Values are sealed with AES-256-GCM under a key derived per workspace (HKDF-SHA256, RFC 5869); the workspace
and the purpose are bound as associated data, so a sealed value moved to another row does not open.
"""

import base64
import hashlib
import hmac
import secrets
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12
_VERSION = b"\x01"


def seal(secret: bytes, workspace_id: UUID, purpose: str, plain: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    cipher = AESGCM(_derive(secret, workspace_id))
    return _VERSION + nonce + cipher.encrypt(nonce, plain, _bound(workspace_id, purpose))


def unseal(secret: bytes, workspace_id: UUID, purpose: str, sealed: bytes) -> bytes:
    """The plain value. Raises cryptography's InvalidTag for a value of another workspace or purpose."""
    nonce, body = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
    return AESGCM(_derive(secret, workspace_id)).decrypt(nonce, body, _bound(workspace_id, purpose))


def digest(key: str) -> bytes:
    """How a key is stored. Keys are random and long, so a plain SHA-256 is enough."""
    return hashlib.sha256(key.encode()).digest()


def matches(key: str, stored: bytes) -> bool:
    return hmac.compare_digest(digest(key), stored)


def sign(secret: bytes, purpose: str, message: bytes) -> str:
    """HMAC-SHA256 as hex, with a key of its own for each purpose."""
    return hmac.new(hmac.new(secret, purpose.encode(), "sha256").digest(), message, "sha256").hexdigest()


def basic_credentials(key_id: UUID, value: str) -> str:
    """A write key as clients send it: `Basic base64(id:value)`."""
    return "Basic " + base64.b64encode(f"{key_id}:{value}".encode()).decode()


def parse_basic(header: str) -> tuple[str, str] | None:
    """Id and value from an Authorization header; the scheme's word is not checked (as the reference)."""
    parts = header.split(" ")
    if len(parts) < 2:  # noqa: PLR2004 - scheme and credentials
        return None
    try:
        decoded = base64.b64decode(parts[1]).decode()
    except (ValueError, UnicodeDecodeError):
        return None
    if decoded.startswith("Basic "):  # a client that took the whole header for the user name
        return parse_basic(decoded.removesuffix(":"))
    fields = decoded.split(":")
    return (fields[0], fields[1]) if len(fields) > 1 else None


def _derive(secret: bytes, workspace_id: UUID) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=workspace_id.bytes, info=b"tenfold workspace key").derive(secret)


def _bound(workspace_id: UUID, purpose: str) -> bytes:
    return workspace_id.bytes + purpose.encode()
