"""Which messages of a request fit under a workspace's limits. Pure.

Messages are taken in their order, each whole or not at all: one that does not fit leaves its room to those after it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, Self
from uuid import UUID

from tenfold.engagement.events.model import Event, size_of
from tenfold.kit.errors import QuotaExceeded

USERS, EVENTS, STORAGE = "users", "events", "storage"
_NAMES: Final = {STORAGE: "storageBytes"}


@dataclass(frozen=True, slots=True)
class Message:
    """What a client sent under one id: the events it becomes, and their users."""

    id: str
    events: tuple[Event, ...]

    @property
    def users(self) -> frozenset[str]:
        return frozenset(event.user for event in self.events if event.user)


@dataclass(frozen=True, slots=True)
class Limit:
    """How much of a resource `holder` may have, and has: a workspace, or its parent."""

    resource: str
    holder: UUID
    most: int
    used: int


@dataclass(slots=True)
class Plan:
    """What is taken, the users it makes in their order, and what is refused with the resource that lacks room."""

    accepted: list[Message] = field(default_factory=list[Message])
    new_users: list[str] = field(default_factory=list[str])
    refused: list[tuple[Message, str]] = field(default_factory=list[tuple[Message, str]])
    room: dict[str, int] = field(default_factory=dict[str, int])

    def events(self) -> list[Event]:
        return [event for message in self.accepted for event in message.events]


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits of a workspace, whom it knows, and which message ids it has seen (they take no room)."""

    limits: Sequence[Limit]
    known: Collection[str] = ()
    seen: Collection[str] = ()

    def plan(self, messages: Iterable[Message]) -> Plan:
        """The messages that fit; rooms are kept as what is left."""
        planned = Plan(room=self._room())
        known = set(self.known)
        for message in messages:
            needs = self._needs(message, known, planned.room)
            short = next((resource for resource, amount in needs.items() if amount > planned.room[resource]), None)
            if short is not None:
                planned.refused.append((message, short))
                continue
            for resource, amount in needs.items():
                planned.room[resource] -= amount
            if message.id not in self.seen:
                planned.new_users += sorted(message.users - known)
                known |= message.users
            planned.accepted.append(message)
        return planned

    def closed(self, known: Collection[str]) -> Self:
        """The same with these users known and room for no other."""
        limits = [replace(item, used=item.most) if item.resource == USERS else item for item in self.limits]
        return replace(self, limits=limits, known=known)

    def refusal(self, planned: Plan) -> QuotaExceeded | None:
        """What the caller is told of the messages that were refused."""
        if not planned.refused:
            return None
        resource = planned.refused[0][1]
        tight = min((item for item in self.limits if item.resource == resource), key=lambda item: item.most - item.used)
        used = tight.most - max(planned.room[resource], 0) if tight.used <= tight.most else tight.used
        known = {*self.known, *planned.new_users}
        requested = sum(self._needs(message, known, [resource])[resource] for message, _ in planned.refused)
        name = _NAMES.get(resource, resource)
        rejected = [message.id for message, _ in planned.refused]
        words = f"{name} quota exceeded: {used} of {tight.most} used"
        told = {"workspaceId": str(tight.holder), "resource": name, "limit": tight.most, "used": used}
        return QuotaExceeded(words, **told, requested=requested, rejected=rejected)

    def _room(self) -> dict[str, int]:
        rooms: dict[str, int] = {}
        for item in self.limits:
            rooms[item.resource] = min(item.most - item.used, rooms.get(item.resource, item.most - item.used))
        return rooms

    def _needs(self, message: Message, known: Collection[str], resources: Collection[str]) -> dict[str, int]:
        if message.id in self.seen:
            return dict.fromkeys(resources, 0)
        needs = {
            USERS: len(message.users.difference(known)),
            EVENTS: len(message.events),
            STORAGE: sum(size_of(event) for event in message.events) if STORAGE in resources else 0,
        }
        return {resource: needs[resource] for resource in resources}


def messages_of(events: Iterable[Event]) -> list[Message]:
    """The messages of a request. The events that one became stand one after another."""
    return [Message(key, tuple(found)) for key, found in groupby(events, key=lambda event: event.message_id)]
