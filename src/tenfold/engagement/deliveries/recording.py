"""Recording what became of messages: whoever has the pen writes for all whose outcome is known by then."""

import asyncio
from uuid import UUID

from tenfold.engagement.deliveries import settle
from tenfold.engagement.deliveries.settle import Settled
from tenfold.kit.errors import Unavailable
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores, Workspace

_TRIES, _PAUSE = 60, 1.0
_MOST = 64  # outcomes of one transaction
Outcome = tuple[Workspace, Settled]


class Recorder:
    """One pen."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._ready: list[Outcome] = []
        self._pen = asyncio.Lock()

    async def record(self, workspace: Workspace, item: Settled) -> None:
        """Return once the outcome is written, with others that are ready."""
        self._ready.append((workspace, item))
        async with self._pen:
            ready, self._ready = self._ready[:_MOST], self._ready[_MOST:]
            if ready:
                await self.write(ready)

    async def write(self, settled: list[Outcome]) -> None:
        """Write outcomes; with the database away keep trying, for what has left must be known."""
        for attempt in range(_TRIES):
            try:
                sent = await self._attempt(settled)
            except Unavailable:
                if attempt == _TRIES - 1:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                for workspace in sent:
                    self._stores.meter.of(workspace).messages += 1
                return

    async def _attempt(self, settled: list[Outcome]) -> list[UUID]:
        workspaces = {workspace.workspace_id: workspace for workspace, _ in settled}
        async with door.workspace(BatchScope(self._stores, frozenset(workspaces))) as db:
            return await settle.write(db, workspaces, [item for _, item in settled])
