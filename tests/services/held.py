"""Calls that wait for their human in a world, for the tests of `services/holding.py`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from gateway.core.audit.canonical import digest
from gateway.core.call import Call
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.core.refusal import DECISION_META
from gateway.services.dispatch import Conversation, Reply
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, reason: money}
"""
LONG = HoldTerms(leg_s=60, hold_s=60, held_per_agent=50)
SHORT = HoldTerms(leg_s=0.01, hold_s=0.01)
FIVE = {"amount": 5}


def world(terms: HoldTerms = LONG, policy: str = ASK, *tools: JsonObject) -> World:
    return World(upstreams=[FakeUpstream(tools=tools or [tool("pay")])], policy=policy, holds=terms)


class Waiter:
    """One call that waits, as a task: what it was answered, and when."""

    def __init__(self) -> None:
        self.caller = FakeCaller()
        self.scope = anyio.CancelScope()
        self.reply: Reply | None = None

    async def run(self, ask: Callable[[FakeCaller], Awaitable[Reply]]) -> None:
        with self.scope:
            self.reply = await ask(self.caller)

    @property
    def record(self) -> JsonObject:
        assert self.reply is not None
        return self.reply.message["result"].get("_meta", {}).get(DECISION_META, {})

    @property
    def text(self) -> str:
        assert self.reply is not None, "no answer yet"
        return str(self.reply.message["result"]["content"][0]["text"])


@asynccontextmanager
async def waiting(made: World, *asks: Callable[[FakeCaller], Awaitable[Reply]]) -> AsyncIterator[list[Waiter]]:
    """Let calls wait inside of the block, and take their answers after it, bounded in time."""
    waiters = [Waiter() for _ in asks]
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for waiter, ask in zip(waiters, asks, strict=True):
                tasks.start_soon(waiter.run, ask)
            await settled(made)
            yield waiters


async def settled(made: World) -> None:
    """Return once every call that could has come to its wait."""
    for _ in range(60):
        await anyio.lowlevel.checkpoint()


def pay(made: World, arguments: JsonObject | None = None, **params: object) -> Callable[[FakeCaller], Awaitable[Reply]]:
    """Return a call of `pay` in the modern era."""
    given = {"name": "pay", "arguments": arguments or FIVE, **params}
    return lambda caller: made.modern("tools/call", given, caller=caller)


def say(made: World, conversation: Conversation, **meta: object) -> Callable[[FakeCaller], Awaitable[Reply]]:
    """Return a call of `pay` in the handshake era."""
    params: JsonObject = {"name": "pay", "arguments": FIVE, **({"_meta": meta} if meta else {})}
    return lambda caller: made.handle(conversation, "tools/call", params, caller)


def handed(made: World, state: str) -> str:
    """Return a state that the upstream has handed out for that call, as the agent has it."""
    call = Call(
        method="tools/call", upstream="default", name="pay", uri="", arguments=FIVE, arguments_digest=digest(FIVE)
    )
    message = made.states.handed(LOCAL, call, {"result": {"requestState": state}})
    return str(message["result"]["requestState"])


async def only_approval(made: World) -> str:
    (one,) = (await made.list_approvals(HUMAN, page=1, page_size=10)).items
    return one.id


async def resolve(made: World, *, approve: bool = True, rationale: str = "") -> str:
    approval_id = await only_approval(made)
    await made.approvals.resolve(HUMAN, approval_id=approval_id, approve=approve, rationale=rationale)
    return approval_id


def runs(made: World) -> int:
    return len(made.upstream().calls("pay"))


def state_of(reply: Reply) -> str:
    result = reply.message["result"]
    assert result["resultType"] == "input_required", result
    return str(result["requestState"])
