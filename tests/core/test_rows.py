"""What is kept between two entries of an intent is read back as it was written."""

from dataclasses import replace

import orjson
import pytest

from gateway.core.approvals import Approval, ApprovalState, Granted
from gateway.core.call import INTENT_METHOD, Call, Told
from gateway.core.decision import ApprovalTerms
from gateway.core.intent.model import EffectClass, Intent, RiskFactor
from gateway.core.pinning import pin_tool
from gateway.core.rows import (
    HeldApproval,
    IntentState,
    Used,
    Vote,
    about,
    approval_key,
    asked_key,
    call_key,
    idempotency_key,
    input_key,
    intent_key,
    pending_key,
    read_approval,
    read_groups,
    read_intent,
    read_used,
)
from gateway.core.submission import IntentStatus

APPROVAL = Approval(
    id="apr_1",
    tenant="t",
    intent_id="int_1",
    agent="billing-agent",
    requested_by="key_1",
    state=ApprovalState.APPROVED,
    reason="a person should look",
    terms=ApprovalTerms(role="admin", approvers=2, expires_s=60),
    created="2026-11-22T12:00:00.000Z",
    expires="2026-11-22T13:00:00.000Z",
    resolved="2026-11-22T12:30:00.000Z",
    resolved_by="key_2",
    resolved_by_user="usr_1",
    claimed="Anna",
    rationale="fine",
)
HELD = HeldApproval(
    approval=APPROVAL,
    rules=frozenset({("ask", "d1"), ("ask-too", "d2")}),
    key="approval-key:x",
    human="usr_2",
    votes=(Vote(credential="key_2", human="usr_1", time="2026-11-22T12:30:00.000Z", claimed="Anna", rationale="fine"),),
    version=3,
)
CALL = Call(
    method="tools/call",
    upstream="u",
    name="t",
    uri="",
    arguments={},
    arguments_digest="d",
    tool=pin_tool("u", {"name": "t", "inputSchema": {"type": "object"}}),
)


def test_an_approval_is_read_back_as_it_was_written() -> None:
    """A yes must not come out of the store for anything else than it went in."""
    assert read_approval("t", HELD.written(), 3) == HELD
    used = replace(HELD, used=True, votes=(), key="", rules=frozenset())
    assert read_approval("t", used.written(), 3) == used


@pytest.mark.parametrize("state", list(ApprovalState))
def test_an_approval_is_open_while_it_awaits_its_answer_or_its_use(state: ApprovalState) -> None:
    """Only what is open has a time that can run out."""
    held = HELD.as_state(state)
    assert held.open == (state in (ApprovalState.PENDING, ApprovalState.APPROVED))
    assert replace(held, used=True).open == (state is ApprovalState.PENDING)
    assert held.granted == Granted(id="apr_1", rules=HELD.rules)


def test_an_intent_and_a_used_key_are_read_back_as_they_were_written() -> None:
    """Their versions are the rows', not part of what they say."""
    state = IntentState(
        status=IntentStatus.PENDING, agent="a", credential="key_1", submitted=True, approval_id="apr_1", issued=True
    )
    assert read_intent(state.written(), 7) == state
    assert read_intent(state.written(), 7).version == 7
    used = Used(intent_id="int_1", body="d", expires="2026-11-23T12:00:00.000Z")
    assert (read_used(used.written(), 2), read_used(used.written(), 2).version) == (used, 2)


def test_rows_of_different_kinds_never_share_a_prefix_that_is_scanned() -> None:
    """A list of approvals must not read their sealed inputs."""
    assert approval_key("apr_1").startswith("approval:")
    assert pending_key("apr_1").startswith("pending:")
    others = (asked_key("apr_1"), input_key("apr_1"), intent_key("int_1"), idempotency_key("k"), call_key("a", CALL))
    assert not any(key.startswith(("approval:", "pending:", "agent:")) for key in others)


@pytest.mark.parametrize(
    "other",
    [
        replace(CALL, arguments_digest="e"),
        replace(CALL, upstream="v"),
        replace(CALL, name="tt"),
        replace(CALL, tool=None),
        replace(CALL, tool=pin_tool("u", {"name": "t", "inputSchema": {"type": "object", "title": "x"}})),
        replace(CALL, answers={"q": {"action": "accept"}}),
        replace(CALL, method="prompts/get"),
        replace(CALL, uri="x://y"),
    ],
)
def test_a_call_that_differs_in_anything_does_not_find_the_approval_of_another(other: Call) -> None:
    """Approving authorises that very call (contract, section 3)."""
    assert call_key("a", CALL) == call_key("a", CALL)
    assert call_key("a", other) != call_key("a", CALL)
    assert call_key("b", CALL) != call_key("a", CALL)


# --- what an approval is about ----------------------------------------------------------------------------------------

INTENT = Intent(
    type="billing.process_refund",
    domain="billing",
    effect_class=EffectClass.PAYMENT,
    confidence=0.9,
    evidence=(),
    risk=61,
    factors=(
        RiskFactor(code="payment", points=40, evidence=""),
        RiskFactor(code="first-use", points=10, evidence=""),
        RiskFactor(code="payment", points=11, evidence=""),
    ),
)


def test_what_an_approval_is_about_is_read_back_as_it_was_written() -> None:
    """A lease rests on how the call was judged when the human was asked."""
    held = replace(HELD, about=about("bot", CALL, INTENT, 2))
    assert read_approval("t", held.written(), 3) == held
    assert held.about is not None
    assert (held.about.risk, held.about.factors, held.about.tier) == (61, ("first-use", "payment"), 2)
    assert read_groups(held.about.groups) == (held.about.group, held.about.same)


def test_a_row_of_an_earlier_release_is_read() -> None:
    """What waits when a gateway is replaced by a newer one still waits."""
    row = orjson.loads(HELD.written())
    del row["about"]
    assert read_approval("t", orjson.dumps(row), 3) == HELD
    assert read_groups(b"2026-11-22T12:00:00.000Z") == ("", "")


@pytest.mark.parametrize(("resolved_by", "user"), [("key_2", "usr_1"), ("ps_9", ""), ("", "")])
def test_who_said_yes_in_an_earlier_release_is_known_by_the_vote(resolved_by: str, user: str) -> None:
    """It kept nobody behind a no, and an approval that expired after a yes was resolved by nobody's session."""
    row = orjson.loads(HELD.written()) | {"resolvedBy": resolved_by}
    del row["resolvedByUser"]
    assert read_approval("t", orjson.dumps(row), 3).approval.resolved_by_user == user


def test_calls_of_one_agent_to_one_tool_are_a_group_and_equal_calls_are_the_same_whoever_makes_them() -> None:
    """People see at once what belongs together; nothing is allowed by it."""
    one = about("bot", CALL, INTENT, 2)
    other = about("bot", replace(CALL, arguments_digest="e"), INTENT, 2)
    theirs = about("bob", CALL, INTENT, 2)
    elsewhere = about("bot", replace(CALL, upstream="v"), INTENT, 2)
    assert one.group == other.group != theirs.group
    assert one.same == theirs.same != other.same
    assert elsewhere.group != one.group
    assert elsewhere.same != one.same


def test_what_a_program_says_is_kept_without_secrets() -> None:
    """The row lies in the clear and outlives the approval."""
    told = replace(
        CALL, method=INTENT_METHOD, tool=None, name="use token=abcdef0123", told=Told(action="use token=abcdef0123")
    )
    kept = about("bot", told, INTENT, 2)
    assert "abcdef0123" not in f"{kept.upstream}{kept.target}{kept.groups!r}"
