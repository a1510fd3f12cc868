"""A scope: for which workspaces, by whom, at what time, through which stores.

It is the explicit first argument of everything that touches a tenant's data.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from tenfold.kit.clock import EPOCH, to_millis
from tenfold.kit.flights import Flights
from tenfold.storage.clickhouse import ClickHouse
from tenfold.storage.postgres import Pool
from tenfold.tenancy.exposition import Exposition
from tenfold.tenancy.gate import Gate
from tenfold.tenancy.memory import Memory
from tenfold.tenancy.meter import Meter


@dataclass(frozen=True, slots=True)
class KeyUse:
    """An admin key was used."""

    workspace_id: UUID
    key_id: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class Stores:
    """The handles of one process and event loop, made in `wiring`."""

    app: Pool
    service: Pool
    clickhouse: ClickHouse
    secret: bytes
    context_key: bytes
    gate: Gate
    memory: Memory = field(default_factory=Memory)
    key_uses: dict[UUID, KeyUse] = field(default_factory=dict[UUID, KeyUse])
    meter: Meter = field(default_factory=Meter)
    exposition: Exposition = field(default_factory=Exposition)
    flights: Flights = field(default_factory=Flights)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A row of the directory. `test_now` is set for workspaces that live in their own time.

    Where requests come in it is known as well how many a minute it and its parent may make (None: any number), and
    whether a limit must be looked at before events are taken.
    """

    workspace_id: UUID
    root_id: UUID
    parent_id: UUID | None
    name: str
    type: str
    status: str
    external_id: str | None
    domain: str | None
    test_now: datetime | None
    definitions_version: int
    created_at: datetime
    updated_at: datetime
    service_class: str = "standard"
    own_requests: int | None = None
    parents_requests: int | None = None
    events_limited: bool = False

    @property
    def active(self) -> bool:
        return self.status == "Active"

    def present(self, real: datetime) -> int:
        """The workspace's now in epoch milliseconds, when it is `real` outside."""
        return to_millis(self.test_now or real)

    @property
    def accepts_events(self) -> bool:
        return self.active and self.type != "Parent"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a member, an admin key, the platform, or the system itself."""

    type: str
    id: str
    name: str = ""


SYSTEM = Actor("system", "tenfold")


@dataclass(frozen=True, slots=True)
class Scope:
    """The right to one workspace: who acts, in which request, from which address, and what they may do."""

    stores: Stores
    workspace: Workspace
    actor: Actor = SYSTEM
    request_id: str = ""
    address: str = ""
    permissions: frozenset[str] = frozenset()

    @property
    def workspace_id(self) -> UUID:
        return self.workspace.workspace_id

    @property
    def claimed(self) -> frozenset[UUID]:
        return frozenset((self.workspace.workspace_id,))

    def at(self, workspace: Workspace) -> "Scope":
        return replace(self, workspace=workspace)


def platform_workspace(identity: UUID) -> Workspace:
    """The stand-in for a workspace in scopes of the platform itself: it has a log, and nothing else."""
    return Workspace(identity, identity, None, "platform", "Root", "Active", None, None, None, 0, EPOCH, EPOCH)


@dataclass(frozen=True, slots=True)
class BatchScope:
    """The right to exactly the workspaces whose work a worker has claimed."""

    stores: Stores
    claimed: frozenset[UUID]
    actor: Actor = SYSTEM
    request_id: str = ""
    address: str = ""
