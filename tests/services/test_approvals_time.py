"""An approval ends: its time runs out, what it stands for is gone, or somebody cancels it."""

from dataclasses import replace
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.decision import Reason
from gateway.core.principal import Principal
from gateway.core.rows import HeldApproval, approval_key, input_key, intent_key, pending_key, read_intent
from gateway.core.submission import IntentStatus, Submission
from gateway.errors import (
    AlreadyResolved,
    NotFound,
    StoreError,
)
from gateway.services import approvals as module
from tests.services.approving import (
    ASK,
    HUMAN,
    PAY,
    all_at_once,
    call,
    escalated,
    pending,
    resolve,
    status,
    times_run,
    world,
)
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import World

# --- time -------------------------------------------------------------------------------------------------------------


async def test_an_approval_whose_time_is_over_is_expired_when_anybody_looks() -> None:
    """Enforced and audited, whoever comes first."""
    made = world()
    approval_id = await escalated(made)
    made.clock.advance(3600)
    told = await made.approvals.show(HUMAN, approval_id)
    assert (told.state, told.resolved_by) == (ApprovalState.EXPIRED, "gateway")
    assert await status(made, told.intent_id) is IntentStatus.EXPIRED
    assert [entry.reasons for entry in made.entries(EntryType.APPROVAL_RESOLVED)] == [("expired",)]
    assert await made.store.get("default", input_key(approval_id)) is None
    assert await made.store.get("default", pending_key(approval_id)) is None


@pytest.mark.parametrize("approve", [True, False])
async def test_an_answer_after_its_time_is_none(approve: bool) -> None:
    """A yes that comes too late executes nothing."""
    made = world()
    approval_id = await escalated(made)
    made.clock.advance(3600)
    with pytest.raises(AlreadyResolved, match="expired"):
        await resolve(made, HUMAN, approval_id, approve=approve)
    assert await escalated(made) != approval_id
    assert times_run(made) == 0


async def test_a_yes_that_nobody_used_in_time_is_none_any_more() -> None:
    """The call asks anew."""
    made = world()
    approval_id = await escalated(made)
    await resolve(made, HUMAN, approval_id)
    made.clock.advance(3600)
    assert await escalated(made) != approval_id
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.EXPIRED
    assert times_run(made) == 0


async def test_the_sweep_expires_what_is_due_and_nothing_else_also_after_a_restart() -> None:
    """Nobody need look for an approval to run out."""
    made = world()
    first = await escalated(made)
    made.clock.advance(1800)
    second = (await call(made, {"amount": 7}))["approval"]
    used = (await call(made, {"amount": 8}))["approval"]
    await resolve(made, HUMAN, used)
    await call(made, {"amount": 8})
    again = world()
    again.approvals._state = again.approvals._audit = made.store
    again.approvals._index = made.approvals._index
    again.clock.at = made.clock.at
    await again.approvals.load(["default", "other"])
    again.clock.advance(1800)
    await again.approvals.sweep()
    states = {one.id: one.state for one in (await again.list_approvals(HUMAN, state=None, page=1, page_size=9)).items}
    assert states == {
        first: ApprovalState.EXPIRED,
        second: ApprovalState.PENDING,
        used: ApprovalState.APPROVED,
    }
    assert times_run(made) == 1


async def test_expiry_and_a_yes_at_the_same_time_have_one_winner() -> None:
    """Exactly one of two racing changes counts."""
    made = world()
    approval_id = await escalated(made)
    made.clock.advance(3600)
    await all_at_once(*(partial(made.approvals.show, HUMAN, approval_id) for _ in range(3)))
    assert len(made.entries(EntryType.APPROVAL_RESOLVED)) == 1


