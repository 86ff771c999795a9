"""Rows of what was closed long ago go, and nobody is told anything else for it."""

from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.leases import LeaseState
from gateway.core.principal import Principal, Role, Scope
from gateway.core.refusal import DECISION_META
from gateway.core.submission import Outcome
from gateway.errors import GatewayError, StoreError
from gateway.services import retention as module
from gateway.services.audit_query import verify
from gateway.services.jobs import Jobs
from gateway.services.lease_terms import LeaseTerms
from gateway.services.retention import Retention
from tests.services.submitting import BOUND, DEPLOY, HUMAN, INVOICE, KEY, OPERATOR, OTHER_KEY
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World, tool

DAY = 86_400.0
ASK = """
apiVersion: intended/v1
policySet: test
budgets:
  paid: {sum: double(args.amount), per: agent, window: 31d, match: {tools: [pay]}}
rules:
  - {id: ask, effect: escalate, match: {tools: [pay]}, reason: money, approval: {expires: 1h}}
  - {id: ask-intents, effect: escalate, match: {methods: [intent], domains: [billing]}, approval: {expires: 7d}}
  - {id: read, effect: allow, match: {tools: [look]}, when: budget.paid < 1000000.0}
  - {id: allow-intents, effect: allow, match: {methods: [intent]}}
"""
ASKED_BY = Principal(tenant="default", agent="local", credential="key_7", scopes=frozenset({Scope.APPROVALS_WRITE}))


def world(**more: int) -> World:
    return World(upstreams=[FakeUpstream(tools=[tool("pay"), tool("look")])], policy=ASK, **more)


async def pay(made: World, amount: int, *, caller: FakeCaller | None = None) -> str:
    """Make a call that asks a human, and return the approval's id; empty where it ran or was refused."""
    result = (await made.call("pay", {"amount": amount}, caller=caller)).message["result"]
    return str(result.get("_meta", {}).get(DECISION_META, {}).get("approval", ""))


async def answer(made: World, approval_id: str, *, approve: bool = True) -> None:
    await made.approvals.resolve(HUMAN, approval_id=approval_id, approve=approve, rationale="seen")


def keys(made: World) -> Counter[str]:
    """Count the rows of each kind, but for those that are none of an intent's."""
    found = Counter(key.partition(":")[0] for _, key in made.store._rows)
    return Counter({kind: count for kind, count in found.items() if kind in _KINDS})


_KINDS = (
    *("approval", "approval-input", "approval-key", "pending", "asked", "intent", "outcome", "idem"),
    *("lease", "lease-uses", "lease-shape", "budget"),
)


async def closed(made: World) -> list[str]:
    """Close approvals in each way there is: used, denied, cancelled, expired, expired with its yes, failed."""
    ids = [await pay(made, amount) for amount in range(1, 6)]
    assert await pay(made, 1) == ids[0], "asked twice"
    await answer(made, ids[0])
    assert await pay(made, 1) == "", "it ran"
    await answer(made, ids[1], approve=False)
    held = await made.approvals.current("default", ids[2])
    assert held is not None
    await made.approvals.cancel(held, by="cli", why="stopped")
    await answer(made, ids[4])
    made.policies.replace(ASK.replace("reason: money", "reason: much money"))
    renewed = await pay(made, 5)
    made.policies.replace(ASK)
    assert renewed not in ids
    yes = await pay(made, 6)
    await answer(made, yes)
    made.clock.advance(3601)
    await made.approvals.sweep()
    return [*ids, renewed, yes]


async def submitted(made: World) -> list[str]:
    """Submit intents and leave them in each state there is, but pending."""
    allowed = [(await made.intents.submit(KEY, DEPLOY)).record.id for _ in range(3)]
    await made.intents.outcome(KEY, allowed[0], Outcome.COMPLETED)
    await made.intents.outcome(KEY, allowed[1], Outcome.FAILED, "it broke")
    await registered(made)
    asked = [(await made.intents.submit(KEY, replace(INVOICE, params={"n": n}))).record.id for n in range(5)]
    for intent in asked[:3]:
        await made.approvals.resolve(HUMAN, intent_id=intent, approve=True)
    await made.approvals.resolve(HUMAN, intent_id=asked[3], approve=False)
    assert (await made.intents.show(KEY, asked[0])).token
    assert (await made.intents.show(KEY, asked[1])).token
    await made.intents.outcome(KEY, asked[1], Outcome.COMPLETED)
    made.policies.replace(ASK + "  - {id: no, effect: deny, match: {domains: [billing]}}")
    assert not (await made.intents.show(KEY, asked[2])).token, "today's policy says no: the yes has failed"
    made.policies.replace(ASK)
    return [*allowed, *asked]


