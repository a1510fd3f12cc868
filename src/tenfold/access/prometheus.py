"""`GET /metrics` in the text format of Prometheus: for scrapers on this machine, or with the platform's key."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from tenfold.http import auth
from tenfold.http.endpoint import Call, Door, Endpoint, Reply
from tenfold.tenancy.metering import series, service
from tenfold.tenancy.scope import Stores

_PASSED_ON: Final = ("x-forwarded-for", "forwarded")


class _Reading(Collector):
    """One scrape."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def collect(self) -> Iterator[Metric]:
        for item in series.read(self._stores.exposition, self._stores.gate):
            family = (CounterMetricFamily if item.counter else GaugeMetricFamily)(
                item.name, item.help, labels=[series.LABEL]
            )
            for label, value in item.values.items():
                family.add_metric([label], value)
            yield family
        buckets, seconds = series.durations(self._stores.exposition)
        duration = HistogramMetricFamily("tenfold_request_duration_seconds", "How long requests took")
        bounds = [*((f"{bound:.6g}", float(count)) for bound, count in buckets), ("+Inf", float(buckets[-1][1]))]
        duration.add_metric([], buckets=bounds, sum_value=seconds)
        yield duration
        yield GaugeMetricFamily("tenfold_connections", "Connections of this process", value=self._stores.gate.places)


async def scrape(call: Call) -> Reply:
    if not _is_near(call):
        auth.check_platform_key(call.headers.get("authorization"), call.services.platform_key)
    await service.flush(call.stores)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reading(call.stores))
    return Reply(200, generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _is_near(call: Call) -> bool:
    """Whether the caller is on this machine, and no proxy passed on somebody else's request."""
    if any(name in call.headers for name in _PASSED_ON):
        return False
    try:
        return ip_address(call.address).is_loopback
    except ValueError:
        return False


ENDPOINTS = [Endpoint("GET", "/metrics", Door.OPEN, scrape)]
