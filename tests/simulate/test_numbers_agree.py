"""Stats, the figures of agents, the rate limiter and the metrics are one set of numbers, whatever the load was."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from gateway.app import Gateway
from gateway.core.principal import Role
from gateway.demo.upstream import DemoUpstream, running
from gateway.policyfiles.shipped import shipped_policy
from gateway.services.operator import operator
from gateway.settings import HoldSettings, RateSettings, Settings, UpstreamSettings, ValueSettings
from gateway.telemetry.clock import SystemClock

ACME = "acme"
BUDGETS = """
apiVersion: intended/v1
policySet: budgets
budgets:
  acts: {count: calls, per: agent, window: 1d}
rules:
  - {id: enough-for-a-day, effect: escalate, when: count.acts >= 10000}
"""
"""Beside the shipped policy: a budget that no load here spends."""
FREE = 6
"""Requests a minute of the plan `free`, here."""


class Noon(SystemClock):
    """The system's clocks on another day, so that no midnight and no whole minute falls into the test."""

    def __init__(self) -> None:
        self.begun = self.monotonic()

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, 0, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic() - self.begun)


class Load:
    """A gateway in front of the demo's server, and everything that was sent to it, counted as it was answered."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient) -> None:
        self.gateway = gateway
        self.client = client
        self.keys: dict[str, str] = {}
        self.sent: Counter[str] = Counter()
        self.limited: Counter[str] = Counter()

    async def key(self, name: str, **given: Any) -> None:
        created = await self.gateway.known.keys.create(operator(ACME), tenant=ACME, name=name, **given)
        self.keys[name] = created.secret

    async def ask(self, key: str, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"x-api-key": self.keys[key], **more.pop("headers", {})}
        answer = await self.client.request(method, path, headers=headers, **more)
        self.sent[key] += 1
        self.limited[key] += answer.status_code == 429
        return answer

    async def submit(self, actor: str, kind: str, number: int = 0) -> dict[str, Any]:
        body = {"action": {"type": kind, "params": {"number": number}}, "actor": actor, "system": "billing"}
        answer = await self.ask("program", "POST", "/intent", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def call(self, tool: str, **arguments: Any) -> httpx.Response:
        """Make one modern tool call."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
        }
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": tool,
        }
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        return await self.ask("agent", "POST", "/mcp", json=message, headers=headers)

    async def metrics(self) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
        text = (await self.ask("admin", "GET", "/metrics")).text
        found: dict[str, Any] = {}
        for family in parse(text):
            for one in family.samples:
                found.setdefault(one.name, {})[frozenset(one.labels.items())] = one.value
        return found


