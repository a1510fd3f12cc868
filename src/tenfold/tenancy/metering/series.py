"""What is told to whoever watches a process: one list for Prometheus and OpenTelemetry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tenfold.kit import histogram
from tenfold.tenancy.exposition import REST, Exposition
from tenfold.tenancy.gate import Gate
from tenfold.tenancy.meter import Tally

LABEL: Final = "workspace"


@dataclass(frozen=True, slots=True)
class Series:
    """Values by workspace (the heaviest by id, `other` for the rest). A counter only grows."""

    name: str
    help: str
    counter: bool
    values: dict[str, float]


_COUNTERS: Final[tuple[tuple[str, str, Callable[[Tally], float]], ...]] = (
    ("tenfold_events", "Events folded, without the platform's own", lambda tally: tally.events),
    ("tenfold_messages", "Messages sent", lambda tally: tally.messages),
    ("tenfold_requests", "Requests answered", lambda tally: tally.requests),
    ("tenfold_request_errors", "Requests answered with a fault of ours", lambda tally: tally.errors),
    ("tenfold_database_statements", "Statements sent to PostgreSQL", lambda tally: tally.statements),
    ("tenfold_database_seconds", "Time that connections were held", lambda tally: tally.database_ms / 1000),
    ("tenfold_cache_hits", "Looks into the cache that found something", lambda tally: tally.cache_hits),
    ("tenfold_cache_misses", "Looks into the cache that found nothing", lambda tally: tally.cache_misses),
)


def read(exposition: Exposition, gate: Gate) -> list[Series]:
    """Everything, as it is now."""
    tallies = exposition.read()
    found = [
        Series(name, words, counter=True, values={label: value(tally) for label, tally in tallies.items()})
        for name, words, value in _COUNTERS
    ]
    use = gate.use()
    held = _named({key: in_hand for key, (in_hand, _) in use.items()}, tallies)
    waiting = _named({key: queued for key, (_, queued) in use.items()}, tallies)
    return [
        *found,
        Series("tenfold_connections_in_use", "Connections held now", counter=False, values=held),
        Series("tenfold_connections_wanted", "Requests that wait for a connection", counter=False, values=waiting),
    ]


def durations(exposition: Exposition) -> tuple[list[tuple[float, int]], float]:
    """All requests by duration: for each bucket its upper bound in seconds and how many took so long at most; the sum.

    The sum of seconds is reckoned from the middle of the buckets.
    """
    counts = [0] * histogram.BUCKETS
    for tally in exposition.read().values():
        for index, count in enumerate(tally.latencies):
            counts[index] += count
    buckets: list[tuple[float, int]] = []
    seconds, total = 0.0, 0
    for index, count in enumerate(counts):
        total += count
        seconds += count * histogram.upper(index) / 1000 / 1.22
        buckets.append((histogram.upper(index) / 1000, total))
    return buckets, seconds


def _named(values: dict[UUID, int], tallies: dict[str, Tally]) -> dict[str, float]:
    named: dict[str, float] = {REST: 0}
    for key, value in values.items():
        label = str(key) if str(key) in tallies else REST
        named[label] = named.get(label, 0) + value
    return named