async def test_the_sweep_goes_on_after_a_store_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be recorded now is still due at the next look."""
    monkeypatch.setattr(module, "SWEEP_S", 0)
    made = world()
    approval_id = await escalated(made)
    made.clock.advance(3600)
    made.store.down = "full"
    async with anyio.create_task_group() as group:
        group.start_soon(made.approvals.run)
        with anyio.fail_after(5):
            while len(made.store.attempts) < 4:
                await anyio.lowlevel.checkpoint()
            made.store.down = ""
            while not made.entries(EntryType.APPROVAL_RESOLVED):
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.EXPIRED
    runs, failures = made.approvals._jobs.counts["approvals-expiry"]
    assert runs > failures > 0


async def test_a_store_that_cannot_be_read_is_an_error() -> None:
    """Nobody is told that there is nothing to approve."""
    made = world()
    await escalated(made)
    made.store.unreadable = "gone"
    with pytest.raises(StoreError):
        await pending(made)


async def test_a_pointer_to_an_approval_that_is_gone_denies_and_does_not_run() -> None:
    """Rows of one transaction are all there or none; anything else is contention, and so a DENY."""
    made = world()
    approval_id = await escalated(made)
    del made.store._rows["default", f"approval:{approval_id}"]
    said = await call(made)
    assert (said["outcome"], said["reason"], times_run(made)) == ("deny", Reason.CONTENTION, 0)


async def test_an_intent_that_moved_on_is_left_alone_by_its_approval() -> None:
    """A late change of the approval takes no reported outcome back."""
    made = world()
    approval_id = await escalated(made)
    intent_id = (await resolve(made, HUMAN, approval_id)).intent_id
    row = await made.store.get("default", intent_key(intent_id))
    assert row is not None
    done = replace(read_intent(row.value, row.version), status=IntentStatus.COMPLETED)
    await made.store.append(
        replace(
            made.entries()[-1],
            id="evt_x",
            expects=(Expect(key=row.key, version=row.version),),
            puts=(Put(key=row.key, value=done.written()),),
        )
    )
    made.clock.advance(3600)
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.EXPIRED
    assert await status(made, intent_id) is IntentStatus.COMPLETED


async def test_a_submitted_intent_opens_an_approval_of_its_own_each_time() -> None:
    """By REST there is an intent for each submission, so that two may be told apart; the exact call is kept for it."""
    made = world()
    submission = Submission(agent="ci", action="pay the invoice", params={"amount": 5})
    key = Principal(tenant="default", agent="key-1", credential="key_1")
    first = (await made.intents.submit(key, submission)).record
    second = (await made.intents.submit(key, submission)).record
    assert first.approval_id != second.approval_id
    held = await made.approvals.current("default", first.approval_id)
    assert held is not None
    kept = await made.approvals.call(held, arguments_digest=first.args_digest)
    assert kept is not None
    assert (kept.action, kept.arguments, kept.arguments_digest) == (
        "pay the invoice",
        {"amount": 5},
        first.args_digest,
    )
    assert await made.approvals.current("other", first.approval_id) is None


# --- cancelled --------------------------------------------------------------------------------------------------------


async def test_an_approval_that_is_cancelled_is_closed_with_the_reason_and_nobody_can_answer_it() -> None:
    """What it was about has been switched off: a yes would have no sense, and its call finds no approval any more."""
    world = World(upstreams=[FakeUpstream(tools=[PAY])], policy=ASK)
    await world.call("pay", {"amount": 5})
    (approval_id,) = world.approvals.open("default")
    assert world.approvals.open("other") == ()
    held = await world.approvals.current("default", approval_id)
    assert held is not None
    assert await world.approvals.cancel(held, by="usr_1", why="switched off: amok")
    assert not await world.approvals.cancel(held, by="usr_1", why="again"), "it has changed since"
    found = await world.approvals.show(HUMAN, approval_id)
    assert (found.state, found.resolved_by, found.rationale) == (
        ApprovalState.CANCELLED,
        "usr_1",
        "switched off: amok",
    )
    with pytest.raises(AlreadyResolved):
        await world.approvals.resolve(HUMAN, approval_id=approval_id, approve=True)
    row = await world.store.get("default", intent_key(found.intent_id))
    assert row is not None
    assert read_intent(row.value, row.version).status is IntentStatus.REJECTED
    assert world.approvals.open("default") == ()
    await world.call("pay", {"amount": 5})
    assert world.approvals.open("default") not in ((), (approval_id,))


async def test_a_start_takes_no_approval_that_is_not_open() -> None:
    """An input that was left behind, by whatever fault, opens nothing."""
    made = world()
    denied = await escalated(made)
    await resolve(made, HUMAN, denied, approve=False)
    left = tuple(Put(key=input_key(one), value=b"sealed") for one in (denied, "apr_of_nobody"))
    draft = EntryDraft(
        tenant="default", id="evt_x", type=EntryType.HEAD_ACCEPTED, time="2026-11-22T12:00:00.000Z", puts=left
    )
    await made.store.append(draft)
    await made.approvals.load(["default"])
    assert made.approvals.open("default") == ()


async def test_one_whose_rows_go_while_it_is_looked_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the index and the row a slice of the retention may come."""
    made = world()
    approval_id = await escalated(made)
    await resolve(made, HUMAN, approval_id, approve=False)
    before = await made.list_approvals(HUMAN, state=ApprovalState.DENIED, page=1, page_size=9)
    made.clock.advance(40 * 86_400)
    find = made.approvals._find

    async def removed_first(tenant: str, one: str) -> HeldApproval | None:
        await made.retention.round()
        return await find(tenant, one)

    monkeypatch.setattr(made.approvals, "_find", removed_first)
    assert await made.list_approvals(HUMAN, state=ApprovalState.DENIED, page=1, page_size=9) == before
    assert made.store.row("default", approval_key(approval_id)) is None
    assert await made.list_approvals(HUMAN, state=ApprovalState.DENIED, page=1, page_size=9) == before, "by the chain"


async def test_one_that_the_index_knows_and_nobody_has_is_none() -> None:
    """A store that lost a row shows what is left; it makes nothing up."""
    made = world()
    approval_id = await escalated(made)
    await resolve(made, HUMAN, approval_id, approve=False)
    made.store._rows.pop(("default", approval_key(approval_id)))
    assert (await made.list_approvals(HUMAN, state=None, page=1, page_size=9)).items == ()
    with pytest.raises(NotFound):
        await made.approvals.show(HUMAN, approval_id)
