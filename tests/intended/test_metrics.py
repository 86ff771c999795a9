"""The guide's code interface: one method for each row, timers, and a collector that can be replaced."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from intended import metrics as module
from intended.metrics import (
    InMemoryCollector,
    IntendedOps_METRICS,
    MetricsCollector,
    get_metrics_collector,
    metrics,
    set_metrics_collector,
)
from tests.documents.rows import OPS, lines

WHOSE = {"tenantId": "tenant_123", "agentId": "billing-agent"}


@pytest.fixture
def collector() -> Iterator[InMemoryCollector]:
    """A collector of the test's own."""
    before = get_metrics_collector()
    fresh = InMemoryCollector()
    set_metrics_collector(fresh)
    yield fresh
    set_metrics_collector(before)


def values(collector: MetricsCollector, name: str) -> list[Any]:
    return list(collector.get_metrics()[name]["values"])


def test_the_names_are_those_of_the_guides_table() -> None:
    """Word for word; what is recorded here can be added to what the gateway exports."""
    found = [re.match(r"intendedops_\w+", line) for line in lines(OPS)[339:356]]
    assert [str(one) for one in IntendedOps_METRICS] == [one[0] for one in found if one]


COUNTERS = {
    "intent_submitted": IntendedOps_METRICS.INTENTS_SUBMITTED,
    "intent_evaluated": IntendedOps_METRICS.INTENTS_EVALUATED,
    "intent_executed": IntendedOps_METRICS.INTENTS_EXECUTED,
    "intent_blocked": IntendedOps_METRICS.INTENTS_BLOCKED,
    "trust_progression": IntendedOps_METRICS.TRUST_PROGRESSIONS,
    "trust_demotion": IntendedOps_METRICS.TRUST_DEMOTIONS,
    "job_processed": IntendedOps_METRICS.JOBS_PROCESSED,
    "job_failed": IntendedOps_METRICS.JOBS_FAILED,
    "webhook_received": IntendedOps_METRICS.WEBHOOKS_RECEIVED,
    "governance_decision": IntendedOps_METRICS.GOVERNANCE_DECISIONS,
}
GAUGES = {
    "intents_pending_approval": IntendedOps_METRICS.INTENTS_PENDING_APPROVAL,
    "trust_score": IntendedOps_METRICS.TRUST_SCORE,
    "agents_by_tier": IntendedOps_METRICS.AGENTS_BY_TIER,
}
DURATIONS = {
    "intent_evaluation_duration": IntendedOps_METRICS.INTENT_EVALUATION_DURATION,
    "intent_execution_duration": IntendedOps_METRICS.INTENT_EXECUTION_DURATION,
}


@pytest.mark.parametrize(("method", "name"), COUNTERS.items())
def test_a_counter_counts(collector: InMemoryCollector, method: str, name: str) -> None:
    """By labels, and without any."""
    getattr(metrics, method)(WHOSE)
    getattr(metrics, method)(dict(reversed(WHOSE.items())))
    getattr(metrics, method)()
    assert values(collector, name) == [{"labels": WHOSE, "value": 2}, {"labels": {}, "value": 1}]
    assert collector.get_metrics()[name]["type"] == "counter"


@pytest.mark.parametrize(("method", "name"), GAUGES.items())
def test_a_gauge_is_what_it_was_set_to_last(collector: InMemoryCollector, method: str, name: str) -> None:
    """Up or down."""
    getattr(metrics, method)(7, {"tenantId": "t"})
    getattr(metrics, method)(3, {"tenantId": "t"})
    assert values(collector, name) == [{"labels": {"tenantId": "t"}, "value": 3}]
    assert collector.get_metrics()[name]["type"] == "gauge"


@pytest.mark.parametrize(("method", "name"), DURATIONS.items())
def test_a_duration_falls_under_its_bounds(collector: InMemoryCollector, method: str, name: str) -> None:
    """Each bucket counts everything up to its bound, as Prometheus' do."""
    getattr(metrics, method)(0.3)
    getattr(metrics, method)(1000.0)
    (found,) = values(collector, name)
    assert (found["count"], found["sum"]) == (2, 1000.3)
    assert (found["buckets"]["0.25"], found["buckets"]["0.5"], found["buckets"]["+Inf"]) == (0, 1, 2)


