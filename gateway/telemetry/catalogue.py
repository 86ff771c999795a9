"""Every metric of the gateway: its name, type, labels, unit, and the one event that moves it.

Owns the names. The first table is the published guide's, word for word; the second our own. What is counted when is
`metrics.py`; docs/metrics.md is made from these tables.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["CALL_S", "DECISION_S", "METRICS", "OTHER", "WAIT_S", "Definition", "Kind"]

OTHER: Final = "other"
"""The label value for every name beyond the bound."""

DECISION_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5)
"""Bounds for what the gateway does itself: a fraction of a millisecond, 50 ms is what the reference promises."""
CALL_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Bounds for calls to upstreams: those of OpenTelemetry's conventions for MCP."""
WAIT_S: Final = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)
"""Bounds for people."""


class Kind(StrEnum):
    """How a metric moves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One metric. `about` is its help text, `event` what moves it; `buckets` are the upper bounds of a histogram.

    What has no tenant among its labels is the operator's to see; an `open` one each tenant's admin's too: it tells
    nothing of the other tenants.
    """

    name: str
    kind: Kind
    about: str
    event: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    open: bool = False


def _counter(name: str, about: str, event: str, *labels: str, unit: str = "") -> Definition:
    return Definition(name=name, kind=Kind.COUNTER, about=about, event=event, labels=labels, unit=unit)


def _gauge(name: str, about: str, event: str, *labels: str, unit: str = "", open_: bool = False) -> Definition:
    return Definition(name=name, kind=Kind.GAUGE, about=about, event=event, labels=labels, unit=unit, open=open_)


def _seconds(name: str, about: str, event: str, *labels: str, buckets: tuple[float, ...]) -> Definition:
    return Definition(
        name=name, kind=Kind.HISTOGRAM, about=about, event=event, labels=labels, unit="seconds", buckets=buckets
    )


_WHOSE: Final = ("tenantId", "agentId")
_WHAT: Final = ("domain", "intentType")
_ACCOUNT: Final = ("tenantId", "budget", "account")
_SCRAPE: Final = "read when asked: "

_PUBLISHED: Final = (
    _counter(
        "intendedops_intents_submitted_total",
        "Total intents submitted",
        "`call.decided`, the first of its intent",
        *(*_WHOSE, *_WHAT),
    ),
    _counter(
        "intendedops_intents_evaluated_total",
        "Intents evaluated by governance",
        "`call.decided`, each: an intent is evaluated again after its approval",
        *(*_WHOSE, *_WHAT, "status", "trustTier"),
    ),
    _counter(
        "intendedops_intents_executed_total",
        "Successfully executed intents",
        "`call.completed` with the reason `ok` (a tool call) or `completed` (reported by a program)",
        *(*_WHOSE, *_WHAT),
    ),
    _counter(
        "intendedops_intents_blocked_total",
        "Intents blocked by policy",
        "`call.decided` with the effect DENY",
        *(*_WHOSE, *_WHAT, "trustTier"),
    ),
    _gauge(
        "intendedops_intents_pending_approval",
        "Currently pending human approval",
        _SCRAPE + "intents with the status `pending`",
        *(*_WHOSE, *_WHAT),
    ),
    _seconds(
        "intendedops_intent_evaluation_duration_seconds",
        "Time to evaluate intent",
        "`call.decided`: from the first fact to the decision, without its append",
        *("tenantId", "domain", "status"),
        buckets=DECISION_S,
    ),
    _seconds(
        "intendedops_intent_execution_duration_seconds",
        "Time to execute intent",
        "`call.completed` of a call that was forwarded: until the upstream's whole answer",
        *("tenantId", "domain", "status"),
        buckets=CALL_S,
    ),
    _counter(
        "intendedops_trust_progressions_total",
        "Trust tier promotions",
        "`trust.changed` with the reason `promoted`; `trustTier` is the new tier",
        *(*_WHOSE, "trustTier"),
    ),
    _counter(
        "intendedops_trust_demotions_total",
        "Trust tier demotions",
        "`trust.changed` with the reason `demoted`, `faded` or `capped` (by a human); `trustTier` is the new tier",
        *(*_WHOSE, "trustTier"),
    ),
    _gauge(
        "intendedops_trust_score",
        "Current trust score by agent",
        _SCRAPE + "0 to 100, of registered agents and those with a record",
        *(*_WHOSE, "trustTier"),
    ),
    _gauge(
        "intendedops_agents_by_tier",
        "Agent count per trust tier",
        _SCRAPE + "registered agents and those with a record",
        *("tenantId", "trustTier"),
    ),
    _counter(
        "intendedops_value_generated_cents_total",
        "Total value generated (cents)",
        "`call.completed` of an intent whose type has an amount",
        *(*_WHOSE, *_WHAT),
        unit="cents",
    ),
    _counter(
        "intendedops_value_by_type_cents_total",
        "Value by type (efficiency, revenue, etc.)",
        "`call.completed` of an intent whose type has an amount",
        *("tenantId", "domain", "valueType"),
        unit="cents",
    ),
    _counter(
        "intendedops_jobs_processed_total",
        "Background jobs processed",
        "a run of a background job of this gateway has ended, failed or not",
        "jobName",
    ),
    _counter(
        "intendedops_jobs_failed_total",
        "Failed background jobs",
        "a run of a background job of this gateway has failed",
        "jobName",
    ),
    _counter(
        "intendedops_webhooks_received_total",
        "Webhooks received",
        "a receiver has taken a webhook that this gateway sent (2xx): it receives none itself",
        "tenantId",
    ),
    _counter(
        "intendedops_governance_decisions_total",
        "Governance decisions made",
        "`call.decided`",
        *("tenantId", "domain", "status", "trustTier"),
    ),
)
"""The guide's table, "Standard Metrics", in its order and with its descriptions."""

