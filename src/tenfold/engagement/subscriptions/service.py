"""Subscription groups: what they are made of, and whether a user is subscribed.

A group has two internal segments over the user's last DFSubscriptionChange: in the group, and out of it.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation

from tenfold.engagement.audience import service as audience
from tenfold.engagement.audience.service import Upsert
from tenfold.engagement.events.model import Event, EventType, Internal
from tenfold.engagement.subscriptions import store
from tenfold.kit.errors import Conflict, Invalid
from tenfold.kit.ids import constant_id, named_id, new_id
from tenfold.storage.db import Db, Row
from tenfold.tenancy import door
from tenfold.tenancy.scope import Scope

_DEFAULTS = (("Email", "email-subscription-group"), ("Sms", "sms-subscription-group"))


async def upsert(scope: Scope, wanted: dict[str, Any], *, create_only: bool = False) -> Row:
    """Create or change a group and its segments.

    Raises Conflict when the name is taken, Invalid when something new has no name.
    """
    async with door.workspace(scope) as db:
        before = await store.find(db, scope.workspace_id, wanted.get("id"), wanted.get("name", ""))
        if before and create_only:
            raise Conflict(f"a subscription group named {before['name']!r} exists already")
        row: dict[str, Any] = {
            "id": wanted.get("id") or (before or {}).get("id") or new_id(),
            "name": wanted.get("name") or (before or {}).get("name"),
            "type": wanted["type"],
            "channel": wanted["channel"],
        }
        if not row["name"]:
            raise Invalid("name is required for a new subscription group")
        try:
            saved = await store.upsert(db, scope.workspace_id, row)
        except UniqueViolation as error:
            raise Conflict(f"the name {row['name']!r} is taken") from error
    for segment in _segments(row["id"], row["type"]):
        await audience.upsert_segment(scope, segment)
    return saved or row


async def add_defaults(db: Db, scope: Scope) -> None:
    """The groups that every workspace begins with. For a workspace that is being made."""
    for channel, name in _DEFAULTS:
        group_id = named_id(scope.workspace_id, name)
        row = {
            "id": group_id,
            "name": f"{scope.workspace.name} - {channel}",
            "type": "OptOut",
            "channel": channel,
        }
        await store.upsert(db, scope.workspace_id, row)
        for segment in _segments(group_id, "OptOut"):
            await audience.add_ready_segment(db, scope, segment)


async def find_all(scope: Scope) -> list[Row]:
    return await door.read(scope, lambda db: store.list_all(db, [scope.workspace_id]))


def is_subscribed(group: Row, segments: Collection[UUID]) -> bool:
    """Whether a user in these segments receives what goes to the group; who never said gets the group's default."""
    if group["type"] == "OptOut":
        return out_of(group["id"]) not in segments
    return member_of(group["id"]) in segments


def change(user_id: str, group_id: UUID, *, subscribed: bool) -> Event:
    """The event by which a user joins or leaves a group."""
    action = "Subscribe" if subscribed else "Unsubscribe"
    properties = {"subscriptionId": str(group_id), "action": action}
    name = str(Internal.SUBSCRIPTION_CHANGE)
    return Event(EventType.TRACK.value, str(new_id()), user_id, "", name, None, properties, {})


def member_of(group_id: UUID) -> UUID:
    return named_id(constant_id("subscribed"), str(group_id))


def out_of(group_id: UUID) -> UUID:
    return named_id(constant_id("unsubscribed"), str(group_id))


def _segments(group_id: UUID, kind: str) -> list[Upsert]:
    inside = {
        "type": "SubscriptionGroup",
        "id": "1",
        "subscriptionGroupId": str(group_id),
        "subscriptionGroupType": kind,
    }
    outside = {"type": "SubscriptionGroupUnsubscribed", "id": "1", "subscriptionGroupId": str(group_id)}
    named = (
        (member_of(group_id), f"subscriptionGroup-{group_id}", inside),
        (out_of(group_id), f"subscriptionGroup-unsubscribed-{group_id}", outside),
    )
    return [
        Upsert(
            id=segment_id,
            name=name,
            definition={"entryNode": node, "nodes": []},
            resource_type="Internal",
            subscription_group_id=group_id,
        )
        for segment_id, name, node in named
    ]
