"""JSON Schema as the wire means it: values are coerced on the way, messages read like AJV's.

Source: AJV 8 with `coerceTypes: "array"`, `useDefaults`. Only the keywords that the wire uses are known;
an unknown one is refused when the table is loaded, so nothing is silently left unchecked.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from tenfold.kit.jsontypes import as_list, as_object
from tenfold.kit.jstext import to_text

KNOWN: Final = frozenset(
    [
        "$ref",
        "type",
        "properties",
        "required",
        "items",
        "anyOf",
        "allOf",
        "enum",
        "const",
        "format",
        "minLength",
        "additionalProperties",
        "default",
    ]
)
_UUID = re.compile(r"^(?:urn:uuid:)?[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$", re.IGNORECASE)
_FAILED: Final = object()
Schema = Mapping[str, Any]


class Validator:
    """Checks values against schemas that refer to one table of named schemas."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas
        for schema in schemas.values():
            _refuse_unknown(schema)

    def check(self, schema: Schema, value: Any, path: str = "") -> tuple[Any, list[str]]:
        """The coerced value and the errors, each as `path message`; no errors means valid."""
        if "$ref" in schema:
            return self.check(self._schemas[schema["$ref"].rpartition("/")[2]], value, path)
        if "type" in schema and "enum" not in schema:
            coerced = _coerce(schema["type"], value)
            if coerced is _FAILED:
                return value, [f"{path} must be {schema['type']}"]
            value = coerced
        for part in (_check_text, _check_choice):
            if error := part(schema, value):
                return value, [f"{path} {error}"]
        return self._compound(schema, value, path)

    def _compound(self, schema: Schema, value: Any, path: str) -> tuple[Any, list[str]]:
        errors: list[str] = []
        for part in (self._any, self._all, self._array, self._object):
            value, errors = part(schema, value, path)
            if errors:
                break
        return value, errors

    def _any(self, schema: Schema, value: Any, path: str) -> tuple[Any, list[str]]:
        if "anyOf" not in schema:
            return value, []
        collected: list[str] = []
        for option in schema["anyOf"]:
            accepted, errors = self.check(option, value, path)
            if not errors:
                return accepted, []
            collected += errors
        return value, [*collected, f"{path} must match a schema in anyOf"]

    def _all(self, schema: Schema, value: Any, path: str) -> tuple[Any, list[str]]:
        for part in schema.get("allOf", ()):
            value, errors = self.check(part, value, path)
            if errors:
                return value, errors
        return value, []

    def _array(self, schema: Schema, value: Any, path: str) -> tuple[Any, list[str]]:
        found = as_list(value)
        if "items" not in schema or found is None:
            return value, []
        items: list[Any] = []
        for index, item in enumerate(found):
            accepted, errors = self.check(schema["items"], item, f"{path}/{index}")
            if errors:
                return value, errors
            items.append(accepted)
        return items, []

    def _object(self, schema: Schema, value: Any, path: str) -> tuple[Any, list[str]]:
        given = as_object(value)
        if given is None:
            return value, []
        for name in schema.get("required", ()):
            if name not in given:
                return value, [f"{path} must have required property '{name}'"]
        accepted = dict(given)
        for name, part in self._members(schema, accepted):
            accepted[name], errors = self.check(part, accepted[name], f"{path}/{name}")
            if errors:
                return value, errors
        return accepted, []

    def _members(self, schema: Schema, value: dict[str, Any]) -> list[tuple[str, Schema]]:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        members = [(name, part) for name, part in properties.items() if name in value]
        rest = schema.get("additionalProperties")
        if isinstance(rest, Mapping) and rest:
            members += [(name, rest) for name in value if name not in properties]
        return members


def _check_text(schema: Schema, value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    if len(value) < schema.get("minLength", 0):
        return f"must NOT have fewer than {schema['minLength']} characters"
    if schema.get("format") == "uuid" and not _UUID.match(value):
        return 'must match format "uuid"'
    return None


def _check_choice(schema: Schema, value: Any) -> str | None:
    if "const" in schema and not _same(schema["const"], value):
        return "must be equal to constant"
    if "enum" in schema and not any(_same(choice, value) for choice in schema["enum"]):
        return "must be equal to one of the allowed values"
    return None


def _same(wanted: Any, value: Any) -> bool:
    return wanted == value and isinstance(wanted, bool) == isinstance(value, bool)


def _coerce(kind: str, value: Any) -> Any:
    """The value as the wanted type, or _FAILED (AJV's table of coercions)."""
    if _IS[kind](value):
        return value
    items = as_list(value)
    if kind != "array" and items is not None and len(items) == 1:
        return _coerce(kind, items[0])
    return _TO[kind](value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_IS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _to_string(value: Any) -> Any:
    if value is None:
        return ""
    return to_text(value) if isinstance(value, (bool, int, float)) else _FAILED


def _to_number(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return int(value or 0)
    try:
        number = float(value) if isinstance(value, str) and value.strip() else _FAILED
    except ValueError:
        return _FAILED
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _to_integer(value: Any) -> Any:
    number = _to_number(value)
    return number if isinstance(number, int) else _FAILED


def _to_boolean(value: Any) -> Any:
    if value in ("false", 0) or value is None:
        return False
    return True if value in ("true", 1) else _FAILED


def _to_null(value: Any) -> Any:
    return None if value in ("", 0, False) else _FAILED


def _to_array(value: Any) -> Any:
    return [value] if value is None or isinstance(value, (str, int, float)) else _FAILED


_TO: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": _to_string,
    "number": _to_number,
    "integer": _to_integer,
    "boolean": _to_boolean,
    "null": _to_null,
    "array": _to_array,
    "object": lambda _: _FAILED,
}


def _refuse_unknown(schema: Any) -> None:
    unknown = set(schema) - KNOWN
    if unknown:
        raise ValueError(f"schema keywords not supported: {sorted(unknown)}")
    for part in (*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("allOf", ())):
        _refuse_unknown(part)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            _refuse_unknown(schema[key])
