"""The paths of the wire: `email`, `$.address.city`, `$["a b"]`, `items[0].sku`, `tags[*]`.

A path that does not start with `$` has `$.` put in front. Evaluation takes the first match.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from tenfold.kit.errors import Invalid

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
    return lambda value: value.get(key, MISSING) if isinstance(value, dict) else MISSING  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _walk(value: Any, steps: tuple[Step, ...]) -> Any:
    for position, step in enumerate(steps):
        if step is None:
            return _first(value, steps[position + 1 :])
        if isinstance(step, str) and isinstance(value, dict) and step in value:
            value = value[step]  # pyright: ignore[reportUnknownVariableType]
        elif isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):  # pyright: ignore[reportUnknownArgumentType]
            value = value[step]  # pyright: ignore[reportUnknownVariableType]
        else:
            return MISSING
    return value  # pyright: ignore[reportUnknownVariableType]


def _first(value: Any, rest: tuple[Step, ...]) -> Any:
    items: list[Any] = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType]
    found = (_walk(item, rest) for item in items)
    return next((item for item in found if item is not MISSING), MISSING)
