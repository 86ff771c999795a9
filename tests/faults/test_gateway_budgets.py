"""Sums hold exactly at the limit in the gateway that users run: 64 agents on its own store, over kills and restarts."""

import asyncio
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import httpx
from anyio.to_thread import run_sync

from gateway.app import Gateway
from gateway.services.operator import operator
from gateway.serving import serving
from gateway.settings import Settings, TierSettings, UpstreamSettings
from tests.faults.agent import META, Agent
from tests.faults.gated import Forked, JournalProcess, Nursery, journal, ledger, polled, run_arguments
from tests.faults.ledger import Entry

AGENTS = 64
POLICY = """
apiVersion: intended/v1
policySet: test
budgets:
  spent: {sum: args.amount, per: agent, window: 1d, match: {tools: [search_notes]}}
rules:
  - {id: within, effect: allow, match: {tools: [search_notes]}, when: "budget.spent + double(args.amount) <= LIMIT"}
"""
ROW = "budget:spent:sum:agent:local"


def started(nursery: Nursery, folder: Path, upstream: str, limit: str) -> Forked:
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.replace("LIMIT", limit))
    return nursery.command(folder, *run_arguments(folder, upstream), "--policies", str(policy), "--tier", "local=T4")


async def call(agent: Agent, name: str) -> str:
    """Return the effect of a call of 0.1, or the reason of its denial."""
    said = await agent.call("search_notes", {"query": "invoice", "call": name, "amount": 0.1})
    return str(said.decision.get("reason", said.effect))


async def burst(url: str, name: str) -> Counter[str]:
    """Let all agents call at the same time."""

    async def one(number: int) -> str:
        async with Agent(url, ("modern", "handshake")[number % 2]) as agent:
            return await call(agent, f"{name}-{number}")

    return Counter(await asyncio.gather(*map(one, range(AGENTS))))


async def flood(url: str, name: str) -> Counter[str]:
    """Let all agents call until they are denied or the gateway is gone."""
    found: Counter[str] = Counter()

    async def one(number: int) -> None:
        try:
            async with Agent(url, ("modern", "handshake")[number % 2]) as agent:
                said = "ALLOW"
                for turn in range(1000):
                    said = await call(agent, f"{name}-{number}-{turn}")
                    found[said] += 1
                    if said != "ALLOW":
                        return
        except (OSError, EOFError):
            pass  # the gateway was killed

    await asyncio.gather(*map(one, range(AGENTS)))
    return found


def spent(folder: Path) -> int:
    """Return the sum of the account's buckets, as a stranger reads it."""
    with closing(sqlite3.connect(f"file:{folder / 'data/audit.db'}?mode=ro", uri=True)) as store:
        (row,) = store.execute("SELECT value FROM state WHERE tenant = 'default' AND key = ?", (ROW,)).fetchone()
    return sum(int(bucket.partition(b":")[2]) for bucket in row.split(b" ")[2:])


def allowed(entries: list[Entry]) -> set[str]:
    return {entry.call for entry in entries if entry.decided and entry.fields["effect"] == "ALLOW"}


def lines(upstream: JournalProcess) -> int:
    return upstream.file.read_bytes().count(b"\n")


def executed(upstream: JournalProcess) -> list[str]:
    return [str(line["call"]) for line in upstream.executed()]


async def test_of_64_agents_at_once_exactly_those_run_that_fit_and_a_restart_gives_nothing_back(
    nursery: Nursery, memory: Path
) -> None:
    """The card: sums hold exactly with 64 concurrent callers at the limit; nobody is denied for contention."""
    with journal(memory) as upstream:
        gate = started(nursery, memory, upstream.url, "4.0")
        try:
            await run_sync(gate.wait_ready)
            assert await burst(gate.url, "first") == {"ALLOW": 40, "no-rule": 24}
        finally:
            await run_sync(gate.end, signal.SIGKILL)
        gate = started(nursery, memory, upstream.url, "4.5")
        try:
            await run_sync(gate.wait_ready)
            assert await burst(gate.url, "second") == {"ALLOW": 5, "no-rule": 59}
        finally:
            await run_sync(gate.end, signal.SIGKILL)
        found = await run_sync(executed, upstream)
    entries = ledger(memory).read_on()
    assert len(found) == len(set(found)) == 45
    assert set(found) == allowed(entries)
    assert spent(memory) == 4_500_000


