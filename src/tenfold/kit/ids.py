"""Ids: time-ordered UUIDs (RFC 9562, version 7), name-based UUIDs (version 5), parsing."""

import secrets
import time
from uuid import NAMESPACE_OID, UUID, uuid5

from tenfold.kit.errors import Invalid


def new_id() -> UUID:
    """A version 7 UUID: 48 bits of Unix milliseconds, then random bits."""
    millis = time.time_ns() // 1_000_000
    value = (millis << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value)


def named_id(namespace: UUID, name: str) -> UUID:
    """The same id for the same name, always (RFC 9562, version 5)."""
    return uuid5(namespace, name)


def constant_id(name: str) -> UUID:
    return uuid5(NAMESPACE_OID, f"tenfold:{name}")


def parse_id(text: object, field: str = "id") -> UUID:
    """A UUID from its canonical 36-character text.

    Raises Invalid, naming the field.
    """
    parsed = try_parse_id(text)
    if parsed is None:
        raise Invalid(f"{field} is not a valid UUID.")
    return parsed


def try_parse_id(text: object) -> UUID | None:
    if not isinstance(text, str) or len(text) != 36:  # noqa: PLR2004 - the canonical form
        return None
    try:
        return UUID(text)
    except ValueError:
        return None
