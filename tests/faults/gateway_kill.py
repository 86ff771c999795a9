"""Kill the gateway under load, again and again, and count what it did wrong.

    python -m tests.faults.gateway_kill --rounds 1000

One store for all rounds, so that every start is one on a used store. Each round starts the gateway in front of an
upstream that writes down each call it executes (`journal.py`), lets 32 agents of both eras make calls that end in
ALLOW, DENY and ESCALATE, kills the gateway with SIGKILL at a random moment (every fifth round already while it starts),
and reads the store with `ledger.py`, which shares nothing with the gateway. Prints a table and, as its last line, JSON;
exits 1 where a count that must be 0 is not.

Every tenth round starts the gateway with its command, as users do, and times how long it takes until it is ready, and
how much of a processor that needs: on a busy machine only the latter says something. The others fork it from this
process, which has its modules loaded and no threads: the same code without the imports.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.agent import EFFECTS, Agent
from tests.faults.gated import ROOT, Failed, Gate, JournalProcess, environment, journal, ledger, run_arguments
from tests.faults.ledger import Entry, Ledger
from tests.faults.nursery import forked, preload

AGENTS = 32
LOAD_S = 0.7
"""The gateway is killed after at most so long under load."""
START_S = 0.4
"""When it is killed while it starts: at most so long after the fork."""
ROUND_S = 30.0
READY_S = 2.0
MUST_BE_ZERO = {
    "unaudited": "executed without an ALLOW in the store",
    "not_before": "executed before its ALLOW could be read by another process",
    "twice": "executed more than once",
    "forbidden": "executed though denied or escalated",
    "lost": "answered, but the entries of that answer are not in the store",
    "wrong_answers": "answered otherwise than decided, or run though answered as not run",
    "broken": "links of a chain that do not hold",
    "unlisted": "in doubt, but not listed by the next start",
    "unclosed": "in doubt, but not closed as in-doubt by the next start",
    "refused": "starts that failed",
}
COUNTED = (
    "rounds",
    "executed",
    "answered",
    "entries",
    "in_doubt",
    "rounds_in_doubt",
    "killed_while_starting",
    "errors",
)


# --- the gateway ------------------------------------------------------------------------------------------------------


def spawned(arguments: list[str], said: Path) -> int:
    """Run the command as users do. The process is waited for by its number, as a forked one."""
    with said.open("wb") as file:
        command = [sys.executable, "-m", "gateway", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment())
        process.returncode = 0  # its end is taken by `kill`
        return process.pid


def kill(pid: int) -> bool:
    """Kill it and take its end; True where it was alive until then."""
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


# --- the load ---------------------------------------------------------------------------------------------------------


async def load(url: str, name: str, seconds: float, pid: int) -> dict[str, str]:
    """Make calls until the gateway is killed under them; return what was answered, by call.

    That is an effect, or for calls that failed (a disk may stall) `UNRUN` or `ERROR`: certainly not run, or unknown.
    """
    answered: dict[str, str] = {}
    chance = random.Random(name)

    async def one(number: int) -> None:
        try:
            async with Agent(url, ("modern", "handshake")[number % 2]) as agent:
                for count in range(1_000_000):
                    wanted = chance.choices(tuple(EFFECTS), (3, 1, 1))[0]
                    call = f"{name}-{number}-{count}-{wanted}"
                    answer = await agent.effect(wanted, call, chance.choice((0, 0, 5, 20)))
                    unrun = answer.effect == "ERROR" and answer.decision.get("mayHaveRun") is False
                    answered[call] = "UNRUN" if unrun else answer.effect
        except (OSError, EOFError):
            return

    async with asyncio.timeout(ROUND_S), asyncio.TaskGroup() as agents:
        for number in range(AGENTS):
            agents.create_task(one(number))
        await asyncio.sleep(seconds)  # the moment of the kill; everything before it is the load
        os.kill(pid, signal.SIGKILL)
    return answered


# --- what must hold ---------------------------------------------------------------------------------------------------


def judge(total: Counter[str], executed: list[dict[str, Any]], answered: dict[str, str], entries: list[Entry]) -> None:
    """Compare what the upstream did and what the agents were told with what the store says."""
    decided = {entry.call: entry for entry in entries if entry.decided}
    completed = {entry.fields["intentId"] for entry in entries if entry.completed}
    times = Counter(line["call"] for line in executed)
    total["executed"] += len(executed)
    total["answered"] += len(answered)
    total["entries"] += len(entries)
    total["twice"] += sum(count > 1 for count in times.values())
    for line in executed:
        entry = decided.get(line["call"])
        total["unaudited"] += entry is None or entry.fields["effect"] != "ALLOW"
        total["forbidden"] += not line["call"].endswith("ALLOW")
        total["not_before"] += not line["allowed"]
    for call, effect in answered.items():
        if effect in ("ERROR", "UNRUN"):
            total["errors"] += 1
            total["wrong_answers"] += effect == "UNRUN" and call in times
            continue
        entry = decided.get(call)
        if effect != call.rpartition("-")[2]:
            total["wrong_answers"] += 1
            why = entry.fields.get("reasons") if entry is not None else "no entry"
            print(f"{call} was answered {effect}, its entry's reasons: {why}", file=sys.stderr)
        if entry is None or entry.fields["effect"] != effect:
            total["lost"] += 1
        elif effect == "ALLOW":
            total["lost"] += entry.fields["intentId"] not in completed


def judge_start(total: Counter[str], in_doubt: set[str], talk: str, entries: list[Entry]) -> None:
    """Whatever the last round left in doubt is listed by this start and closed by it, and nothing else is."""
    talk = " ".join(talk.split())
    listed = re.search(r"(\d+) calls? w\w+ allowed before the last stop, with no outcome: (.*)", talk)
    if (int(listed[1]) if listed else 0) != len(in_doubt):
        total["unlisted"] += 1
    elif listed is not None:
        total["unlisted"] += sum(intent not in in_doubt for intent in re.findall(r"int_\w+", listed[2]))
    closed = {entry.fields["intentId"] for entry in entries if entry.fields["reasons"] == ["in-doubt"]}
    total["unclosed"] += len(in_doubt - closed)
    total["broken"] += len(closed - in_doubt)


class Rounds:
    """The state that goes from round to round."""

    def __init__(self, folder: Path, upstream: JournalProcess, seed: int) -> None:
        self.folder = folder
        self.upstream = upstream
        self.chance = random.Random(seed)
        self.total: Counter[str] = Counter(dict.fromkeys((*COUNTED, *MUST_BE_ZERO), 0))
        self.ready_s: dict[str, list[float]] = {"command": [], "forked": [], "command, CPU": []}
        self.ledger: Ledger = ledger(folder)
        self.in_doubt: set[str] = set()
        self.seed = seed

    def one(self, number: int) -> None:
        """Start, load, kill, judge."""
        self.total["rounds"] += 1
        said = self.folder / "said"
        said.write_bytes(b"")
        how = "command" if number % 10 == 0 else "forked"
        arguments = run_arguments(self.folder, self.upstream.url)
        started = time.monotonic()
        pid = spawned(arguments, said) if how == "command" else forked(arguments, said, self.folder)
        if number % 5 == 4:
            time.sleep(self.chance.uniform(0, START_S))  # the moment of the kill
            self.total["killed_while_starting"] += kill(pid)
            self._after_a_start_cut_short()
            return
        running = Gate(pid, said)
        try:
            running.wait_ready(ROUND_S)
        except Failed as error:
            print(error, file=sys.stderr)
            self.total["refused"] += 1
            kill(pid)
            return
        self.ready_s[how].append(time.monotonic() - started)
        if how == "command":
            self.ready_s["command, CPU"].append(running.cpu_s())
        judge_start(self.total, self.in_doubt, running.talk(), self.ledger.read_on())
        answered = asyncio.run(load(running.url, f"{self.seed}-{number}", self.chance.uniform(0, LOAD_S), pid))
        os.waitpid(pid, 0)
        judge(self.total, self.upstream.executed(), answered, self.ledger.read_on())
        self._take_in_doubt()

    def _after_a_start_cut_short(self) -> None:
        """It may have closed some of what was in doubt, or nothing; the next start lists the rest."""
        if not self.ledger.path.exists():
            return
        entries = self.ledger.read_on()
        wrong = [entry for entry in entries if entry.decided]
        self.total["broken"] += len(wrong)
        self._take_in_doubt()

    def _take_in_doubt(self) -> None:
        self.in_doubt = set(self.ledger.open)
        self.total["in_doubt"] += len(self.in_doubt)
        self.total["rounds_in_doubt"] += bool(self.in_doubt)

    def verified(self) -> bool:
        """Ask the gateway's own verifier, too: the whole chain against the copy of its head."""
        command = [sys.executable, "-m", "gateway", "audit", "verify", *run_arguments(self.folder)[3:]]
        return subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, check=False).returncode == 0


