"""A lease allows calls of its shape, so many and so long; everything else asks a human, and nothing else runs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.decision import Effect, Reason, Thresholds
from gateway.core.holds import HoldTerms
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.lease_rows import shape_key, uses_key
from gateway.core.leases import Bounds, Check, Constraint, LeaseState
from gateway.core.principal import Principal, Role, Scope, TrustTier
from gateway.core.refusal import DECISION_META
from gateway.core.rows import approval_key
from gateway.core.submission import IntentStatus, Submission
from gateway.errors import AlreadyResolved, AuditUnavailable, Forbidden, InvalidRequest, NotFound, StateConflict
from gateway.services import leases as module
from gateway.services.audit_query import decisions
from gateway.services.leases import ACTIVE_PER_AGENT, Leases, LeaseTerms
from gateway.services.recompute import recompute
from gateway.services.standing import Standing
from gateway.services.trusted import Given
from gateway.store.sealing import Sealer
from tests.simulate.signer import SEALING_KEY
from tests.simulate.store import Moment
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
READER = Principal(tenant="default", agent="usr-2", credential="ps_2", human="usr_2", scopes=frozenset())
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
    return [one.id for one in (await made.approvals.list(HUMAN, page=1, page_size=100)).items]


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


# --- what a lease allows ----------------------------------------------------------------------------------------------


async def test_calls_of_the_shape_run_without_asking_until_the_uses_are_over() -> None:
    """A human said yes to so many; the approved call has its own yes and is not counted."""
    made = world()
    lease = await granted(made)
    assert [ran(await call(made, amount)) for amount in (1, 500, 5)] == [True, True, True]
    assert await used(made, lease) == 3
    assert reasons(made) == ["policy-escalate", "approved", "leased", "leased", "leased"]
    assert (await call(made, 7))["outcome"] == "pending"
    assert runs(made) == 4
    assert ended(made) == [("used-up",)]


async def test_each_use_is_an_entry_that_names_the_lease() -> None:
    """Whoever reads the audit sees under whose yes a call ran."""
    made = world()
    lease = await granted(made)
    await call(made, 7)
    body = made.bodies(EntryType.CALL_DECIDED)[-1]
    assert body["facts"]["lease"]["id"] == lease
    assert (body["decision"]["reason"], body["decision"]["rung"]) == ("leased", 15)
    assert "approval" not in body["facts"]
    entry = made.entries(EntryType.CALL_DECIDED)[-1]
    assert (entry.effect, entry.opens, [one.key for one in entry.counts]) == ("ALLOW", True, [uses_key(lease)])
    assert len(made.entries(EntryType.CALL_COMPLETED)) == 2


@pytest.mark.parametrize(
    "params",
    [
        {"arguments": {"amount": 501, "to": "ACME"}},
        {"arguments": {"amount": True, "to": "ACME"}},
        {"arguments": {"amount": 5, "to": "EVIL"}},
        {"arguments": {"amount": 5}},
        {"arguments": {"amount": 5, "to": "ACME", "cc": "EVIL"}},
        {"name": "shop__pay", "arguments": {"amount": 5, "to": "ACME"}},
        {"inputResponses": {"q": {"action": "accept", "content": {"x": 1}}}},
    ],
)
async def test_what_is_not_of_the_shape_asks_and_does_not_run(params: JsonObject) -> None:
    """The shape is closed, and one tool's of one upstream; answers to questions are nothing that a human has seen."""
    made = world()
    lease = await granted(made)
    assert (await call(made, params=params))["outcome"] == "pending"
    assert (runs(made), await used(made, lease)) == (1, 0)


