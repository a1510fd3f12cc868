"""Traces by OpenTelemetry, when there is somebody to send them to; nothing at all otherwise.

`OTEL_EXPORTER_OTLP_ENDPOINT` says where (OTLP over HTTP); the other `OTEL_*` variables hold as the standard says.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Observation

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
Read = Callable[[], dict[str, float]]
_tracer = trace.get_tracer("tenfold")


def start() -> Callable[[], None]:
    """Send traces and metrics from now on, if an endpoint is named; what to call at the end, so that none is lost."""
    if not os.environ.get(ENDPOINT):
        return lambda: None
    from tenfold.kit import exporters  # noqa: PLC0415 - most never need them, and they take half a second to load

    return exporters.start()


def span(name: str, **attributes: Any) -> AbstractContextManager[Any]:
    """A span around what is done in it; it costs nothing when nobody listens."""
    if not os.environ.get(ENDPOINT):
        return nullcontext()
    given = {key.replace("_", "."): value for key, value in attributes.items()}
    return _tracer.start_as_current_span(name, attributes=given)


def observe(name: str, words: str, label: str, read: Read, *, counter: bool) -> None:
    """Have values by label read whenever metrics are sent."""

    def look(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, {label: key}) for key, value in read().items()]

    meter = metrics.get_meter("tenfold")
    make = meter.create_observable_counter if counter else meter.create_observable_gauge
    make(name, callbacks=[look], description=words)
