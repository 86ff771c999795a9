"""What a new lease does for calls that wait already: those it covers go on, once each."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import anyio
import anyio.lowlevel
import orjson

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType, Put
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import Check, Constraint
from gateway.core.rows import approval_key
from gateway.services.lease_terms import LeaseTerms
from tests.services.leasing import HUMAN, TERMS, call, draft, granted, oldest, pending, ran, reasons, runs, used, world
from tests.simulate.world import FakeCaller, World


async def test_a_pending_approval_of_a_covered_call_is_answered_by_the_lease_once() -> None:
    """The human need not answer what the shape covers; it leads to one execution like any other yes."""
    made = world()
    assert (await call(made, 7))["outcome"] == "pending"
    (waits,) = await pending(made)
    intent = (await made.approvals.show(HUMAN, waits)).intent_id
    lease = await granted(made)
    assert await pending(made) == [waits], "one yes answers one approval; the call comes again by itself"
    assert ran(await call(made, 7))
    approval = await made.approvals.show(HUMAN, waits)
    assert (approval.state, approval.resolved_by) == (ApprovalState.APPROVED, lease)
    assert made.bodies(EntryType.CALL_DECIDED)[-1]["approvalId"] == waits
    assert made.judged[-1].intent_id == intent
    assert await pending(made) == []
    assert await used(made, lease) == 1
    assert [row.key for row in await made.store.scan("default", "outcome:")] == []


async def test_the_outcome_of_a_call_that_waited_is_given_to_its_repetition() -> None:
    """A client that was told `pending`, called again and timed out then must not pay twice."""
    made = world()
    await call(made, 7)
    lease = await granted(made)
    caller = FakeCaller()
    made.upstream("bank").hang("pay")
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(call, made, 7, caller=caller))
            while runs(made) == 1:
                await anyio.lowlevel.checkpoint()
            caller.left = True
            made.upstream("bank").behave()
    assert ran(await call(made, 7))
    assert (runs(made), await used(made, lease)) == (2, 1)
    assert len(made.entries(EntryType.CALL_REPLAYED)) == 1


async def test_a_yes_of_its_own_is_used_before_a_lease() -> None:
    """What a human said to this very call comes first, and costs the lease nothing."""
    made = world()
    await call(made, 7)
    (waits,) = await pending(made)
    lease = await granted(made)
    await made.approvals.resolve(HUMAN, approval_id=waits, approve=True)
    assert ran(await call(made, 7))
    assert (reasons(made)[-1], await used(made, lease)) == ("approved", 0)


async def test_a_no_to_the_very_call_stands_above_a_lease() -> None:
    """The human who says no to one call and yes to its like means both."""
    made = world()
    await call(made, 7)
    (waits,) = await pending(made)
    await made.approvals.resolve(HUMAN, approval_id=waits, approve=False)
    await granted(made)
    assert (await call(made, 7))["outcome"] == "deny"
    assert runs(made) == 1


@asynccontextmanager
async def held(made: World, *amounts: int) -> AsyncIterator[list[JsonObject]]:
    """Let calls wait for their humans inside of the block; they have ended after it."""
    said: list[JsonObject] = []

    async def one(amount: int) -> None:
        caller = FakeCaller()
        caller.prefer = "wait=60"
        said.append(await call(made, amount, caller=caller))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for amount in amounts:
                tasks.start_soon(one, amount)
            while made.holds.count < len(amounts):
                await anyio.lowlevel.checkpoint()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            yield said


async def test_calls_that_are_held_go_on_when_a_lease_covers_them() -> None:
    """`The same shape for ten minutes` is meant for those that wait, too; each wakes at once."""
    made = world(holds=HoldTerms())
    async with held(made, 5, 7, 9) as said:
        (approval,) = [one for one in await pending(made) if one == (await oldest(made))]
        _, lease = await made.leases.approve(HUMAN, TERMS, approval_id=approval)
    assert [ran(each) for each in said] == [True] * 3
    assert (runs(made), await used(made, lease.id), await pending(made)) == (3, 2, [])


async def test_equal_calls_that_are_held_are_one_execution_and_one_use() -> None:
    """However many connections make the same call, one forwards it; also where a lease is its yes."""
    made = world(holds=HoldTerms())
    async with held(made, 5, 7, 7, 7) as said:
        (first,) = [one for one in await pending(made) if await amount_of(made, one) == 5]
        _, lease = await made.leases.approve(HUMAN, TERMS, approval_id=first)
    assert (runs(made), await used(made, lease.id)) == (2, 1)
    assert sum(map(ran, said)) >= 2
    assert all(ran(each) or each["outcome"] == "done" for each in said)


async def amount_of(made: World, approval_id: str) -> int:
    return int((await made.approvals.arguments(HUMAN, approval_id))["amount"])


async def test_a_held_call_that_the_lease_does_not_cover_waits_on_and_asks_once_more_at_most() -> None:
    """Its shape fits and its risk does not: it is decided again, once for each lease, and its human is still asked."""
    made = world(holds=HoldTerms())
    loose = LeaseTerms(constraints=(Constraint(path="/amount", check=Check.ANY),))
    async with held(made, 5):
        (approval,) = await pending(made)
        # Seen with less risk than the other one: the lease is then for less.
        row = await made.store.get("default", approval_key(approval))
        assert row is not None
        kept = orjson.loads(row.value)
        kept["about"]["risk"] = 0
        await made.store.append(replace(draft(), puts=(Put(key=row.key, value=orjson.dumps(kept)),)))
        await made.leases.approve(HUMAN, loose, approval_id=approval)
    async with held(made, 7) as said:
        (waits,) = await pending(made)
        assert reasons(made).count("policy-escalate") == 3
        await made.approvals.resolve(HUMAN, approval_id=waits, approve=True)
    assert ran(said[0])
    assert runs(made) == 2
