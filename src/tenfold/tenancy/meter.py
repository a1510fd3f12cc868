"""What the workspaces of a process use, counted as it passes by: no statement of its own, some dictionary entries."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from tenfold.kit.histogram import BUCKETS, bucket


@dataclass(slots=True)
class Tally:
    """What one workspace used. Times in milliseconds; a statement for several workspaces is shared between them.

    Events and messages are kept elsewhere, exactly; here they are for whoever watches the process.
    """

    events: int = 0
    messages: int = 0
    requests: int = 0
    errors: int = 0
    statements: float = 0.0
    database_ms: float = 0.0
    cache_hits: int = 0
    cache_misses: int = 0
    lag_ms: float = 0.0
    latencies: list[int] = field(default_factory=list[int])

    def add(self, other: "Tally") -> None:
        self.events += other.events
        self.messages += other.messages
        self.requests += other.requests
        self.errors += other.errors
        self.statements += other.statements
        self.database_ms += other.database_ms
        self.cache_hits += other.cache_hits
        self.cache_misses += other.cache_misses
        self.lag_ms = max(self.lag_ms, other.lag_ms)
        if other.latencies:
            mine = self.latencies or [0] * BUCKETS
            self.latencies = [one + more for one, more in zip(mine, other.latencies, strict=True)]


class Meter:
    """The tallies of one process and event loop since they were last drained."""

    def __init__(self) -> None:
        self._tallies: dict[UUID, Tally] = {}

    def statements(self, workspaces: Collection[UUID], count: int, seconds: float) -> None:
        """Statements and the time that their connection was held."""
        share = 1 / len(workspaces)
        for workspace in workspaces:
            tally = self.of(workspace)
            tally.statements += count * share
            tally.database_ms += seconds * 1000 * share

    def request(self, workspace: UUID, seconds: float, *, failed: bool) -> None:
        """A request answered; `failed` when by a fault of ours (5xx)."""
        tally = self.of(workspace)
        tally.requests += 1
        tally.errors += failed
        if not tally.latencies:
            tally.latencies = [0] * BUCKETS
        tally.latencies[bucket(seconds * 1000)] += 1

    def cache(self, workspace: UUID, *, hit: bool) -> None:
        tally = self.of(workspace)
        if hit:
            tally.cache_hits += 1
        else:
            tally.cache_misses += 1

    def lag(self, workspace: UUID, millis: float) -> None:
        """How long an event waited to be folded."""
        tally = self.of(workspace)
        tally.lag_ms = max(tally.lag_ms, millis)

    def of(self, workspace: UUID) -> Tally:
        found = self._tallies.get(workspace)
        if found is None:
            found = self._tallies[workspace] = Tally()
        return found

    def drain(self) -> dict[UUID, Tally]:
        drained, self._tallies = self._tallies, {}
        return drained

    def take(self, workspace: UUID) -> dict[UUID, Tally]:
        """What one workspace used; nothing when it did nothing."""
        tally = self._tallies.pop(workspace, None)
        return {} if tally is None else {workspace: tally}

    def put_back(self, tallies: dict[UUID, Tally]) -> None:
        """Take back what could not be written."""
        for workspace, tally in tallies.items():
            self.of(workspace).add(tally)
