"""A human's yes means one thing, once; nobody gives it to himself; and of two answers one counts."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.approvals import Approval, ApprovalState
from gateway.core.audit.entry import EntryType, Expect, Put
from gateway.core.decision import Effect, Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope
from gateway.core.refusal import DECISION_META
from gateway.core.rows import input_key, intent_key, pending_key, read_intent
from gateway.core.submission import IntentStatus, Submission
from gateway.errors import (
    AlreadyResolved,
    AuditUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    StateConflict,
    StoreError,
)
from gateway.services import approvals as module
from tests.simulate.store import Moment
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World, tool

HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
OTHER = Principal(tenant="default", agent="usr-2", credential="ps_2", human="usr_2", role=Role.OPERATOR)
OPERATOR = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)
ACCOMPLICE = Principal(tenant="default", agent="accomplice", credential="key_8", bound=True)
ACCOMPLICES = [
    replace(ACCOMPLICE, role=Role.OPERATOR, scopes=ROLE_SCOPES[Role.OPERATOR]),
    replace(ACCOMPLICE, role=Role.ADMIN, scopes=ROLE_SCOPES[Role.ADMIN]),
    replace(ACCOMPLICE, scopes=frozenset({Scope.APPROVALS_WRITE})),
]
PAY = tool("pay", description="Pay somebody.")
ASK = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: ask, effect: escalate, reason: money}
"""
TWO = ASK.replace("reason: money}", "reason: money, approval: {role: operator, approvers: 2, expires: 10m}}")
FINANCE = ASK.replace("reason: money}", "reason: money, approval: {role: finance}}")


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


# --- opening ----------------------------------------------------------------------------------------------------------


async def test_an_escalated_call_opens_an_approval_in_the_transaction_of_its_decision() -> None:
    """No decision without its approval, no approval without its decision; the agent is told which."""
    made = world()
    approval_id = await escalated(made)
    (decided,) = made.entries(EntryType.CALL_DECIDED)
    assert decided.effect == Effect.ESCALATE
    assert f"approval:{approval_id}" in {put.key for put in decided.puts}
    shown = await made.approvals.show(HUMAN, approval_id)
    assert (shown.intent_id, shown.agent, shown.requested_by) == (decided.intent_id, "local", "keyless")
    assert (shown.state, "money" in shown.reason) == (ApprovalState.PENDING, True)
    assert shown.expires == "2026-11-22T13:00:00.000Z"
    assert await made.approvals.arguments(HUMAN, approval_id) == {"amount": 5}
    assert await made.approvals.pending("default") == 1
    assert orjson.loads(decided.body)["approvalId"] == approval_id
    assert times_run(made) == 0


async def test_the_pending_text_names_the_approval() -> None:
    """The model can tell its person what to ask for."""
    made = world()
    reply = await made.call("pay", {"amount": 5})
    result = reply.message["result"]
    assert result["_meta"][DECISION_META]["approval"] in result["content"][0]["text"]


async def test_arguments_are_kept_sealed_while_the_approval_is_open_and_no_longer() -> None:
    """They may be what nobody who reads the store should see."""
    made = world()
    await call(made, {"amount": 5, "iban": "DE00 1234"})
    ((approval_id, *_),) = [[one.id] for one in (await pending(made)).items]
    row = await made.store.get("default", input_key(approval_id))
    assert row is not None
    assert b"1234" not in row.value
    await resolve(made, HUMAN, approval_id, approve=False)
    assert await made.store.get("default", input_key(approval_id)) is None
    with pytest.raises(NotFound):
        await made.approvals.arguments(HUMAN, approval_id)


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_call_whose_escalation_is_not_on_record_waits_for_nothing(moment: Moment) -> None:
    """Nothing is pending that nobody can find."""
    made = world()
    made.store.break_append(moment, where=lambda draft: draft.type is EntryType.CALL_DECIDED)
    assert (await call(made))["outcome"] == "error"
    assert (await made.approvals.pending("default")) == (1 if moment is Moment.AFTER else 0)


async def pending(made: World, principal: Principal = HUMAN, **asked: int) -> module.Page[Approval]:
    return await made.approvals.list(principal, **({"page": 1, "page_size": 20} | asked))


