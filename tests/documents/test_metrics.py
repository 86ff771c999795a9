"""Metrics of the guide: each row against the running service, and its two snippets in Python."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from intended.metrics import InMemoryCollector as Fresh
from intended.metrics import (
    IntendedOps_METRICS,
    MetricsCollector,
    get_metrics_collector,
    metrics,
    set_metrics_collector,
)
from tests.documents.live import Service
from tests.documents.rows import Row, rows_of

T = "tenant123"


def named(row: Row) -> str:
    return row.id


@pytest.fixture(scope="module")
def exported(service: Service) -> dict[str, Any]:
    """The service's metrics, after an intent that was executed, one that waits, and one that was denied."""
    service.escalated(T, "for the metrics")
    with service.client(T) as client:
        done = client.post(
            "/intent", json={"action": "read the repository", "actor": "agent:reader", "system": "github"}
        )
        assert done.json()["decision"] == "ALLOW", done.text
        answer = client.post(f"/intent/{done.json()['intentId']}/outcome", json={"status": "completed"})
        assert answer.status_code == 200, answer.text
        client.post("/intent", json={"action": "wipe the production database", "actor": "agent:reader"})
        text = client.get("/metrics")
    assert text.status_code == 200, text.text
    return {family.name: family for family in parse(text.text)}


@pytest.mark.parametrize("row", rows_of("test_a_metric_of_the_guide_is_exported_as_what_it_is"), ids=named)
def test_a_metric_of_the_guide_is_exported_as_what_it_is(row: Row, exported: dict[str, Any]) -> None:
    """Name, type and description are the table's."""
    name, kind, description = row.text.split(" ", 2)
    family = exported[name.removesuffix("_total")]
    assert (family.type, family.documentation) == (kind.lower(), description)


@pytest.mark.parametrize("row", rows_of("test_a_label_of_the_guide_is_on_its_metrics"), ids=named)
def test_a_label_of_the_guide_is_on_its_metrics(row: Row, exported: dict[str, Any]) -> None:
    """Those that apply to each; all of them on evaluated intents."""
    label = row.text.split(" ")[0]
    samples = exported["intendedops_intents_evaluated"].samples
    assert samples
    assert all(one.labels[label] for one in samples)
    values = {one.labels[label] for one in samples}
    wanted = {
        "tenantId": {T},
        "agentId": {"billing-agent", "reader"},
        "domain": {"billing"},
        "intentType": {"billing.process_refund"},
        "status": {"pending", "approved"},
        "trustTier": {"T0"},
    }
    assert wanted[label] <= values


@pytest.fixture
def collector() -> Iterator[Fresh]:
    """A collector of the test's own."""
    before = get_metrics_collector()
    set_metrics_collector(fresh := Fresh())
    yield fresh
    set_metrics_collector(before)


@pytest.mark.parametrize("row", rows_of("test_using_metrics_in_code"), ids=named)
def test_using_metrics_in_code(row: Row, collector: Fresh) -> None:
    """The guide's snippet in Python, line by line."""
    for written in ("metrics.intentSubmitted({", "metrics.startTimer(", "metrics.valueGenerated(9900", "getMetrics()"):
        assert written in row.text
    # Record intent submission
    metrics.intent_submitted(
        {
            "tenantId": "tenant_123",
            "agentId": "billing-agent",
            "domain": "billing",
            "intentType": "billing.send_invoice",
        }
    )
    # Record with timing
    stop_timer = metrics.start_timer(IntendedOps_METRICS.INTENT_EXECUTION_DURATION, {"agentId": "billing-agent"})
    # ... do work ...
    duration_seconds = stop_timer()
    # Record value generated
    metrics.value_generated(9900, {"tenantId": "tenant_123", "domain": "billing"})
    # Get all metrics (for export to Prometheus, etc.)
    all_metrics = get_metrics_collector().get_metrics()

    assert all_metrics[IntendedOps_METRICS.INTENTS_SUBMITTED]["values"][0]["value"] == 1
    assert all_metrics[IntendedOps_METRICS.INTENT_EXECUTION_DURATION]["values"][0]["sum"] == duration_seconds
    assert all_metrics[IntendedOps_METRICS.VALUE_GENERATED]["values"] == [
        {"labels": {"tenantId": "tenant_123", "domain": "billing"}, "value": 9900}
    ]


class PrometheusCollector:
    """The guide's custom collector in Python, with the other methods implemented."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self.metrics: dict[str, Any] = {}
        self.lock = threading.Lock()

    def made(self, kind: Any, name: str, labels: Mapping[str, str] | None) -> Any:
        with self.lock:
            if name not in self.metrics:
                self.metrics[name] = kind(name, name, labelnames=list(labels or {}), registry=self.registry)
        return self.metrics[name].labels(**labels) if labels else self.metrics[name]

    def increment(self, name: str, labels: Mapping[str, str] | None = None, value: float = 1) -> None:
        self.made(prometheus_client.Counter, name, labels).inc(value)

    def set_gauge(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        self.made(prometheus_client.Gauge, name, labels).set(value)

    def observe(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        self.made(prometheus_client.Histogram, name, labels).observe(value)

    def get_metrics(self) -> dict[str, Any]:
        return {one.name: one.value for family in self.registry.collect() for one in family.samples}


@pytest.mark.parametrize("row", rows_of("test_a_custom_metrics_collector"), ids=named)
def test_a_custom_metrics_collector(row: Row, collector: Fresh) -> None:
    """Implement `MetricsCollector`, set it as the global one, and everything goes there."""
    assert "class PrometheusCollector implements MetricsCollector" in row.text
    assert "setMetricsCollector(new PrometheusCollector())" in row.text
    custom: MetricsCollector = PrometheusCollector()
    set_metrics_collector(custom)
    metrics.intent_submitted({"tenantId": "tenant_123"})
    metrics.trust_score(40, {"agentId": "billing-agent"})
    metrics.start_timer(IntendedOps_METRICS.INTENT_EXECUTION_DURATION)()
    found = get_metrics_collector().get_metrics()
    assert found[IntendedOps_METRICS.INTENTS_SUBMITTED] == 1
    assert found[IntendedOps_METRICS.TRUST_SCORE] == 40
    assert found[f"{IntendedOps_METRICS.INTENT_EXECUTION_DURATION}_count"] == 1
    assert collector.get_metrics() == {}
