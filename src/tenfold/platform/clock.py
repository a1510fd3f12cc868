"""Test clocks: a workspace whose time moves when told, and everything due on the way happens in order."""

import asyncio
from datetime import datetime

from tenfold.engagement.audience import profile_store
from tenfold.engagement.deliveries import store as deliveries_store
from tenfold.engagement.events import store as events_store
from tenfold.engagement.journeys import run_store
from tenfold.jobs import store as jobs_store
from tenfold.kit.clock import monotonic
from tenfold.kit.errors import Conflict, Invalid, Unavailable
from tenfold.tenancy import door, store
from tenfold.tenancy.scope import Scope

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2
_GIVE_UP_SECONDS = 120


async def move(scope: Scope, target: datetime | None) -> datetime:
    """Move the workspace's clock to `target` (None: only wait until what was received is processed); its time then.

    Raises Conflict for a workspace without a test clock, Invalid for a step back.
    """
    moment = scope.workspace.test_now
    if moment is None:
        raise Conflict("this workspace lives in real time; only one made with testClock can be moved")
    if target is not None and target < moment:
        raise Invalid(f"now must not be before the clock's time, {moment.isoformat()}")
    await settle(scope)
    while target is not None and (due := await _next_due(scope, target)) is not None:
        moment = max(moment, due)
        await _set(scope, moment)
        await settle(scope)
    if target is not None:
        await _set(scope, target)
        await settle(scope)
    return target or moment


async def settle(scope: Scope) -> None:
    """Wait until everything received has had all its effects.

    Raises Unavailable after two minutes without an end.
    """
    pause, deadline = _FIRST_PAUSE, monotonic() + _GIVE_UP_SECONDS
    while await _busy(scope):
        if monotonic() > deadline:
            raise Unavailable("the workspace does not settle; is a worker running?")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _busy(scope: Scope) -> bool:
    """Work moves from queue to queue within transactions, so in one snapshot it is always somewhere."""
    async with door.workspace(scope, snapshot=True) as db:
        return any([await waiting(db, scope.workspace_id) for waiting in _QUEUES])


async def _next_due(scope: Scope, target: datetime) -> datetime | None:
    async with door.workspace(scope) as db:
        found = [await due(db, scope.workspace_id) for due in _TIMERS]
    moments = [moment for moment in found if moment is not None and moment <= target]
    return min(moments) if moments else None


async def _set(scope: Scope, moment: datetime) -> None:
    async with door.workspace(scope) as db:
        await store.set_test_now(db, scope.workspace_id, moment)
        for release in _RELEASES:
            await release(db, scope.workspace_id, scope.workspace.root_id, moment)
    scope.stores.memory.forget(scope.workspace_id)


_QUEUES = (
    events_store.waiting,
    profile_store.waiting,
    jobs_store.waiting,
    run_store.waiting,
    deliveries_store.waiting,
)
_TIMERS = (profile_store.next_wake, run_store.next_due, deliveries_store.next_release)
_RELEASES = (profile_store.release_wakes, run_store.release_due, deliveries_store.rouse_held)
