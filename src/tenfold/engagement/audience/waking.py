"""Windows that pass: profiles whose time has come are evaluated again, without any event."""

from functools import partial

from tenfold.engagement.audience import fold, profile_store
from tenfold.engagement.audience.folding import PURPOSE
from tenfold.engagement.audience.programs import Programs
from tenfold.engagement.audience.writer import Writes
from tenfold.jobs import store as jobs_store
from tenfold.jobs.fairness import LANES_WALKED, Round
from tenfold.kit.clock import now
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import BatchScope, Stores
from tenfold.tenancy.workspaces import workspaces_of

_MOST, _PER_LANE = 1_000, 32


async def wake_once(stores: Stores, programs: Programs, place: Round) -> int:
    """Evaluate the profiles that are due; how many there were. `place` is in the round of lanes."""
    async with door.queues(stores) as db:
        rows = await place.due(
            await profile_store.peek_wakes(db, _MOST),
            partial(profile_store.peek_wake_lanes, db, lanes=LANES_WALKED, per_lane=_PER_LANE),
            _MOST,
        )
    if not rows:
        return 0
    scope = BatchScope(stores, frozenset(row["workspace_id"] for row in rows))
    async with door.workspace(scope) as db:
        held = await jobs_store.lock_lanes(db, PURPOSE, list({row["lane"] for row in rows}))
        mine = [row for row in rows if row["lane"] in held]
        if mine:
            await _wake(db, mine, programs)
    return len(mine)


async def _wake(db: Db, rows: list[Row], programs: Programs) -> None:
    wanted = sorted((row["workspace_id"], row["id"]) for row in rows)
    loading = await profile_store.load(db, [key[0] for key in wanted], [key[1] for key in wanted])
    workspaces = await workspaces_of(db, list({key[0] for key in wanted}))
    profiles = await loading.rows()
    known = await programs.load(db, workspaces)
    writes, real = Writes(), now()
    for row in profiles:
        workspace = workspaces[row["workspace_id"]]
        present = workspace.present(real)
        profile = fold.unpack(row["state"])
        changes = fold.evaluate(profile, row["user_id"], known[workspace.workspace_id], present, set())
        drop_stale_wakes(profile, present)
        writes.profile(workspace, row["user_id"], profile, changes, known=True)
        writes.members(workspace, row["user_id"], profile, changes)
        writes.tell(workspace, known[workspace.workspace_id], row["user_id"], changes, present)
    await writes.flush(db)


def drop_stale_wakes(profile: fold.Profile, present: int) -> None:
    """A wake of a segment that is paused or gone would come again and again."""
    for segment in [segment for segment, due in profile.wakes.items() if due <= present]:
        del profile.wakes[segment]
