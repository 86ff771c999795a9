"""Who may grant which lease, and what is told of it to whom."""

from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType, Put
from gateway.core.leases import Bounds, Check, Constraint, LeaseState
from gateway.core.principal import Principal, Role, Scope
from gateway.core.rows import approval_key
from gateway.core.submission import IntentStatus, Submission
from gateway.errors import AlreadyResolved, AuditUnavailable, Forbidden, InvalidRequest, NotFound, StateConflict
from gateway.services.lease_terms import LeaseTerms
from gateway.services.leases import ACTIVE_PER_AGENT
from tests.services.leasing import (
    ASK,
    HUMAN,
    TERMS,
    active,
    all_at_once,
    call,
    draft,
    ended,
    granted,
    oldest,
    pending,
    ran,
    runs,
    world,
)
from tests.simulate.store import Moment
from tests.simulate.world import LOCAL, World

READER = Principal(tenant="default", agent="usr-2", credential="ps_2", human="usr_2", scopes=frozenset())


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
    one = (await made.list_approvals(HUMAN, state=None, page=1, page_size=9)).items[0]
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
