"""Who may answer an approval, and what one vote makes of it."""

from dataclasses import replace

import pytest

from gateway.core.approvals import Approval, ApprovalState
from gateway.core.decision import ApprovalTerms
from gateway.core.principal import Principal, Role, Scope
from gateway.core.rows import HeldApproval, Vote
from gateway.errors import AlreadyResolved, Forbidden, StateConflict
from gateway.services.voting import asked_for, closed, may_answer, require_another, require_answerable, voted

HELD = HeldApproval(
    approval=Approval(
        id="apr_1",
        tenant="default",
        intent_id="int_1",
        agent="bot",
        requested_by="key_1",
        state=ApprovalState.PENDING,
        reason="money",
        terms=ApprovalTerms(role="operator", approvers=2),
        created="then",
        expires="later",
    ),
    human="usr_9",
)
JANE = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
VOTE = Vote(credential="ps_1", human="usr_1", time="now", claimed="jane", rationale="agreed")


@pytest.mark.parametrize(
    ("principal", "own"),
    [
        (JANE, False),
        (replace(JANE, credential="key_1"), True),
        (replace(JANE, agent="bot"), True),
        (replace(JANE, human="usr_9"), True),
        (replace(JANE, human=""), False),
    ],
)
def test_who_asked_is_known_by_credential_agent_and_human(principal: Principal, own: bool) -> None:
    """A second session of the same person is the same person."""
    assert asked_for(principal, HELD) is own
    assert not asked_for(replace(JANE, human=""), replace(HELD, human=""))


@pytest.mark.parametrize(
    "principal",
    [
        JANE,
        replace(JANE, role=Role.ADMIN),
        replace(JANE, role=None, scopes=frozenset({Scope.APPROVALS_WRITE})),
    ],
)
def test_the_role_an_admin_and_a_key_for_approvals_may_answer(principal: Principal) -> None:
    """A key that has `approvals:write` and no role counts as an operator."""
    require_answerable(principal, HELD)


@pytest.mark.parametrize(
    "principal",
    [
        replace(JANE, agent="bot"),
        replace(JANE, role=Role.VIEWER),
        replace(JANE, role=None),
        replace(JANE, role=Role.AGENT),
        replace(JANE, agent="other", bound=True),
        replace(JANE, agent="other", bound=True, role=Role.ADMIN),
        replace(JANE, agent="other", bound=True, role=None, scopes=frozenset({Scope.APPROVALS_WRITE})),
    ],
)
def test_who_asked_and_who_lacks_the_role_may_not(principal: Principal) -> None:
    """Also where it has its answer: nobody learns that by trying."""
    for state in ApprovalState:
        with pytest.raises(Forbidden):
            require_answerable(principal, HELD.as_state(state))


def test_what_an_agent_holds_answers_nothing() -> None:
    """The scope is of no use to it: whoever sees everything exactly is somebody who could say yes."""
    human = replace(JANE, scopes=frozenset({Scope.APPROVALS_WRITE}))
    assert may_answer(human)
    assert not may_answer(replace(human, bound=True))
    assert not may_answer(replace(human, scopes=frozenset({Scope.APPROVALS_READ})))


@pytest.mark.parametrize("state", [one for one in ApprovalState if one is not ApprovalState.PENDING])
def test_an_answer_is_given_once(state: ApprovalState) -> None:
    """The second learns which came first."""
    with pytest.raises(AlreadyResolved, match=state.value):
        require_answerable(JANE, HELD.as_state(state))


def test_several_yeses_are_several_people_and_one_no_is_a_no() -> None:
    """Each is another credential and another human."""
    once = voted(HELD, VOTE, approve=True)
    assert (once.approval.state, once.votes) == (ApprovalState.PENDING, (VOTE,))
    for same in (VOTE, replace(VOTE, credential="ps_2"), replace(VOTE, human="usr_2")):
        with pytest.raises(StateConflict):
            require_another(once, same)
    other = replace(VOTE, credential="ps_2", human="usr_2")
    require_another(once, other)
    require_another(voted(HELD, replace(VOTE, human=""), approve=True), replace(other, human=""))
    twice = voted(once, other, approve=True)
    assert (twice.approval.state, len(twice.votes)) == (ApprovalState.APPROVED, 2)
    denied = voted(once, other, approve=False)
    assert (denied.approval.state, denied.approval.resolved_by) == (ApprovalState.DENIED, "ps_2")
    assert (twice.approval.resolved_by_user, denied.approval.resolved_by_user) == ("usr_2", "usr_2")
    by_key = voted(HELD, replace(VOTE, credential="key_2", human=""), approve=False).approval
    assert (by_key.resolved_by, by_key.resolved_by_user) == ("key_2", "")


def test_an_answer_says_who_gave_it_when_and_why() -> None:
    """What the body claimed stands beside the credential of record."""
    one = closed(HELD, ApprovalState.CANCELLED, VOTE).approval
    assert (one.state, one.resolved, one.resolved_by, one.claimed, one.rationale) == (
        ApprovalState.CANCELLED,
        "now",
        "ps_1",
        "jane",
        "agreed",
    )
