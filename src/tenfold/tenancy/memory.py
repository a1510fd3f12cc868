"""What a process remembers of the directory: workspaces, and the keys that open them.

Each entry names the workspaces it speaks of, and the count of changes when it was looked up. A change of one of them
later on makes it void, in whatever order lookup and change end. Changes come from the process itself and, as PostgreSQL
tells them, from all others (`tenancy/hearing.py`): while they are heard an entry holds for a minute, otherwise for a
second.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from cachetools import TTLCache

from tenfold.kit.clock import monotonic

_KEPT: Final = 150_000
_HEARD_SECONDS: Final = 60
_UNHEARD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Entry:
    value: Any
    workspaces: tuple[UUID, ...]
    changes: int
    at: float


@dataclass(slots=True)
class Memory:
    """`changes` counts those that were told; read it before a lookup and give it to `keep`."""

    changes: int = 0
    _entries: TTLCache[Hashable, _Entry] = field(
        default_factory=lambda: TTLCache[Hashable, _Entry](_KEPT, _HEARD_SECONDS)
    )
    _changed: dict[UUID, int] = field(default_factory=dict[UUID, int])
    _cleared: int = 0
    _heard_until: float = 0.0

    def recall(self, key: Hashable) -> Any | None:
        entry = self._entries.get(key)
        return entry.value if entry is not None and self._holds(entry) else None

    def keep(self, key: Hashable, value: Any, workspaces: Iterable[UUID | None], changes: int) -> None:
        """Remember what speaks of these workspaces and was looked up after so many changes."""
        named = tuple(item for item in workspaces if item is not None)
        self._entries[key] = _Entry(value, named, changes, monotonic())

    def forget(self, workspace_id: UUID) -> None:
        """Something about a workspace has changed: what speaks of it or of its children is void."""
        self.changes += 1
        self._changed[workspace_id] = self.changes
        if len(self._changed) > _KEPT:
            self.clear()

    def clear(self) -> None:
        """Changes may have been missed."""
        self.changes += 1
        self._cleared = self.changes
        self._changed.clear()

    def heard(self, seconds: float) -> None:
        """Changes are known to be heard now, and taken to be heard for so long."""
        self._heard_until = monotonic() + seconds

    def _holds(self, entry: _Entry) -> bool:
        now = monotonic()
        if now >= self._heard_until and now - entry.at >= _UNHEARD_SECONDS:
            return False
        if entry.changes < self._cleared:
            return False
        return all(self._changed.get(item, 0) <= entry.changes for item in entry.workspaces)
