"""The text: every metric under its name, the right sums, and to a tenant's admin nothing of another tenant."""

import importlib
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.core.accounts import AccountView, Limit
from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect, Reason
from gateway.core.principal import TrustTier
from gateway.core.readings import AgentTrust, Readings
from gateway.telemetry.catalogue import METRICS, Kind
from gateway.telemetry.exposition import Exposition
from gateway.telemetry.metrics import Metrics
from tests.core.policy.builders import bundle, rule
from tests.telemetry.test_metrics import completed, decided, entry, followed, judged


def account(budget: str, whose: str, spent: float, *, most: float | None = None) -> AccountView:
    found = () if most is None else (Limit(rule="r", policy_set="p", effect=Effect.DENY, most=most),)
    declared = {"sum": "args.amount", "per": "agent", "window": "1d"}
    return AccountView(
        budget=bundle(rule("r"), budgets={budget: declared}).budgets[0], whose=whose, spent=spent, limits=found
    )


READINGS = Readings(
    pending_intents={("acme", "bot", "files.write"): 2, ("other", "bot", "files.write"): 1},
    pending_approvals={"acme": 2, "other": 1},
    trust={
        "acme": (
            AgentTrust(agent="bot", tier=TrustTier.T1, score=40),
            AgentTrust(agent="new", tier=TrustTier.T0, score=0),
        ),
        "other": (AgentTrust(agent="bot", tier=TrustTier.T1, score=44),),
    },
    budgets={
        "acme": (account("refunds", "bot", 250.5, most=1000), account("calls", "acme", 3)),
        "other": (account("refunds", "bot", 7, most=1000),),
    },
    in_flight=3,
    held={"acme": 1},
    chains={"acme": (False, 1000.0), "other": (True, 2000.0)},
    requests={("acme", ""): (10, 2), ("other", "pro"): (5, 0)},
    deliveries={("acme", "delivered"): 4, ("acme", "failed"): 1, ("other", "given_up"): 1},
    backlog={"acme": 6},
    jobs={"webhook-delivery": (6, 2)},
    checks={"audit": True, "policies": False},
    ready=False,
    reloaded=True,
    unread=1,
)


def exposition(metrics: Metrics) -> Exposition:
    return Exposition(metrics, version="1.2.3", domain_of=lambda kind: kind.partition(".")[0])


def driven() -> Metrics:
    """Something of every kind of entry and every duration, of two tenants."""
    metrics = followed(
        decided(),
        decided(again=True),
        decided(Effect.ESCALATE, Reason.POLICY_ESCALATE),
        decided(Effect.DENY, Reason.NO_RULE, tenant="other"),
        completed(value_cents=250, value_type="revenue"),
        completed("tool-error"),
        entry(EntryType.TRUST_CHANGED, reasons=("promoted", "T1")),
        entry(EntryType.TRUST_CHANGED, reasons=("demoted", "T0")),
        entry(EntryType.TRUST_CHANGED, reasons=("capped", "T0")),
        entry(EntryType.TRUST_CHANGED, reasons=("faded", "T0")),
        entry(EntryType.TRUST_CHANGED, reasons=("frozen",)),
        entry(EntryType.POLICY_LOADED),
        entry(EntryType.POLICY_REJECTED),
        entry(EntryType.REQUEST_REFUSED, reasons=("-32600",)),
        entry(
            EntryType.APPROVAL_RESOLVED,
            reasons=("approved",),
            body=b'{"approvalId": "apr_01KAN2H000ABCDEFGHJKMNPQRS"}',
        ),
    )
    metrics.decided(judged(), evaluated_s=0.0002, recorded_s=0.002)
    metrics.ended(judged(), Ending("ok"), upstream_s=0.3)
    metrics.ended(judged(), Ending("tool-error"), upstream_s=0.3)
    metrics.ended(judged(), Ending("rpc-error"), upstream_s=0.3)
    return metrics


class Ending:
    def __init__(self, reason: str) -> None:
        self.reason = reason


