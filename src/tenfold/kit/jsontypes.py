"""JSON values, narrowed without losing their types."""

from typing import Any


def as_object(value: Any) -> dict[str, Any] | None:
    """The value when it is a JSON object."""
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] - JSON has text keys


def as_list(value: Any) -> list[Any] | None:
    """The value when it is a JSON array."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType] - items are Any
