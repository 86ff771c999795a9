"""A hundred races for one approval: whoever comes when, there is one winner, and at most one execution.

Twenty tasks a race, in the simulated world, where every append and every read passes the event loop; each task begins
after a number of its turns that the race draws.
"""

import random
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.core.refusal import DECISION_META
from gateway.errors import AlreadyResolved
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import FakeCaller, World, tool

RACES = 100
TASKS = 20
TURNS = 40
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, reason: money}
"""
HUMANS = [
    Principal(tenant="default", agent=f"usr-{n}", credential=f"ps_{n}", human=f"usr_{n}", role=Role.OPERATOR)
    for n in range(TASKS)
]


class Race:
    """One world with one approval, and what its tasks came to."""

    def __init__(self, seed: int) -> None:
        self.world = World(
            upstreams=[FakeUpstream(tools=[tool("pay")])], policy=ASK, holds=HoldTerms(leg_s=0, held_per_agent=100)
        )
        self.chance = random.Random(seed)
        self.approval_id = ""
        self.resolved: list[ApprovalState] = []
        self.refused = 0
        self.said: list[JsonObject] = []

    async def opened(self) -> None:
        await self.world.call("pay", {"amount": 5})
        (one,) = (await self.world.list_approvals(HUMANS[0], page=1, page_size=10)).items
        self.approval_id = one.id

    async def resolve(self, human: Principal, *, approve: bool) -> None:
        try:
            await self.world.approvals.resolve(human, approval_id=self.approval_id, approve=approve)
        except AlreadyResolved:
            self.refused += 1
        else:
            self.resolved.append(ApprovalState.APPROVED if approve else ApprovalState.DENIED)

    async def call(self, *, wait: bool = False) -> None:
        caller = FakeCaller()
        caller.prefer = "wait=1" if wait else ""
        reply = await self.world.modern("tools/call", {"name": "pay", "arguments": {"amount": 5}}, caller=caller)
        result = reply.message["result"]
        self.said.append(result.get("_meta", {}).get(DECISION_META, result))

    async def expire(self) -> None:
        self.world.clock.advance(3600)
        await self.world.approvals.sweep()

    async def run(self, *asks: Callable[[], Awaitable[None]]) -> None:
        """Let all of them go, each after some turns of the loop."""

        async def later(turns: int, ask: Callable[[], Awaitable[None]]) -> None:
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            await ask()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for ask in asks:
                    tasks.start_soon(later, self.chance.randrange(TURNS), ask)

    @property
    def runs(self) -> int:
        return len(self.world.upstream().calls("pay"))

    def executions(self) -> int:
        return sum(entry.effect == Effect.ALLOW and entry.opens for entry in self.world.entries(EntryType.CALL_DECIDED))


async def race(seed: int) -> Race:
    made = Race(seed)
    await made.opened()
    return made


@pytest.mark.parametrize("seed", range(RACES))
async def test_of_twenty_who_approve_one_does(seed: int) -> None:
    """The others are told that it is resolved."""
    made = await race(seed)
    await made.run(*(partial(made.resolve, human, approve=True) for human in HUMANS))
    assert (made.resolved, made.refused) == ([ApprovalState.APPROVED], TASKS - 1)
    await made.run(*(made.call for _ in range(3)))
    assert made.runs == made.executions() == 1


@pytest.mark.parametrize("seed", range(RACES))
async def test_of_approve_and_reject_one_wins_and_what_it_said_holds(seed: int) -> None:
    """A yes executes once, a no never; and calls that come in the middle of it as well."""
    made = await race(seed)
    votes = (partial(made.resolve, human, approve=number % 2 == 0) for number, human in enumerate(HUMANS[:14]))
    await made.run(*votes, *(partial(made.call, wait=True) for _ in range(6)))
    assert (len(made.resolved), made.refused) == (1, 13)
    assert made.runs == made.executions() == (made.resolved == [ApprovalState.APPROVED])
    state = (await made.world.approvals.show(HUMANS[0], made.approval_id)).state
    assert state is made.resolved[0]


@pytest.mark.parametrize("seed", range(RACES))
async def test_of_expire_and_approve_one_wins(seed: int) -> None:
    """A yes that came too late executes nothing."""
    made = await race(seed)
    votes = (partial(made.resolve, human, approve=True) for human in HUMANS[:13])
    await made.run(made.expire, *votes, *(made.call for _ in range(6)))
    assert (len(made.resolved) <= 1, made.refused) == (True, 13 - len(made.resolved))
    assert made.runs == made.executions() <= len(made.resolved)


@pytest.mark.parametrize("seed", range(RACES))
async def test_of_twenty_who_make_the_same_call_one_is_executed(seed: int) -> None:
    """All that waited get its result; nobody is asked twice for what was waited for."""
    made = await race(seed)
    waits = (partial(made.call, wait=True) for _ in range(TASKS - 1))
    await made.run(*waits, partial(made.resolve, HUMANS[0], approve=True))
    assert made.runs == made.executions()
    assert made.runs >= 1
    assert made.runs <= len(made.resolved)
    results = [said for said in made.said if "content" in said]
    assert results
