"""Fair shares between lanes. A lane is a root workspace: one that splits itself into children gains nothing.

Work is taken by surplus round robin (Adiseshu, Parulkar, Varghese 1995, after the deficit round robin of Shreedhar and
Varghese): a lane in credit takes one item more, and what it overdraws is taken off its next turn. It costs what is
taken, whatever the number of lanes, and no room is left unused while anybody has work.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from tenfold.kit.clock import monotonic
from tenfold.storage.db import Row
from tenfold.tenancy.service_class import weight

NO_LANE: Final = UUID(int=0)
_REST_SECONDS = 30.0
LANES_WALKED: Final = 1_000  # for work that waits for its time: some milliseconds
Peek = Callable[[UUID], Awaitable[list[Row]]]


def share(rows: Iterable[Row], most: int, *, turn: int = 1, carried: dict[UUID, int] | None = None) -> list[Row]:
    """Of what waits, the rows to take now, `most` in cost.

    Rows have a `lane`, lie in each lane's order, and may have a cost (`size`, else 1) and a `service_class`, whose
    weight is the lane's share. A turn is worth `turn` at least, since few items for each of many lanes would make
    batches costly; lanes that find no room have theirs in the next batch. `carried` are the lanes' credits.
    """
    queues: dict[UUID, list[Row]] = defaultdict(list)
    for row in rows:
        queues[row["lane"]].append(row)
    held = {} if carried is None else carried
    taken: list[Row] = []
    left = most
    while queues and left > 0:
        quantum = max(left / sum(_weight(waiting) for waiting in queues.values()), turn)
        for lane in list(queues):
            if left <= 0:
                break
            held[lane] = held.get(lane, 0) + max(1, int(quantum * _weight(queues[lane])))
            part = _afford(queues[lane], min(held[lane], left))
            cost = sum(_cost(row) for row in part)
            held[lane] -= cost
            left -= cost
            taken += part
            queues[lane] = queues[lane][len(part) :]
            if not queues[lane]:
                del queues[lane], held[lane]
    return taken


def _afford(rows: list[Row], credit: int) -> list[Row]:
    count = 0
    while count < len(rows) and credit > 0:
        credit -= _cost(rows[count])
        count += 1
    return rows[:count]


def _cost(row: Row) -> int:
    return row.get("size", 1)


def _weight(rows: list[Row]) -> float:
    return weight(rows[0].get("service_class"))


@dataclass(slots=True)
class Round:
    """A worker's place in the round of lanes: where to go on, what it has in hand of each, who is owed or owes."""

    after: UUID = NO_LANE
    in_hand: Counter[UUID] = field(default_factory=Counter[UUID])
    credits: dict[UUID, int] = field(default_factory=dict[UUID, int])
    _resting: dict[UUID, float] = field(default_factory=dict[UUID, float])

    async def look(self, peek: Peek) -> list[Row]:
        """What waits in the next lanes; from the first lane again when there are none after this one."""
        rows = await peek(self.after)
        if not rows and self.after != NO_LANE:
            self.after = NO_LANE
            rows = await peek(NO_LANE)
        return rows

    async def due(self, oldest: list[Row], walk: Peek, most: int) -> list[Row]:
        """What to take of work that waits for its time: all that is due, or with more than `most` a fair share.

        `oldest` are the first `most` by time. `walk` looks at lanes from one on; many have nothing due, so it may end
        early, which the `nth` of its last row tells; rows without an id are lanes without work.
        """
        if len(oldest) < most:
            return oldest
        found = await walk(self.after)
        ended = next((row["lane"] for row in found if row["nth"] == LANES_WALKED), NO_LANE)
        seen = [row for row in found if row["id"] is not None]
        lanes = {row["lane"] for row in seen}
        taken = share([*seen, *(row for row in oldest if row["lane"] not in lanes)], most, carried=self.credits)
        last = max((row["lane"] for row in taken if row["lane"] in lanes), default=NO_LANE)
        self.after = last if seen and last < seen[-1]["lane"] else ended
        return taken

    def out(self) -> Collection[UUID]:
        """Lanes to leave alone: in hand, or at rest after a fault."""
        self._resting = {lane: until for lane, until in self._resting.items() if until > monotonic()}
        return self.in_hand.keys() | self._resting.keys()

    def rest(self, lane: UUID) -> None:
        self._resting[lane] = monotonic() + _REST_SECONDS

    def go_on(self, seen: Iterable[Row], taken: Iterable[Row], *, full: bool) -> None:
        """Continue after the last lane that was served; from the first when the look saw the end (not `full`)."""
        last = max((row["lane"] for row in taken), default=NO_LANE)
        end = max((row["lane"] for row in seen), default=NO_LANE)
        self.after = last if full or last < end else NO_LANE

    def take(self, rows: Iterable[Row]) -> None:
        self.in_hand.update(row["lane"] for row in rows)

    def give_back(self, rows: Iterable[Row]) -> None:
        self.in_hand.subtract(row["lane"] for row in rows)
        self.in_hand = +self.in_hand


class Apart:
    """Floods are worked on apart from the rest, who would wait for their long batches: an overflow lane.

    A lane floods when more than `above` in cost waits in it. One flooding batch is in hand at a time while there is a
    rest; with no rest, floods have everything.
    """

    def __init__(self, above: int) -> None:
        self._above = above
        self.floods_in_hand = 0
        self._others_in_hand = 0

    def floods(self, rows: Iterable[Row]) -> frozenset[UUID]:
        """The lanes among these that flood."""
        sizes: Counter[UUID] = Counter()
        for row in rows:
            sizes[row["lane"]] += _cost(row)
        return frozenset(lane for lane, size in sizes.items() if size > self._above)

    def choose(self, rows: list[Row], *, floods_first: bool = False) -> list[Row]:
        """Of what waits, the floods' rows or the others', who go first unless told otherwise."""
        deep = self.floods(rows)
        flooding = [row for row in rows if row["lane"] in deep]
        others = [row for row in rows if row["lane"] not in deep]
        floods_turn = self.floods_in_hand == 0 and (floods_first or self._others_in_hand > 0)
        return flooding if flooding and (floods_turn or not others) else others

    def made_room(self, rows: list[Row], chosen: list[Row]) -> bool:
        """Whether others made room for the floods that were chosen; they keep their place in the round."""
        return len(chosen) < len(rows) and bool(self.floods(chosen))

    def begin(self, rows: list[Row]) -> bool:
        """Note a batch as in hand; whether it is a flood's."""
        flood = bool(self.floods(rows))
        self.floods_in_hand += bool(rows) and flood
        self._others_in_hand += bool(rows) and not flood
        return flood

    def end(self, rows: list[Row], *, flood: bool) -> None:
        self.floods_in_hand -= bool(rows) and flood
        self._others_in_hand -= bool(rows) and not flood
