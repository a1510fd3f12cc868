"""The class of a workspace, set by the platform: its share under contention, and how long its statements may take."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ServiceClass:
    """`weight` is the share beside others. Timeouts in milliseconds; PostgreSQL ends what takes longer."""

    weight: float
    statement_timeout: int
    lock_timeout: int


STANDARD: Final = "standard"
CLASSES: Final = {
    "trial": ServiceClass(0.25, 10_000, 2_000),
    STANDARD: ServiceClass(1, 30_000, 5_000),
    "priority": ServiceClass(4, 60_000, 10_000),
}


def weight(name: str | None) -> float:
    return CLASSES[name or STANDARD].weight