async def said(act: Awaitable[object]) -> object:
    """Return what an act returns, or what it is refused with."""
    try:
        return await act
    except GatewayError as error:
        return type(error), str(error)


async def told(made: World, approvals: list[str], intents: list[str]) -> list[object]:
    """Return everything that anybody is told of these, and that changes nothing."""
    found: list[object] = []
    for one in approvals:
        found += [
            await said(made.approvals.show(HUMAN, one)),
            *[await said(made.approvals.resolve(who, approval_id=one, approve=True)) for who in (HUMAN, ASKED_BY, KEY)],
            await said(made.approvals.arguments(HUMAN, one)),
            await said(made.approvals.show(replace(HUMAN, tenant="other"), one)),
        ]
    for one in intents:
        found.append(await said(made.approvals.resolve(HUMAN, intent_id=one, approve=False)))
        found += [await said(made.intents.show(who, one)) for who in (KEY, BOUND, OTHER_KEY)]
        found.append(await said(made.intents.outcome(OTHER_KEY, one, Outcome.COMPLETED)))
    for state in (None, *ApprovalState):
        listed = await made.approval_list.list(HUMAN, state=state, page=1, page_size=100)
        groups = {one.alike.group for one in listed.items}
        found.append(listed)
        for group in sorted(groups):
            found.append(await made.approval_list.list(HUMAN, state=state, group=group, page=1, page_size=3))
    for ended in (None, *LeaseState):
        found.append(await made.leases.list(HUMAN, state=ended, page=1, page_size=100))
    return found


async def test_whatever_was_closed_is_told_as_before_when_its_rows_are_gone() -> None:
    """The contract: ALREADY_RESOLVED, `show`, lists and outcomes answer for it however long ago it was."""
    made = world()
    approvals, intents = await closed(made), await submitted(made)
    await long_after(made)
    before = await told(made, approvals, intents)
    assert len({one.state for one in [await made.approvals.show(HUMAN, id_) for id_ in approvals]}) == 5
    rows = keys(made)
    assert (rows["approval"], rows["intent"]) == (12, 14)
    await made.retention.round()
    assert await told(made, approvals, intents) == before
    assert keys(made) == {}
    assert (await verify(made.store, "default")).valid
    written = len(made.store.drafts)
    await made.retention.round()
    assert len(made.store.drafts) == written, "there is nothing more to remove"


async def test_nothing_goes_before_its_time() -> None:
    """`approvals.keep_closed_days` counts from the moment for which it is certain that all was over."""
    made = world(keep_closed_days=2)
    approvals = await closed(made)
    made.clock.advance(2 * DAY - 7200)
    await made.retention.round()
    assert keys(made)["approval"] == len(approvals)
    made.clock.advance(7200)
    await made.retention.round()
    assert keys(made) == {"budget": 1}


async def test_an_allowed_intent_is_reported_once_also_after_its_row_has_gone() -> None:
    """An outcome has no deadline."""
    made = world()
    intents = await submitted(made)
    await long_after(made)
    await made.retention.round()
    assert keys(made)["intent"] == 0
    assert (await said(made.intents.outcome(OTHER_KEY, intents[2], Outcome.COMPLETED)))[0].__name__ == "Forbidden"
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(said, made.intents.outcome(KEY, intents[2], Outcome.COMPLETED))
    assert [one.intent_id for one in made.entries(EntryType.CALL_COMPLETED)].count(intents[2]) == 1
    assert keys(made)["intent"] == 1
    await made.retention.round()
    assert keys(made)["intent"] == 0
    assert "completed" in (await said(made.intents.outcome(KEY, intents[2], Outcome.COMPLETED)))[1]


