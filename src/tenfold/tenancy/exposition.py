"""What a process has metered since it began, for Prometheus and OpenTelemetry: the heaviest by name, the rest together.

A workspace that was among the heaviest once keeps its name, so every series only grows; there are never more than
a hundred names.
"""

import threading
from collections.abc import Mapping
from uuid import UUID

from tenfold.tenancy.meter import Tally

_HEAVIEST, _MOST_NAMED = 20, 100
REST = "other"


class Exposition:
    """Totals of one process, written by its event loops and read by whoever scrapes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._named: dict[UUID, Tally] = {}
        self._rest = Tally()

    def add(self, tallies: Mapping[UUID, Tally]) -> None:
        heaviest = sorted(tallies, key=lambda key: tallies[key].database_ms, reverse=True)[:_HEAVIEST]
        with self._lock:
            for workspace in heaviest:
                if len(self._named) < _MOST_NAMED:
                    self._named.setdefault(workspace, Tally())
            for workspace, tally in tallies.items():
                self._named.get(workspace, self._rest).add(tally)

    def read(self) -> dict[str, Tally]:
        """Totals by label: the id of a workspace, or `other`. Copies, for another thread."""
        with self._lock:
            found = {str(workspace): tally for workspace, tally in self._named.items()} | {REST: self._rest}
            return {label: _copy(tally) for label, tally in found.items()}


def _copy(tally: Tally) -> Tally:
    copied = Tally()
    copied.add(tally)
    return copied