@pytest.mark.parametrize(
    "other",
    [
        Principal(tenant="default", agent="eve", credential="key_2"),
        Principal(tenant="other", agent="local", credential="key_3"),
    ],
)
async def test_a_lease_is_for_one_agent_of_one_tenant(other: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another agent asks for itself."""
    made = world()
    await granted(made)
    monkeypatch.setattr("tests.simulate.world.LOCAL", other)
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


async def test_another_credential_of_the_agent_uses_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the agent's, as an approval is."""
    made = world()
    await granted(made)
    monkeypatch.setattr("tests.simulate.world.LOCAL", replace(LOCAL, credential="key_2"))
    assert ran(await call(made))


async def test_a_call_that_does_not_escalate_touches_no_lease() -> None:
    """Promise of the hot path: what needs no human pays nothing for those who do."""
    made = world()
    lease = await granted(made)
    made.policies.replace(ASK.replace("escalate", "allow"))
    made.leases._active = None  # type: ignore[assignment]
    assert ran(await call(made))
    assert reasons(made)[-1] == "policy-allow"
    assert await made.store.get("default", uses_key(lease)) is None


# --- today's policy, tier, tool and risk ------------------------------------------------------------------------------

Change = Callable[[World], None]


def denying_rule(made: World) -> None:
    made.policies.replace(ASK + '  - {id: never, effect: deny, when: "args.amount > 1", reason: no more}\n')


def broken_rule(made: World) -> None:
    made.policies.replace(ASK + '  - {id: broken, effect: allow, when: "args.nothing == 1", reason: odd}\n')


def no_rule(made: World) -> None:
    made.policies.replace(ASK.replace("reason: money", 'when: "args.amount > 1000", reason: money'))


def denying_tier(made: World) -> None:
    caps = Thresholds(allow_below=0, deny_from=0)
    made.facts._caps = Standing(default=TrustTier.T4, agents={}, thresholds=dict.fromkeys(TrustTier, caps))


def further_rule(made: World) -> None:
    made.policies.replace(ASK + "  - {id: ask-too, effect: escalate, reason: more money}\n")


def changed_rule(made: World) -> None:
    made.policies.replace(ASK.replace("money", "much money"))


def lower_tier(made: World) -> None:
    standing = Standing(default=TrustTier.T3, agents={}, thresholds=made.thresholds._configured)
    made.facts._trust = Given(standing)


def higher_risk(made: World) -> None:
    made.policies.replace(
        ASK.replace("rules:", "mappings:\n  - {upstream: bank, tool: pay, intent: access.delete}\nrules:")
    )


def described_anew(made: World) -> None:
    redefined(made, PAY | {"description": "Pay somebody!"})


def other_schema(made: World) -> None:
    redefined(made, PAY | {"inputSchema": {"type": "object", "title": "payment"}})


def elsewhere(made: World) -> None:
    made.policies.replace(ASK + "  - {id: other, effect: deny, match: {tools: [other]}, reason: x}\n")


def redefined(made: World, definition: JsonObject) -> None:
    made.upstream("bank").tools = [definition]
    made.catalog.forget_listing("bank")


@pytest.mark.parametrize("change", [denying_rule, broken_rule, no_rule, denying_tier])
async def test_what_denies_today_denies_in_spite_of_the_lease(change: Change) -> None:
    """A lease is a fact, not a bypass (promise 5)."""
    made = world()
    lease = await granted(made)
    change(made)
    assert (await call(made))["outcome"] == "deny"
    assert (runs(made), await used(made, lease)) == (1, 0)


@pytest.mark.parametrize("change", [further_rule, changed_rule, lower_tier, higher_risk, described_anew, other_schema])
async def test_what_the_human_has_not_seen_asks_again(change: Change) -> None:
    """A rule that is new or changed, a lower tier, a higher risk, another definition: not what the yes was for."""
    made = world()
    lease = await granted(made)
    change(made)
    assert (await call(made))["outcome"] == "pending"
    assert (runs(made), await used(made, lease)) == (1, 0)


async def test_a_change_elsewhere_harms_no_lease() -> None:
    """An unrelated edit of policies must not set everybody asking."""
    made = world()
    await granted(made)
    elsewhere(made)
    assert ran(await call(made))


@pytest.mark.parametrize("change", [described_anew, other_schema])
async def test_a_changed_tool_ends_its_lease_for_good(change: Change) -> None:
    """The definition that a human saw may come back; the trust in it does not come by itself."""
    made = world()
    await granted(made)
    change(made)
    await call(made)
    assert ended(made) == [("tool-changed",)]
    redefined(made, PAY)
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


async def test_a_risk_that_the_arguments_raise_is_not_covered() -> None:
    """The human saw one risk; what the shape lets in may be riskier, and is then asked for."""
    made = world()
    loose = LeaseTerms(constraints=(Constraint(path="/to", check=Check.ANY),))
    lease = await granted(made, loose)
    assert (await call(made, params={"arguments": {"amount": 5, "to": "rm -rf / --no-preserve-root"}}))[
        "outcome"
    ] == "pending"
    seen, now = made.entries(EntryType.CALL_DECIDED)[0], made.entries(EntryType.CALL_DECIDED)[-1]
    assert now.risk > seen.risk
    assert (runs(made), await used(made, lease)) == (1, 0)
    assert ran(await call(made, params={"arguments": {"amount": 5, "to": "BETA"}}))


async def test_a_decision_that_rests_on_a_lease_is_recomputed_with_it() -> None:
    """The lease is a fact on record, so that a stranger comes to the same answer."""
    made = world()
    await granted(made)
    await call(made, 7)
    (decision,) = await decisions(made.store, "default", made.judged[-1].intent_id)
    found = recompute(decision, bundle=made.policies.current(), definition=PAY, taxonomy=TAXONOMY)
    assert found.same, found
    assert decision.body["decision"]["reason"] == Reason.LEASED


# --- exactly so many, exactly so long ---------------------------------------------------------------------------------


async def all_at_once(*asks: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for ask in asks:
                tasks.start_soon(ask)


@pytest.mark.parametrize("same", [True, False], ids=["equal-calls", "different-calls"])
async def test_of_64_calls_at_once_exactly_as_many_run_as_the_lease_allows(same: bool) -> None:
    """N uses are N executions, and those that are too many ask a human instead of being denied for coming together."""
    made = world()
    lease = await granted(made, replace(TERMS, uses=10))
    said: list[JsonObject] = []

    async def one(amount: int) -> None:
        said.append(await call(made, amount))

    await all_at_once(*(partial(one, 5 if same else number) for number in range(1, 65)))
    assert (runs(made), sum(map(ran, said)), await used(made, lease)) == (11, 10, 10)
    assert [each["outcome"] for each in said if not ran(each)] == ["pending"] * 54
    assert len(await pending(made)) == (1 if same else 54)
    assert reasons(made).count("leased") == 10


async def test_below_the_limit_none_of_64_calls_at_once_is_turned_away() -> None:
    """Those who share a lease do not stand in each other's way."""
    made = world()
    lease = await granted(made, replace(TERMS, uses=100))
    await all_at_once(*(partial(call, made, 7) for _ in range(64)))
    assert (runs(made), await used(made, lease), set(reasons(made)[2:])) == (65, 64, {"leased"})


async def test_a_lease_whose_time_is_over_is_not_used() -> None:
    """Ten minutes are ten minutes, whoever looks when."""
    made = world()
    lease = await granted(made)
    made.clock.advance(599)
    assert ran(await call(made))
    made.clock.advance(1)
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 2
    assert await active(made) == []
    assert ended(made) == [("expired",)]
    view = await made.leases.show(HUMAN, lease)
    assert (view.lease.state, view.lease.ended_by, view.shape) == (LeaseState.EXPIRED, "gateway", None)
    assert await made.store.get("default", shape_key(lease)) is None, "arguments are kept while they are needed"


async def test_a_revoked_lease_is_not_used_and_its_end_is_told_once() -> None:
    """The human takes the yes back, and it is gone with the answer."""
    made = world()
    lease = await granted(made)
    view = await made.leases.revoke(HUMAN, lease, reason="enough, token=abcdef0123456789")
    assert (view.lease.state, view.lease.ended_by) == (LeaseState.REVOKED, "ps_1")
    assert "abcdef" not in view.lease.ended_reason
    assert (await call(made))["outcome"] == "pending"
    again = await made.leases.revoke(HUMAN, lease, reason="once more")
    assert again.lease == view.lease
    assert (runs(made), ended(made)) == (1, [("revoked",)])


async def test_a_revocation_that_comes_first_wins_over_a_use_at_the_same_time() -> None:
    """The use is checked in its own transaction: a decision made a moment before does not outrun the end."""
    made = world()
    lease = await granted(made)
    made.store.held = anyio.Event()
    said: list[JsonObject] = []

    async def one() -> None:
        said.append(await call(made))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(made.leases.revoke, HUMAN, lease))
            while made.store.attempts[-1].type != EntryType.LEASE_ENDED:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(one)
            while made.store.attempts[-1].reasons[0] != "leased":
                await anyio.lowlevel.checkpoint()
            made.store.held.set()
    assert said[0]["outcome"] == "pending"
    assert (runs(made), await used(made, lease)) == (1, 0)


async def test_two_ends_at_the_same_time_are_one() -> None:
    """Exactly one of two racing changes counts."""
    made = world()
    lease = await granted(made)
    made.clock.advance(600)
    await all_at_once(partial(made.leases.revoke, HUMAN, lease), made.leases.sweep, made.leases.sweep)
    assert len(ended(made)) == 1
    assert (await made.leases.show(HUMAN, lease)).lease.state.value == ended(made)[0][0]


async def test_a_second_lease_goes_on_where_the_first_is_used_up() -> None:
    """Each is counted by itself."""
    made = world()
    first = await granted(made, replace(TERMS, uses=1))
    assert ran(await call(made, 6))
    second = await granted(made, replace(TERMS, uses=1), amount=8)
    assert ran(await call(made, 7))
    assert [await used(made, first), await used(made, second)] == [1, 1]


async def test_a_lease_that_cannot_be_counted_allows_nothing() -> None:
    """A limit that cannot be read is no limit."""
    made = world()
    lease = await granted(made)
    await made.store.append(replace(draft(), puts=(Put(key=uses_key(lease), value=b"99"),)))
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


async def test_a_lease_whose_row_says_otherwise_than_the_memory_is_not_used() -> None:
    """The row is the truth; memory only finds it."""
    made = world()
    lease = (await made.leases.show(HUMAN, await granted(made))).lease
    over = lease.after(LeaseState.REVOKED, ended="", by="", reason="")
    await made.store.append(replace(draft(), puts=(Put(key=module.lease_key(lease.id), value=over.written()),)))
    assert (await call(made))["outcome"] == "pending"
    await made.store.append(replace(draft(), puts=(Put(key=module.lease_key(lease.id), value=None),)))
    assert (await call(made, 9))["outcome"] == "pending"
    assert runs(made) == 1


def draft() -> EntryDraft:
    return EntryDraft(tenant="default", id="evt_x", type=EntryType.HEAD_ACCEPTED, time="2026-11-22T12:00:00.000Z")


@pytest.mark.parametrize("moment", list(Moment))
async def test_nothing_runs_where_the_use_cannot_be_recorded(moment: Moment) -> None:
    """An ALLOW that is not durable is none."""
    made = world()
    await granted(made)
    made.store.break_append(moment, where=lambda one: one.reasons[:1] == ("leased",))
    assert (await call(made))["outcome"] != "allowed"
    assert runs(made) == 1
    assert ran(await call(made)), "a further one is not harmed"


# --- what waits already -----------------------------------------------------------------------------------------------


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


async def oldest(made: World) -> str:
    return (await pending(made))[-1]


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


# --- who may grant what -----------------------------------------------------------------------------------------------


async def refused(made: World, terms: LeaseTerms, by: Principal = HUMAN) -> InvalidRequest:
    """Try to grant; nothing must come of it."""
    await call(made)
    approval = await oldest(made)
    with pytest.raises(InvalidRequest) as problem:
        await made.leases.approve(by, terms, approval_id=approval)
    assert (await made.approvals.show(HUMAN, approval)).state is ApprovalState.PENDING
    assert made.entries(EntryType.LEASE_GRANTED) == []
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 0
    return problem.value


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        (LeaseTerms(minutes=0), ("lease", "minutes")),
        (LeaseTerms(minutes=1441), ("lease", "minutes")),
        (LeaseTerms(uses=0), ("lease", "uses")),
        (LeaseTerms(uses=1001), ("lease", "uses")),
        (
            LeaseTerms(constraints=(Constraint(path="/nothing", check=Check.ANY),)),
            ("lease", "constraints", "/nothing"),
        ),
        (
            LeaseTerms(constraints=(Constraint(path="/amount", check=Check.MAX, value=4),)),
            ("lease", "constraints", "/amount"),
        ),
        (
            LeaseTerms(constraints=(Constraint(path="/amount", check=Check.ONE_OF, value=[5, "x" * 70_000]),)),
            ("lease",),
        ),
    ],
)
async def test_terms_that_cannot_be_granted_leave_the_approval_unanswered(
    terms: LeaseTerms, path: tuple[str, ...]
) -> None:
    """A mistyped lease must not become a plain yes behind the human's back."""
    problem = await refused(world(), terms)
    assert [one.path for one in problem.problems] == [path]


