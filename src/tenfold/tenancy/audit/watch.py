"""Who reached for what is not theirs.

A caller who names a foreign id is answered as if it did not exist, in the same time. So the look at whose it is
happens afterwards: ids are collected and looked up together, and the crossing is written into the log of the
workspace that was reached for.
"""

import asyncio
import contextlib
import re
from collections import deque
from dataclasses import dataclass
from uuid import UUID

from tenfold.kit.logs import get
from tenfold.storage.db import Row
from tenfold.tenancy import door, workspaces
from tenfold.tenancy.audit import log, store
from tenfold.tenancy.scope import Actor, Scope, Stores, Workspace

_UUID = re.compile(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_LOOKED_AT = 65_536  # bytes of a request
_IDS_OF_ONE = 200
_WAITING = 20_000
_AT_ONCE = 500
_DOUBLES = 10_000
_PAUSE_SECONDS = 0.2
_log = get("audit")


@dataclass(frozen=True, slots=True)
class Reach:
    """A request, by whom, and the ids it named. `home` is where the caller is at home, if anywhere."""

    actor: Actor
    request_id: str
    address: str
    action: str
    home: Workspace | None
    ids: frozenset[UUID]


def named_ids(*parts: bytes) -> frozenset[UUID]:
    """The ids in the parts of a request."""
    found = (match for part in parts for match in _UUID.findall(part[:_LOOKED_AT]))
    return frozenset(UUID(match.decode()) for match, _ in zip(found, range(_IDS_OF_ONE), strict=False))


class Watch:
    """Collects reaches from requests and settles them in the background."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._waiting: deque[Reach] = deque(maxlen=_WAITING)
        self._doubles: set[tuple[str, UUID]] = set()
        self._idle = asyncio.Event()
        self._more = asyncio.Event()
        self._idle.set()

    def note(self, reach: Reach) -> None:
        if reach.ids - {reach.home.workspace_id if reach.home else None}:
            self._waiting.append(reach)
            self._idle.clear()
            self._more.set()

    async def settled(self, seconds: float) -> None:
        """Wait until everything noted so far has been looked at, so long at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def run(self) -> None:
        while True:
            await self._more.wait()
            batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            try:
                await self._settle(batch)
            except Exception as error:  # noqa: BLE001 - the watch outlives any fault of one look
                _log.error("crossings could not be looked up", requests=len(batch), error=str(error))
            if not self._waiting:
                self._idle.set()
                self._more.clear()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _settle(self, batch: list[Reach]) -> None:
        wanted = list({identity for reach in batch for identity in reach.ids})
        owners: dict[UUID, list[Row]] = {}
        async with door.platform(self._stores) as db:
            for row in await store.owners_of(db, wanted):
                owners.setdefault(row["id"], []).append(row)
        for reach in batch:
            for identity in sorted(reach.ids & owners.keys()):
                await self._judge(reach, owners[identity])

    async def _judge(self, reach: Reach, rows: list[Row]) -> None:
        """Record a crossing for each foreign owner of an id.

        Who made a thing of their own with a foreign id (an upsert does that) is told of once, not at each use of it.
        """
        foreign: list[tuple[Workspace, Row]] = []
        for row in rows:
            reached = await workspaces.find(self._stores, row["workspace_id"])
            if reached is not None and not _at_home(reach.home, reached):
                foreign.append((reached, row))
        if len(foreign) < len(rows) and foreign and self._told(reach, rows[0]["id"]):
            return
        for reached, row in foreign:
            await self._record(reach, reached, row)

    def _told(self, reach: Reach, identity: UUID) -> bool:
        if len(self._doubles) > _DOUBLES:
            self._doubles.clear()
        seen = (reach.actor.id, identity) in self._doubles
        self._doubles.add((reach.actor.id, identity))
        return seen

    async def _record(self, reach: Reach, reached: Workspace, row: Row) -> None:
        scope = Scope(self._stores, reached, reach.actor, reach.request_id, reach.address)
        home = {"workspace": str(reach.home.workspace_id)} if reach.home else {}
        target = (row["type"], str(row["id"]))
        await log.record(scope, "workspace.crossing", target, allowed=False, changes={"request": reach.action, **home})


def _at_home(home: Workspace | None, reached: Workspace) -> bool:
    return home is not None and home.workspace_id in (reached.workspace_id, reached.parent_id)