_OWN: Final = (
    _counter("intended_decisions_total", "Decisions by effect.", "`call.decided`", *("tenantId", "decision", "tier")),
    _counter(
        "intended_denials_total",
        "Denied calls by the stable code of the reason.",
        "`call.decided` with the effect DENY",
        *("tenantId", "reason"),
    ),
    _seconds(
        "intended_decision_duration_seconds",
        "Time from the first fact to the durable decision.",
        "`call.decided`",
        *("tenantId", "decision"),
        buckets=DECISION_S,
    ),
    _seconds(
        "intended_audit_append_duration_seconds",
        "Time to make a decision durable.",
        "`call.decided`",
        buckets=DECISION_S,
    ),
    _seconds(
        "intended_upstream_request_duration_seconds",
        "Time until the upstream's whole answer, or its failure.",
        "`call.completed` of a call that was forwarded",
        *("tenantId", "upstream", "outcome"),
        buckets=CALL_S,
    ),
    _counter(
        "intended_completions_total",
        "Calls and intents that ended, by how.",
        "`call.completed`; `outcome` is its reason",
        *("tenantId", "domain", "outcome"),
    ),
    _gauge("intended_calls_in_flight", "Tool calls taken on and not yet answered.", _SCRAPE + "of this process"),
    _gauge(
        "intended_budget_spent",
        "What counts now of an account of a budget that policies declare.",
        _SCRAPE + "of the store, of the fullest accounts; `account` is the agent, upstream or tenant whose it is",
        *_ACCOUNT,
    ),
    _gauge(
        "intended_budget_limit",
        "The lowest limit that a rule names for that account.",
        _SCRAPE + "of the policies in force; only where a rule names one in a plain form",
        *_ACCOUNT,
    ),
    _gauge(
        "intended_calls_held",
        "Escalated calls that wait on a connection for their human.",
        _SCRAPE + "of this process",
        "tenantId",
    ),
    _gauge("intended_approvals_pending", "Approvals that await a human.", _SCRAPE + "of the store", "tenantId"),
    _seconds(
        "intended_approval_wait_seconds",
        "From the opening of an approval to its answer or expiry.",
        "`approval.resolved` with the last answer",
        *("tenantId", "outcome"),
        buckets=WAIT_S,
    ),
    _counter(
        "intended_requests_total",
        "Authenticated requests that counted for a rate limit, over it or not.",
        "a request of a known credential; `plan` is its rate plan",
        *("tenantId", "plan"),
    ),
    _counter(
        "intended_requests_limited_total",
        "Requests above the rate limit of their credential.",
        "an answer 429",
        *("tenantId", "plan"),
    ),
    _counter(
        "intended_requests_refused_total",
        "Requests refused before a decision, by code.",
        "`request.refused`, and `strangers.refused` with its count (tenant `_system`, told once a minute)",
        *("tenantId", "code"),
    ),
    _counter(
        "intended_webhook_deliveries_total",
        "Attempts to deliver a webhook: `delivered`, `failed` (tried again) or `given_up`.",
        "an attempt has ended",
        *("tenantId", "outcome"),
    ),
    _gauge("intended_webhook_backlog", "Deliveries that are still to be made.", _SCRAPE + "of the outbox", "tenantId"),
    _counter(
        "intended_audit_entries_total",
        "Entries made durable, by type.",
        "any audit entry",
        *("tenantId", "type"),
    ),
    _gauge(
        "intended_audit_chain_valid",
        "1: the last verification in this process found the whole chain intact; 0: it found a break.",
        "a verification by REST has ended (`GET /v1/audit/verify`, `POST /audit/verify-chain`)",
        "tenantId",
    ),
    _gauge(
        "intended_audit_chain_verified_timestamp_seconds",
        "When that verification ended.",
        "a verification by REST has ended",
        "tenantId",
        unit="seconds",
    ),
    _gauge(
        "intended_config_last_reload_success",
        "1: the newest policy files are in force; 0: they could not be taken, older ones are.",
        _SCRAPE + "of the policy source",
        open_=True,
    ),
    _gauge(
        "intended_config_last_reload_success_timestamp_seconds",
        "When policies last came into force.",
        "`policy.loaded`",
        unit="seconds",
        open_=True,
    ),
    _gauge("intended_ready", "1: traffic should come.", _SCRAPE + "as `/readyz` answers", open_=True),
    _gauge(
        "intended_check_ok",
        "1: that check of readiness holds.",
        _SCRAPE + "as `/readyz?verbose` answers",
        "check",
        open_=True,
    ),
    _gauge(
        "intended_metrics_unread",
        "Readings that could not be had for this very answer.",
        _SCRAPE + "0 where all is well",
        open_=True,
    ),
    _gauge("intended_build_info", "What runs: always 1.", _SCRAPE + "the process", *("version", "python"), open_=True),
)

METRICS: Final = (*_PUBLISHED, *_OWN)
"""All of them, the guide's first."""
