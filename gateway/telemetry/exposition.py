"""The metrics as text, for Prometheus: the counts of this process and what was read off it, under their names.

Owns which counts make up which metric, and who sees which of them. The text itself is prometheus-client's, in its
classic form or OpenMetrics as the `Accept` header asks. That library is loaded with the first question: a start must
not wait for it.
"""

import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from gateway.core.decision import Effect
from gateway.core.projection import DONE
from gateway.core.readings import Readings
from gateway.core.trust.evidence import BY_THE_MODEL, ChangeKind
from gateway.telemetry.catalogue import METRICS, OTHER, Definition, Kind
from gateway.telemetry.metrics import Histogram, Metrics

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["Exposition"]

TENANT: Final = "tenantId"

Labels = tuple[str, ...]
Numbers = Mapping[Labels, float]
Times = Mapping[Labels, Histogram]

_STATUS: Final[Mapping[str, str]] = {Effect.ALLOW: "approved", Effect.ESCALATE: "pending", Effect.DENY: "rejected"}
"""What a decision brings its intent to, as everywhere in the Ops dialect."""
_TRUST: Final = (
    ("intendedops_trust_progressions_total", frozenset({ChangeKind.PROMOTED})),
    ("intendedops_trust_demotions_total", BY_THE_MODEL - {ChangeKind.PROMOTED}),
)
_RELOADS: Final = "policy-reload"


