"""Forty races for one budget: whatever fails meanwhile, the chain itself shows that each decision saw the truth.

Forty calls a race, in the simulated world, of random amounts and by both fronts; appends fail before or after they are
recorded. The sums are made again from the chain alone, in its order.
"""

import random
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect, Reason
from gateway.core.principal import Principal, Scope
from gateway.core.submission import Submission
from gateway.errors import StoreError
from tests.simulate.store import Moment
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool

RACES = 40
CALLS = 40
TURNS = 12
LIMIT = 2000
POLICY = f"""
apiVersion: intended/v1
policySet: test
budgets:
  cents: {{sum: args.cents, per: agent, window: 1d, match: {{tools: [pay]}}}}
  calls: {{count: calls, per: tenant, window: 1h}}
rules:
  - {{id: within, effect: allow, match: {{tools: [pay]}}, when: "budget.cents + double(args.cents) <= {LIMIT}.0"}}
  - {{id: looks, effect: allow, match: {{tools: [look]}}, when: "count.calls < 15 && budget.cents < 1500.0"}}
"""
SELLER = Principal(
    tenant="default",
    agent="local",
    credential="key_1",
    bound=True,
    scopes=frozenset({Scope.INTENTS_READ, Scope.INTENTS_WRITE}),
)


def acts(world: World, chance: random.Random) -> list[Callable[[], Awaitable[object]]]:
    """Return the calls of one race."""

    def one() -> Callable[[], Awaitable[object]]:
        cents, turns, kind = chance.randrange(1, 200), chance.randrange(TURNS), chance.randrange(3)
        submission = Submission(agent="local", action="pay", params={"cents": cents})

        async def act() -> object:
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            if kind == 0:
                return await world.call("look", {})
            if kind == 1:
                return await world.call("pay", {"cents": cents})
            try:
                return await world.intents.submit(SELLER, submission)
            except StoreError as error:
                return error

        return act

    return [one() for _ in range(CALLS)]


@pytest.mark.parametrize("seed", range(RACES))
async def test_each_decision_saw_what_the_chain_says_was_spent_by_then(seed: int) -> None:
    """The card: exact under concurrency; a sum that can be made again from the log alone."""
    chance = random.Random(seed)
    world = World(upstreams=[FakeUpstream(tools=[tool("pay"), tool("look")])], policy=POLICY, calls_per_agent=1000)
    for moment in (*[Moment.BEFORE] * chance.randrange(4), *[Moment.AFTER] * chance.randrange(3)):
        world.store.break_append(
            moment, where=lambda draft: draft.effect == Effect.ALLOW, skip=chance.randrange(10), times=1
        )
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for act in acts(world, chance):
                group.start_soon(act)
    cents = calls = 0
    reached = {"pay": 0, "look": 0}
    for draft in world.entries(EntryType.CALL_DECIDED):
        body = orjson.loads(draft.body)
        assert draft.reasons[0] != Reason.CONTENTION
        if draft.effect == Effect.ALLOW:
            facts, charges = body["facts"], body["decision"]["charges"]
            assert facts["budgets"].get("cents", cents) == cents
            assert facts["counts"]["calls"] == calls
            spends = body["call"]["arguments"].get("cents", 0)
            assert charges.get("cents", 0) == spends * 10**6
            cents, calls = cents + spends, calls + 1
            reached[draft.tool] += draft.opens
    assert cents <= LIMIT
    await world.call("pay", {"cents": LIMIT - cents})
    await world.call("pay", {"cents": 1})
    last = [draft.effect for draft in world.entries(EntryType.CALL_DECIDED)[-2:]]
    assert last == [Effect.ALLOW, Effect.DENY], "what failed has left nothing behind"
    reached["pay"] += 1
    for name, most in reached.items():
        assert len(world.upstream().calls(name)) <= most
