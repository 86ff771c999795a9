"""What is kept between two entries of an intent is read back as it was written."""

from dataclasses import replace

import pytest

from gateway.core.approvals import Approval, ApprovalState, Granted
from gateway.core.call import Call
from gateway.core.decision import ApprovalTerms
from gateway.core.pinning import pin_tool
from gateway.core.rows import (
    HeldApproval,
    IntentState,
    Used,
    Vote,
    approval_key,
    call_key,
    idempotency_key,
    input_key,
    intent_key,
    pending_key,
    read_approval,
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
    others = (input_key("apr_1"), intent_key("int_1"), idempotency_key("k"), call_key("a", CALL))
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
