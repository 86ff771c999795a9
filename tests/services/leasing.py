"""A world in which a tool asks a human and may get a lease, for the tests of `services/leases.py`."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import Check, Constraint
from gateway.core.principal import Principal, Role
from gateway.core.refusal import DECISION_META
from gateway.services.lease_terms import LeaseTerms
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, match: {tools: [pay]}, reason: money}
"""
PAY = tool("pay", description="Pay somebody.")
UP_TO_500 = (Constraint(path="/amount", check=Check.MAX, value=500),)
TERMS = LeaseTerms(minutes=10, uses=3, constraints=UP_TO_500)


def world(policy: str = ASK, holds: HoldTerms | None = None, **more: Any) -> World:
    upstreams = [FakeUpstream("bank", tools=[PAY]), FakeUpstream("shop", tools=[PAY])]
    return World(upstreams=upstreams, policy=policy, holds=holds, **more)


async def call(made: World, amount: Any = 5, name: str = "bank__pay", **more: Any) -> JsonObject:
    """Call a tool; return what the gateway says of it, or what the upstream answered."""
    params = {"name": name, "arguments": {"amount": amount, "to": "ACME"}} | more.pop("params", {})
    result = (await made.modern("tools/call", params, **more)).message["result"]
    return dict(result.get("_meta", {}).get(DECISION_META, result))


def ran(said: JsonObject) -> bool:
    return "content" in said and said["content"][0]["text"] == "pay ran"


def runs(made: World) -> int:
    return len(made.upstream("bank").calls()) + len(made.upstream("shop").calls())


async def pending(made: World) -> list[str]:
    return [one.id for one in (await made.list_approvals(HUMAN, page=1, page_size=100)).items]


async def granted(made: World, terms: LeaseTerms = TERMS, amount: int = 5) -> str:
    """Make a call that escalates, approve it with a lease, and let it run."""
    assert (await call(made, amount))["outcome"] == "pending"
    _, lease = await made.leases.approve(HUMAN, terms, approval_id=(await pending(made))[0], rationale="agreed")
    assert ran(await call(made, amount)), "by its own yes"
    return lease.id


async def active(made: World) -> list[str]:
    return [one.lease.id for one in (await made.leases.list(HUMAN, page=1, page_size=100)).items]


async def used(made: World, lease_id: str) -> int:
    return (await made.leases.show(HUMAN, lease_id)).used


def reasons(made: World) -> list[str]:
    return [entry.reasons[0] for entry in made.entries(EntryType.CALL_DECIDED)]


def ended(made: World) -> list[tuple[str, ...]]:
    return [entry.reasons for entry in made.entries(EntryType.LEASE_ENDED)]


async def all_at_once(*asks: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for ask in asks:
                tasks.start_soon(ask)


def draft() -> EntryDraft:
    return EntryDraft(tenant="default", id="evt_x", type=EntryType.HEAD_ACCEPTED, time="2026-11-22T12:00:00.000Z")


async def oldest(made: World) -> str:
    return (await pending(made))[-1]