@asynccontextmanager
async def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Load]:
    monkeypatch.setattr("gateway.app.SystemClock", Noon)
    policies = folder / "policies"
    policies.mkdir(exist_ok=True)
    (policies / "default.yaml").write_bytes(shipped_policy("default").read_bytes())
    (policies / "budgets.yaml").write_text(BUDGETS)
    async with running(DemoUpstream()) as url:
        settings = Settings(
            port=0,
            data=folder / "data",
            state=folder / "state",
            policies=policies,
            upstreams={"default": UpstreamSettings(url=url)},
            rates=RateSettings(free=FREE),
            holds=HoldSettings(leg_s=0),
            value=ValueSettings(amounts={"billing.send_invoice": Decimal("99.50"), "billing.apply_credit": Decimal(5)}),
        )
        async with Gateway.open(settings) as gateway:
            transport = httpx.ASGITransport(gateway.asgi, client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787", timeout=30) as client:
                load = Load(gateway, client)
                await load.key("admin", role=Role.ADMIN)
                await load.key("program", role=Role.AGENT)
                await load.key("human", role=Role.OPERATOR)
                await load.key("agent", role=Role.AGENT, agent="mcp-bot")
                await load.key("free", role=Role.VIEWER, plan="free")
                yield load


async def drive(load: Load) -> None:
    """Everything at once: allowed, denied and waiting intents, yes and no, outcomes, tool calls, and too many."""

    async def program(actor: str, number: int) -> None:
        kind = ("billing.send_invoice", "billing.process_refund", "files.read", "billing.apply_credit")[number % 4]
        decided = await load.submit(actor, kind, number)
        intent = decided["intentId"]
        if decided["decision"] == "ESCALATE" and number % 3:
            verdict = {"intentId": intent, "decision": "approve" if number % 3 == 1 else "reject"}
            await load.ask("human", "POST", "/authority/approval", json=verdict)
            decided = (await load.ask("program", "GET", f"/intent/{intent}")).json()
        if number % 5:
            status = {"status": "completed" if number % 5 < 4 else "failed"}
            await load.ask("program", "POST", f"/intent/{intent}/outcome", json=status)

    async def agent(number: int) -> None:
        await load.call("notes.search", q=f"word {number}")
        await load.call("files.delete", path=f"/tmp/{number % 2}")
        await load.call("no_such_tool")

    async with anyio.create_task_group() as tasks:
        for number in range(24):
            tasks.start_soon(program, f"bot-{number % 3}", number)
        for number in range(8):
            tasks.start_soon(agent, number)
        for _ in range(FREE + 5):
            tasks.start_soon(load.ask, "free", "GET", "/v1/stats")


def summed(found: Any, name: str, **wanted: str) -> float:
    return sum(value for labels, value in found.get(name, {}).items() if wanted.items() <= dict(labels).items())


def by_label(found: Any, name: str, label: str, **wanted: str) -> dict[str, float]:
    sums: Counter[str] = Counter()
    for labels, value in found.get(name, {}).items():
        if wanted.items() <= dict(labels).items():
            sums[dict(labels)[label]] += value
    return dict(sums)


async def test_after_a_mixed_load_all_of_them_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three sets of numbers that differ are three that nobody trusts (issue 3)."""
    async with loaded(tmp_path, monkeypatch) as load:
        await drive(load)
        stats = (await load.ask("admin", "GET", "/v1/stats")).json()["data"]
        agents = (await load.ask("admin", "GET", "/v1/agents", params={"pageSize": 100})).json()["data"]["items"]
        figures = {
            one["slug"]: (await load.ask("admin", "GET", f"/v1/agents/{one['slug']}/metrics")).json()["data"]
            for one in agents
        }
        found = await load.metrics()
        limits = load.gateway.known.limits.totals

    # The load did something of everything.
    assert {"bot-0", "bot-1", "bot-2", "mcp-bot"} <= set(figures)
    outcomes = by_label(found, "intended_completions_total", "outcome")
    assert {"ok", "completed", "failed"} <= set(outcomes), outcomes
    assert by_label(found, "intended_approval_wait_seconds_count", "outcome").keys() == {"approved", "denied"}

    # Intents: of the tenant, of each agent, by type, by status.
    submitted = "intendedops_intents_submitted_total"
    assert summed(found, submitted, tenantId=ACME) == stats["intentsToday"] > 30
    assert by_label(found, submitted, "agentId") == {
        slug: one["intentsTotal"] for slug, one in figures.items() if one["intentsTotal"]
    }
    for slug, one in figures.items():
        assert by_label(found, submitted, "intentType", agentId=slug) == one["intentsByType"]
        executed = summed(found, "intendedops_intents_executed_total", agentId=slug)
        assert executed == one["intentsByStatus"]["completed"]
        pending = summed(found, "intendedops_intents_pending_approval", agentId=slug)
        assert pending == one["intentsByStatus"]["pending"]
    # An intent that was decided again after a yes was evaluated twice and submitted once.
    assert summed(found, "intendedops_intents_evaluated_total") > summed(found, submitted)
    decisions = summed(found, "intended_decisions_total")
    assert decisions == summed(found, "intendedops_governance_decisions_total")
    assert decisions == summed(found, "intended_audit_entries_total", type="call.decided")
    assert decisions == summed(found, "intended_decision_duration_seconds_count")
    assert decisions == summed(found, "intended_audit_append_duration_seconds_count")
    assert decisions == summed(found, "intendedops_intent_evaluation_duration_seconds_count")
    denied = summed(found, "intended_decisions_total", decision="DENY")
    assert denied == summed(found, "intendedops_intents_blocked_total") == summed(found, "intended_denials_total") > 0

    # What waits, and what was earned.
    assert summed(found, "intendedops_intents_pending_approval") == stats["pendingApprovals"] > 0
    assert summed(found, "intended_approvals_pending") == stats["pendingApprovals"]
    assert summed(found, "intendedops_value_generated_cents_total") == stats["valueGenerated"] * 100 > 0
    assert summed(found, "intendedops_value_by_type_cents_total") == stats["valueGenerated"] * 100

    # Requests: as they were sent, as the limiter counts, as the metrics tell.
    plans = {"default": sum(load.sent.values()) - load.sent["free"], "free": load.sent["free"]}
    assert by_label(found, "intended_requests_total", "plan", tenantId=ACME) == plans
    assert {plan or "default": sent for (_, plan), (sent, _) in limits.items()} == plans
    too_many = {"default": 0, "free": 5}
    assert by_label(found, "intended_requests_limited_total", "plan", tenantId=ACME) == too_many
    assert {plan or "default": refused for (_, plan), (_, refused) in limits.items()} == too_many
    assert load.limited == {**dict.fromkeys(load.limited, 0), "free": 5}


async def test_after_a_restart_stats_go_on_and_counters_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is Prometheus' way: `rate` and `increase` know of resets; what is durable is asked of `/v1/stats`."""
    async with loaded(tmp_path, monkeypatch) as load:
        await load.submit("bot", "billing.process_refund")
    async with loaded(tmp_path, monkeypatch) as load:
        stats = (await load.ask("admin", "GET", "/v1/stats")).json()["data"]
        found = await load.metrics()
    assert stats["intentsToday"] == 1
    assert summed(found, "intendedops_intents_submitted_total") == 0
    assert summed(found, "intendedops_intents_pending_approval") == stats["pendingApprovals"] == 1
