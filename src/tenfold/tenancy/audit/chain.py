"""The proof behind the audit log, without I/O: hashes of entries, signed checkpoints, and the check of an export.

Each entry's hash covers the one before (SHA-256 over netstrings), as PostgreSQL computes it in
`tenancy.chain_audit` (migration 0009). A checkpoint signs where a chain begins and ends with Ed25519 (RFC 8032).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenfold.kit.jsontypes import as_list, as_object
from tenfold.tenancy import keys

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FIRST_PRINTABLE = 0x20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement: this workspace's chain goes from one entry to another. Hashes and key are hex."""

    workspace_id: str
    from_sequence: int
    from_hash: str
    sequence: int
    hash: str
    created_at: str

    def signed_bytes(self) -> bytes:
        begins, ends = (str(self.from_sequence), self.from_hash), (str(self.sequence), self.hash)
        return netstrings("tenfold audit checkpoint", self.workspace_id, *begins, *ends, self.created_at)


def netstrings(*fields: str) -> bytes:
    """Each field as `<length in bytes>:<field>,`: no two lists of fields give the same bytes."""
    encoded = [field.encode() for field in fields]
    return b"".join(b"%d:%s," % (len(field), field) for field in encoded)


def genesis(workspace_id: str) -> str:
    return hashlib.sha256(netstrings("tenfold audit log", workspace_id)).hexdigest()


def entry_hash(workspace_id: str, entry: Mapping[str, Any]) -> str:
    """The hash of an exported entry, given the one before that it names itself."""
    actor, target = entry["actor"], entry["target"]
    fields = (
        workspace_id, str(entry["sequence"]), entry["id"], entry["occurredAt"], entry["action"], actor["type"],
        actor["id"], actor["name"], target["type"], target["id"], entry["outcome"], entry["requestId"], entry["ip"],
        jsonb_text(entry["changes"]),
    )  # fmt: skip
    return hashlib.sha256(bytes.fromhex(entry["previousHash"]) + netstrings(*fields)).hexdigest()


def jsonb_text(value: Any) -> str:
    """JSON as PostgreSQL prints a jsonb value: keys by length, then by bytes; numbers as they are."""
    if (fields := as_object(value)) is not None:
        ordered = sorted(fields, key=lambda name: (len(name.encode()), name.encode()))
        return "{" + ", ".join(f"{_quoted(name)}: {jsonb_text(fields[name])}" for name in ordered) + "}"
    if (items := as_list(value)) is not None:
        return "[" + ", ".join(map(jsonb_text, items)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def signing_key(secret: bytes) -> Ed25519PrivateKey:
    """The installation's key for checkpoints; it follows from its secret."""
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys.sign(secret, "audit checkpoint", b"")))


def public_key(secret: bytes) -> str:
    """The public half as hex: what an auditor notes down once and compares with."""
    return signing_key(secret).public_key().public_bytes_raw().hex()


def sign(secret: bytes, checkpoint: Checkpoint) -> str:
    return signing_key(secret).sign(checkpoint.signed_bytes()).hex()


def is_signed(checkpoint: Checkpoint, signature: str, key: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            bytes.fromhex(signature), checkpoint.signed_bytes()
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(mark) for mark in text) + '"'


def _escaped(mark: str) -> str:
    if mark in _ESCAPES:
        return _ESCAPES[mark]
    return f"\\u{ord(mark):04x}" if ord(mark) < _FIRST_PRINTABLE else mark
