"""Letting events in under a workspace's limits: exact, whoever else sends at the same time.

Requests of a family come one after another. Whoever is new is written down as a user with the events, so that the
counter of users is right at the commit; one too many (a fold made some meanwhile) is taken back before it.
"""

from dataclasses import dataclass

from tenfold.engagement.audience import fold, profile_store
from tenfold.engagement.audience.fold import Profile
from tenfold.engagement.events import store as events_store
from tenfold.engagement.events.allowance import USERS, Allowance, Limit, Message, Plan, messages_of
from tenfold.engagement.events.model import Event, identity
from tenfold.kit.clock import iso, now
from tenfold.kit.errors import QuotaExceeded
from tenfold.storage.db import Db
from tenfold.tenancy.quotas import store as quotas
from tenfold.tenancy.quotas.model import MONTHLY, next_month
from tenfold.tenancy.scope import Scope

_NOBODY = fold.pack(Profile({}, {}, {}, {}))


@dataclass(frozen=True, slots=True)
class Admitted:
    """The events to take, and what is to be said of the others once these are durable."""

    events: list[Event]
    refusal: QuotaExceeded | None


async def admit(db: Db, scope: Scope, events: list[Event]) -> Admitted:
    """The events that fit; room is held for them until the transaction ends."""
    rows = await quotas.hold_acceptance(db, scope.workspace_id)
    allowance = Allowance([Limit(**row) for row in rows])
    messages = messages_of(events)
    if any(limit.resource == USERS for limit in allowance.limits):
        users = sorted({event.user for event in events})
        allowance = Allowance(allowance.limits, await profile_store.known(db, scope.workspace_id, users))
    planned = allowance.plan(messages)
    if planned.refused:
        allowance = Allowance(allowance.limits, allowance.known, await _seen(db, scope, messages))
        planned = allowance.plan(messages)
    if planned.new_users and USERS in planned.room:
        allowance, planned = await _make_users(db, scope, allowance, planned, messages)
    return Admitted(planned.events(), _dated(scope, allowance.refusal(planned)))


async def _make_users(
    db: Db, scope: Scope, allowance: Allowance, planned: Plan, messages: list[Message]
) -> tuple[Allowance, Plan]:
    workspace = scope.workspace
    lane = None if workspace.test_now else workspace.root_id
    made = await profile_store.reserve(db, scope.workspace_id, sorted(planned.new_users), _NOBODY, lane)
    room = await quotas.users_room(db, scope.workspace_id)
    if room is None or room >= 0:
        return allowance, planned
    mine = [user for user in planned.new_users if user in made]
    extra = mine[room:]
    await profile_store.unreserve(db, scope.workspace_id, extra)
    fewer = allowance.closed({*allowance.known, *planned.new_users} - {*extra})
    return fewer, fewer.plan(messages)


async def _seen(db: Db, scope: Scope, messages: list[Message]) -> frozenset[str]:
    """The messages among these that came before."""
    ids = {identity(event): message.id for message in messages for event in message.events}
    return frozenset(ids[found] for found in await events_store.seen(db, scope.workspace_id, list(ids)))


def _dated(scope: Scope, refusal: QuotaExceeded | None) -> QuotaExceeded | None:
    """With the moment at which a monthly limit has room again."""
    if refusal is not None:
        monthly = refusal.data["resource"] in MONTHLY
        refusal.data["resetsAt"] = iso(next_month(scope.workspace.test_now or now())) if monthly else None
    return refusal
