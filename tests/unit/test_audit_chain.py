"""What Python computes of an audit entry is what PostgreSQL computed."""

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tenfold.tenancy.audit.chain import jsonb_text, netstrings
from tests.world import Server

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(10**30), 10**30) | st.decimals(allow_nan=False, allow_infinity=False, places=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def database(server: Server) -> Any:
    with psycopg.connect(server.database_url, user="tenfold_root", autocommit=True) as connection:
        yield connection


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_json_is_printed_alike(database: psycopg.Connection[Any], value: Any) -> None:
    row = database.execute("SELECT %s::jsonb::text", (Jsonb(value),)).fetchone()
    assert row == (jsonb_text(value),)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.lists(TEXT, min_size=1, max_size=5))
def test_netstrings_are_alike(database: psycopg.Connection[Any], fields: list[str]) -> None:
    row = database.execute("SELECT tenancy.netstrings(VARIADIC %s::text[])", (fields,)).fetchone()
    assert row == (netstrings(*fields),)


def test_numbers_keep_their_digits() -> None:
    from decimal import Decimal

    assert jsonb_text({"b": Decimal("1.10"), "aa": -3, "a": True}) == '{"a": true, "b": 1.10, "aa": -3}'