async def test_nothing_goes_of_what_is_still_in_force() -> None:
    """A pending approval, a yes that awaits its use, a live lease, a running window, a key in its day, an outcome."""
    made = world(keep_closed_days=1)
    approval_id = await pay(made, 1)
    terms = LeaseTerms(minutes=1440, uses=9)
    _, lease = await made.leases.approve(HUMAN, terms, approval_id=approval_id)
    assert await pay(made, 1) == "", "by its own yes"
    assert await pay(made, 1) == "", "by the lease"
    await registered(made)
    pending = (await made.intents.submit(KEY, INVOICE)).record
    yes = (await made.intents.submit(KEY, replace(INVOICE, params={"n": 1}))).record
    await made.approvals.resolve(HUMAN, intent_id=yes.id, approve=True)
    made.clock.advance(DAY - 1)
    await made.intents.submit(KEY, replace(DEPLOY, idempotency_key="once"))
    later = await pay(made, 2)
    await answer(made, later, approve=False)
    before = keys(made)
    await made.retention.round()
    assert keys(made) == before
    assert await pay(made, 1) == "", "the lease is in force"
    made.clock.advance(5 * DAY)
    await made.retention.round()
    left = keys(made)
    assert left == {"approval": 2, "approval-input": 2, "pending": 1, "asked": 2, "intent": 2, "budget": 1} | {
        "lease": 1,
        "lease-uses": 1,
        "lease-shape": 1,
    }, "an active lease is no closed one: the sweep ends it first"
    await made.leases.sweep()
    made.clock.advance(0.5 * DAY)
    assert (await made.intents.show(KEY, yes.id)).token, "its yes is used after six days"
    assert (await made.approvals.show(HUMAN, pending.approval_id)).state is ApprovalState.PENDING
    made.clock.advance(20 * DAY)
    await made.retention.round()
    assert keys(made)["lease"] == 0
    view = await made.leases.show(HUMAN, lease.id)
    assert (view.lease.state, view.used, view.shape) == (LeaseState.EXPIRED, 2, None)
    assert await made.leases.revoke(HUMAN, lease.id) == view
    assert keys(made)["budget"] == 1, "a window of 31 days still runs"
    assert made.judged[-1].facts is not None
    await made.call("look")
    assert made.judged[-1].facts.budgets == {"paid": 3.0}
    made.clock.advance(7 * DAY)
    await made.retention.round()
    assert keys(made)["budget"] == 0
    await made.call("look")
    assert made.judged[-1].facts.budgets == {"paid": 0.0}


async def long_after(made: World) -> None:
    """Let everything that waits expire, and then be closed for a month."""
    made.clock.advance(8 * DAY)
    await made.approvals.sweep()
    made.clock.advance(31 * DAY)


async def registered(made: World) -> None:
    await made.agents.acting(OPERATOR, "billing-agent", known=False)


async def test_a_call_that_still_runs_keeps_its_row_whatever_the_clock_says() -> None:
    """Without it the same call would be sent a second time while the first one runs."""
    made = world()
    approval_id = await pay(made, 1)
    await answer(made, approval_id)
    used = await made.desk.hold(replace(made.judged[-1], continues=""))
    assert used.use is not None
    await put(made.store, {one.key: one.value for one in used.rows.puts})
    made.clock.advance(40 * DAY)
    await made.retention.round()
    assert keys(made)["outcome"] == 1
    made.desk.over(used.use, None)
    await made.retention.round()
    assert keys(made)["outcome"] == 0


async def test_an_intent_that_waits_for_a_later_approval_stays() -> None:
    """The first approval goes alone: the row says what the second one is about."""
    made = world()
    first = await pay(made, 5)
    await answer(made, first)
    made.policies.replace(ASK.replace("reason: money, approval: {expires: 1h}", "reason: x, approval: {expires: 7d}"))
    second = await pay(made, 5)
    assert second != first
    made.clock.advance(DAY + 7200)
    await Retention(**parts(made), keep_closed_days=1, pause_s=0).round()
    assert keys(made) == {
        **dict.fromkeys(("approval", "approval-input", "approval-key", "pending", "asked", "intent"), 1)
    }
    intent = (await made.approvals.show(HUMAN, second)).intent_id
    assert (await made.approvals.show(HUMAN, first)).state is ApprovalState.FAILED
    done = await made.approvals.resolve(HUMAN, intent_id=intent, approve=True)
    assert (done.id, done.state) == (second, ApprovalState.APPROVED)


