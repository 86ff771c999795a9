"""Let agents act on a real store, kill the process again and again, and hold live trust against the log.

    python -m tests.faults.trust_kill --events 100000

Each round forks a process that opens the store as a start does, holds the trust that it has loaded against what the
log alone gives, and then lets six agents of two tenants act side by side through the real enforcement: calls that
succeed, fail and are denied, by a rule or for a spent budget, answers of humans, ceilings and freezes, while the
calendar goes on. It holds trust and the rows of failures against the log once more, goes on, and kills itself in the
midst of appends. Prints one line of JSON; exits 1 where anything differs.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.canonical import digest
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.call import Call
from gateway.core.decision import BY_BUDGET, Thresholds
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.pinning import pin_tool
from gateway.core.principal import Principal, Role, TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.core.trust.evidence import change_of, evidence_of, read_chained
from gateway.core.trust.failing import Failing, failing_after, failing_allowed
from gateway.errors import AuditUnavailable, UpstreamTimeout
from gateway.identity.ids import RandomIds
from gateway.services.agents import Agents
from gateway.services.enforcement import Enforcement
from gateway.services.facts import FactSource
from gateway.services.inflight import InFlight
from gateway.services.observing import Observers
from gateway.services.recovery import close_open_calls
from gateway.services.running import Running
from gateway.services.trust import ROWS, Trust, TrustTerms
from gateway.services.trust_changes import Control, TrustChanges
from gateway.services.trust_check import TrustCheck, TrustReport
from gateway.store.sqlite.store import DATABASE, SqliteStore, open_store
from gateway.store.sqlite.trust import SqliteShelf, read_kept
from tests.faults.store_kill import forked
from tests.simulate.embedded import SetClock, options
from tests.simulate.world import FakeCaller, FixedPolicies

TENANTS = ("acme", "default")
AGENTS = {"steady": 0.0, "learning": 0.02, "clumsy": 0.1, "bad": 0.4, "capped": 0.0, "claiming": 0.03}
"""Share of each agent's calls that are bad."""
SIDE_BY_SIDE = 12
POLICY = """
apiVersion: intended/v1
policySet: trust
budgets:
  commands: {count: calls, per: tenant, window: 7d, match: {tools: [run_command]}}
rules:
  - {id: enough, effect: deny, match: {tools: ["*run_command"]}, when: count.commands >= 9, reason: wait}
  - {id: all, effect: allow, reason: fine}
  - {id: never, effect: deny, match: {tools: ["forbidden_*"]}, reason: never}
"""
TOOLS = ("read_file", "write_file", "delete_file", "run_command", "send_email", "update_customer")
CAPS = {tier: Thresholds(allow_below=101, deny_from=101) for tier in TrustTier}
ADMIN = {one: Principal(tenant=one, agent="cli", credential="cli", role=Role.ADMIN) for one in TENANTS}


@dataclass
class Life:
    """One process's life on the store."""

    folder: Path
    store: SqliteStore
    trust: Trust
    changes: TrustChanges
    enforcement: Enforcement
    clock: SetClock
    chance: random.Random
    acted: int = 0


async def alive(folder: Path, seed: int) -> Life:
    clock, ids = SetClock(), RandomIds()
    store = await open_store(options(folder), clock)
    for tenant in await store.tenants():
        for entry in await store.last(tenant, 1):
            clock.time = max(clock.time, datetime.fromisoformat(orjson.loads(entry.content)["time"]))
    tiers = ConfiguredTiers(default=TrustTier.T0, agents={}, thresholds=CAPS)
    shelf = SqliteShelf(folder / "data" / DATABASE)
    trust = Trust(chain=store, shelf=shelf, state=store, clock=clock, tiers=tiers, terms=TrustTerms())
    agents = Agents(audit=store, state=store, clock=clock, ids=ids, taxonomy=TAXONOMY)
    await trust.load(await store.tenants())
    await close_open_calls(store, store, clock, ids)
    enforcement = Enforcement(
        audit=store,
        facts=FactSource(
            policies=FixedPolicies(POLICY),
            state=store,
            clock=clock,
            tiers=tiers,
            trust=trust,
            stops=None,
            circuits=None,
        ),
        taxonomy=TAXONOMY,
        clock=clock,
        ids=ids,
        in_flight=InFlight(per_agent=100, per_upstream=100),
        show_arguments=False,
        observer=Observers(),
        running=Running(),
    )
    changes = TrustChanges(trust=trust, audit=store, agents=agents, clock=clock, ids=ids)
    return Life(folder, store, trust, changes, enforcement, clock, random.Random(seed))