async def test_lists_are_paged_newest_first_and_pending_by_default() -> None:
    """As the contract has every list of Ops."""
    made = world()
    made_ids = []
    for amount in range(5):
        made_ids.append((await call(made, {"amount": amount}))["approval"])
    await resolve(made, HUMAN, made_ids[0], approve=False)
    page = await pending(made, page=1, page_size=3)
    assert ([one.id for one in page.items], page.total) == (made_ids[:1:-1], 4)
    assert [one.id for one in (await pending(made, page=2, page_size=3)).items] == [made_ids[1]]
    every = await made.approvals.list(HUMAN, state=None, page=1, page_size=20)
    assert ([one.id for one in every.items], every.total) == (made_ids[::-1], 5)
    denied = await made.approvals.list(HUMAN, state=ApprovalState.DENIED, page=1, page_size=20)
    assert ([one.id for one in denied.items], denied.total) == (made_ids[:1], 1)


async def test_another_tenant_sees_and_resolves_nothing() -> None:
    """Approvals are a tenant's own, by id and by intent."""
    made = world()
    approval_id = await escalated(made)
    intent_id = (await made.approvals.show(HUMAN, approval_id)).intent_id
    foreign = replace(OPERATOR, tenant="other")
    assert (await pending(made, foreign)).total == 0
    for attempt in (
        made.approvals.show(foreign, approval_id),
        made.approvals.arguments(foreign, approval_id),
        made.approvals.resolve(foreign, approval_id=approval_id, approve=True),
        made.approvals.resolve(foreign, intent_id=intent_id, approve=True),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.PENDING


# --- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "principal",
    [
        replace(OPERATOR, credential="keyless"),
        replace(OPERATOR, agent="local"),
        replace(HUMAN, role=Role.VIEWER),
        replace(HUMAN, role=Role.POLICY_ADMIN),
        replace(HUMAN, role=None, scopes=frozenset({Scope.INTENTS_WRITE})),
        *ACCOMPLICES,
    ],
)
async def test_whoever_asked_and_whoever_lacks_the_role_is_refused(principal: Principal) -> None:
    """The contract: the credential and the agent that submitted get FORBIDDEN; nothing changes."""
    made = world()
    approval_id = await escalated(made)
    attempts = len(made.store.attempts)
    for approve in (True, False):
        with pytest.raises(Forbidden):
            await resolve(made, principal, approval_id, approve=approve)
    assert len(made.store.attempts) == attempts
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.PENDING
    assert (await call(made))["outcome"] == "pending"
    assert times_run(made) == 0


@pytest.mark.parametrize("principal", ACCOMPLICES)
async def test_an_agents_key_is_none_of_the_several_that_a_rule_asks_for(principal: Principal) -> None:
    """Two approvers are two humans, not a human and another agent."""
    made = world(TWO)
    approval_id = await escalated(made)
    assert (await resolve(made, HUMAN, approval_id)).state is ApprovalState.PENDING
    with pytest.raises(Forbidden, match="bound"):
        await resolve(made, principal, approval_id)
    assert (await call(made))["outcome"] == "pending"
    assert times_run(made) == 0


async def test_a_human_cannot_approve_what_another_session_of_his_asked_for() -> None:
    """A new login makes nobody another person."""
    made = world(ASK.replace("effect: escalate,", 'effect: escalate, match: {methods: ["*"]},'))
    outcome = await made.enforcement.call(
        replace(HUMAN, credential="ps_0", agent="usr-0"), read_call(), unreachable, FakeCaller()
    )
    with pytest.raises(Forbidden):
        await resolve(made, HUMAN, outcome.approval_id)
    assert (await resolve(made, OTHER, outcome.approval_id)).state is ApprovalState.APPROVED


async def test_a_key_that_may_approve_counts_as_an_operator() -> None:
    """Keys have scopes; a role is what humans have."""
    made = world()
    key = Principal(tenant="default", agent="key-9", credential="key_9", scopes=frozenset({Scope.APPROVALS_WRITE}))
    assert (await resolve(made, key, await escalated(made))).resolved_by == "key_9"


async def test_a_role_that_a_rule_asks_for_is_an_admins_alone_where_nobody_has_it() -> None:
    """A rule may name a role that exists in the organisation only."""
    made = world(FINANCE)
    approval_id = await escalated(made)
    with pytest.raises(Forbidden, match="finance"):
        await resolve(made, HUMAN, approval_id)
    assert (await resolve(made, OPERATOR, approval_id)).state is ApprovalState.APPROVED


