"""The published guide's code interface for metrics: record what your own programs do, under the guide's names.

    from intended.metrics import IntendedOps_METRICS, metrics

    metrics.intent_submitted({"tenantId": "tenant_123", "agentId": "billing-agent"})
    stop_timer = metrics.start_timer(IntendedOps_METRICS.INTENT_EXECUTION_DURATION, {"agentId": "billing-agent"})
    seconds = stop_timer()

Owns the names, the recording and the collector in memory that is there from the start. `prometheus.py` has one for
Prometheus; any other is a `MetricsCollector` given to `set_metrics_collector`. The gateway's own metrics are its
`/metrics`; these are yours. Everything here may be used from several threads.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final, Protocol, TypedDict

__all__ = [
    "BUCKETS",
    "InMemoryCollector",
    "IntendedOps_METRICS",
    "MetricLabels",
    "Metrics",
    "MetricsCollector",
    "get_metrics_collector",
    "metrics",
    "set_metrics_collector",
]

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds in seconds of what is observed."""

SERIES: Final = 10_000
"""Different labels of one metric that the collector in memory tells apart; what comes after that is `other`."""
OTHER: Final = "other"

Labels = Mapping[str, str]


class IntendedOps_METRICS(StrEnum):
    """The guide's standard metrics."""

    INTENTS_SUBMITTED = "intendedops_intents_submitted_total"
    INTENTS_EVALUATED = "intendedops_intents_evaluated_total"
    INTENTS_EXECUTED = "intendedops_intents_executed_total"
    INTENTS_BLOCKED = "intendedops_intents_blocked_total"
    INTENTS_PENDING_APPROVAL = "intendedops_intents_pending_approval"
    INTENT_EVALUATION_DURATION = "intendedops_intent_evaluation_duration_seconds"
    INTENT_EXECUTION_DURATION = "intendedops_intent_execution_duration_seconds"
    TRUST_PROGRESSIONS = "intendedops_trust_progressions_total"
    TRUST_DEMOTIONS = "intendedops_trust_demotions_total"
    TRUST_SCORE = "intendedops_trust_score"
    AGENTS_BY_TIER = "intendedops_agents_by_tier"
    VALUE_GENERATED = "intendedops_value_generated_cents_total"
    VALUE_BY_TYPE = "intendedops_value_by_type_cents_total"
    JOBS_PROCESSED = "intendedops_jobs_processed_total"
    JOBS_FAILED = "intendedops_jobs_failed_total"
    WEBHOOKS_RECEIVED = "intendedops_webhooks_received_total"
    GOVERNANCE_DECISIONS = "intendedops_governance_decisions_total"


class MetricLabels(TypedDict, total=False):
    """The labels that every metric supports, each optional. `valueType` is for value by type."""

    tenantId: str
    agentId: str
    domain: str
    intentType: str
    status: str
    trustTier: str
    valueType: str


