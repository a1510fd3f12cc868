"""Workspaces for benchmarks: ten properties and ten segments each, and events that touch them."""

import random
from typing import Any
from uuid import UUID

from tenfold.bench import store
from tenfold.engagement.audience import compiler, model
from tenfold.engagement.audience.conditions import key_of, to_spec
from tenfold.engagement.events.model import Event
from tenfold.kit.ids import new_id
from tenfold.tenancy import door, keys
from tenfold.tenancy.scope import BatchScope, Stores

WRITE_KEY_VALUE = "benchmark"
_CHUNK = 250
_TRAITS = ("email", "firstName", "plan", "country", "age", "score")
_EVENTS = ("Product Viewed", "Product Added", "Order Completed", "Signed In")

PROPERTIES: dict[str, Any] = {
    "id": {"type": "Id"},
    **{name: {"type": "Trait", "path": name} for name in _TRAITS},
    "lastSku": {"type": "Performed", "event": "Product Viewed", "path": "sku"},
    "lastTotal": {"type": "Performed", "event": "Order Completed", "path": "total"},
    "anonymousId": {"type": "AnonymousId"},
}


def _performed(event: str, times: int, within: int | None = None) -> dict[str, Any]:
    window = {"withinSeconds": within} if within else {}
    return {"type": "Performed", "event": event, "times": times, "timesOperator": ">=", **window}


def _trait(path: str, operator: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Trait", "path": path, "operator": operator}


_NODES: dict[str, dict[str, Any]] = {
    "pro": _trait("plan", {"type": "Equals", "value": "pro"}),
    "not free": _trait("plan", {"type": "NotEquals", "value": "free"}),
    "known": _trait("email", {"type": "Exists"}),
    "adult": _trait("age", {"type": "GreaterThanOrEqual", "value": 18}),
    "german": _trait("country", {"type": "Equals", "value": "DE"}),
    "buyer": _performed("Order Completed", 1),
    "regular": _performed("Order Completed", 3),
    "active": _performed("Signed In", 1, 7 * 86_400),
    "looking": _performed("Product Viewed", 3, 86_400),
    "everyone": {"type": "Everyone"},
}
SEGMENTS: dict[str, Any] = {name: {"entryNode": {"id": "1", **node}, "nodes": []} for name, node in _NODES.items()}


async def workspaces(stores: Stores, count: int) -> list[UUID]:
    """Make workspaces by the hundred; each opens with the write key `<its id>:benchmark`."""
    made = [new_id() for _ in range(count)]
    conditions = _conditions()
    for start in range(0, count, _CHUNK):
        ids = made[start : start + _CHUNK]
        async with door.workspace(BatchScope(stores, frozenset(ids))) as db:
            await store.insert_workspaces(db, ids, [f"bench {identity}" for identity in ids])
            await store.insert_write_keys(db, ids, keys.digest(WRITE_KEY_VALUE))
            await store.insert_properties(db, ids, list(PROPERTIES), list(PROPERTIES.values()))
            await store.insert_segments(db, ids, list(SEGMENTS), list(SEGMENTS.values()))
            await store.insert_conditions(db, ids, list(conditions), list(conditions.values()))
    return made


def some_users(dice: random.Random, users: int, count: int) -> list[str]:
    """Who is in a batch: `count` of a workspace's users. So the work per event does not depend on their number."""
    return [f"user-{dice.randrange(users)}" for _ in range(count)]


def message(dice: random.Random, users: list[str]) -> dict[str, Any]:
    """A client's message: one in four an identify, the others of a shop."""
    user = dice.choice(users)
    common: dict[str, Any] = {"messageId": f"{dice.getrandbits(96):024x}", "userId": user}
    if dice.random() < 0.25:  # noqa: PLR2004 - a quarter
        traits = {"email": f"{user}@shop.test", "firstName": "Ann", "plan": dice.choice(("free", "pro"))}
        return {**common, "type": "identify", "traits": {**traits, "country": "DE", "age": dice.randrange(90)}}
    properties = {"sku": f"sku-{dice.randrange(500)}", "total": dice.randrange(100), "currency": "EUR"}
    return {**common, "type": "track", "event": dice.choice(_EVENTS), "properties": properties}


def event(dice: random.Random, users: list[str]) -> Event:
    made = message(dice, users)
    payload: dict[str, Any] = made.get("traits") or made.get("properties") or {}
    return Event(made["type"], made["messageId"], made["userId"], "", made.get("event", ""), None, payload, {})


def _conditions() -> dict[str, Any]:
    found = [condition for item in PROPERTIES.values() for condition in _of_property(item)]
    for name, definition in SEGMENTS.items():
        found += compiler.compile_segment(UUID(int=0), name, model.parse_segment(definition))[1]
    return {key_of(condition): to_spec(condition) for condition in found}


def _of_property(definition: Any) -> list[Any]:
    return compiler.compile_property(model.parse_property(definition))[1]