# --- yes and no -------------------------------------------------------------------------------------------------------


async def test_a_yes_is_on_record_with_who_gave_it_and_who_it_claims_to_be() -> None:
    """The credential is the approver of record; a body's approver is a claim."""
    made = world()
    approval_id = await escalated(made)
    intent_id = (await made.approvals.show(HUMAN, approval_id)).intent_id
    told = await made.approvals.resolve(
        HUMAN, intent_id=intent_id, approve=True, rationale="with key ghp_" + "a1" * 20, claimed="Anna"
    )
    assert (told.state, told.resolved_by, told.claimed) == (ApprovalState.APPROVED, "ps_1", "Anna")
    assert await made.approvals.show(HUMAN, approval_id) == told
    (entry,) = made.entries(EntryType.APPROVAL_RESOLVED)
    body = orjson.loads(entry.body)
    assert (entry.intent_id, entry.agent, entry.reasons) == (intent_id, "local", ("approved",))
    assert (body["by"], body["human"], body["claimed"], body["yes"], body["of"]) == ("ps_1", "usr_1", "Anna", 1, 1)
    assert b"a1a1" not in entry.body
    assert "a1a1" not in told.rationale
    assert all(b"a1a1" not in row.value for row in await made.store.scan("default", "")), "a secret in a row"
    assert await status(made, intent_id) is IntentStatus.APPROVED
    assert (await pending(made)).total == 0


async def test_a_no_rejects_the_intent() -> None:
    """It stands for a while, so that nobody is asked the same thing at once; later the same call asks anew."""
    made = world()
    approval_id = await escalated(made)
    told = await resolve(made, HUMAN, approval_id, approve=False)
    assert told.state is ApprovalState.DENIED
    assert await status(made, told.intent_id) is IntentStatus.REJECTED
    assert (await call(made))["reason"] == Reason.REJECTED
    made.clock.advance(601)
    assert await escalated(made) != approval_id
    assert times_run(made) == 0


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
async def test_an_answer_is_given_once(first: bool, second: bool) -> None:
    """Neither a second yes nor a change of mind."""
    made = world()
    approval_id = await escalated(made)
    state = (await resolve(made, HUMAN, approval_id, approve=first)).state
    with pytest.raises(AlreadyResolved, match=state.value):
        await resolve(made, OTHER, approval_id, approve=second)
    assert (await made.approvals.show(HUMAN, approval_id)).state is state
    assert len(made.entries(EntryType.APPROVAL_RESOLVED)) == 1


@pytest.mark.parametrize(("approval_id", "intent_id"), [("apr_9", ""), ("", "int_9"), ("", "")])
async def test_what_is_not_there_is_not_found(approval_id: str, intent_id: str) -> None:
    """An id that nobody gave out."""
    with pytest.raises(NotFound):
        await world().approvals.resolve(HUMAN, approval_id=approval_id, intent_id=intent_id, approve=True)


async def test_an_approval_and_an_intent_that_do_not_belong_together_are_not_found() -> None:
    """A body that names both means one thing or nothing."""
    made = world()
    approval_id = await escalated(made)
    with pytest.raises(NotFound):
        await made.approvals.resolve(HUMAN, approval_id=approval_id, intent_id="int_9", approve=True)


@pytest.mark.parametrize("texts", [{"rationale": "x" * 4097}, {"claimed": "\ud800"}])
async def test_a_text_that_cannot_be_recorded_is_a_problem_of_its_field(texts: dict[str, str]) -> None:
    """It is refused before anything changes."""
    made = world()
    approval_id = await escalated(made)
    with pytest.raises(InvalidRequest):
        await made.approvals.resolve(HUMAN, approval_id=approval_id, approve=True, **texts)
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.PENDING


