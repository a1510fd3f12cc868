"""The step: a run goes on until it has to wait. Pure: the world comes in as a value, effects go out as values."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tenfold.engagement.journeys import model
from tenfold.engagement.journeys.delays import end_of
from tenfold.engagement.journeys.model import EXIT, Definition, Run
from tenfold.kit.ids import named_id

_PERCENT = 100


@dataclass(frozen=True, slots=True)
class World:
    """What a step may look at. `in_segment` answers for the run's user; times are epoch milliseconds."""

    now: int
    run_id: UUID
    user_id: str
    journey_running: bool
    properties: Mapping[str, Any]
    properties_by_id: Mapping[str, Any]
    in_segment: Callable[[str], bool]


@dataclass(slots=True)
class Effects:
    """What a step wants done: nodes passed (id, type), a message to write, when to come back (None: when called)."""

    passed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    message: model.MessageNode | None = None
    due: int | None = None
    waits_for: str = "turn"
    ended: bool = False


def step(definition: Definition, run: Run, world: World) -> Effects:
    """Move the run (in place) as far as it goes now.

    A journey that goes in circles ends after as many steps as it has nodes, and two.
    """
    effects = Effects()
    for _ in range(len(definition.nodes) + 2):
        node = definition.node(run.node_id)
        if node is None:
            break
        following = _visit(node, run, world, effects)
        if following is None:
            return effects
        effects.passed.append((node.id, str(type(node).__struct_config__.tag)))
        run.node_id, run.until, run.message_id, run.sent = following, None, None, None
    effects.passed.append((EXIT, EXIT))
    run.node_id, effects.ended = EXIT, True
    return effects


def message_id(run_id: UUID, run: Run, node_id: str) -> UUID:
    """The one id of the message of a run at a node: the same whenever the step is taken again."""
    return named_id(run_id, f"{node_id}:{run.started_at}")


def _visit(node: model.Node, run: Run, world: World, effects: Effects) -> str | None:
    """The next node's id, or None when the run waits here."""
    match node:
        case model.DelayNode():
            if run.until is None:
                run.until = end_of(node.variant, world.now, world.properties, world.properties_by_id)
            return node.child if run.until <= world.now else _wait(effects, run.until, "time")
        case model.WaitForNode():
            return _wait_for(node, run, world, effects)
        case model.SegmentSplitNode(variant=variant):
            return variant.true_child if world.in_segment(variant.segment) else variant.false_child
        case model.RandomCohortNode():
            return _cohort(node, run, world)
        case model.MessageNode():
            return _message(node, run, world, effects)
        case model.RateLimitNode():
            return EXIT


def _wait_for(node: model.WaitForNode, run: Run, world: World, effects: Effects) -> str | None:
    if run.until is None:
        run.until = world.now + int(node.timeout_seconds * 1000)
    for child in node.segment_children:
        if world.in_segment(child.segment_id):
            return child.id
    return node.timeout_child if run.until <= world.now else _wait(effects, run.until, "segment")


def _message(node: model.MessageNode, run: Run, world: World, effects: Effects) -> str | None:
    if run.sent is not None:
        return node.child if run.sent or node.skip_on_failure else EXIT
    if run.message_id is None:
        if not world.journey_running:
            return _wait(effects, None, "resume")
        run.message_id = str(message_id(world.run_id, run, node.id))
        effects.message = node
    return _wait(effects, None, "message")


def _cohort(node: model.RandomCohortNode, run: Run, world: World) -> str:
    """By chance, but the same whenever asked: the dice are a hash of run and node."""
    digest = hashlib.sha256(f"{world.run_id}:{run.started_at}:{node.id}".encode()).digest()
    drawn = int.from_bytes(digest[:8]) / 2**64 * _PERCENT
    for child in node.children:
        drawn -= child.percent
        if drawn < 0:
            return child.id
    return EXIT


def _wait(effects: Effects, due: int | None, waits_for: str) -> None:
    effects.due, effects.waits_for = due, waits_for