def test_the_published_rows_are_all_recordable() -> None:
    """One method for each, value apart."""
    value = {IntendedOps_METRICS.VALUE_GENERATED, IntendedOps_METRICS.VALUE_BY_TYPE}
    assert {*COUNTERS.values(), *GAUGES.values(), *DURATIONS.values(), *value} == set(IntendedOps_METRICS)


def test_value_counts_in_all_and_for_its_type(collector: InMemoryCollector) -> None:
    """In cents."""
    metrics.value_generated(9900, {"tenantId": "t"})
    metrics.value_generated(100, {"tenantId": "t", "valueType": "revenue"})
    assert values(collector, IntendedOps_METRICS.VALUE_GENERATED) == [{"labels": {"tenantId": "t"}, "value": 10000}]
    assert values(collector, IntendedOps_METRICS.VALUE_BY_TYPE) == [
        {"labels": {"tenantId": "t", "valueType": "revenue"}, "value": 100}
    ]


def test_a_timer_observes_once_what_it_returns(collector: InMemoryCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in a `finally` as well, it must not count twice."""
    clock = iter((10.0, 12.5))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    stop = metrics.start_timer(IntendedOps_METRICS.INTENT_EXECUTION_DURATION, {"agentId": "billing-agent"})
    assert (stop(), stop()) == (2.5, 2.5)
    (found,) = values(collector, IntendedOps_METRICS.INTENT_EXECUTION_DURATION)
    assert (found["labels"], found["count"], found["sum"]) == ({"agentId": "billing-agent"}, 1, 2.5)


@pytest.mark.parametrize("act", [metrics.intent_submitted, lambda labels: metrics.start_timer("x", labels)])
def test_a_label_that_nobody_knows_is_an_error(collector: InMemoryCollector, act: Any) -> None:
    """A misspelt one would be a series that nobody looks at; it is told before anything is recorded or timed."""
    with pytest.raises(ValueError, match="unknown label tenant_id; there are tenantId, agentId"):
        act({"tenant_id": "x"})
    assert collector.get_metrics() == {}


def test_a_name_has_one_type(collector: InMemoryCollector) -> None:
    """A counter that is set like a gauge would be neither."""
    collector.increment("mine")
    for act in (collector.set_gauge, collector.observe):
        with pytest.raises(ValueError, match="mine is a counter, not a"):
            act("mine", 1)
    with pytest.raises(ValueError, match="cannot count down"):
        collector.increment("mine", value=-1)
    assert values(collector, "mine") == [{"labels": {}, "value": 1}]


def test_labels_without_end_do_not_fill_the_memory(
    collector: InMemoryCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request id as a label is a mistake that must not take the program down."""
    monkeypatch.setattr(module, "SERIES", 3)
    for number in range(10):
        collector.increment("mine", {"agentId": f"{number}"})
    found = {one["labels"]["agentId"]: one["value"] for one in values(collector, "mine")}
    assert found == {"0": 1, "1": 1, "2": 1, "other": 7}


def test_another_collector_gets_everything_from_then_on(collector: InMemoryCollector) -> None:
    """Timers that run already too."""
    stop = metrics.start_timer("mine")
    set_metrics_collector(other := InMemoryCollector())
    metrics.job_processed()
    stop()
    assert (set(other.get_metrics()), collector.get_metrics()) == ({IntendedOps_METRICS.JOBS_PROCESSED, "mine"}, {})


def test_threads_lose_nothing(collector: InMemoryCollector) -> None:
    """A web server records from many."""
    threads = [threading.Thread(target=lambda: [metrics.job_processed() for _ in range(500)]) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(5)
    assert values(collector, IntendedOps_METRICS.JOBS_PROCESSED) == [{"labels": {}, "value": 4000}]