async def test_several_approvers_are_several_persons() -> None:
    """One yes of two leaves it pending; the same human by another session is not the second."""
    made = world(TWO)
    approval_id = await escalated(made)
    first = await resolve(made, HUMAN, approval_id)
    assert first.state is ApprovalState.PENDING
    for same in (HUMAN, replace(HUMAN, credential="ps_9")):
        with pytest.raises(StateConflict):
            await resolve(made, same, approval_id)
    assert await status(made, first.intent_id) is IntentStatus.PENDING
    assert (await resolve(made, OTHER, approval_id)).state is ApprovalState.APPROVED
    assert [entry.reasons for entry in made.entries(EntryType.APPROVAL_RESOLVED)] == [("pending",), ("approved",)]


async def test_one_no_of_several_is_a_no() -> None:
    """Also behind a yes."""
    made = world(TWO)
    approval_id = await escalated(made)
    await resolve(made, HUMAN, approval_id)
    assert (await resolve(made, OTHER, approval_id, approve=False)).state is ApprovalState.DENIED


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_yes_that_is_not_on_record_is_none(moment: Moment) -> None:
    """Durable before it takes effect; where it became durable after all, it is an answer."""
    made = world()
    approval_id = await escalated(made)
    made.store.break_append(moment)
    with pytest.raises(AuditUnavailable):
        await resolve(made, HUMAN, approval_id)
    state = (await made.approvals.show(HUMAN, approval_id)).state
    assert state is (ApprovalState.PENDING if moment is Moment.BEFORE else ApprovalState.APPROVED)


# --- races ------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("answers", [(True, True), (True, False), (False, False), (True, False, True, False, True)])
async def test_of_answers_at_the_same_time_exactly_one_counts(answers: tuple[bool, ...]) -> None:
    """Whoever loses is told that it has been answered."""
    made = world()
    approval_id = await escalated(made)
    voters = [replace(HUMAN, credential=f"ps_{n}", human=f"usr_{n}", agent=f"usr-{n}") for n in range(len(answers))]
    ends = await all_at_once(
        *(partial(resolve, made, one, approval_id, approve=yes) for one, yes in zip(voters, answers, strict=True))
    )
    assert sum(isinstance(end, Approval) for end in ends) == 1
    assert sum(isinstance(end, AlreadyResolved) for end in ends) == len(answers) - 1
    assert len(made.entries(EntryType.APPROVAL_RESOLVED)) == 1


async def test_two_approvers_at_the_same_time_are_both_counted() -> None:
    """The second starts again from the first one's yes."""
    made = world(TWO)
    approval_id = await escalated(made)
    ends = await all_at_once(*(partial(resolve, made, one, approval_id) for one in (HUMAN, OTHER)))
    assert sorted(end.state for end in ends if isinstance(end, Approval)) == ["approved", "pending"]


async def test_an_approval_that_keeps_changing_is_given_up_for_this_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever."""
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    made = world(TWO)
    approval_id = await escalated(made)
    ends = await all_at_once(*(partial(resolve, made, one, approval_id) for one in (HUMAN, OTHER)))
    assert sum(isinstance(end, StateConflict) for end in ends) == 1


async def test_the_same_call_twice_at_once_waits_for_one_approval() -> None:
    """The row under the call decides; the loser finds the winner's."""
    made = world()
    ends = await all_at_once(*(partial(call, made) for _ in range(4)))
    assert len({end["approval"] for end in ends if isinstance(end, dict)}) == 1
    assert (await pending(made)).total == 1


async def test_an_approved_call_made_twice_at_once_runs_once() -> None:
    """The yes is used up in the decision's own transaction; the others are told that it runs, or did."""
    made = world()
    await resolve(made, HUMAN, await escalated(made))
    ends = await all_at_once(*(partial(call, made) for _ in range(4)))
    assert times_run(made) == 1
    assert sum(isinstance(end, dict) and end.get("outcome") in ("running", "done") for end in ends) == 3
    assert (await pending(made)).total == 0, "nobody is asked a second time"


async def test_a_yes_in_the_moment_of_a_call_is_not_lost() -> None:
    """The call either waits on or runs, once; it never opens a second approval beside a pending one."""
    made = world()
    approval_id = await escalated(made)
    await all_at_once(partial(resolve, made, HUMAN, approval_id), partial(call, made), partial(call, made))
    ran = times_run(made)
    await call(made)
    assert times_run(made) == 1
    assert ran in (0, 1)


# --- using the yes ----------------------------------------------------------------------------------------------------