async def test_the_settings_bound_a_lease_and_switch_leases_off() -> None:
    """An operator decides how much a human may grant at once."""
    made = world()
    made.leases.bounds = Bounds(minutes=5, uses=2)
    problem = await refused(made, TERMS)
    assert [one.path for one in problem.problems] == [("lease", "minutes"), ("lease", "uses")]
    made.leases.bounds = Bounds(minutes=0)
    assert "switched off" in str(await refused(made, TERMS))


async def test_where_several_must_approve_there_is_no_lease() -> None:
    """Each of them would have to say yes to the same shape; one vote of several grants nothing."""
    several = ASK.replace("reason: money}", "reason: money, approval: {role: operator, approvers: 2}}")
    assert "2 approvers" in str(await refused(world(several), TERMS))


async def test_there_is_no_lease_for_what_is_no_tool_call() -> None:
    """A submitted intent is its own, with a token of its own."""
    made = world(ASK.replace("tools: [pay]", "methods: [intent]"))
    key = Principal(tenant="default", agent="key-1", credential="key_1", scopes=frozenset({Scope.INTENTS_WRITE}))
    record = (await made.intents.submit(key, Submission(agent="ci", action="pay the invoice"))).record
    with pytest.raises(InvalidRequest, match="tool calls only"):
        await made.leases.approve(HUMAN, TERMS, intent_id=record.id)
    assert (await made.intents.show(key, record.id)).record.status is IntentStatus.PENDING