class MetricsCollector(Protocol):
    """Where metrics go. Implement it to integrate with your monitoring system."""

    def increment(self, name: str, labels: Labels | None = None, value: float = 1) -> None:
        """Add to a counter."""
        ...

    def set_gauge(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Set a gauge."""
        ...

    def observe(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Add one value to a histogram."""
        ...

    def get_metrics(self) -> dict[str, Any]:
        """Return everything so far: name → `{"type", "values": [{"labels", …}]}`."""
        ...


class InMemoryCollector:
    """Keeps everything in this process, and needs nothing else.

    `get_metrics` tells a counter or gauge as `{"labels", "value"}`, a histogram as `{"labels", "count", "sum",
    "buckets"}`, whose buckets count everything up to their bound.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._types: dict[str, str] = {}
        self._values: dict[str, dict[tuple[tuple[str, str], ...], Any]] = {}

    def increment(self, name: str, labels: Labels | None = None, value: float = 1) -> None:
        """Add to a counter. Raises ValueError: it would count down, or the name is that of another type."""
        if value < 0:
            msg = f"the counter {name} cannot count down by {value}; a gauge can"
            raise ValueError(msg)
        with self._lock:
            series, key = self._place(name, "counter", labels)
            series[key] = series.get(key, 0) + value

    def set_gauge(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Set a gauge. Raises ValueError: the name is that of another type."""
        with self._lock:
            series, key = self._place(name, "gauge", labels)
            series[key] = value

    def observe(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Add one value to a histogram. Raises ValueError: the name is that of another type."""
        with self._lock:
            series, key = self._place(name, "histogram", labels)
            counts, total = series.get(key, ([0] * (len(BUCKETS) + 1), 0.0))
            counts[bisect_left(BUCKETS, value)] += 1
            series[key] = (counts, total + value)

    def get_metrics(self) -> dict[str, Any]:
        """Return everything so far."""
        with self._lock:
            return {
                name: {
                    "type": self._types[name],
                    "values": [{"labels": dict(key), **_shown(held)} for key, held in series.items()],
                }
                for name, series in self._values.items()
            }

    def _place(
        self, name: str, kind: str, labels: Labels | None
    ) -> tuple[dict[tuple[tuple[str, str], ...], Any], tuple[tuple[str, str], ...]]:
        """Return the series of a metric, and the key of these labels in it."""
        plain = str(name)
        if self._types.setdefault(plain, kind) != kind:
            msg = f"{plain} is a {self._types[plain]}, not a {kind}"
            raise ValueError(msg)
        series = self._values.setdefault(plain, {})
        key = tuple(sorted((label, str(value)) for label, value in (labels or {}).items()))
        if key not in series and len(series) >= SERIES:
            key = tuple((label, OTHER) for label, _ in key)
        return series, key


def _shown(held: Any) -> dict[str, Any]:
    if not isinstance(held, tuple):
        return {"value": held}
    counts, total = held
    return {
        "count": sum(counts),
        "sum": total,
        "buckets": dict(zip([*map(str, BUCKETS), "+Inf"], accumulate(counts), strict=True)),
    }


class Metrics:
    """A method for each row of the guide's table. Labels that the guide does not know are a ValueError."""

    # --- intents ------------------------------------------------------------------------------------------------------

    def intent_submitted(self, labels: MetricLabels | None = None) -> None:
        """An intent was submitted."""
        _increment(IntendedOps_METRICS.INTENTS_SUBMITTED, labels)

    def intent_evaluated(self, labels: MetricLabels | None = None) -> None:
        """An intent was evaluated by governance."""
        _increment(IntendedOps_METRICS.INTENTS_EVALUATED, labels)

    def intent_executed(self, labels: MetricLabels | None = None) -> None:
        """An intent was executed successfully."""
        _increment(IntendedOps_METRICS.INTENTS_EXECUTED, labels)

    def intent_blocked(self, labels: MetricLabels | None = None) -> None:
        """An intent was blocked by policy."""
        _increment(IntendedOps_METRICS.INTENTS_BLOCKED, labels)

    def intents_pending_approval(self, count: int, labels: MetricLabels | None = None) -> None:
        """So many intents await a human now."""
        _set(IntendedOps_METRICS.INTENTS_PENDING_APPROVAL, count, labels)

    def intent_evaluation_duration(self, seconds: float, labels: MetricLabels | None = None) -> None:
        """An intent took so long to evaluate."""
        _observe(IntendedOps_METRICS.INTENT_EVALUATION_DURATION, seconds, labels)

    def intent_execution_duration(self, seconds: float, labels: MetricLabels | None = None) -> None:
        """An intent took so long to execute."""
        _observe(IntendedOps_METRICS.INTENT_EXECUTION_DURATION, seconds, labels)

    # --- trust and value ----------------------------------------------------------------------------------------------

    def trust_progression(self, labels: MetricLabels | None = None) -> None:
        """An agent was promoted."""
        _increment(IntendedOps_METRICS.TRUST_PROGRESSIONS, labels)

    def trust_demotion(self, labels: MetricLabels | None = None) -> None:
        """An agent was demoted."""
        _increment(IntendedOps_METRICS.TRUST_DEMOTIONS, labels)

    def trust_score(self, score: float, labels: MetricLabels | None = None) -> None:
        """An agent's score is this now."""
        _set(IntendedOps_METRICS.TRUST_SCORE, score, labels)

    def agents_by_tier(self, count: int, labels: MetricLabels | None = None) -> None:
        """So many agents are in a tier now."""
        _set(IntendedOps_METRICS.AGENTS_BY_TIER, count, labels)

    def value_generated(self, cents: int, labels: MetricLabels | None = None) -> None:
        """So much value was generated; with a `valueType` it counts for that type too."""
        given = dict(labels or {})
        kind = given.pop("valueType", None)
        _increment(IntendedOps_METRICS.VALUE_GENERATED, given, cents)
        if kind is not None:
            _increment(IntendedOps_METRICS.VALUE_BY_TYPE, {**given, "valueType": kind}, cents)

    # --- jobs, webhooks, decisions ------------------------------------------------------------------------------------

    def job_processed(self, labels: MetricLabels | None = None) -> None:
        """A background job was processed."""
        _increment(IntendedOps_METRICS.JOBS_PROCESSED, labels)

    def job_failed(self, labels: MetricLabels | None = None) -> None:
        """A background job has failed."""
        _increment(IntendedOps_METRICS.JOBS_FAILED, labels)

    def webhook_received(self, labels: MetricLabels | None = None) -> None:
        """A webhook was received."""
        _increment(IntendedOps_METRICS.WEBHOOKS_RECEIVED, labels)

    def governance_decision(self, labels: MetricLabels | None = None) -> None:
        """A governance decision was made."""
        _increment(IntendedOps_METRICS.GOVERNANCE_DECISIONS, labels)

    # --- any histogram ------------------------------------------------------------------------------------------------

    def start_timer(self, name: str, labels: MetricLabels | None = None) -> Callable[[], float]:
        """Return a function that observes the seconds since now and returns them; called again, it only returns them.

        What is timed goes to the collector that is set when the timer is stopped.
        """
        given = _checked(labels)
        begun = time.perf_counter()
        taken: list[float] = []

        def stop() -> float:
            if not taken:
                taken.append(time.perf_counter() - begun)
                get_metrics_collector().observe(name, taken[0], given)
            return taken[0]

        return stop


metrics: Final = Metrics()
"""Records with the collector that is set at that moment."""

_collector: MetricsCollector = InMemoryCollector()


def get_metrics_collector() -> MetricsCollector:
    """Return the collector in use: one in memory, until another is set."""
    return _collector


def set_metrics_collector(collector: MetricsCollector) -> None:
    """Use this collector from now on, in the whole process. What another one has collected stays there."""
    global _collector
    _collector = collector


def _increment(name: str, labels: Mapping[str, Any] | None, value: float = 1) -> None:
    _collector.increment(name, _checked(labels), value)


def _set(name: str, value: float, labels: Mapping[str, Any] | None) -> None:
    _collector.set_gauge(name, value, _checked(labels))


def _observe(name: str, value: float, labels: Mapping[str, Any] | None) -> None:
    _collector.observe(name, value, _checked(labels))


def _checked(labels: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the labels as they are recorded. A misspelt one would else be a series that nobody looks at."""
    given = dict(labels or {})
    unknown = given.keys() - MetricLabels.__annotations__
    if unknown:
        msg = f"unknown label {', '.join(sorted(unknown))}; there are {', '.join(MetricLabels.__annotations__)}"
        raise ValueError(msg)
    return {name: str(value) for name, value in given.items()}
