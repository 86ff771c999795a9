"""A misbehaving upstream hurts only its own call, through the whole gateway, and the record says how it ended."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio.to_thread import run_sync

from tests.faults.agent import Agent, Answer
from tests.faults.gated import ROOT, Nursery, ledger
from tests.faults.ledger import Entry
from tests.upstream.misbehaving import MODES, Misbehaving, Reply

TIMEOUT_S = 1.0
"""What a misbehaving upstream is given for an answer."""
BOUND_S = 4.0
"""In which every call is answered: its time-out, and what many calls at once on a busy machine add."""
AT_ONCE = 6

ANSWERS = (
    {mode: "ok" for mode in MODES if mode.startswith("good")}
    | dict.fromkeys(("echo", "progress", "resumable", "resumable_after_a_reset", "asks_in_the_stream"), "ok")
    | dict.fromkeys(("fail", "error_with_404"), "rpc-error")
)
"""Modes that give one usable answer, and what the record calls it."""

OF_ITS_ERA = {
    "modern": dict.fromkeys(("resumable", "resumable_after_a_reset"), "upstream-failed"),
    "handshake": {"error_with_404": "upstream-failed"},
}
"""Streams are resumed in sessions only; in a session 404 means that it is gone, whatever the body says."""

NEEDS_A_POKE = "good_then_a_second_answer_later"
NOT_IN = {"modern": {NEEDS_A_POKE, "asks_in_the_stream"}, "handshake": {NEEDS_A_POKE}}
"""There are no requests to the agent in the modern era."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one agent saw of one mode: the bad call, one to another upstream meanwhile, and the next one to the bad."""

    bad: Answer
    meanwhile: Answer
    then: Answer


def lists_its_modes(server: Misbehaving) -> None:
    cache = {"ttlMs": 0, "cacheScope": "public", "resultType": "complete"}

    async def tools(reply: Reply) -> None:
        schema = {"type": "object"}
        found = [{"name": name, "description": "Reads something.", "inputSchema": schema} for name in MODES]
        reply.http(reply.message(result={"tools": found, **cache}))

    async def discover(reply: Reply) -> None:
        found = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
        reply.http(reply.message(result={**found, **cache}))

    server.special |= {"tools/list": tools, "server/discover": discover}


@asynccontextmanager
async def misbehaving() -> AsyncIterator[Misbehaving]:
    async with Misbehaving() as server:
        lists_its_modes(server)
        yield server


def configured(folder: Path, **servers: Misbehaving) -> list[str]:
    """Return the arguments of a gateway in front of `servers` that allows everything."""
    one = {"timeout_s": TIMEOUT_S, "max_answer_bytes": 1024 * 1024}
    upstreams = {name: {"url": server.url, **one} for name, server in servers.items()}
    (folder / "intended.yaml").write_text(json.dumps({"upstreams": upstreams}) + "\n")  # JSON is YAML
    return ["--policies", str(ROOT / "policies/allow-all.yaml"), "--tier", "local=T4"]


async def ask(url: str, era: str, mode: str) -> Told:
    async with Agent(url, era, "/mcp/bad") as agent, Agent(url, era, "/mcp/fine") as other:
        params = {"name": mode, "arguments": {"call": f"{mode}-bad"}, "_meta": {"progressToken": mode}}
        bad = asyncio.create_task(agent.request("tools/call", params))
        meanwhile = await other.call("good", {"call": f"{mode}-meanwhile"})
        told = await bad
    async with Agent(url, era, "/mcp/bad") as again:
        return Told(told, meanwhile, await again.call("good", {"call": f"{mode}-then"}))


async def ask_all(url: str, era: str, modes: Sequence[str]) -> dict[str, Told]:
    told: dict[str, Told] = {}
    turn = asyncio.Semaphore(AT_ONCE)

    resuming = asyncio.Semaphore(1)  # the server parks one answer at a time

    async def one(mode: str) -> None:
        async with resuming if "resum" in mode else turn:
            told[mode] = await ask(url, era, mode)

    await asyncio.gather(*map(one, modes))
    return told


def problems(seen: Told, end: Entry, sent: int, due: str) -> list[str]:
    """Return what is not as it must be, in words."""
    reason = end.fields["reasons"][0]
    failed = reason == "upstream-failed"
    expected = {
        f"recorded as {reason}": reason == due,
        f"told {seen.bad.message}": not failed
        or (seen.bad.decision.get("reason") == reason and seen.bad.text.startswith("Failed: ")),
        # A connection that the server closed a moment ago loses the call unsent; that must be told, and nothing else.
        "said otherwise whether it may have run": not failed
        or (seen.bad.decision.get("mayHaveRun") is end.body["mayHaveRun"] is (sent == 1)),
        "no problem recorded": not failed or bool(end.body.get("problem")),
        f"took {seen.bad.took_s:.2f} s": seen.bad.took_s < BOUND_S,
        f"the other took {seen.meanwhile.took_s:.2f} s": seen.meanwhile.took_s < BOUND_S,
        f"sent {sent} times": sent == 1 or (failed and sent == 0),
        f"meanwhile {seen.meanwhile}": seen.meanwhile.text == "well",
        f"then {seen.then}": seen.then.text == "well",
    }
    return [what for what, right in expected.items() if not right]


@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_every_way_to_fail_ends_its_own_call_and_no_other(nursery: Nursery, memory: Path, era: str) -> None:
    """Issue, "Upstreams": a clear error and a completed entry that says so; never sent twice; the next call works."""
    modes = sorted(MODES.keys() - {"good"} - NOT_IN[era])
    async with misbehaving() as bad, misbehaving() as fine:
        with nursery.gate(memory, *configured(memory, bad=bad, fine=fine)) as gate:
            await run_sync(gate.wait_ready)
            told = await ask_all(gate.url, era, modes)
            bad.released.set()
            status = await run_sync(gate.end)
    found = ledger(memory)
    entries = found.read_on()
    assert (status, found.broken, found.open) == (0, [], {})
    intents = {entry.call: entry.fields["intentId"] for entry in entries if entry.decided}
    ends = {entry.fields["intentId"]: entry for entry in entries if entry.completed}
    due = dict.fromkeys(modes, "upstream-failed") | ANSWERS | OF_ITS_ERA[era]
    wrong = {
        mode: problems(seen, ends[intents[f"{mode}-bad"]], bad.calls(mode), due[mode]) for mode, seen in told.items()
    }
    assert {mode: what for mode, what in wrong.items() if what} == {}
    assert (bad.calls("good"), fine.calls("good")) == (len(modes), len(modes))
    for mode, seen in told.items():
        print(f"{mode:<32}{seen.bad.took_s:6.2f} s  {seen.bad.text[:110]}")
