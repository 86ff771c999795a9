"""A world in which refunds and calls are counted, for the tests of `services/budgets.py`."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel

from gateway.core.audit.entry import EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Scope
from gateway.core.refusal import DECISION_META
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool

SELLER = Principal(
    tenant="default",
    agent="local",
    credential="key_1",
    bound=True,
    scopes=frozenset({Scope.INTENTS_READ, Scope.INTENTS_WRITE}),
)
REFUND = tool("refund", description="Refund an amount.")
TOOLS = [REFUND, tool("read"), tool("other")]
POLICY = """
apiVersion: intended/v1
policySet: test
budgets:
  refunds: {sum: args.amount, per: agent, window: 1d, match: {tools: [refund]}}
  calls: {count: calls, per: agent, window: 1m}
rules:
  - {id: within, effect: allow, match: {tools: [refund]}, when: "budget.refunds + double(args.amount) <= 6.4"}
  - {id: reads, effect: allow, match: {tools: [read]}}
  - {id: others, effect: allow, match: {tools: [other]}, when: args.amount > 5}
  - {id: fast, effect: deny, match: {tools: [read]}, when: "count.calls >= 20", reason: slowly}
"""
SUM = "budget:refunds:sum:agent:local"


def world(policy: str = POLICY, **more: Any) -> World:
    upstreams = [FakeUpstream(tools=TOOLS)]
    return World(upstreams=upstreams, policy=policy, calls_per_agent=1000, **more)


async def call(made: World, amount: Any = 0.1, name: str = "refund") -> JsonObject:
    result = (await made.call(name, {"amount": amount})).message["result"]
    return dict(result.get("_meta", {}).get(DECISION_META, result))


async def at_once(*acts: Callable[[], Awaitable[object]]) -> list[Any]:
    ends: list[Any] = []

    async def run(act: Callable[[], Awaitable[object]]) -> None:
        ends.append(await act())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for act in acts:
                group.start_soon(run, act)
    return ends


def reasons(made: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for draft in made.entries(EntryType.CALL_DECIDED):
        found[draft.reasons[0]] = found.get(draft.reasons[0], 0) + 1
    return found


def runs(made: World, name: str = "refund") -> int:
    return len(made.upstream().calls(name))


async def spent(made: World, key: str = SUM) -> int:
    """Return what the row says, added up anew."""
    row = await made.store.get("default", key)
    return 0 if row is None else sum(int(bucket.partition(b":")[2]) for bucket in row.value.split(b" ")[2:])