async def test_there_is_no_lease_for_a_call_with_answers_or_one_whose_input_is_gone() -> None:
    """What the human saw beside the arguments is no part of a shape."""
    made = world()
    await call(made, params={"inputResponses": {"q": {"action": "accept"}}})
    with pytest.raises(InvalidRequest, match="answers"):
        await made.leases.approve(HUMAN, TERMS, approval_id=await oldest(made))


async def test_an_approval_of_an_earlier_release_is_answered_without_a_lease() -> None:
    """Too little is kept of it to say what the shape was judged to be."""
    made = world()
    await call(made)
    row = await made.store.get("default", approval_key(await oldest(made)))
    assert row is not None
    old = {name: value for name, value in orjson.loads(row.value).items() if name != "about"}
    await made.store.append(replace(draft(), puts=(Put(key=row.key, value=orjson.dumps(old)),)))
    with pytest.raises(InvalidRequest, match="earlier release"):
        await made.leases.approve(HUMAN, TERMS, approval_id=await oldest(made))


@pytest.mark.parametrize(
    "by",
    [
        LOCAL,
        replace(HUMAN, agent="local"),
        replace(HUMAN, role=Role.VIEWER),
        replace(HUMAN, role=None),
        replace(HUMAN, agent="accomplice", bound=True),
    ],
)
async def test_whoever_may_not_approve_may_not_grant(by: Principal) -> None:
    """A lease is a yes and more."""
    made = world()
    await call(made)
    with pytest.raises(Forbidden):
        await made.leases.approve(by, TERMS, approval_id=await oldest(made))
    assert made.entries(EntryType.LEASE_GRANTED) == made.entries(EntryType.APPROVAL_RESOLVED) == []


