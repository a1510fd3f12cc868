"""Durations in 32 buckets, each half as wide again as the one before: 1 ms to 5 minutes, right to a fifth. Pure."""

import math
from collections.abc import Sequence
from typing import Final

BUCKETS: Final = 32
_GROWTH: Final = 1.5


def bucket(millis: float) -> int:
    """The bucket of a duration: bucket n holds what is above 1.5^(n-1) ms and at most 1.5^n ms."""
    if millis <= 1:
        return 0
    return min(BUCKETS - 1, math.ceil(math.log(millis, _GROWTH) - 1e-9))


def upper(index: int) -> float:
    """The longest duration in a bucket, in milliseconds."""
    return _GROWTH**index


def percentile(counts: Sequence[int], share: float) -> float | None:
    """The duration in milliseconds that `share` of all stay below, as the middle of its bucket; None without any."""
    total = sum(counts)
    if not total:
        return None
    wanted, seen = share * total, 0
    for index, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return round(upper(index) / math.sqrt(_GROWTH) if index else upper(0), 1)
    return None
