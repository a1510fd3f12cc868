"""What the database refuses by its own rules, as errors of ours."""

import json
from typing import Any, Final

import psycopg

from tenfold.kit.errors import QuotaExceeded

_QUOTA: Final = "TQ001"  # raised by tenancy.move_quota, migration 0010


def exceeded(error: psycopg.Error) -> QuotaExceeded | None:
    """The quota that a statement would have passed, if that is what went wrong."""
    if error.sqlstate != _QUOTA:
        return None
    found: dict[str, Any] = json.loads(error.diag.message_detail or "{}")
    message = f"{found['resource']} quota exceeded: {found['used']} of {found['limit']} used"
    return QuotaExceeded(message, **found, resetsAt=None)
