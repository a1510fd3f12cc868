"""The paths of the wire: `email`, `$.address.city`, `$["a b"]`, `items[0].sku`, `tags[*]`.

A path that does not start with `$` has `$.` put in front. Evaluation takes the first match.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from tenfold.kit.errors import Invalid
from tenfold.kit.jsontypes import as_list, as_object

MISSING: Final = object()
Step = str | int | None  # a key, an index, or None for a wildcard

_TOKEN = re.compile(
    r"""\.(?P<name>[^.\[\]\s"'*]+)|\.?\[\s*(?P<index>-?\d+)\s*\]|\.?\[\s*"(?P<double>[^"]*)"\s*\]"""
    r"""|\.?\[\s*'(?P<single>[^']*)'\s*\]|(?P<star>\.\*|\.?\[\s*\*\s*\])""",
)


@lru_cache(maxsize=65_536)
def compile_path(path: str) -> Callable[[Any], Any]:
    """A function from a JSON object to the first value at the path, or MISSING.

    Raises Invalid when the path cannot be read.
    """
    steps = parse_path(path)
    if len(steps) == 1 and isinstance(steps[0], str):
        return _top_level(steps[0])
    return lambda value: _walk(value, steps)


@lru_cache(maxsize=65_536)
def parse_path(path: str) -> tuple[Step, ...]:
    text = path if path.startswith("$") else f"$.{path}"
    position, steps = 1, list[Step]()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Invalid(f"path {path!r} cannot be read at character {position}")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return int(match["index"])
    return next((match[kind] for kind in ("name", "double", "single") if match[kind] is not None), None)


def _top_level(key: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        found = as_object(value)
        return MISSING if found is None else found.get(key, MISSING)

    return read


def _walk(value: Any, steps: tuple[Step, ...]) -> Any:
    for position, step in enumerate(steps):
        if step is None:
            return _first(value, steps[position + 1 :])
        value = _member(value, step)
        if value is MISSING:
            return MISSING
    return value


def _member(value: Any, step: str | int) -> Any:
    if isinstance(step, str):
        return (as_object(value) or {}).get(step, MISSING)
    items = as_list(value) or []
    return items[step] if -len(items) <= step < len(items) else MISSING


def _first(value: Any, rest: tuple[Step, ...]) -> Any:
    items = as_list(value) or list((as_object(value) or {}).values())
    found = (_walk(item, rest) for item in items)
    return next((item for item in found if item is not MISSING), MISSING)