async def test_what_has_its_answer_gets_no_lease() -> None:
    """An answer is given once."""
    made = world()
    await granted(made)
    one = (await made.approvals.list(HUMAN, state=None, page=1, page_size=9)).items[0]
    with pytest.raises(AlreadyResolved):
        await made.leases.approve(HUMAN, TERMS, approval_id=one.id)
    with pytest.raises(NotFound):
        await made.leases.approve(HUMAN, TERMS, approval_id="apr_none")
    assert len(made.entries(EntryType.LEASE_GRANTED)) == 1


async def test_of_twenty_humans_at_once_one_grants_and_the_others_come_too_late() -> None:
    """An answer is given once, with one lease or none: whoever comes first."""
    made = world()
    await call(made)
    approval, came = await oldest(made), []

    async def grant(number: int) -> None:
        human = replace(HUMAN, credential=f"ps_{number}", human=f"usr_{number}")
        try:
            if number % 3 == 2:
                await made.approvals.resolve(human, approval_id=approval, approve=number % 2 == 0)
            else:
                await made.leases.approve(human, TERMS, approval_id=approval)
        except AlreadyResolved:
            return
        came.append(number)

    await all_at_once(*(partial(grant, number) for number in range(20)))
    (winner,) = came
    assert len(made.entries(EntryType.APPROVAL_RESOLVED)) == 1
    assert len(made.entries(EntryType.LEASE_GRANTED)) == len(await active(made)) == int(winner % 3 != 2)


