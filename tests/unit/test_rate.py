"""The limiter of requests: a minute's worth at once, then evenly, never more."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.tenancy.quotas.rate import Limiter, RequestLimit, Verdict, headers

ALICE, PARENT = uuid4(), uuid4()


def let_in(limiter: Limiter, limits: list[RequestLimit], moments: list[float]) -> int:
    verdicts = [limiter.take(limits, moment) for moment in moments]
    return sum(verdict is not None and verdict.wait is None for verdict in verdicts)


@pytest.mark.parametrize("limit", [1, 2, 5, 60, 1000, 7777])
def test_exactly_a_minutes_worth_at_once(limit: int) -> None:
    assert let_in(Limiter(), [RequestLimit(ALICE, limit)], [1000.0] * (limit + 50)) == limit


def test_then_evenly_and_all_again_after_a_quiet_minute() -> None:
    limiter, limits = Limiter(), [RequestLimit(ALICE, 6)]
    assert let_in(limiter, limits, [0.0] * 9) == 6
    assert let_in(limiter, limits, [9.9, 10.1, 10.2, 20.1]) == 2
    assert let_in(limiter, limits, [100.0] * 9) == 6


@given(st.integers(1, 50), st.lists(st.floats(0, 300), max_size=400))
def test_no_stretch_of_time_lets_in_more(limit: int, moments: list[float]) -> None:
    limiter, passed = Limiter(), []
    for moment in sorted(moments):
        verdict = limiter.take([RequestLimit(ALICE, limit)], moment)
        if verdict is not None and verdict.wait is None:
            passed.append(moment)
    for first, begin in enumerate(passed):
        for last in range(first, len(passed)):
            assert last - first + 1 <= limit + (passed[last] - begin) / (60 / limit) + 1e-6


def test_the_wait_that_is_told_is_enough_and_no_more() -> None:
    limiter, limits = Limiter(), [RequestLimit(ALICE, 3)]
    let_in(limiter, limits, [0.0] * 3)
    verdict = limiter.take(limits, 5.0)
    assert verdict is not None
    assert verdict.wait == pytest.approx(15)
    assert let_in(limiter, limits, [5.0 + 14.9]) == 0
    assert let_in(limiter, limits, [5.0 + 15.0]) == 1


def test_a_request_counts_at_the_parent_too_and_a_refused_one_nowhere() -> None:
    limiter = Limiter()
    children = [[RequestLimit(uuid4(), 10), RequestLimit(PARENT, 4)] for _ in range(2)]
    assert sum(let_in(limiter, limits, [0.0] * 5) for limits in children) == 4
    verdict = limiter.take(children[0], 0.0)
    assert verdict is not None
    assert verdict.limit.workspace_id == PARENT
    assert let_in(limiter, [children[1][0]], [0.0] * 20) == 10


def test_nothing_is_let_in_under_a_limit_of_nothing() -> None:
    assert let_in(Limiter(), [RequestLimit(ALICE, 0)], [0.0, 100.0]) == 0


def test_without_a_limit_nothing_is_said() -> None:
    assert Limiter().take([], 0.0) is None


def test_the_headers_are_the_drafts() -> None:
    verdict = Verdict(RequestLimit(ALICE, 60), 12, 48.2)
    assert headers(verdict) == {"RateLimit-Policy": '"requests";q=60;w=60', "RateLimit": '"requests";r=12;t=48'}