async def test_the_same_call_finds_its_pending_approval_again() -> None:
    """One intent, one approval, however often the agent asks."""
    made = world()
    first, second = await call(made), await call(made)
    assert first == second
    assert (await pending(made)).total == 1


async def test_an_approved_call_runs_once_and_then_asks_anew() -> None:
    """Approving authorises that very call once; it goes on under its first intent."""
    made = world()
    approval_id = await escalated(made)
    approved = await resolve(made, HUMAN, approval_id)
    assert "content" in await call(made)
    assert times_run(made) == 1
    decided = made.entries(EntryType.CALL_DECIDED)
    assert [one.effect for one in decided] == [Effect.ESCALATE, Effect.ALLOW]
    assert {one.intent_id for one in decided} == {approved.intent_id}
    assert decided[-1].reasons[0] == Reason.APPROVED
    assert (decided[-1].opens, made.entries(EntryType.CALL_COMPLETED)[0].intent_id) == (True, approved.intent_id)
    assert await escalated(made) != approval_id
    assert times_run(made) == 1


@pytest.mark.parametrize("change", ["arguments", "agent", "tool"])
async def test_a_call_that_differs_asks_for_its_own_approval(change: str) -> None:
    """Change one byte of the arguments, the agent or the definition, and the yes is for something else."""
    made = world()
    approval_id = await escalated(made)
    await resolve(made, HUMAN, approval_id)
    if change == "tool":
        made.catalog.forget_listing("default")
        made.upstream().tools = [PAY | {"description": "Pay anybody."}]
    if change == "agent":
        outcome = await made.enforcement.call(
            replace(LOCAL, agent="other"), made.judged[-1].call, unreachable, FakeCaller()
        )
        assert outcome.approval_id not in ("", approval_id)
        return
    said = await call(made, {"amount": 6} if change == "arguments" else None)
    assert said["approval"] != approval_id
    assert times_run(made) == 0


async def test_a_policy_that_denies_today_denies_in_spite_of_a_yes() -> None:
    """An approval is a fact, not a bypass."""
    made = world()
    await resolve(made, HUMAN, await escalated(made))
    made.policies.replace(ASK + '  - {id: never, effect: deny, when: "args.amount > 1", reason: no more}\n')
    said = await call(made)
    assert (said["outcome"], said["rule"], times_run(made)) == ("deny", "never", 0)


async def test_a_rule_that_is_new_asks_again_and_an_unrelated_change_does_not() -> None:
    """The first yes is used up by the question that it does not answer."""
    made = world()
    approval_id = await escalated(made)
    await resolve(made, HUMAN, approval_id)
    made.policies.replace(ASK + "  - {id: ask-too, effect: escalate, reason: more money}\n")
    again = await escalated(made)
    assert again != approval_id
    assert (await made.approvals.show(HUMAN, approval_id)).state is ApprovalState.FAILED
    await resolve(made, HUMAN, again)
    made.policies.replace(
        ASK + "  - {id: ask-too, effect: escalate, reason: more money}\n"
        "  - {id: elsewhere, effect: escalate, match: {tools: [other]}, reason: x}\n"
    )
    assert "content" in await call(made)
    assert times_run(made) == 1


async def test_what_is_not_a_tool_call_waits_for_its_approval_too() -> None:
    """Resources and prompts escalate like tools."""
    made = world(ASK.replace("effect: escalate,", "effect: escalate, match: {methods: [resources/read]},"))
    outcome = await made.enforcement.call(LOCAL, read_call(), unreachable, FakeCaller())
    await resolve(made, HUMAN, outcome.approval_id)

    async def answer() -> JsonObject:
        return {"result": {"contents": []}}

    done = await made.enforcement.call(LOCAL, read_call(), answer, FakeCaller())
    assert (done.intent_id, done.message) == (outcome.intent_id, {"result": {"contents": []}})


def read_call() -> module.Call:
    return module.Call(
        method="resources/read", upstream="default", name="", uri="x://y", arguments={}, arguments_digest="0" * 64
    )


async def unreachable() -> JsonObject:
    raise AssertionError


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
    again.clock.at = made.clock.at
    await again.approvals.load(["default", "other"])
    again.clock.advance(1800)
    await again.approvals.sweep()
    states = {one.id: one.state for one in (await again.approvals.list(HUMAN, state=None, page=1, page_size=9)).items}
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