async def test_an_agent_has_so_many_leases_at_once() -> None:
    """Each escalated call looks through them."""
    made = world()
    for number in range(ACTIVE_PER_AGENT):
        await granted(made, LeaseTerms(), amount=number)
    await call(made, 499)
    with pytest.raises(StateConflict, match="revoke"):
        await made.leases.approve(HUMAN, TERMS, approval_id=(await pending(made))[0])
    assert len(await active(made)) == 100
    await made.leases.revoke(HUMAN, (await active(made))[0])
    await made.leases.approve(HUMAN, TERMS, approval_id=(await pending(made))[0])


async def test_a_lease_that_cannot_be_recorded_is_none_and_the_yes_stands() -> None:
    """The yes was durable before; the human is told that something failed."""
    made = world()
    await call(made)
    made.store.break_append(where=lambda one: one.type is EntryType.LEASE_GRANTED)
    with pytest.raises(AuditUnavailable):
        await made.leases.approve(HUMAN, TERMS, approval_id=await oldest(made))
    assert ran(await call(made))
    assert (await call(made, 7))["outcome"] == "pending"
    assert (runs(made), await active(made)) == (1, [])
    made.clock.advance(3600)
    await made.leases.sweep()
    assert (made.leases.active("default"), ended(made)) == ((), [])


async def test_a_lease_of_which_nobody_knows_whether_it_is_durable_ends_with_a_switch() -> None:
    """Its human was told that something failed; a start would find it in force after a switch and its release."""
    made = world()
    await call(made)
    made.store.break_append(Moment.AFTER, where=lambda one: one.type is EntryType.LEASE_GRANTED)
    with pytest.raises(AuditUnavailable):
        await made.leases.approve(HUMAN, TERMS, approval_id=await oldest(made))
    (lease,) = made.leases.active("default")
    await made.leases.stop(lease, by="usr_1", why="amok")
    assert (made.leases.active("default"), ended(made)) == ((), [("revoked",)])
    await made.leases.load(["default"])
    assert made.leases.active("default") == ()


