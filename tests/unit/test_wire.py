"""The wire's schemas: coercion and messages as the reference's validator has them."""

from typing import Any

import pytest

from tenfold.http.schema import Validator
from tenfold.http.wire import BadRequest, check_request, parse_query, table

TRACK = "POST /api/public/apps/track"


def check(name: str, body: Any) -> Any:
    accepted, _ = check_request(table()[name], body, {}, {"authorization": "x"})
    return accepted


@pytest.mark.parametrize(
    ("schema", "given", "wanted"),
    [
        ("string", 5, "5"), ("string", True, "true"), ("string", None, ""), ("string", 1.0, "1"),
        ("number", "7", 7), ("number", "1.5", 1.5), ("number", True, 1), ("boolean", "true", True),
        ("boolean", 0, False), ("array", "x", ["x"]), ("string", ["x"], "x"), ("null", "", None),
    ],
)  # fmt: skip
def test_values_are_coerced(schema: str, given: Any, wanted: Any) -> None:
    accepted, errors = Validator({}).check({"type": schema}, given)
    assert (accepted, errors) == (wanted, [])
    assert type(accepted) is type(wanted)


@pytest.mark.parametrize(
    ("schema", "given"),
    [("string", {}), ("number", "x"), ("number", ""), ("boolean", "yes"), ("object", None), ("array", {})],
)
def test_what_cannot_be_coerced_is_refused(schema: str, given: Any) -> None:
    _, errors = Validator({}).check({"type": schema}, given)
    assert errors == [f" must be {schema}"]


def test_numbers_for_ids_become_text() -> None:
    assert check(TRACK, {"messageId": 1, "userId": 123, "event": "x"})["userId"] == "123"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "body must have required property 'batch'"),
        ({"batch": {}}, "body/batch must be array"),
        ({"batch": [{"type": "alias"}]}, "body/batch/0 must match a schema in anyOf"),
        (None, "body must be object"),
    ],
)
def test_a_bad_batch_is_refused_in_the_wires_words(body: Any, message: str) -> None:
    with pytest.raises(BadRequest, match=message.replace("/", "/")):
        check("POST /api/public/apps/batch", body)


def test_query_strings_are_read_as_qs_does() -> None:
    parsed = parse_query("ids=a&ids=b&one[]=x&two[0]=y&filters[channels][]=Email&filters[channels][]=Sms&plain=1")
    assert parsed == {
        "ids": ["a", "b"], "one": ["x"], "two": ["y"], "filters": {"channels": ["Email", "Sms"]}, "plain": "1",
    }  # fmt: skip


def test_an_unknown_schema_keyword_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Validator({"x": {"type": "string", "pattern": "a"}})
