"""Writing profiles back: the profiles, their memberships and the signals, in the caller's transaction."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from tenfold.engagement.audience import fold, profile_store, signals
from tenfold.engagement.audience.fold import Changes, Profile
from tenfold.engagement.audience.profile_store import MemberColumns, ProfileColumns
from tenfold.engagement.audience.program import Program
from tenfold.engagement.events.model import Folded
from tenfold.jobs import queue
from tenfold.kit.clock import from_millis
from tenfold.storage.db import Db
from tenfold.tenancy.scope import Workspace

_JSON = msgspec.json.Encoder()
_FAR = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Writes:
    """Collected changes of profiles, written with `flush`."""

    new: ProfileColumns = field(default_factory=ProfileColumns)
    old: ProfileColumns = field(default_factory=ProfileColumns)
    added: MemberColumns = field(default_factory=MemberColumns)
    removed: MemberColumns = field(default_factory=MemberColumns)
    told: dict[UUID, signals.Signal] = field(default_factory=dict[UUID, signals.Signal])
    lanes: dict[UUID, UUID] = field(default_factory=dict[UUID, UUID])

    def profile(self, workspace: Workspace, user_id: str, profile: Profile, changes: Changes, *, known: bool) -> None:
        """Note a profile; `known` when it is in the database already."""
        rows = self.old if known and not changes.properties else self.new
        rows.workspaces.append(workspace.workspace_id)
        rows.users.append(user_id)
        rows.states.append(fold.pack(profile))
        rows.properties.append("" if rows is self.old else _JSON.encode(profile.properties).decode())
        rows.segments.append("{" + ",".join(profile.segments) + "}")
        rows.wakes.append(_moment(profile.wake_at))
        rows.lanes.append(None if workspace.test_now else workspace.root_id)

    def members(self, workspace: Workspace, user_id: str, profile: Profile, changes: Changes) -> None:
        identity = workspace.workspace_id
        for segment in changes.entered:
            self.added.add(identity, segment, user_id, from_millis(profile.segments[segment]))
        for segment in changes.left:
            self.removed.add(identity, segment, user_id, _FAR)

    def tell(self, workspace: Workspace, program: Program, user_id: str, changes: Changes, now: int) -> None:
        """Note the changes of segments that somebody watches."""
        watched = program.watched_segments
        for segments, entered in ((changes.entered, True), (changes.left, False)):
            for segment in segments:
                if segment in watched:
                    change = signals.SegmentChange(user_id, segment, entered, now)
                    self._signal(workspace).changes.append(change)

    def tell_event(self, workspace: Workspace, folded: Folded) -> None:
        self._signal(workspace).events.append(folded)

    async def flush(self, db: Db) -> None:
        if self.new.users:
            await profile_store.save(db, self.new)
        if self.old.users:
            await profile_store.update(db, self.old)
        if self.removed.users:
            await profile_store.remove_members(db, self.removed)
        if self.added.users:
            await profile_store.add_members(db, self.added)
        jobs = [(workspace, self.lanes[workspace], signals.pack(signal)) for workspace, signal in self.told.items()]
        await queue.enqueue_many(db, signals.TOPIC, jobs)

    def _signal(self, workspace: Workspace) -> signals.Signal:
        self.lanes[workspace.workspace_id] = workspace.root_id
        return self.told.setdefault(workspace.workspace_id, signals.Signal([], []))


def _moment(millis: int | None) -> datetime | None:
    try:
        return None if millis is None else from_millis(millis)
    except (OverflowError, ValueError, OSError):
        return _FAR