# --- what is told -----------------------------------------------------------------------------------------------------


async def test_the_grant_is_an_entry_with_everything_but_secrets() -> None:
    """An auditor sees the shape, its limits, by whom, from which approval, and what had been seen."""
    made = world()
    await call(made, params={"arguments": {"amount": 5, "to": "ACME", "password": "hunter2hunter2"}})
    approval, lease = await made.leases.approve(
        HUMAN, TERMS, approval_id=await oldest(made), rationale="agreed", claimed="jane"
    )
    (entry,) = made.entries(EntryType.LEASE_GRANTED)
    body = orjson.loads(entry.body)
    assert body == {
        "leaseId": lease.id,
        "approvalId": approval.id,
        "by": "ps_1",
        "claimed": "jane",
        "rationale": "agreed",
        "pin": lease.pin,
        "uses": 3,
        "expires": lease.expires,
        "shape": [
            ["/amount", "max", "500"],
            ["/to", "equals", '"ACME"'],
            ["/password", "equals", '"[removed]"'],
        ],
        "fact": orjson.loads(orjson.dumps(lease.fact.written())),
    }
    assert (entry.agent, entry.upstream, entry.tool) == ("local", "bank", "pay")
    assert entry.args_digest == made.entries(EntryType.CALL_DECIDED)[0].args_digest
    assert entry.risk == made.entries(EntryType.CALL_DECIDED)[0].risk
    assert all(b"hunter2" not in (put.value or b"") for each in made.entries() for put in each.puts)


async def test_without_arguments_in_the_audit_the_grant_names_places_alone() -> None:
    """`audit.arguments: digest` holds for leases too."""
    made = world(show_arguments=False)
    await granted(made)
    assert made.bodies(EntryType.LEASE_GRANTED)[0]["shape"] == [["/amount", "max", ""], ["/to", "equals", ""]]


async def test_who_may_answer_sees_the_shape_and_who_only_reads_sees_no_secret() -> None:
    """As of an approval."""
    made = world()
    await call(made, params={"arguments": {"amount": 5, "password": "hunter2hunter2"}})
    _, lease = await made.leases.approve(HUMAN, TERMS, approval_id=await oldest(made))

    async def password(by: Principal) -> str:
        shape = (await made.leases.show(by, lease.id)).shape
        assert shape is not None
        return next(one.value for one in shape if one.path == "/password")

    approver = replace(READER, scopes=frozenset({Scope.APPROVALS_WRITE}))
    assert [await password(approver), await password(READER)] == ['"hunter2hunter2"', '"[removed]"']


@pytest.mark.parametrize("by", [LOCAL, replace(HUMAN, agent="local"), replace(READER, credential="keyless")])
async def test_who_acts_under_a_lease_does_not_see_its_shape(by: Principal) -> None:
    """It would teach an agent how far it may go."""
    made = world()
    lease = await granted(made)
    view = await made.leases.show(by, lease)
    assert (view.shape, view.used, view.lease.id) == (None, 0, lease)


