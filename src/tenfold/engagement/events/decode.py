"""From a client's message to events.

The usual shapes are read by typed decoding in one pass. Whatever does not fit goes through the wire's schema,
which coerces values or refuses with the wire's words.
"""

from typing import Any

import msgspec

from tenfold.engagement.events.model import Event, EventType, Internal
from tenfold.kit.clock import parse_iso, to_millis
from tenfold.kit.jsontypes import as_list, as_object


class Item(msgspec.Struct, rename="camel"):
    """A message as clients send it; `type` is missing on the single routes."""

    message_id: str
    type: str = ""
    user_id: str | None = None
    anonymous_id: str | None = None
    event: str | None = None
    name: str | None = None
    timestamp: str | None = None
    group_id: str | None = None
    assigned: bool = True
    traits: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}


class Batch(msgspec.Struct):
    batch: list[Item]
    context: dict[str, Any] = {}


_BATCH = msgspec.json.Decoder(Batch)
_ITEM = msgspec.json.Decoder(Item)


def fast_batch(raw: bytes) -> Batch | None:
    """The batch when it has the usual shape; None sends it through the wire's schema."""
    if b"\\u0000" in raw:
        return None
    try:
        batch = _BATCH.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return batch if all(_usual(item) for item in batch.batch) else None


def fast_item(raw: bytes, kind: EventType) -> Item | None:
    if b"\\u0000" in raw:
        return None
    try:
        item = _ITEM.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    item.type = kind
    return item if _usual(item) else None


def slow_batch(body: Any) -> Batch:
    """A batch from a body that the wire's schema has accepted and coerced."""
    clean = plain(body)
    return Batch([_item(item) for item in clean["batch"]], clean.get("context", {}))


def slow_item(body: Any, kind: EventType) -> Item:
    return _item({**plain(body), "type": kind.value})


def events_of(batch: Batch) -> list[Event]:
    """The events of a batch; the context of an item wins over the batch's, key by key."""
    shared = batch.context
    return [event for item in batch.batch for event in _events(item, {**shared, **item.context})]


def keepable(event: Event) -> Event:
    """The event with values that every store can keep."""
    return msgspec.structs.replace(event, properties=plain(event.properties), context=plain(event.context))


def plain(value: Any) -> Any:
    """JSON values that every store can keep: no NUL characters, no whole numbers beyond 64 bits."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value) if abs(value) < 10**308 else None
    if (found := as_object(value)) is not None:
        return {plain(key): plain(item) for key, item in found.items()}
    if (items := as_list(value)) is not None:
        return [plain(item) for item in items]
    return value


def timestamp(text: str | None) -> int | None:
    """Epoch milliseconds; 0 for text that is no time (as the reference), None for no text."""
    if text is None:
        return None
    parsed = parse_iso(text)
    return max(to_millis(parsed), 0) if parsed else 0


def _usual(item: Item) -> bool:
    if not (item.user_id or item.anonymous_id):
        return False
    match item.type:
        case "track":
            return item.event is not None
        case "group":
            return item.group_id is not None
        case "identify" | "page" | "screen":
            return True
        case _:
            return False


def _item(body: dict[str, Any]) -> Item:
    known = {field.encode_name for field in msgspec.structs.fields(Item)}
    return msgspec.convert({key: value for key, value in body.items() if key in known}, Item)


def _events(item: Item, context: dict[str, Any]) -> list[Event]:
    if item.type == EventType.GROUP:
        return _group_events(item, context)
    name = item.event if item.type == EventType.TRACK else item.name if item.type != EventType.IDENTIFY else ""
    payload = item.traits or item.properties
    return [_event(item, item.type, name or "", payload, context)]


def _group_events(item: Item, context: dict[str, Any]) -> list[Event]:
    """Membership on the user, membership on the group, and the group's traits: a group is a user, too."""
    group, assigned, user = item.group_id or "", item.assigned, item.user_id or item.anonymous_id
    joined = {"groupId": group, "assigned": assigned}
    on_group = Item(item.message_id, user_id=group, timestamp=item.timestamp)
    events = [
        _event(item, EventType.TRACK, Internal.USER_GROUP, joined, context),
        _event(on_group, EventType.TRACK, Internal.GROUP_USER, {"userId": user, "assigned": assigned}, context, 1),
    ]
    if item.traits:
        events.append(_event(on_group, EventType.IDENTIFY, "", item.traits, context, 2))
    return events


def _event(item: Item, kind: str, name: str, payload: dict[str, Any], context: dict[str, Any], part: int = 0) -> Event:
    return Event(
        str(kind),
        item.message_id,
        item.user_id or "",
        item.anonymous_id or "",
        str(name),
        timestamp(item.timestamp),
        payload,
        context,
        part,
    )