# --- what agents and humans do ----------------------------------------------------------------------------------------


async def act(life: Life) -> None:
    """Let one agent do one thing."""
    chance = life.chance
    tenant, agent = chance.choice(TENANTS), chance.choice(tuple(AGENTS))
    bad = chance.random() < AGENTS[agent]
    life.acted += 1
    if chance.random() < 0.04:
        await answer(life, tenant, agent, "denied" if bad else "approved")
        return
    name = chance.choice(TOOLS)
    if bad and chance.random() < 0.5:
        name = f"forbidden_{name}"
    arguments: JsonObject = {"path": f"/{chance.randrange(10_000)}"}
    call = Call(
        method="tools/call",
        upstream="files",
        name=name,
        uri="",
        arguments=arguments,
        arguments_digest=digest(arguments),
        tool=pin_tool("files", {"name": name, "inputSchema": {"type": "object"}}),
    )

    async def forward() -> JsonObject:
        await anyio.lowlevel.checkpoint()
        if bad and chance.random() < 0.2:
            raise UpstreamTimeout("too slow", may_have_run=True)
        return {"result": {"content": [], "isError": bad}}

    principal = Principal(tenant=tenant, agent=agent, credential="key_1")
    await life.enforcement.call(principal, call, forward, FakeCaller())


async def answer(life: Life, tenant: str, agent: str, state: str) -> None:
    """A human's answer, as the approvals record it."""
    draft = EntryDraft(
        tenant=tenant,
        id=RandomIds().new("evt"),
        type=EntryType.APPROVAL_RESOLVED,
        time=timestamp(life.clock.now()),
        agent=agent,
        reasons=(state,),
    )
    try:
        await life.store.append(draft)
    except AuditUnavailable:
        return


async def meddle(life: Life) -> None:
    """A human's hand on an agent's trust."""
    chance = life.chance
    wanted = chance.choice(
        [
            Control(frozen=True),
            Control(frozen=False),
            Control(ceiling=chance.choice(tuple(TrustTier))),
            Control(unset=True),
        ]
    )
    tenant, agent = chance.choice(TENANTS), chance.choice(("capped", "clumsy", "learning"))
    if life.trust.held(tenant, agent) is not None:
        await life.changes.change(ADMIN[tenant], agent, wanted, reason="chance")
        if agent != "capped":  # let the others go again, or they never move
            await life.changes.change(
                ADMIN[tenant], agent, Control(frozen=False, ceiling=TrustTier.T4), reason="chance"
            )


async def live(life: Life, events: int) -> None:
    """Let agents act until about so many entries are written."""
    begun = await entries(life)
    while await entries(life) - begun < events:
        async with anyio.create_task_group() as group:
            for _ in range(SIDE_BY_SIDE):
                group.start_soon(act, life)
        life.clock.advance(life.chance.choice((600, 3_600, 14_400, 43_200)))
        if life.chance.random() < 0.2:
            await life.trust.look()
        if life.trust.pending and life.chance.random() < 0.7:
            await life.changes.settle()
        if life.chance.random() < 0.01:
            await meddle(life)
        if life.chance.random() < 0.02:
            await life.trust.keep()
        if life.chance.random() < 0.002:
            life.clock.time += timedelta(days=life.chance.randrange(40))


async def entries(life: Life) -> int:
    return sum([(await life.store.head(tenant))[0] for tenant in await life.store.tenants()])


