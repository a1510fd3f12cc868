"""Metrics for Prometheus, traces and metrics for OpenTelemetry."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.mailbox import Mailbox
from tests.world import Server, World


def scrape(world: World) -> dict[tuple[str, str], float]:
    answer = world.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, sample.labels.get("workspace", "")): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_prometheus_reads_what_the_process_does(world: World) -> None:
    alice = world.workspace("watched")
    before = scrape(world)
    for _ in range(10):
        alice.get("/segments")
    after = scrape(world)

    def grown(name: str) -> float:
        return sum(value for key, value in after.items() if key[0] == name) - sum(
            value for key, value in before.items() if key[0] == name
        )

    assert grown("tenfold_requests_total") == 10
    assert grown("tenfold_request_duration_seconds_count") == 10
    assert grown("tenfold_database_statements_total") >= 10
    assert after["tenfold_connections", ""] > 0
    assert ("tenfold_connections_wanted", "other") in after
    labels = {label for _, label in after}
    assert len(labels) <= 102, "as many series as there are names at most, however many workspaces"


def test_metrics_are_for_this_machine_or_the_platform(world: World) -> None:
    passed_on = {"x-forwarded-for": "127.0.0.1"}
    assert world.http.get("/metrics", headers=passed_on).status_code == 401
    key = {"authorization": f"Bearer {world.server.platform_key}"}
    assert world.http.get("/metrics", headers={**passed_on, **key}).status_code == 200


class Collector:
    """An OTLP receiver."""

    def __init__(self) -> None:
        spans: list[str] = []
        metrics: list[str] = []
        workspaces: set[str] = set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                        for scope in resource.scope_spans:
                            spans.extend(span.name for span in scope.spans)
                            workspaces.update(
                                item.value.string_value
                                for span in scope.spans
                                for item in span.attributes
                                if item.key == "tenfold.workspace"
                            )
                else:
                    for found in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                        metrics.extend(metric.name for scope in found.scope_metrics for metric in scope.metrics)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.spans, self.metrics, self.workspaces = spans, metrics, workspaces
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


def test_traces_and_metrics_are_sent_where_they_are_wanted(tmp_path: Path, mailbox: Mailbox) -> None:
    collector = Collector()
    server = Server(tmp_path, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    server.start()
    with contextlib.closing(World(server, mailbox)) as world:
        alice = world.workspace()
        alice.identify("u")
        alice.settle()
        alice.get("/segments")
    server.stop()
    collector.server.shutdown()
    collector.server.server_close()
    assert {"GET /api/admin/segments", "POST /api/public/apps/batch", "transaction", "work inbox"} <= set(
        collector.spans
    )
    assert alice.id in collector.workspaces
    assert {"tenfold_requests", "tenfold_events", "tenfold_connections_in_use"} <= set(collector.metrics)
