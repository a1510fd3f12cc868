"""The class of a workspace, set by the platform: its share under contention, and how long its statements may take."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ServiceClass:
    """`weight` is the share beside others. Timeouts in milliseconds; PostgreSQL ends what takes longer."""

    weight: int
    statement_timeout: int
    lock_timeout: int


STANDARD: Final = "standard"
CLASSES: Final = {
    "trial": ServiceClass(1, 10_000, 2_000),
    STANDARD: ServiceClass(4, 30_000, 5_000),
    "priority": ServiceClass(16, 60_000, 10_000),
}


def weight(name: str | None) -> int:
    return CLASSES[name or STANDARD].weight