async def test_kills_in_the_middle_of_it_neither_lose_nor_spend_anything(nursery: Nursery, memory: Path) -> None:
    """Ours: what is in the chain as allowed is what was spent, to the last millionth, whenever the process dies."""
    answers: Counter[str] = Counter()
    with journal(memory) as upstream:
        for round_ in range(4):
            gate = started(nursery, memory, upstream.url, "60.0")
            try:
                await run_sync(gate.wait_ready)
                calls = asyncio.ensure_future(flood(gate.url, f"round-{round_}"))
                if round_ < 3:
                    enough = 150 * (round_ + 1)
                    await run_sync(polled, lambda enough=enough: lines(upstream) >= enough, 30.0)
                    await run_sync(gate.end, signal.SIGKILL)
                answers += await calls
            finally:
                await run_sync(gate.end, signal.SIGKILL)
        found = await run_sync(executed, upstream)
    entries = ledger(memory).read_on()
    assert set(answers) == {"ALLOW", "no-rule"}
    assert len(allowed(entries)) == 600
    assert spent(memory) == 60_000_000
    assert len(found) == len(set(found))
    assert set(found) <= allowed(entries)
    assert answers["ALLOW"] <= len(found)


FAILING = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: never, effect: deny, match: {tools: [read_file]}, when: "args.path != ''"}
  - {id: rest, effect: allow, match: {tools: [search_notes, read_file]}}
  - {id: look, effect: escalate, match: {tools: [search_notes]}, when: agent.failures_in_row >= 3}
"""


async def test_failures_in_a_row_are_there_for_conditions(nursery: Nursery, memory: Path) -> None:
    """The card: an agent that only fails is looked at, also after a restart."""
    policy = memory / "policy.yaml"
    policy.write_text(FAILING)
    with journal(memory) as upstream:
        flags = ["--policies", str(policy), "--tier", "local=T4"]
        for found in (["ALLOW", "DENY", "DENY", "ALLOW", "DENY", "DENY", "DENY", "ESCALATE"], ["ESCALATE"]):
            gate = nursery.command(memory, *run_arguments(memory, upstream.url), *flags)
            try:
                await run_sync(gate.wait_ready)
                async with Agent(gate.url, "modern") as agent:
                    tried = ["DENY" if effect == "DENY" else "ALLOW" for effect in found]
                    said = [(await agent.effect(effect, f"call-{n}")).effect for n, effect in enumerate(tried)]
            finally:
                await run_sync(gate.end, signal.SIGKILL)
            assert said == found


async def test_both_fronts_spend_of_one_account_at_the_same_time(memory: Path) -> None:
    """Ours: an agent that submits by REST what it may no longer call has no second budget."""
    policy = memory / "policy.yaml"
    policy.write_text(POLICY.replace("LIMIT", "3.0"))
    with journal(memory) as upstream:
        settings = Settings(
            port=0,
            data=memory / "data",
            state=memory / "state",
            policies=policy,
            upstreams={"default": UpstreamSettings(url=upstream.url)},
            tiers=TierSettings(agents={"seller": "T4"}),
        )
        async with Gateway.open(settings) as gateway, serving(gateway, settings) as served:
            made = await gateway.known.keys.create(
                operator("default"),
                tenant="default",
                name="seller",
                agent="seller",
                per_minute=10_000_000,
                plan="enterprise",
            )
            headers = {"x-api-key": made.secret}
            async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=20) as client:
                said = [await tried(client, 0)]  # by MCP, whose tools are listed now: it comes late else
                said += await asyncio.gather(*(tried(client, number) for number in range(1, AGENTS)))
        found = await run_sync(executed, upstream)
    counted = Counter(said)
    assert counted["ALLOW"] == 30
    assert counted.keys() == {"ALLOW", "DENY"}
    assert 0 < len(found) < 30
    decided = [entry for entry in ledger(memory).read_on() if entry.decided]
    assert {entry.fields["reasons"][0] for entry in decided} == {"policy-allow", "no-rule"}
    assert sum(entry.fields["effect"] == "ALLOW" for entry in decided) == 30


async def tried(client: httpx.AsyncClient, number: int) -> str:
    """Spend a tenth, two times of three by REST; return the effect."""
    given = {"query": "invoice", "call": f"call-{number}", "amount": 0.1}
    if number % 3:
        answer = await client.post("/intent", json={"actor": "seller", "action": "search_notes", "metadata": given})
        return str(answer.json()["decision"])
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "search_notes", "arguments": given},
    }
    message["params"]["_meta"] = META
    about = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "search_notes"}
    answer = await client.post("/mcp", json=message, headers={**about, "Accept": "application/json, text/event-stream"})
    return "DENY" if answer.json()["result"].get("isError") else "ALLOW"
