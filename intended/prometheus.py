"""A metrics collector for Prometheus: what `intended.metrics` records, in a registry that can be scraped.

    from intended.metrics import set_metrics_collector
    from intended.prometheus import PrometheusCollector

    set_metrics_collector(collector := PrometheusCollector())
    collector.text()        # what /metrics of your program answers

Needs prometheus-client. In a program of several processes set PROMETHEUS_MULTIPROC_DIR to an empty folder before the
first collector is made, in all of them: counts and durations of all are then summed by whichever is asked, and a gauge
is what any of them has set last. A process that ends should say so: `prometheus_client.multiprocess.mark_process_dead`.
"""

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from intended.metrics import BUCKETS, IntendedOps_METRICS, MetricLabels

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["SHARED", "PrometheusCollector"]

SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of the folder that several processes share."""

Labels = Mapping[str, str]


class PrometheusCollector:
    """Implements `MetricsCollector`.

    The guide's metrics have all of its labels, empty where none is given, which Prometheus takes for absent. A metric
    of another name has the labels of its first use for good. Raises ImportError where prometheus-client is missing, and
    RuntimeError where it was loaded too early to share anything.
    """

    def __init__(self, registry: "CollectorRegistry | None" = None) -> None:
        """Without a `registry` it has its own: `text` and `get_metrics` tell what is recorded here and nothing else."""
        from prometheus_client import CollectorRegistry, values

        if os.environ.get(SHARED) and values.ValueClass is values.MutexValue:
            msg = f"{SHARED} was set after prometheus_client was imported: this process would share nothing"
            raise RuntimeError(msg)
        self._registry = CollectorRegistry() if registry is None else registry
        self._lock = threading.Lock()
        self._metrics: dict[str, Any] = {}
        self._labels: dict[str, tuple[str, ...]] = {}

    def increment(self, name: str, labels: Labels | None = None, value: float = 1) -> None:
        """Add to a counter. Raises ValueError: other labels or another type than before, or it would count down."""
        from prometheus_client import Counter

        self._series(name, Counter, labels).inc(value)

    def set_gauge(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Set a gauge. Raises ValueError: other labels, or another type, than before."""
        from prometheus_client import Gauge

        self._series(name, Gauge, labels, multiprocess_mode="mostrecent").set(value)

    def observe(self, name: str, value: float, labels: Labels | None = None) -> None:
        """Add one value to a histogram. Raises ValueError: other labels, or another type, than before."""
        from prometheus_client import Histogram

        self._series(name, Histogram, labels, buckets=BUCKETS).observe(value)

    def get_metrics(self) -> dict[str, Any]:
        """Return everything so far, of all processes: name → `{"type", "values": [{"labels", "name", "value"}]}`.

        `name` is that of the sample: a histogram has its `_bucket`, `_sum` and `_count`.
        """
        found: dict[str, Any] = {}
        for family in self._readable().collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            samples = [one for one in family.samples if not one.name.endswith("_created")]
            found[name] = {
                "type": family.type,
                "values": [
                    {"labels": {label: text for label, text in one.labels.items() if text}, "name": one.name}
                    | {"value": one.value}
                    for one in samples
                ],
            }
        return found

    def text(self) -> bytes:
        """Return everything so far, of all processes, in Prometheus' text form (`text/plain; version=0.0.4`)."""
        from prometheus_client import generate_latest

        return generate_latest(self._readable())

    def _readable(self) -> "CollectorRegistry":
        """Return what is to be read: this registry, or the files of all processes."""
        if not os.environ.get(SHARED):
            return self._registry
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return shared

    def _series(
        self, name: str, make: "Callable[..., Counter | Gauge | Histogram]", labels: Labels | None, **more: Any
    ) -> Any:
        """Return the series of these labels; the metric is made with its first use."""
        plain, given = str(name), dict(labels or {})
        with self._lock:
            metric = self._metrics.get(plain)
            if metric is None:
                names = tuple(MetricLabels.__annotations__) if plain in _PUBLISHED else tuple(given)
                metric = make(plain, plain, labelnames=names, registry=self._registry, **more)
                self._metrics[plain], self._labels[plain] = metric, names
        if not isinstance(metric, make):  # type: ignore[arg-type] # a class, called through its own protocol
            msg = f"{plain} is a {type(metric).__name__.lower()}"
            raise ValueError(msg)
        known = self._labels[plain]
        if not given.keys() <= set(known):
            msg = f"{plain} has the labels {', '.join(known) or '(none)'}, not {', '.join(given)}"
            raise ValueError(msg)
        return metric.labels(**{label: given.get(label, "") for label in known}) if known else metric


_PUBLISHED: Final = frozenset(map(str, IntendedOps_METRICS))