# --- what the log says ------------------------------------------------------------------------------------------------


async def recomputed(life: Life, tenant: str) -> TrustReport:
    head, _ = await life.store.head(tenant)
    rows = await life.store.scan(tenant, ROWS)
    kept = read_kept(life.folder / "data" / DATABASE, tenant)
    check = TrustCheck(tenant, kept=kept, rows=rows, rows_as_of=head)
    async for entry in life.store.read(tenant):
        check.feed(entry)
    return check.report()


async def failed(life: Life, tenant: str) -> tuple[dict[str, Failing | None], int]:
    """Return whose failures are in a row by the log alone, and how many denials were for a budget."""
    found: dict[str, Failing | None] = {}
    limited = 0
    async for one in life.store.read(tenant):
        entry = read_chained(orjson.loads(one.content))
        assert entry is not None
        limited += BY_BUDGET in entry.reasons
        before = found.get(entry.agent)
        told = evidence_of(entry, one.seq) or change_of(entry, one.seq)
        if told is not None:
            found[entry.agent] = failing_after(before, told, entry.upstream)
        elif before is not None:
            found[entry.agent] = failing_allowed(before, entry)
    return found, limited


async def compared(life: Life) -> dict[str, Any]:
    """Hold what the process knows against the log."""
    found: dict[str, Any] = {"entries": 0, "changes": 0, "decisions": 0, "overtaken": 0, "limited": 0}
    found |= {"tiers": {}, "different": []}
    for tenant in await life.store.tenants():
        report = await recomputed(life, tenant)
        found["entries"] += report.head
        for name in ("changes", "decisions", "overtaken"):
            found[name] += getattr(report, name)
        found["different"] += [repr(one) for one in report.differences]
        failing, limited = await failed(life, tenant)
        found["limited"] += limited
        for agent in {*report.records, *failing}:
            known = life.trust.failing(tenant, agent)
            if known != failing.get(agent):
                found["different"].append(f"{tenant}/{agent}: {known} is not {failing.get(agent)}")
        for agent, record in report.records.items():
            held = life.trust.held(tenant, agent)
            if (record != held.record) if held is not None else any(record.counts):
                found["different"].append(f"{tenant}/{agent}: {held and held.record} is not {record}")
            found["tiers"][f"{tenant}/{agent}"] = None if record.tier is None else record.tier.name
    return found


async def round_(folder: Path, seed: int, events: int, result: int) -> None:
    """Compare, act, compare, act and die."""
    life = await alive(folder, seed)
    first = await compared(life)
    await live(life, events * 3 // 4)
    second = await compared(life)
    second["different"] += first["different"]
    os.write(result, json.dumps(second).encode())
    os.close(result)
    async with anyio.create_task_group() as group:
        group.start_soon(live, life, events)
        while life.acted < events * 5 // 8:
            await anyio.lowlevel.checkpoint()
        await anyio.sleep(life.chance.uniform(0, 0.02))
        os.kill(os.getpid(), signal.SIGKILL)


def rounds(folder: Path, events: int, of_round: int, seed: int) -> dict[str, Any]:
    total: dict[str, Any] = {"kills": 0, "entries": 0, "different": []}
    while total["entries"] < events and not total["different"]:
        reading, writing = os.pipe()
        number = seed + total["kills"]
        child = forked(partial(round_, folder, number, of_round, writing))
        os.close(writing)
        with os.fdopen(reading, "rb") as result:
            text = result.read()
        _, status = os.waitpid(child, 0)
        if not text or not os.WIFSIGNALED(status):
            total["different"].append(f"round {total['kills']} failed")
            break
        total.update(json.loads(text))
        total["kills"] += 1
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=3_000)
    parser.add_argument("--of-round", type=int, default=600, help="entries between two kills, about")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        total = {"seed": given.seed} | rounds(Path(folder), given.events, given.of_round, given.seed)
    print(json.dumps(total))
    return 1 if total["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
