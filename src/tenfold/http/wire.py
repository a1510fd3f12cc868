"""The table of the wire: for each route, what a request must look like and how a bad one is answered.

`wire.json` is Dittofeed's contract as data (routes, request and answer schemas); the tests hold answers to it.
`own.json` is what Tenfold adds, and the two places where it takes more than Dittofeed (roles and admin keys).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

from tenfold.http.schema import Schema, Validator
from tenfold.kit.errors import Invalid
from tenfold.kit.jsontypes import as_list, as_object


class BadRequest(Invalid):
    """The request does not match the wire's schema."""


@dataclass(frozen=True, slots=True)
class WireRoute:
    """What a route takes. `bad` is "message" where a bad request is answered with `{message}` alone."""

    body: Schema | None = None
    query: Schema | None = None
    headers: Schema | None = None
    bad: str = "default"
    answers: Mapping[str, Schema] = field(default_factory=dict[str, Schema])


@cache
def table() -> Mapping[str, WireRoute]:
    return {name: WireRoute(**route) for name, route in _document()["routes"].items()}


@cache
def validator() -> Validator:
    return Validator(_document()["schemas"])


def check_request(route: WireRoute, body: Any, query: dict[str, Any], headers: dict[str, str]) -> tuple[Any, Any]:
    """Body and query, coerced.

    Raises BadRequest with the wire's message and its style in `data`.
    """
    if route.body is not None:
        body = _check(route, "body", route.body, body)
    if route.query is not None:
        query = _check(route, "querystring", route.query, query)
    if route.headers is not None:
        _check(route, "headers", route.headers, headers)
    return body, query


def parse_query(text: str) -> dict[str, Any]:
    """A query string in the manner of `qs`: `ids=a&ids=b`, `ids[]=a`, `ids[0]=a`, `filters[channels][]=Email`."""
    result: dict[str, Any] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        _put(result, key.replace("]", "").split("["), value)
    return {key: _lists(value) for key, value in result.items()}


def _check(route: WireRoute, part: str, schema: Schema, value: Any) -> Any:
    accepted, errors = validator().check(schema, value)
    if errors:
        raise BadRequest(", ".join(f"{part}{error}" for error in errors), style=route.bad)
    return accepted


def _put(target: dict[str, Any], keys: list[str], value: str) -> None:
    head, *rest = keys
    if not rest:
        before = target.get(head)
        target[head] = value if before is None else [*(as_list(before) or [before]), value]
        return
    inner = as_object(target.setdefault(head, {}))
    if inner is None:
        inner = {str(index): item for index, item in enumerate(as_list(target[head]) or [target[head]])}
        target[head] = inner
    _put(inner, [rest[0] or str(len(inner)), *rest[1:]], value)


def _lists(value: Any) -> Any:
    """Objects whose keys are all digits were arrays."""
    found = as_object(value)
    if found is None:
        return value
    items = {key: _lists(item) for key, item in found.items()}
    return list(items.values()) if items and all(key.isdigit() for key in items) else items


@cache
def _document() -> dict[str, Any]:
    theirs, ours = (json.loads(files("tenfold.http").joinpath(name).read_text()) for name in ("wire.json", "own.json"))
    return {part: {**theirs[part], **ours[part]} for part in ("routes", "schemas")}
