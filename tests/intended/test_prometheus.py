"""The collector for Prometheus: its text, its checks, and sums over real processes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from intended.metrics import IntendedOps_METRICS, get_metrics_collector, metrics, set_metrics_collector
from intended.prometheus import SHARED, PrometheusCollector

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
from intended.metrics import metrics, set_metrics_collector
from intended.prometheus import PrometheusCollector
collector = PrometheusCollector()
set_metrics_collector(collector)
count = int(sys.argv[1])
for _ in range(count):
    metrics.intent_submitted({"tenantId": "acme"})
    metrics.intent_execution_duration(0.5, {"tenantId": "acme"})
metrics.trust_score(count, {"agentId": "bot"})
print(collector.text().decode())
"""


def samples(text: bytes | str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in parse(text if isinstance(text, str) else text.decode()):
        for one in family.samples:
            labels = {name: value for name, value in one.labels.items() if value}
            found.setdefault(one.name, []).append((labels, one.value))
    return found


def test_everything_is_in_the_text_under_its_name() -> None:
    """With the labels that were given; empty ones are none."""
    collector = PrometheusCollector()
    before = get_metrics_collector()
    set_metrics_collector(collector)
    try:
        metrics.intent_submitted({"tenantId": "acme", "agentId": "bot"})
        metrics.intent_submitted({"tenantId": "acme"})
        metrics.trust_score(40, {"agentId": "bot"})
        metrics.intent_execution_duration(0.3)
    finally:
        set_metrics_collector(before)
    found = samples(collector.text())
    assert found[IntendedOps_METRICS.INTENTS_SUBMITTED] == [
        ({"tenantId": "acme", "agentId": "bot"}, 1),
        ({"tenantId": "acme"}, 1),
    ]
    assert found[IntendedOps_METRICS.TRUST_SCORE] == [({"agentId": "bot"}, 40)]
    assert found[f"{IntendedOps_METRICS.INTENT_EXECUTION_DURATION}_count"] == [({}, 1)]


def test_the_same_is_there_for_programs() -> None:
    """`get_metrics`, as of every collector."""
    collector = PrometheusCollector()
    collector.increment(IntendedOps_METRICS.JOBS_FAILED, {"tenantId": "acme"}, 3)
    collector.observe("mine_seconds", 2)
    found = collector.get_metrics()
    assert found[IntendedOps_METRICS.JOBS_FAILED] == {
        "type": "counter",
        "values": [{"labels": {"tenantId": "acme"}, "name": IntendedOps_METRICS.JOBS_FAILED, "value": 3}],
    }
    assert found["mine_seconds"]["type"] == "histogram"
    assert {"labels": {}, "name": "mine_seconds_sum", "value": 2} in found["mine_seconds"]["values"]


def test_a_registry_of_the_program_s_own_is_used() -> None:
    """Then one scrape has everything of the program."""
    registry = prometheus_client.CollectorRegistry()
    PrometheusCollector(registry).increment("mine_total")
    assert registry.get_sample_value("mine_total") == 1


def test_what_prometheus_would_not_take_is_an_error() -> None:
    """A metric has one type, and labels of its own for good; a counter never counts down."""
    collector = PrometheusCollector()
    collector.increment("mine_total", {"agentId": "bot"})
    collector.increment("mine_total")
    with pytest.raises(ValueError, match="mine_total is a counter"):
        collector.set_gauge("mine_total", 1)
    with pytest.raises(ValueError, match="mine_total has the labels agentId, not domain"):
        collector.increment("mine_total", {"domain": "billing"})
    with pytest.raises(ValueError, match="Counters can only be incremented"):
        collector.increment("mine_total", {"agentId": "bot"}, -1)
    with pytest.raises(ValueError, match="has the labels"):
        collector.increment(IntendedOps_METRICS.JOBS_FAILED, {"job": "x"})
    collector.set_gauge("bare", 1)
    with pytest.raises(ValueError, match=r"bare has the labels \(none\), not agentId"):
        collector.set_gauge("bare", 1, {"agentId": "bot"})


def worker(count: int, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), **environment},
    )


def test_counts_of_two_processes_are_summed(tmp_path: Path) -> None:
    """Whichever of them is scraped must answer for both; counts also outlive the process that made them."""
    for one in [worker(count, **{SHARED: str(tmp_path)}) for count in (300, 20)]:
        one.communicate(timeout=60)
        assert one.returncode == 0
    text, _ = worker(1, **{SHARED: str(tmp_path)}).communicate(timeout=60)
    found = samples(text)
    assert found[IntendedOps_METRICS.INTENTS_SUBMITTED] == [({"tenantId": "acme"}, 321)]
    name = IntendedOps_METRICS.INTENT_EXECUTION_DURATION
    assert found[f"{name}_count"] == [({"tenantId": "acme"}, 321)]
    assert found[f"{name}_sum"] == [({"tenantId": "acme"}, 160.5)]
    assert found[IntendedOps_METRICS.TRUST_SCORE] == [({"agentId": "bot"}, 1)], "the last that was set"


def test_processes_without_a_shared_folder_count_for_themselves() -> None:
    """That is what the variable is for."""
    text, _ = worker(5).communicate(timeout=60)
    assert samples(text)[IntendedOps_METRICS.INTENTS_SUBMITTED] == [({"tenantId": "acme"}, 5)]


def test_a_folder_that_is_named_too_late_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process would count for itself, and a scrape would show a part as if it were all."""
    monkeypatch.setenv(SHARED, str(tmp_path))
    with pytest.raises(RuntimeError, match="would share nothing"):
        PrometheusCollector()


def test_the_client_does_not_bring_prometheus_along() -> None:
    """Who only asks for decisions pays nothing for it."""
    code = "import sys, intended.metrics, intended.prometheus; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60, cwd=ROOT).returncode == 0


def shared_in_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let this very process share, as if the variable had been set in time."""
    values: Any = prometheus_client.values
    monkeypatch.setenv(SHARED, str(folder))
    monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue())
    monkeypatch.setattr(prometheus_client.metrics.values, "ValueClass", values.ValueClass)
    return PrometheusCollector()


def test_a_shared_folder_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `get_metrics` as by `text`."""
    worker(7, **{SHARED: str(tmp_path)}).communicate(timeout=60)
    collector = shared_in_process(tmp_path, monkeypatch)
    collector.increment(IntendedOps_METRICS.INTENTS_SUBMITTED, {"tenantId": "acme"})
    name = IntendedOps_METRICS.INTENTS_SUBMITTED
    assert collector.get_metrics()[name]["values"] == [{"labels": {"tenantId": "acme"}, "name": name, "value": 8}]
