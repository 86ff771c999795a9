"""Agents that go on calling while something is done to the gateway, and what became of each call."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.faults.agent import EFFECTS, Agent, Answer
from tests.faults.ledger import Entry

__all__ = ["Load", "calling", "check"]

MORE_S = 20.0


@dataclass(slots=True)
class Load:
    """The calls so far. `answers` are by call; `cut` counts connections that broke before an answer."""

    url: str
    name: str
    answers: dict[str, Answer] = field(default_factory=dict)
    cut: int = 0
    wait_ms: int = 0
    ending: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def agent(self, number: int) -> None:
        chance = random.Random(number)
        try:
            async with Agent(self.url, ("modern", "handshake")[number % 2]) as agent:
                count = 0
                while not self.ending:
                    count += 1
                    wanted = chance.choices(tuple(EFFECTS), (3, 1, 1))[0]
                    call = f"{self.name}-{number}-{count}-{wanted}"
                    self.answers[call] = await agent.effect(wanted, call, self.wait_ms)
                    self._changed.set()
        except (OSError, EOFError):
            self.cut += 1
            self._changed.set()

    async def more(self, count: int) -> list[Answer]:
        """Wait for so many further answers and return them."""
        before = len(self.answers)
        async with asyncio.timeout(MORE_S):
            while len(self.answers) < before + count:
                self._changed.clear()
                await self._changed.wait()
        return list(self.answers.values())[before:]

    def slowest_s(self) -> float:
        return max(answer.took_s for answer in self.answers.values())


@asynccontextmanager
async def calling(url: str, agents: int = 6, name: str = "load") -> AsyncIterator[Load]:
    """Let agents of both eras call until the block ends, then let each have its last answer."""
    load = Load(url, name)
    async with asyncio.TaskGroup() as group:
        for number in range(agents):
            group.create_task(load.agent(number))
        try:
            yield load
        finally:
            load.ending = True


def check(load: Load, executed: list[dict[str, Any]], entries: list[Entry]) -> Counter[str]:
    """Assert the rule behind all, and return how many answers there were of each effect.

    Nothing ran without its ALLOW, twice, or against its decision; an answer that says how a call ended has its entries.
    """
    decided = {entry.call: entry.fields for entry in entries if entry.decided}
    completed = {entry.fields["intentId"] for entry in entries if entry.completed}
    times = Counter(line["call"] for line in executed)
    assert max(times.values(), default=0) <= 1
    for call in times:
        assert decided[call]["effect"] == "ALLOW"
        assert call.endswith("ALLOW")
    for call, answer in load.answers.items():
        if answer.effect == "ERROR":
            assert answer.text, answer  # the agent is told, by whatever means its method has
            continue
        assert answer.effect == call.rpartition("-")[2], answer
        assert decided[call]["effect"] == answer.effect
        if answer.effect == "ALLOW":
            assert decided[call]["intentId"] in completed
            assert times[call] == 1
    return Counter(answer.effect for answer in load.answers.values())
