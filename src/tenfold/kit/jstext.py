"""Values as text, the way JavaScript prints them: the ground on which segments compare.

Source: ECMA-262, Number::toString and JSON.stringify.
"""

import json
import math
import re
from decimal import Decimal
from typing import Any

import msgspec

from tenfold.kit.jsontypes import as_list, as_object

_DIGITS = 21  # from here on JavaScript prints exponents
_PERHAPS_FLOAT = re.compile(rb"\d[.eE]")  # only these need another look
_SMALLEST_PLAIN = -6  # and below this power


def to_text(value: Any) -> str:
    """The text of a JSON value: strings as they are, objects and arrays as compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    return to_json(value)


def number_text(value: float) -> str:
    """`1.0` is `1`, `1e3` is `1000`, `1e21` is `1e+21`."""
    as_float = float(value)
    if not math.isfinite(as_float):
        return "NaN" if math.isnan(as_float) else ("Infinity" if as_float > 0 else "-Infinity")
    if as_float.is_integer() and abs(as_float) < 10**_DIGITS:
        return f"{Decimal(repr(as_float)):.0f}" if as_float else "0"
    digits, _, exponent = repr(as_float).partition("e")
    if not exponent:
        return digits
    power = int(exponent)
    if _SMALLEST_PLAIN <= power < 0:
        return f"{as_float:.{len(digits.replace('-', '').replace('.', '')) - 1 - power}f}"
    return f"{digits.removesuffix('.0')}e{'+' if power > 0 else '-'}{abs(power)}"


def to_json(value: Any) -> str:
    """Compact JSON with numbers as JavaScript prints them."""
    text = msgspec.json.encode(value)
    if _PERHAPS_FLOAT.search(text) is None:
        return text.decode()
    return json.dumps(_printable(value), ensure_ascii=False, separators=(",", ":"))


def _printable(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**_DIGITS:
        return int(value)
    if (found := as_object(value)) is not None:
        return {key: _printable(item) for key, item in found.items()}
    if (items := as_list(value)) is not None:
        return [_printable(item) for item in items]
    return value


def to_number(text: str) -> float | None:
    """A finite number from its text; None when it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