class Exposition:
    """Writes metrics. `version` is the gateway's own; `domain_of` tells the domain of an intent type."""

    def __init__(self, metrics: Metrics, *, version: str, domain_of: Callable[[str], str]) -> None:
        self._metrics = metrics
        self._build = (version, platform.python_version())
        self._domain_of = domain_of

    async def text(self, readings: Readings, *, tenant: str, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type; with a `tenant` only what is about that one, or open to every one."""
        # Copied on the event loop, where nothing changes meanwhile; calls do not wait for the rest.
        counts = self._metrics.snapshot()
        return await anyio.to_thread.run_sync(self._written, counts, readings, tenant, accept)

    def _written(self, counts: Metrics, readings: Readings, tenant: str, accept: str) -> tuple[bytes, str]:
        from prometheus_client.exposition import choose_encoder

        numbers = {**dict(_counted(counts, readings)), **dict(self._read(readings, counts.names))}
        times = dict(_timed(counts))
        encode, kind = choose_encoder(accept)
        families = [_family(one, numbers.get(one.name, {}), times.get(one.name, {}), tenant) for one in METRICS]
        if not tenant:
            families += _of_process()
        return encode(_Collected(families)), kind

    def _read(self, readings: Readings, most: int) -> Iterator[tuple[str, Numbers]]:
        """Yield the gauges."""
        yield "intendedops_intents_pending_approval", self._pending(readings, most)
        trust = readings.trust
        # Beyond the bound agents have no score here: one for all of them would be nobody's.
        yield (
            "intendedops_trust_score",
            {(whose, one.agent, one.tier.name): one.score for whose, all_ in trust.items() for one in all_[:most]},
        )
        yield (
            "intendedops_agents_by_tier",
            _summed(((whose, one.tier.name), 1) for whose, all_ in trust.items() for one in all_),
        )
        # Nor is a sum of accounts any account.
        told = [(whose, one) for whose, all_ in readings.budgets.items() for one in all_[:most]]
        yield "intended_budget_spent", {(whose, one.budget.name, one.whose): one.spent for whose, one in told}
        yield (
            "intended_budget_limit",
            {(whose, one.budget.name, one.whose): one.limit for whose, one in told if one.limit is not None},
        )
        yield "intended_calls_in_flight", {(): readings.in_flight}
        yield "intended_calls_held", _by_tenant(readings.held)
        yield "intended_approvals_pending", _by_tenant(readings.pending_approvals)
        yield "intended_webhook_backlog", _by_tenant(readings.backlog)
        yield "intended_audit_chain_valid", {(whose,): float(valid) for whose, (valid, _) in readings.chains.items()}
        yield (
            "intended_audit_chain_verified_timestamp_seconds",
            {(whose,): at for whose, (_, at) in readings.chains.items()},
        )
        yield "intended_config_last_reload_success", {(): float(readings.reloaded)}
        yield "intended_ready", {(): float(readings.ready)}
        yield "intended_check_ok", {(name,): float(holds) for name, holds in readings.checks.items()}
        yield "intended_metrics_unread", {(): readings.unread}
        yield "intended_build_info", {self._build: 1}

    def _pending(self, readings: Readings, most: int) -> Numbers:
        """Return the waiting intents by tenant, agent, domain and type; of those with the most of them, if many."""
        by_count = sorted(readings.pending_intents.items(), key=lambda one: one[1], reverse=True)
        told = [((tenant, agent, self._domain_of(kind), kind), n) for (tenant, agent, kind), n in by_count[:most]]
        rest = [((tenant, OTHER, OTHER, OTHER), n) for (tenant, _, _), n in by_count[most:]]
        return _summed(told + rest)


# --- sums -------------------------------------------------------------------------------------------------------------


def _counted(counts: Metrics, readings: Readings) -> Iterator[tuple[str, Numbers]]:
    yield from _of_intents(counts)
    yield from _of_endings(counts)
    for name, words in _TRUST:
        changes = (
            ((tenant, agent, tier), n) for (tenant, agent, word, tier), n in counts.trust.items() if word in words
        )
        yield name, _summed(changes)
    yield "intended_denials_total", _summed(counts.denials.items())
    yield "intended_requests_refused_total", _summed(counts.refusals.items())
    yield "intended_audit_entries_total", _summed(counts.entries.items())
    reloaded: Numbers = {(): counts.reloaded_at} if counts.reloaded_at else {}
    yield "intended_config_last_reload_success_timestamp_seconds", reloaded
    jobs = {**readings.jobs, _RELOADS: (sum(counts.reloads), counts.reloads[1])}
    yield "intendedops_jobs_processed_total", {(name,): ran for name, (ran, _) in jobs.items()}
    yield "intendedops_jobs_failed_total", {(name,): failed for name, (_, failed) in jobs.items()}
    requests = {(tenant, plan or "default"): both for (tenant, plan), both in readings.requests.items()}
    yield "intended_requests_total", {whose: n for whose, (n, _) in requests.items()}
    yield "intended_requests_limited_total", {whose: n for whose, (_, n) in requests.items()}
    yield "intended_webhook_deliveries_total", _summed(readings.deliveries.items())
    taken = (((tenant,), n) for (tenant, outcome), n in readings.deliveries.items() if outcome == "delivered")
    yield "intendedops_webhooks_received_total", _summed(taken)


def _of_intents(counts: Metrics) -> Iterator[tuple[str, Numbers]]:
    """Yield what is counted at decided entries."""
    rows = [
        (tenant, agent, domain, kind, _STATUS.get(effect, ""), effect, tier, again, n)
        for (tenant, agent, domain, kind, effect, tier, again), n in counts.intents.items()
    ]
    yield (
        "intendedops_intents_submitted_total",
        _summed(((one[0], one[1], one[2], one[3]), one[-1]) for one in rows if not one[7]),
    )
    yield (
        "intendedops_intents_evaluated_total",
        _summed(((one[0], one[1], one[2], one[3], one[4], one[6]), one[-1]) for one in rows),
    )
    yield (
        "intendedops_intents_blocked_total",
        _summed(((one[0], one[1], one[2], one[3], one[6]), one[-1]) for one in rows if one[5] == Effect.DENY),
    )
    yield (
        "intendedops_governance_decisions_total",
        _summed(((one[0], one[2], one[4], one[6]), one[-1]) for one in rows),
    )
    yield "intended_decisions_total", _summed(((one[0], str(one[5]), one[6]), one[-1]) for one in rows)


def _of_endings(counts: Metrics) -> Iterator[tuple[str, Numbers]]:
    """Yield what is counted at completed entries."""
    yield (
        "intendedops_intents_executed_total",
        _summed((key[:4], n) for key, n in counts.endings.items() if key[4] in DONE),
    )
    yield "intended_completions_total", _summed(((key[0], key[2], key[4]), n) for key, n in counts.endings.items())
    yield "intendedops_value_generated_cents_total", _summed((key[:4], n) for key, n in counts.cents.items())
    yield (
        "intendedops_value_by_type_cents_total",
        _summed(((key[0], key[2], key[4]), n) for key, n in counts.cents.items()),
    )


def _timed(counts: Metrics) -> Iterator[tuple[str, Times]]:
    yield (
        "intendedops_intent_evaluation_duration_seconds",
        _merged(((whose, domain, _STATUS[effect]), one) for (whose, domain, effect), one in counts.evaluations.items()),
    )
    yield (
        "intendedops_intent_execution_duration_seconds",
        _merged(
            ((whose, domain, "completed" if reason in DONE else "failed"), one)
            for (whose, domain, _, reason), one in counts.executions.items()
        ),
    )
    yield "intended_decision_duration_seconds", _merged(counts.decisions.items())
    yield "intended_audit_append_duration_seconds", {(): counts.appends}
    yield (
        "intended_upstream_request_duration_seconds",
        _merged(((whose, upstream, reason), one) for (whose, _, upstream, reason), one in counts.executions.items()),
    )
    yield "intended_approval_wait_seconds", _merged(counts.waits.items())


def _summed(rows: Iterable[tuple[Sequence[str], float]]) -> Numbers:
    sums: defaultdict[Labels, float] = defaultdict(float)
    for labels, number in rows:
        sums[tuple(map(str, labels))] += number
    return sums


def _merged(rows: Iterable[tuple[Sequence[str], Histogram]]) -> Times:
    merged: dict[Labels, Histogram] = {}
    for labels, one in rows:
        key = tuple(map(str, labels))
        merged[key] = merged[key].merged(one) if key in merged else one
    return merged


def _by_tenant(counts: Mapping[str, int]) -> Numbers:
    return {(tenant,): n for tenant, n in counts.items()}


# --- the library's own values -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Collected:
    """What the library's writers ask for metrics."""

    families: Sequence["Metric"]

    def collect(self) -> Iterable["Metric"]:
        return self.families


def _family(one: Definition, numbers: Numbers, times: Times, tenant: str) -> "Metric":
    """Return one metric with its samples, of that tenant if one is named."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if one.kind is Kind.HISTOGRAM:
        spread = HistogramMetricFamily(one.name, one.about, labels=one.labels, unit=one.unit)
        for labels, histogram in times.items():
            if _is_for(tenant, one, labels):
                spread.add_metric(labels, _buckets(histogram), histogram.total)
        return spread
    make = CounterMetricFamily if one.kind is Kind.COUNTER else GaugeMetricFamily
    family = make(one.name, one.about, labels=one.labels, unit=one.unit)
    for labels, number in numbers.items():
        if _is_for(tenant, one, labels):
            family.add_metric(labels, number)
    return family


def _is_for(tenant: str, one: Definition, labels: Labels) -> bool:
    if not tenant:
        return True
    return labels[one.labels.index(TENANT)] == tenant if TENANT in one.labels else one.open


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(list(histogram.counts)), strict=True))


def _of_process() -> Iterable["Metric"]:
    """Return CPU, memory and open files of this process, where the system tells them."""
    from prometheus_client.process_collector import ProcessCollector

    return ProcessCollector(registry=None).collect()
