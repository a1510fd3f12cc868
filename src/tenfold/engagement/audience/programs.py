"""The compiled programs of the workspaces a worker sees, kept until their version changes."""

from collections import defaultdict
from typing import Any
from uuid import UUID

from tenfold.engagement.audience import store
from tenfold.engagement.audience.program import Program, build
from tenfold.storage.db import Db
from tenfold.tenancy.scope import Workspace

_KEPT = 20_000


class Programs:
    """A cache by workspace; `load` reads in one round trip what is missing or stale."""

    def __init__(self) -> None:
        self._programs: dict[UUID, Program] = {}

    async def load(self, db: Db, workspaces: dict[UUID, Workspace]) -> dict[UUID, Program]:
        stale = [identity for identity, workspace in workspaces.items() if not self._current(workspace)]
        if stale:
            if len(self._programs) + len(stale) > _KEPT:
                self._programs.clear()
                stale = list(workspaces)
            await self._read(db, stale, workspaces)
        return {identity: self._programs[identity] for identity in workspaces}

    def _current(self, workspace: Workspace) -> bool:
        known = self._programs.get(workspace.workspace_id)
        return known is not None and known.version == workspace.definitions_version

    async def _read(self, db: Db, stale: list[UUID], workspaces: dict[UUID, Workspace]) -> None:
        answers = [await answer.rows() for answer in await store.definitions(db, stale)]
        grouped: list[defaultdict[UUID, list[Any]]] = [defaultdict(list) for _ in answers]
        for groups, rows in zip(grouped, answers, strict=True):
            for row in rows:
                groups[row["workspace_id"]].append(row)
        for identity in stale:
            version = workspaces[identity].definitions_version
            self._programs[identity] = build(version, *(groups[identity] for groups in grouped))