def rounds(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Run `count` rounds and return the counts."""
    preload()
    with journal(folder, folder / "data" / "audit.db") as upstream:
        run = Rounds(folder, upstream, seed)
        for number in range(count):
            run.one(number)
            if number % 100 == 99:
                print(f"{number + 1} rounds: {dict(run.total)}", file=sys.stderr, flush=True)
    run.total["broken"] += len(run.ledger.broken) + (not run.verified())
    ready = {
        how: [round(statistics.median(times), 2), round(max(times), 2)] for how, times in run.ready_s.items() if times
    }
    return {"seed": seed, **run.total, "ready_s": ready}


def table(total: dict[str, Any]) -> str:
    """Return the counts for people."""
    lines = [f"{'':<16}{total['rounds']:>9} rounds, seed {total['seed']}"]
    lines += [f"{name:<24}{total[name]:>9}" for name in COUNTED[1:]]
    lines += [f"{name:<24}{total[name]:>9}  {what} (must be 0)" for name, what in MUST_BE_ZERO.items()]
    lines += [
        f"ready, {how:<17}{median:>9}  s median, {worst} s at most" for how, (median, worst) in total["ready_s"].items()
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--folder", type=Path, help="Where the store lies meanwhile [default: with temporary files].")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        total = rounds(Path(folder), given.rounds, given.seed)
    print(table(total))
    print(json.dumps(total))
    return 1 if any(total[name] for name in MUST_BE_ZERO) else 0


if __name__ == "__main__":
    sys.exit(main())
