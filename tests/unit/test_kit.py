"""Text, paths, dates, ids, settings: the ground everything compares on."""

import asyncio
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.kit import clock, ids, settings
from tenfold.kit.errors import ConfigurationError, Invalid, NotFound
from tenfold.kit.flights import Flights
from tenfold.kit.jsonpath import MISSING, compile_path
from tenfold.kit.jstext import number_text, to_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (1e3, "1000"), (21.5, "21.5"), (-0.5, "-0.5"), (1e21, "1e+21"), (1.5e-7, "1.5e-7"),
        (0.000001, "0.000001"), (0.00001234, "0.00001234"), (123456789012345680000, "123456789012345680000"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)  # fmt: skip
def test_numbers_print_as_in_javascript(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_printed_numbers_read_back_as_the_same_number(value: float) -> None:
    assert float(number_text(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, "null"), ("x", "x"), ({"a": 1.0, "b": [1, "é"]}, '{"a":1,"b":[1,"é"]}')],
)
def test_values_print_as_in_javascript(value: object, text: str) -> None:
    assert to_text(value) == text


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("plan", "pro"), ("$.plan", "pro"), ("address.city", "Ulm"), ('$["a b"]', 1), ("$['a b']", 1),
        ("items[0].sku", "x"), ("items[1].sku", "y"), ("items[*].price", 7), ("missing", MISSING),
        ("address.zip", MISSING), ("plan.x", MISSING), ("items[9]", MISSING),
    ],
)  # fmt: skip
def test_paths_find_the_first_match(path: str, found: object) -> None:
    document = {
        "plan": "pro", "address": {"city": "Ulm"}, "a b": 1, "items": [{"sku": "x"}, {"sku": "y", "price": 7}],
    }  # fmt: skip
    assert compile_path(path)(document) == found


@pytest.mark.parametrize("path", ["$[", "a..b", "a[", "$.a b", "['x"])
def test_a_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        compile_path(path)


@pytest.mark.parametrize(
    ("text", "millis"),
    [
        ("1970-01-01T00:00:01Z", 1000), ("1970-01-01T01:00:00+01:00", 0), ("1700000000", 1_700_000_000_000),
        ("1700000000123", 1_700_000_000_123), ("2024-02-29", 1_709_164_800_000), ("Feb 29 2024", 1_709_164_800_000),
    ],
)  # fmt: skip
def test_dates_are_read_in_their_usual_forms(text: str, millis: int) -> None:
    parsed = clock.parse_loosely(text)
    assert parsed is not None
    assert clock.to_millis(parsed) == millis


def test_what_is_no_date_is_none() -> None:
    assert clock.parse_loosely("soon") is None


def test_ids_of_later_moments_sort_later() -> None:
    made = [ids.new_id() for _ in range(100)]
    assert all(one.version == 7 for one in made)
    assert [one.int >> 80 for one in made] == sorted(one.int >> 80 for one in made)


@pytest.mark.parametrize("text", ["", "x", None, 7, "{" + str(uuid.uuid4()) + "}", uuid.uuid4().hex])
def test_only_the_canonical_form_is_an_id(text: object) -> None:
    assert ids.try_parse_id(text) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TENFOLD_DATABASE_URL", "mysql://x"), ("TENFOLD_CLICKHOUSE_URL", "tcp://x"), ("TENFOLD_CACHE_URL", "x"),
        ("AUTH_MODE", "open"), ("TENANT_CACHE_TTL", "-1"), ("DEFAULT_WORKSPACE_QUOTAS", "{"),
        ("DEFAULT_WORKSPACE_QUOTAS", "[]"), ("API_BODY_LIMIT", "many"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        settings.load(Path("x"), {name: value})


async def test_who_asks_for_the_same_at_the_same_time_shares_a_lookup_begun_after_they_asked() -> None:
    flights, begun, go_on = Flights(), list[int](), asyncio.Event()

    async def look() -> int:
        begun.append(len(begun))
        await go_on.wait()
        return begun[-1]

    first = asyncio.create_task(flights.of("key", look))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(flights.of("key", look)) for _ in range(50)]
    await asyncio.sleep(0.01)
    assert begun == [0]
    rest[0].cancel()
    go_on.set()
    assert await first == 0
    assert await asyncio.gather(*rest[1:]) == [1] * 49
    assert await flights.of("key", look) == 2
    assert not flights._running
    assert not flights._next


async def test_a_lookup_that_fails_fails_for_those_who_share_it_only() -> None:
    flights, faults = Flights(), iter((True, False))

    async def look() -> str:
        await asyncio.sleep(0)
        if next(faults):
            raise NotFound
        return "found"

    answers = await asyncio.gather(*(flights.of("key", look) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [NotFound] * 3
    assert await flights.of("key", look) == "found"
