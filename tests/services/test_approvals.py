"""A human's yes means one thing, once; nobody gives it to himself; and of two answers one counts."""

from dataclasses import replace

import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect, Reason
from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope
from gateway.core.refusal import DECISION_META
from gateway.core.rows import input_key
from gateway.core.submission import IntentStatus
from gateway.errors import (
    AlreadyResolved,
    AuditUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    StateConflict,
)
from tests.services.approving import (
    ASK,
    HUMAN,
    OTHER,
    TWO,
    call,
    escalated,
    pending,
    read_call,
    resolve,
    status,
    times_run,
    unreachable,
    world,
)
from tests.simulate.store import Moment
from tests.simulate.world import FakeCaller

OPERATOR = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)
ACCOMPLICE = Principal(tenant="default", agent="accomplice", credential="key_8", bound=True)
ACCOMPLICES = [
    replace(ACCOMPLICE, role=Role.OPERATOR, scopes=ROLE_SCOPES[Role.OPERATOR]),
    replace(ACCOMPLICE, role=Role.ADMIN, scopes=ROLE_SCOPES[Role.ADMIN]),
    replace(ACCOMPLICE, scopes=frozenset({Scope.APPROVALS_WRITE})),
]
FINANCE = ASK.replace("reason: money}", "reason: money, approval: {role: finance}}")


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
    every = await made.list_approvals(HUMAN, state=None, page=1, page_size=20)
    assert ([one.id for one in every.items], every.total) == (made_ids[::-1], 5)
    denied = await made.list_approvals(HUMAN, state=ApprovalState.DENIED, page=1, page_size=20)
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


async def test_who_names_no_approval_finds_none() -> None:
    """An empty id must not be taken for any: a yes would go to whatever came last."""
    made = world()
    await escalated(made)
    attempts = len(made.store.attempts)
    for act in (made.approvals.show(HUMAN, ""), made.approvals.resolve(HUMAN, approve=True), resolve(made, HUMAN, "")):
        with pytest.raises(NotFound):
            await act
    assert len(made.store.attempts) == attempts


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