async def test_the_human_behind_the_asking_session_does_not_see_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another session of the same person is the same person."""
    made = world()
    monkeypatch.setattr("tests.simulate.world.LOCAL", replace(LOCAL, human="usr_9"))
    lease = await granted(made)
    assert (await made.leases.show(replace(READER, human="usr_9"), lease)).shape is None
    assert (await made.leases.show(READER, lease)).shape is not None


async def test_leases_are_listed_by_tenant_and_state_newest_first() -> None:
    """People find what is in force, and what was."""
    made = world()
    first = await granted(made, LeaseTerms(), amount=1)
    second = await granted(made, LeaseTerms(), amount=2)
    third = await granted(made, LeaseTerms(), amount=3)
    await made.leases.revoke(HUMAN, second)

    async def listed(state: LeaseState | None, page: int = 1, size: int = 10, by: Principal = HUMAN) -> Any:
        found = await made.leases.list(by, state=state, page=page, page_size=size)
        return [one.lease.id for one in found.items], found.total

    assert await listed(LeaseState.ACTIVE) == ([third, first], 2)
    assert await listed(LeaseState.REVOKED) == ([second], 1)
    assert await listed(None, page=2, size=2) == ([first], 3)
    assert await listed(None, by=replace(HUMAN, tenant="other")) == ([], 0)
    for ask in (made.leases.show, made.leases.revoke):
        with pytest.raises(NotFound):
            await ask(replace(HUMAN, tenant="other"), first)


async def test_an_agents_key_revokes_nothing() -> None:
    """What an agent holds is no human's, whatever its role."""
    made = world()
    lease = await granted(made)
    with pytest.raises(Forbidden, match="bound"):
        await made.leases.revoke(replace(HUMAN, agent="accomplice", bound=True), lease)
    assert (await active(made), ended(made)) == ([lease], [])


async def test_a_reason_that_cannot_be_recorded_revokes_nothing() -> None:
    """Half a character has no Unicode form."""
    made = world()
    lease = await granted(made)
    with pytest.raises(InvalidRequest):
        await made.leases.revoke(HUMAN, lease, reason="\ud800")
    assert await active(made) == [lease]


# --- restarts and time ------------------------------------------------------------------------------------------------


def again(made: World, key: bytes = SEALING_KEY) -> Leases:
    """Return the leases of a process that starts on the same store."""
    return Leases(
        approvals=made.approvals,
        audit=made.store,
        state=made.store,
        clock=made.clock,
        ids=made.ids,
        vault=Sealer(key),
    )


async def test_a_restart_loses_no_lease_and_no_use() -> None:
    """What a human granted holds, and what was used stays used."""
    made = world()
    lease = await granted(made)
    over = await granted(made, LeaseTerms(), amount=600)
    await made.leases.revoke(HUMAN, over)
    assert ran(await call(made, 7))
    made.leases = made.desk._leases = again(made)
    await made.leases.load(["default", "other"])
    assert await active(made) == [lease]
    assert [ran(await call(made, amount)) for amount in (7, 8, 9)] == [True, True, False]
    assert (await used(made, lease), runs(made)) == (3, 5)
    assert made.entries(EntryType.CALL_DECIDED)[-1].effect == Effect.ESCALATE


@pytest.mark.parametrize("gone", [True, False])
async def test_a_lease_whose_shape_does_not_open_covers_nothing(gone: bool) -> None:
    """Another data key, or a damaged store: what cannot be read was not granted."""
    made = world()
    lease = await granted(made)
    if gone:
        await made.store.append(replace(draft(), puts=(Put(key=shape_key(lease), value=None),)))
    made.leases = made.desk._leases = again(made, SEALING_KEY if gone else b"k" * 32)
    await made.leases.load(["default"])
    assert (await made.leases.show(HUMAN, lease)).shape is None
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


async def test_the_sweep_ends_what_is_over_and_goes_on_after_a_store_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody need look for a lease to end, and its end is on record."""
    monkeypatch.setattr(module, "SWEEP_S", 0)
    made = world()
    await granted(made)
    kept = await granted(made, LeaseTerms(minutes=60), amount=600)
    made.clock.advance(600)
    made.store.down = "full"
    before = len(made.store.attempts)
    async with anyio.create_task_group() as group:
        group.start_soon(made.leases.run)
        with anyio.fail_after(5):
            while len(made.store.attempts) < before + 3:
                await anyio.lowlevel.checkpoint()
            made.store.down = ""
            while not ended(made):
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert ended(made) == [("expired",)]
    assert await active(made) == [kept]
