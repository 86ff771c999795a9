"""A world in which a call asks a human, for the tests of `services/approvals.py`."""

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

from gateway.core.approvals import Approval
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.core.refusal import DECISION_META
from gateway.core.rows import intent_key, read_intent
from gateway.core.submission import IntentStatus
from gateway.errors import (
    StateConflict,
)
from gateway.services import approvals as module
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
OTHER = Principal(tenant="default", agent="usr-2", credential="ps_2", human="usr_2", role=Role.OPERATOR)
PAY = tool("pay", description="Pay somebody.")
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, reason: money}
"""
TWO = ASK.replace("reason: money}", "reason: money, approval: {role: operator, approvers: 2, expires: 10m}}")


def world(policy: str = ASK) -> World:
    return World(upstreams=[FakeUpstream(tools=[PAY])], policy=policy)


async def call(made: World, arguments: JsonObject | None = None) -> JsonObject:
    """Call `pay` and return what the gateway says of it, or what the upstream answered."""
    reply = await made.call("pay", {"amount": 5} if arguments is None else arguments)
    result = reply.message["result"]
    return result.get("_meta", {}).get(DECISION_META, result)


async def escalated(made: World) -> str:
    """Make one call that waits and return the approval's id."""
    said = await call(made)
    assert said["outcome"] == "pending"
    return str(said["approval"])


async def resolve(made: World, principal: Principal, approval_id: str, *, approve: bool = True) -> Approval:
    return await made.approvals.resolve(principal, approval_id=approval_id, approve=approve)


def times_run(made: World) -> int:
    return len(made.upstream().calls("pay"))


async def status(made: World, intent_id: str) -> IntentStatus:
    row = await made.store.get("default", intent_key(intent_id))
    assert row is not None
    return read_intent(row.value, row.version).status


async def pending(made: World, principal: Principal = HUMAN, **asked: int) -> module.Page[Approval]:
    return await made.list_approvals(principal, **({"page": 1, "page_size": 20} | asked))


async def all_at_once(*acts: Callable[[], Awaitable[object]]) -> list[object]:
    """Run the acts at the same time and return what each returned or raised, in the order in which they ended."""
    ends: list[object] = []

    async def run(act: Callable[[], Awaitable[object]]) -> None:
        try:
            ends.append(await act())
        except StateConflict as error:
            ends.append(error)

    async with anyio.create_task_group() as group:
        for act in acts:
            group.start_soon(run, act)
    return ends


def read_call() -> module.Call:
    return module.Call(
        method="resources/read", upstream="default", name="", uri="x://y", arguments={}, arguments_digest="0" * 64
    )


async def unreachable() -> JsonObject:
    raise AssertionError