async def test_an_account_whose_row_has_gone_counts_from_nothing() -> None:
    """A call that counts finds a row gone which it still remembers: it is decided again on what is there."""
    policy = """
apiVersion: intended/v1
policySet: test
budgets:
  looks: {count: calls, per: agent, window: 1m, match: {tools: [look]}}
rules:
  - {id: look, effect: allow, match: {tools: [look]}, when: count.looks < 2}
"""
    made = World(upstreams=[FakeUpstream(tools=[tool("look")])], policy=policy)
    await made.call("look")
    await made.call("look")
    made.clock.advance(32 * DAY)
    await made.retention.round()
    assert keys(made) == {}
    await anyio.lowlevel.checkpoint()
    for _ in range(3):
        await made.call("look")
    assert [one.effect for one in made.entries(EntryType.CALL_DECIDED)] == [*["ALLOW"] * 4, "DENY"]
    assert keys(made) == {"budget": 1}


async def test_a_submitted_intent_whose_entries_say_something_else_keeps_its_rows() -> None:
    """What the chain does not tell must not be removed: an earlier release may have written less."""
    made = world()
    intents = await submitted(made)
    await long_after(made)
    row = next(key for _, key in made.store._rows if key == f"intent:{intents[3]}")
    other = orjson.dumps(orjson.loads(made.store._rows["default", row].value) | {"credential": "key_other"})
    allowed = f"intent:{intents[0]}"
    lost = orjson.dumps(orjson.loads(made.store._rows["default", allowed].value) | {"agent": "else"})
    nothing = orjson.dumps(orjson.loads(lost) | {"agent": "nobody"})
    await put(made.store, {row: other, allowed: lost, "intent:int_unheard_of": nothing})
    await made.retention.round()
    assert keys(made) == {"approval": 1, "asked": 1, "intent": 3}


async def put(store: MemoryStore, rows: dict[str, bytes | None]) -> None:
    await store.append(
        EntryDraft(
            tenant="default",
            id="evt_x",
            type=EntryType.HEAD_ACCEPTED,
            time="2026-11-22T12:00:00.000Z",
            puts=tuple(Put(key=key, value=value) for key, value in rows.items()),
        )
    )


def parts(made: World) -> dict:
    own = {"audit": made.store, "state": made.store, "clock": made.clock, "ids": made.ids}
    return {**own, "reader": made.store, "jobs": Jobs(), "speaks": made.desk.speaks}


# --- crashes, races, clocks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", list(Moment))
async def test_killed_between_any_two_slices_it_has_lost_nothing_and_the_next_process_goes_on(
    monkeypatch: pytest.MonkeyPatch, moment: Moment
) -> None:
    """A slice is one transaction: it is there or not, and nothing rests on how far the last process came."""
    monkeypatch.setattr(module, "SLICE_ROWS", 2)
    made = world()
    approvals, intents = await closed(made), await submitted(made)
    await long_after(made)
    before = await told(made, approvals, intents)
    kills = 0
    while True:
        made.store.break_append(moment, where=lambda draft: draft.type is EntryType.ROWS_REMOVED, skip=1)
        left = sum(keys(made).values())
        try:
            await Retention(**parts(made), keep_closed_days=30, pause_s=0).round()
        except StoreError:
            kills += 1
            assert sum(keys(made).values()) < left
            assert await told(made, approvals, intents) == before
        else:
            break
        finally:
            made.store._breaks.clear()
    assert kills > 4
    assert keys(made) == {}
    assert await told(made, approvals, intents) == before
    assert (await verify(made.store, "default")).valid


