"""Fair shares: of work between lanes, of places at the gate, of messages on their way."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.engagement.audience import folding
from tenfold.engagement.audience.folding import Folder
from tenfold.engagement.deliveries.sending import within
from tenfold.jobs.fairness import LANES_WALKED, Apart, Round, share
from tenfold.kit.errors import Unavailable
from tenfold.kit.turns import Turns
from tenfold.tenancy.gate import OURS, Gate


def lane(number: int) -> UUID:
    return UUID(int=number)


def rows(number: int, count: int, size: int = 1, kind: str = "standard") -> list[Any]:
    return [{"lane": lane(number), "size": size, "service_class": kind, "id": n} for n in range(count)]


def cost(taken: list[Any]) -> Counter[int]:
    found: Counter[int] = Counter()
    for row in taken:
        found[row["lane"].int] += row["size"]
    return found


def test_a_flood_leaves_small_ones_all_they_want() -> None:
    taken = share([*rows(1, 1000), *rows(2, 3), *rows(3, 1)], 100)
    assert cost(taken) == {1: 96, 2: 3, 3: 1}


def test_nobody_beside_it_and_it_has_everything() -> None:
    assert cost(share(rows(1, 1000), 100)) == {1: 100}


def test_a_class_is_a_share() -> None:
    taken = share([*rows(1, 500, kind="trial"), *rows(2, 500), *rows(3, 500, kind="priority")], 210)
    assert cost(taken) == {1: 10, 2: 40, 3: 160}


def test_what_is_overdrawn_is_taken_off_the_next_turn() -> None:
    carried: dict[UUID, int] = {}
    total: Counter[int] = Counter()
    for turn in range(60):
        both = [rows(1, 50, size=90), rows(2, 1000)]
        total += cost(share([row for lane in (both if turn % 2 else both[::-1]) for row in lane], 100, carried=carried))
    assert 0.85 < total[1] / total[2] < 1.15


@given(
    st.dictionaries(st.integers(1, 40), st.lists(st.integers(1, 60), min_size=1, max_size=30), min_size=1),
    st.integers(1, 2000),
)
def test_no_room_is_left_while_anybody_has_work(queues: dict[int, list[int]], most: int) -> None:
    waiting = [{"lane": lane(number), "size": size} for number, sizes in sorted(queues.items()) for size in sizes]
    taken = share(waiting, most)
    total, all_of_it = sum(row["size"] for row in taken), sum(row["size"] for row in waiting)
    assert total >= min(most, all_of_it)
    assert total <= most + 60
    for number in queues:
        mine = [row for row in waiting if row["lane"] == lane(number)]
        assert [row for row in taken if row["lane"] == lane(number)] == mine[: cost_count(taken, number)], "in order"


def cost_count(taken: list[Any], number: int) -> int:
    return sum(row["lane"] == lane(number) for row in taken)


async def test_lanes_that_find_no_room_have_theirs_in_the_next_batch() -> None:
    place, served = Round(), Counter[int]()
    waiting = {number: rows(number, 1000, size=64) for number in range(1, 201)}

    async def peek(after: UUID) -> list[Any]:
        return [row for number in sorted(waiting) if lane(number) > after for row in waiting[number][:5]][: 64 * 5]

    for _ in range(40):
        seen = await place.look(peek)
        taken = share(seen, 640, turn=64, carried=place.credits)
        place.go_on(seen, taken, full=len({row["lane"] for row in seen}) == 64)
        served.update(row["lane"].int for row in taken)
    assert len(served) == 200
    assert max(served.values()) - min(served.values()) <= 2


async def test_timed_work_is_shared_only_when_it_is_much() -> None:
    place = Round()
    few = rows(1, 3)

    async def walk(after: UUID) -> list[Any]:
        found = [*rows(1, 16), *rows(2, 2)]
        return [{**row, "nth": row["lane"].int} for row in found if row["lane"] > after]

    assert await place.due(few, walk, 10) == few
    taken = await place.due(rows(1, 10), walk, 10)
    assert cost(taken) == {1: 8, 2: 2}


async def test_a_walk_that_ended_early_goes_on_where_it_was() -> None:
    place, after = Round(), list[UUID]()

    async def walk(begin: UUID) -> list[Any]:
        after.append(begin)
        return [{"lane": lane(5000), "id": None, "nth": LANES_WALKED}] if begin < lane(5000) else []

    for _ in range(3):
        await place.due(rows(1, 10), walk, 10)
    assert after == [lane(0), lane(5000), lane(0)]


def test_floods_are_worked_on_apart() -> None:
    apart, small, flood = Apart(100), rows(1, 3), rows(2, 500)
    assert apart.choose([*small, *flood]) == small, "who waits for little goes first"
    express = apart.begin(small)
    assert apart.choose([*rows(3, 1), *flood]) == flood, "then the flood has its turn"
    big = apart.begin(flood)
    assert (express, big) == (False, True)
    assert apart.choose([*rows(3, 1), *rows(4, 500)]) == rows(3, 1), "one flood at a time while there is a rest"
    assert apart.choose(rows(4, 500)) == rows(4, 500), "with no rest, floods have everything"
    apart.end(small, flood=express)
    apart.end(flood, flood=big)
    waiting = [*rows(3, 1), *rows(4, 500)]
    assert (apart.choose(waiting), apart.choose(waiting, floods_first=True)) == (rows(3, 1), rows(4, 500))
    assert apart.floods_in_hand == 0
    apart.begin(rows(5, 500))
    assert apart.choose(waiting, floods_first=True) == rows(3, 1), "with a flood in hand, the rest go first"


def test_a_slow_lane_never_has_all_places() -> None:
    taken = within(rows(1, 500), Counter(), 100)
    assert len(taken) == 50
    in_hand = Counter({lane(1): 50})
    assert within(rows(1, 500), in_hand, 50) == []
    assert len(within([*rows(1, 500), *rows(2, 5)], in_hand, 50)) == 5


async def visits(gate: Gate, number: int, count: int, seconds: float, log: list[int], weight: float = 1) -> None:
    async def one() -> None:
        async with gate.place(lane(number), weight):
            log.append(number)
            await asyncio.sleep(seconds)

    await asyncio.gather(*(one() for _ in range(count)))


async def test_a_newcomer_does_not_wait_behind_a_flood() -> None:
    gate, log = Gate(2), list[int]()
    flood = asyncio.create_task(visits(gate, 1, 100, 0.002, log))
    await asyncio.sleep(0.01)
    before = len(log)
    await visits(gate, 2, 1, 0.0, log)
    assert log.index(2) - before <= 4
    await flood
    assert (len(log), gate.waiting, gate.use()) == (101, 0, {})


async def test_no_lane_holds_more_places_than_it_leaves_free() -> None:
    """So whoever comes next has a place at once, however long the flood's statements take."""
    gate, log = Gate(6), list[int]()
    slow = asyncio.create_task(visits(gate, 1, 20, 0.05, log))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert gate.use()[lane(1)] == (3, 17)
    await asyncio.wait_for(visits(gate, 2, 1, 0, log), 0.02)
    await asyncio.wait_for(visits(gate, 3, 2, 0, log), 0.02)
    await slow
    assert (len(log), gate.waiting, gate.use()) == (23, 0, {})