async def samples(
    metrics: Metrics, readings: Readings = READINGS, *, tenant: str = ""
) -> dict[str, dict[Mapping[str, str], float]]:
    text, _ = await exposition(metrics).text(readings, tenant=tenant, accept="")
    found: dict[str, Any] = {}
    for family in parse(text.decode()):
        for one in family.samples:
            found.setdefault(one.name, {})[frozenset(one.labels.items())] = one.value
    return found


def labels(**pairs: str) -> frozenset[tuple[str, str]]:
    return frozenset(pairs.items())


async def test_every_metric_is_there_with_its_type_help_and_labels() -> None:
    """What the table says is what is written, no more and no less."""
    text, kind = await exposition(driven()).text(READINGS, tenant="", accept="")
    assert kind.startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in parse(text.decode()) if not one.name.startswith("process_")}
    assert set(families) == {one.name.removesuffix("_total") for one in METRICS}
    for one in METRICS:
        family = families[one.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (one.kind, one.about)
        assert family.samples, one.name
        extra = {"le"} if one.kind is Kind.HISTOGRAM else set()
        for sample in family.samples:
            assert set(sample.labels) - extra == set(one.labels), sample


async def test_the_sums_are_those_of_the_entries() -> None:
    """One event moves each (contract, section 6)."""
    found = await samples(driven())
    what = {"agentId": "bot", "domain": "files", "intentType": "files.read"}
    submitted = found["intendedops_intents_submitted_total"]
    assert submitted == {labels(tenantId="acme", **what): 2, labels(tenantId="other", **what): 1}
    assert sum(found["intendedops_intents_evaluated_total"].values()) == 4
    assert sum(found["intendedops_governance_decisions_total"].values()) == 4
    assert found["intendedops_intents_blocked_total"] == {labels(tenantId="other", trustTier="T1", **what): 1}
    assert found["intendedops_intents_executed_total"] == {labels(tenantId="acme", **what): 1}
    assert found["intended_decisions_total"] == {
        labels(tenantId="acme", decision="ALLOW", tier="T1"): 2,
        labels(tenantId="acme", decision="ESCALATE", tier="T1"): 1,
        labels(tenantId="other", decision="DENY", tier="T1"): 1,
    }
    assert found["intendedops_value_generated_cents_total"] == {labels(tenantId="acme", **what): 250}
    assert found["intendedops_value_by_type_cents_total"] == {
        labels(tenantId="acme", domain="files", valueType="revenue"): 250
    }
    assert sum(found["intendedops_trust_progressions_total"].values()) == 1
    assert found["intendedops_trust_demotions_total"] == {labels(tenantId="acme", agentId="bot", trustTier="T0"): 3}
    assert found["intendedops_webhooks_received_total"] == {labels(tenantId="acme"): 4}
    assert found["intendedops_jobs_processed_total"] == {
        labels(jobName="webhook-delivery"): 6,
        labels(jobName="policy-reload"): 2,
    }
    assert found["intendedops_jobs_failed_total"] == {
        labels(jobName="webhook-delivery"): 2,
        labels(jobName="policy-reload"): 1,
    }
    assert found["intended_requests_total"][labels(tenantId="acme", plan="default")] == 10
    assert found["intended_requests_limited_total"][labels(tenantId="acme", plan="default")] == 2


async def test_the_gauges_are_what_was_read() -> None:
    """As of the question, not of the last event."""
    found = await samples(Metrics())
    pending = labels(tenantId="acme", agentId="bot", domain="files", intentType="files.write")
    assert found["intendedops_intents_pending_approval"][pending] == 2
    assert found["intendedops_trust_score"][labels(tenantId="acme", agentId="bot", trustTier="T1")] == 40
    assert found["intendedops_agents_by_tier"] == {
        labels(tenantId="acme", trustTier="T0"): 1,
        labels(tenantId="acme", trustTier="T1"): 1,
        labels(tenantId="other", trustTier="T1"): 1,
    }
    bot = labels(tenantId="acme", budget="refunds", account="bot")
    assert (found["intended_budget_spent"][bot], found["intended_budget_limit"][bot]) == (250.5, 1000)
    assert len(found["intended_budget_spent"]) == len(found["intended_budget_limit"]) + 1  # one has no limit
    assert found["intended_audit_chain_valid"] == {labels(tenantId="acme"): 0, labels(tenantId="other"): 1}
    assert found["intended_check_ok"] == {labels(check="audit"): 1, labels(check="policies"): 0}
    assert found["intended_ready"] == {labels(): 0}
    assert "intended_config_last_reload_success_timestamp_seconds" not in found
    (build,) = found["intended_build_info"]
    assert dict(build)["version"] == "1.2.3"


async def test_a_histogram_adds_up() -> None:
    """Buckets grow, the last is the count, and failures stand apart from what went well."""
    found = await samples(driven())
    name = "intendedops_intent_execution_duration_seconds"
    failed = labels(tenantId="acme", domain="files", status="failed")
    assert found[f"{name}_count"] == {labels(tenantId="acme", domain="files", status="completed"): 1, failed: 2}
    assert found[f"{name}_sum"][failed] == pytest.approx(0.6)
    buckets = [n for which, n in found[f"{name}_bucket"].items() if failed <= which]
    assert buckets == sorted(buckets)
    assert (min(buckets), max(buckets)) == (0, 2)


async def test_a_tenants_admin_sees_its_own_and_what_tells_of_nobody() -> None:
    """Labels name agents; sums over all tenants would tell how much the others do."""
    text, _ = await exposition(driven()).text(READINGS, tenant="acme", accept="")
    shown = {one.name: one for one in parse(text.decode())}
    for family in shown.values():
        for sample in family.samples:
            assert sample.labels.get("tenantId", "acme") == "acme"
    assert b'"other"' not in text
    bare = {name for name, one in shown.items() if one.samples and "tenantId" not in one.samples[0].labels}
    assert bare == {one.name for one in METRICS if one.open}
    assert not any(name.startswith("process_") for name in shown)


async def test_openmetrics_is_written_where_it_is_asked_for() -> None:
    """Prometheus asks for it; every family then also has its unit."""
    accept = "application/openmetrics-text; version=1.0.0"
    text, kind = await exposition(driven()).text(READINGS, tenant="", accept=accept)
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    units = {one.name: one.unit for one in parse_openmetrics(text.decode())}
    assert units["intended_decision_duration_seconds"] == "seconds"
    assert units["intendedops_value_generated_cents"] == "cents"


async def test_gauges_by_agent_are_bounded() -> None:
    """Waiting intents of many agents are one `other`; of scores the rest is left out, since a mean is nobody's."""
    many = Readings(
        pending_intents={("acme", f"bot-{n}", "files.write"): n + 1 for n in range(5)},
        trust={"acme": tuple(AgentTrust(agent=f"bot-{n}", tier=TrustTier.T0, score=n) for n in range(5))},
        budgets={"acme": tuple(account("refunds", f"bot-{n}", 5 - n, most=5) for n in range(5))},
    )
    found = await samples(Metrics(names=2), many)
    pending = found["intendedops_intents_pending_approval"]
    assert {dict(which)["agentId"]: n for which, n in pending.items()} == {"bot-4": 5, "bot-3": 4, "other": 6}
    assert {dict(which)["agentId"] for which in found["intendedops_trust_score"]} == {"bot-0", "bot-1"}
    assert sum(found["intendedops_agents_by_tier"].values()) == 5
    for name in ("intended_budget_spent", "intended_budget_limit"):  # the fullest of them
        assert {dict(which)["account"] for which in found[name]} == {"bot-0", "bot-1"}


async def test_a_label_that_would_break_the_text_does_not() -> None:
    """An upstream or an operator's file may have any name."""
    metrics = Metrics()
    one = judged()
    one.call.upstream = 'a"b\\c\nd'
    metrics.ended(one, Ending("ok"), upstream_s=1.0)
    found = await samples(metrics)
    (which,) = found["intended_upstream_request_duration_seconds_count"]
    assert dict(which)["upstream"] == 'a"b\\c\nd'


def test_a_start_does_not_load_the_library() -> None:
    """It would add to the time from start to ready; the first question loads it."""
    importlib.import_module("gateway.app")
    code = "import sys, gateway.app; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


async def test_process_figures_are_the_operators() -> None:
    """CPU and memory, where the system tells them."""
    found = await samples(Metrics())
    assert sys.platform != "linux" or found["process_cpu_seconds_total"][labels()] > 0