async def test_a_row_that_is_used_at_this_moment_stays_with_its_slice() -> None:
    """The removal rests on the rows as they were read; what changes meanwhile is looked at again."""
    made = world()
    await made.intents.submit(KEY, replace(DEPLOY, idempotency_key="once"))
    await made.intents.submit(KEY, replace(DEPLOY, idempotency_key="twice"))
    made.clock.advance(DAY)
    made.store.held = anyio.Event()
    (kept, _) = sorted(key for _, key in made.store._rows if key.startswith("idem:"))
    async with anyio.create_task_group() as group:
        group.start_soon(made.retention.round)
        while not any(one.type is EntryType.ROWS_REMOVED for one in made.store.attempts):
            await anyio.lowlevel.checkpoint()
        row = made.store._rows["default", kept]
        made.store._rows["default", kept] = replace(row, version=row.version + 1)
        made.store.held.set()
    assert keys(made)["idem"] == 2
    assert made.entries(EntryType.ROWS_REMOVED) == []
    await made.retention.round()
    assert keys(made)["idem"] == 0


async def test_a_damaged_row_is_named_and_the_next_round_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not end the gateway, nor go unnoticed: the metrics tell of jobs that fail."""
    monkeypatch.setattr(module, "FIRST_S", 0)
    monkeypatch.setattr(module, "EVERY_S", 0)
    made = world()
    await put(made.store, {"approval:apr_0": b"{}", "budget:0": b"no tally"})
    with pytest.raises(StoreError, match="'approval' of tenant 'default' is damaged"):
        await made.retention.round()
    jobs = Jobs()
    again = Retention(**{**parts(made), "jobs": jobs}, keep_closed_days=30, pause_s=0)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(again.run)
            while jobs.counts.get("retention", (0, 0))[1] < 2:
                await anyio.lowlevel.checkpoint()
            made.store._rows.pop(("default", "approval:apr_0"))
            failed = jobs.counts["retention"][1]
            while jobs.counts["retention"][0] < failed + 2:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert keys(made) == {"budget": 1}, "what is no tally is nobody's to remove"


# --- how much is read -------------------------------------------------------------------------------------------------


async def test_the_start_reads_what_is_open_and_a_round_what_is_old() -> None:
    """Of 300 closed approvals a start needs none, and a round one."""
    made = world()
    for amount in range(300):
        await answer(made, await pay(made, amount), approve=False)
    for amount in range(1000, 1003):
        await pay(made, amount)
    made.store.rows_read = 0
    await made.approvals.load(["default"])
    await made.leases.load(["default"])
    assert made.store.rows_read == 3
    assert len(made.approvals.open("default")) == 3
    made.store.rows_read = 0
    await made.retention.round()
    assert made.store.rows_read < 500, "one slice of each kind"


@pytest.mark.parametrize("removed", [False, True])
async def test_a_page_of_closed_approvals_reads_that_page(removed: bool) -> None:
    """The first page of 300, and the last one."""
    made = world()
    for amount in range(300):
        await answer(made, await pay(made, amount), approve=False)
    waiting = await pay(made, 1000)
    if removed:
        made.clock.advance(40 * DAY)
        await made.retention.round()
    for page in (1, 30):
        made.store.rows_read = 0
        found = await made.approval_list.list(HUMAN, state=ApprovalState.DENIED, page=page, page_size=10)
        assert (len(found.items), found.total) == (10, 300)
        assert made.store.rows_read <= 1 + 2 * 10
    assert waiting not in [one.approval.id for one in found.items]


async def test_tenants_are_gone_through_one_by_one() -> None:
    """Each has a chain of its own, and its entries tell of its own rows."""
    made = world()
    for who in (LOCAL, Principal(tenant="other", agent="o", credential="o", role=Role.ADMIN)):
        await made.intents.submit(replace(KEY, tenant=who.tenant), DEPLOY)
    made.clock.advance(31 * DAY)
    await made.retention.round()
    assert keys(made)["intent"] == 0
    told_of = {
        (one.tenant, one.reasons, orjson.loads(one.body)["rows"]) for one in made.entries(EntryType.ROWS_REMOVED)
    }
    assert told_of == {("default", ("intent",), 1), ("other", ("intent",), 1)}