@pytest.mark.parametrize(("company", "places"), [(True, 4), (False, 5)])
async def test_a_crowd_of_short_visits_has_few_places_beside_others(
    monkeypatch: pytest.MonkeyPatch, *, company: bool, places: int
) -> None:
    clock = [0.0]  # stands still, so that visits are short on any machine
    monkeypatch.setattr("tenfold.tenancy.gate.monotonic", lambda: clock[0])
    gate, held = Gate(6), list[int]()
    await visits(gate, 1, 1, 0, [])
    clock[0] = 5.0
    if company:
        await visits(gate, 2, 1, 0, [])

    async def short() -> None:
        async with gate.place(lane(1), 1):
            held.append(gate.use()[lane(1)][0])
            await asyncio.sleep(0)

    await asyncio.gather(*(short() for _ in range(100)))
    assert max(held[20:60]) == places


async def test_our_own_work_may_have_every_place() -> None:
    gate = Gate(6)
    ours = asyncio.create_task(visits(gate, OURS.int, 6, 0.01, []))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert gate.use() == {OURS: (6, 0)}
    await ours


async def test_lanes_that_gave_up_may_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenfold.tenancy.gate._KEPT", 1)
    gate = Gate(1)
    async with gate.place(lane(1), 1):
        stays, leaves = (asyncio.create_task(visits(gate, number, 1, 0.01, [])) for number in (2, 3))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait((leaves,))
    await stays
    await visits(gate, 4, 2, 0, [])
    assert (gate.waiting, gate.use()) == (0, {})


