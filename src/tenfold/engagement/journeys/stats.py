"""How many users passed each node, and what became of the messages."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from tenfold.engagement.deliveries import store as deliveries_store
from tenfold.engagement.events.model import Internal
from tenfold.engagement.journeys import model, store
from tenfold.kit.errors import Invalid
from tenfold.tenancy import door
from tenfold.tenancy.scope import Scope

HELD = "QuotaExceeded"  # over the quota of messages a month, until it turns or the limit is raised


async def read(scope: Scope, ids: list[UUID] | None) -> list[dict[str, Any]]:
    """The wire's statistics of journeys that have a definition; proportions are percentages."""
    async with door.workspace(scope) as db:
        journeys = await (await store.list_all(db, scope.workspace_id, ids, None)).rows()
        visits = await store.visits(db, scope.workspace_id, ids)
        messages = await deliveries_store.node_counts(db, scope.workspace_id, ids)
    passed = {(row["journey_id"], row["node_id"]): row["visits"] for row in visits}
    sent: dict[tuple[UUID, str], dict[str | None, int]] = defaultdict(dict)
    for row in messages:
        sent[row["journey_id"], row["node_id"]][row["status"]] = row["found"]
    return [
        {
            "journeyId": str(row["id"]),
            "workspaceId": str(row["workspace_id"]),
            "nodeStats": _nodes(row, passed, sent),
            "waiting": _held(row, sent),
        }
        for row in journeys
        if row["definition"] is not None
    ]


def _nodes(
    row: Mapping[str, Any], passed: Mapping[Any, int], sent: Mapping[Any, Mapping[str | None, int]]
) -> dict[str, Any]:
    try:
        definition = model.parse(row["definition"])
    except Invalid:
        return {}
    shown: dict[str, Any] = {}
    for node in definition.nodes:
        key = (row["id"], node.id)
        visits = passed.get(key, 0)
        match node:
            case model.MessageNode():
                shown[node.id] = _message(sent.get(key, {}), node.variant.get("type", "Email"))
            case model.DelayNode():
                shown[node.id] = {
                    "type": "DelayNodeStats",
                    "proportions": {"childEdge": _percent(visits, visits)},
                }
            case model.WaitForNode():
                through = sum(passed.get((row["id"], child.id), 0) for child in node.segment_children)
                share = {"segmentChildEdge": _percent(min(through, visits), visits)}
                shown[node.id] = {"type": "WaitForNodeStats", "proportions": share}
            case model.SegmentSplitNode(variant=variant):
                false = passed.get((row["id"], variant.false_child), 0)
                share = {"falseChildEdge": _percent(min(false, visits), visits)}
                shown[node.id] = {"type": "SegmentSplitNodeStats", "proportions": share}
            case _:
                pass
    return shown


def _message(statuses: Mapping[str | None, int], channel: str) -> dict[str, Any]:
    total = sum(count for status, count in statuses.items() if status not in (None, HELD))
    failed = sum(
        statuses.get(str(status), 0)
        for status in (Internal.MESSAGE_FAILURE, Internal.MESSAGE_SKIPPED, Internal.BAD_CONFIGURATION)
    )
    delivered = total - failed
    rates = {"deliveryRate": 0, "openRate": 0, "spamRate": 0, "clickRate": 0} if channel == "Email" else {}
    return {
        "type": "MessageNodeStats",
        "sendRate": _percent(delivered, total),
        "channelStats": {"type": channel, **rates},
        "proportions": {"childEdge": _percent(delivered, total)},
        "waiting": statuses.get(None, 0) + statuses.get(HELD, 0),
        "waitingFor": {HELD: statuses[HELD]} if HELD in statuses else {},
    }


def _held(row: Mapping[str, Any], sent: Mapping[tuple[UUID, str], Mapping[str | None, int]]) -> dict[str, int]:
    """How many of a journey's messages wait, by what they wait for."""
    held = sum(statuses.get(HELD, 0) for (journey, _), statuses in sent.items() if journey == row["id"])
    return {HELD: held} if held else {}


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0
