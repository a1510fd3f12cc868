"""The fold: events into a profile, a profile into answers. Pure: no I/O, no clock.

`observe` takes events, `evaluate` answers the definitions whose conditions moved (or all), and says what changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tenfold.engagement.audience.conditions import Condition, State, Times
from tenfold.engagement.audience.operators import Moment
from tenfold.engagement.audience.program import Program
from tenfold.engagement.events.model import Folded
from tenfold.kit.jsonpath import MISSING


class Profile(msgspec.Struct, array_like=True):
    """What is known of a user: condition states, property values, segments with entry times, wake times.

    Property and segment ids are keys; times are epoch milliseconds. `wakes` has the segments that may change
    without an event.
    """

    states: dict[str, State] = {}
    properties: dict[str, Any] = {}
    segments: dict[str, int] = {}
    wakes: dict[str, int] = {}
    evaluated: bool = False

    @property
    def wake_at(self) -> int | None:
        return min(self.wakes.values()) if self.wakes else None


@dataclass(slots=True)
class Changes:
    """What an evaluation changed."""

    properties: bool = False
    entered: list[str] = field(default_factory=list[str])
    left: list[str] = field(default_factory=list[str])


_PACKER = msgspec.msgpack.Encoder()
_UNPACKER = msgspec.msgpack.Decoder(Profile)


def pack(profile: Profile) -> bytes:
    return _PACKER.encode(profile)


def unpack(data: bytes) -> Profile:
    return _UNPACKER.decode(data)


def observe(profile: Profile, events: Iterable[Folded], program: Program, now: int) -> set[str]:
    """Take events into the condition states; the keys of the conditions that moved."""
    moved: set[str] = set()
    states = profile.states
    for folded in events:
        event = folded.event
        for key, condition in program.touched_by(event.type, event.event):
            before = states.get(key)
            after = condition.observe(before, event.properties, folded.time, folded.ordinal, event)
            if after is not before:
                states[key] = condition.trim(after, now) if isinstance(condition, Times) else after
                moved.add(key)
    return moved


def merge(profile: Profile, key: str, condition: Condition, state: State, now: int) -> None:
    """Add the state of events that came from elsewhere (the archive)."""
    merged = condition.merge(profile.states.get(key), state)
    profile.states[key] = condition.trim(merged, now) if isinstance(condition, Times) else merged


def evaluate(profile: Profile, user_id: str, program: Program, now: int, moved: set[str] | None) -> Changes:
    """Answer the definitions that read `moved` conditions (None: all), or whose time has come."""
    changes = Changes()
    everything = moved is None or not profile.evaluated
    if everything:
        _forget_unknown(profile, program, changes)
    for item in program.properties:
        if everything or not item.keys.isdisjoint(moved or ()):
            _set_property(profile, item.id, item.value(profile.states, user_id), changes)
    for segment in program.segments:
        due = profile.wakes.get(segment.id)
        if everything or not segment.keys.isdisjoint(moved or ()) or (due is not None and due <= now):
            moment = Moment(now, user_id)
            _set_segment(profile, segment.id, moment, holds=segment.holds(profile.states, moment), changes=changes)
    profile.evaluated = True
    return changes


def _set_property(profile: Profile, property_id: str, value: Any, changes: Changes) -> None:
    before = profile.properties.get(property_id, MISSING)
    if value is MISSING:
        if before is not MISSING:
            del profile.properties[property_id]
            changes.properties = True
    elif before != value or type(before) is not type(value):
        profile.properties[property_id] = value
        changes.properties = True


def _set_segment(profile: Profile, segment_id: str, moment: Moment, *, holds: bool, changes: Changes) -> None:
    ahead = [wake for wake in moment.wakes if wake > moment.now]
    if ahead:
        profile.wakes[segment_id] = min(ahead)
    else:
        profile.wakes.pop(segment_id, None)
    if holds and segment_id not in profile.segments:
        profile.segments[segment_id] = moment.now
        changes.entered.append(segment_id)
    elif not holds and segment_id in profile.segments:
        del profile.segments[segment_id]
        changes.left.append(segment_id)


def _forget_unknown(profile: Profile, program: Program, changes: Changes) -> None:
    """Drop what belongs to definitions that are gone."""
    for gone in profile.properties.keys() - program.known:
        del profile.properties[gone]
        changes.properties = True
    for gone in profile.segments.keys() - program.known:
        del profile.segments[gone]
        changes.left.append(gone)
    for gone in profile.wakes.keys() - program.known:
        del profile.wakes[gone]