async def test_the_gate_shares_time_by_weight() -> None:
    gate, log = Gate(1), list[int]()
    tasks = [asyncio.create_task(visits(gate, n, 120, 0.001, log, weight)) for n, weight in ((1, 1), (2, 4))]
    while len(log) < 100:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert 2.5 < log[:100].count(2) / log[:100].count(1) < 6.5
    await asyncio.gather(*tasks)


async def test_who_holds_long_is_served_less_often() -> None:
    gate, log = Gate(1), list[int]()
    tasks = [asyncio.create_task(visits(gate, n, 60, seconds, log)) for n, seconds in ((1, 0.008), (2, 0.001))]
    while len(log) < 50:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    assert log[:50].count(2) > 2 * log[:50].count(1)
    await asyncio.gather(*tasks)


async def test_the_queue_is_bounded_and_so_is_the_wait() -> None:
    gate = Gate(1, most_waiting=10, patience=0.05)
    async with gate.place(lane(1), 1):
        waiting = [asyncio.create_task(visits(gate, 1, 1, 0, [])) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="too many requests"):
            await visits(gate, 1, 1, 0, [])
        with pytest.raises(Unavailable, match="busy for"):
            await visits(gate, 2, 1, 0, [])
        done = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(item, Unavailable) for item in done)
    await visits(gate, 3, 1, 0, [])
    assert (gate.waiting, gate.use()) == (0, {})


async def test_who_gives_up_leaves_no_place_behind() -> None:
    gate = Gate(1)
    async with gate.place(lane(1), 1):
        leaver = asyncio.create_task(visits(gate, 2, 1, 0, []))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
    for _ in range(3):
        await visits(gate, 3, 2, 0, [])
    assert gate.waiting == 0


async def test_who_is_cancelled_at_the_very_moment_is_passed_over() -> None:
    gate = Gate(1)
    async with gate.place(lane(1), 1):
        leaver, other = (asyncio.create_task(visits(gate, number, 1, 0, [])) for number in (2, 2))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        leaver.cancel()
    await asyncio.gather(leaver, other, return_exceptions=True)
    assert (other.exception(), gate.waiting, gate.use()) == (None, 0, {})
    await visits(gate, 3, 2, 0, [])


async def test_turns_are_one_at_a_time_and_bounded() -> None:
    turns, inside = Turns(2), Counter[int]()

    async def visit() -> None:
        async with turns.of("alice"):
            inside["now"] += 1
            inside["most"] = max(inside["most"], inside["now"])
            await asyncio.sleep(0)
            inside["now"] -= 1

    answers = await asyncio.gather(*(visit() for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers].count(Unavailable) == 2
    assert inside["most"] == 1
    await visit()


async def test_lanes_that_made_room_for_a_flood_keep_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else those seen just before it would be passed over again and again."""
    folder = Folder(SimpleNamespace(service=None))  # type: ignore[arg-type]
    waiting = {number: rows(number, 1) for number in range(1, 101)} | {50: rows(50, 100, size=100)}

    @contextlib.asynccontextmanager
    async def glance(_: Any) -> AsyncIterator[None]:
        yield

    async def peek(_: Any, after: UUID, *, out: list[UUID], lanes: int, per_lane: int) -> list[Any]:
        following = [number for number in sorted(waiting) if lane(number) > after and waiting[number]][:lanes]
        return [row for number in following if lane(number) not in out for row in waiting[number][:per_lane]]

    monkeypatch.setattr(folding.door, "glance", glance)
    monkeypatch.setattr(folding.events_store, "peek_inbox", peek)
    folder._apart.begin(rows(999, 1))  # so that it is the flood's turn
    assert cost(await folder._claim()) == {50: 1500}
    assert folder._round.after == lane(0)
    folder._apart.begin(waiting[50])
    assert set(cost(await folder._claim())) == {*range(1, 65)} - {50}
    assert folder._round.after == lane(64)
