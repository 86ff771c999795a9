"""Events: which entry makes which, in the shapes of both documents, in bytes that survive being parsed."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from gateway.core.audit.entry import EntryType
from gateway.core.events import EVENTS, TEST_EVENT, Event, Family, body_of, compact, delivery_id, events_of, probe
from tests.ecmascript import stringify

TIME = "2026-03-22T14:30:00.000Z"


def entry(kind: EntryType, **more: Any) -> dict[str, Any]:
    fields = {
        "tenant": "acme",
        "id": "evt_1",
        "type": kind.value,
        "time": TIME,
        "intentId": "int_1",
        "agent": "billing-agent",
        "effect": "",
        "reasons": [],
        "risk": 0,
    }
    return fields | more


def decided(effect: str, *, approval: str = "", granted: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    body: dict[str, Any] = {"intent": {"type": "billing.send_invoice"}, "facts": {}}
    if approval:
        body["approvalId"] = approval
    if granted:
        body["facts"]["approval"] = {"id": "apr_1"}
    return entry(EntryType.CALL_DECIDED, effect=effect, reasons=["r"], risk=42), body


ESCALATED = decided("ESCALATE", approval="apr_1")


def told(one: tuple[dict[str, Any], dict[str, Any]], earlier: Any = None) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, event.data) for event in events_of(*one, earlier)]


def intent(status: str, **more: Any) -> dict[str, Any]:
    return {
        "intentId": "int_1",
        "type": "billing.send_invoice",
        "status": status,
        "agentId": "billing-agent",
        **more,
    }


def decision(effect: str) -> dict[str, Any]:
    return {"intentId": "int_1", "decision": effect, "riskScore": 42}


@pytest.mark.parametrize(
    ("effect", "status", "beside"),
    [
        ("ALLOW", "approved", []),
        ("DENY", "rejected", [("decision.denied", decision("DENY"))]),
        ("ESCALATE", "pending", [("decision.escalated", decision("ESCALATE"))]),
    ],
)
def test_a_decision_makes_its_events_in_both_families(effect: str, status: str, beside: list[Any]) -> None:
    """Contract, section 5, first three rows."""
    assert told(decided(effect)) == [
        ("intent.submitted", intent(status)),
        ("decision.completed", decision(effect)),
        *beside,
    ]


def test_the_same_call_once_more_is_no_new_event() -> None:
    """A client that asks again every minute must not ring a human's phone every minute."""
    assert told(ESCALATED, ESCALATED) == []


def test_another_approval_for_the_same_intent_is_told_but_not_as_submitted() -> None:
    """A human is needed again; the intent is the same."""
    assert told(decided("ESCALATE", approval="apr_2"), ESCALATED) == [
        ("decision.completed", decision("ESCALATE")),
        ("decision.escalated", decision("ESCALATE")),
    ]
    assert told(decided("ESCALATE"), decided("ESCALATE"))[0][0] == "decision.completed"


def test_the_use_of_a_yes_is_not_told_twice() -> None:
    """The human's yes was the event."""
    assert told(decided("ALLOW", granted=True), ESCALATED) == []
    assert told(decided("DENY", granted=True), ESCALATED) == [
        ("decision.completed", decision("DENY")),
        ("decision.denied", decision("DENY")),
    ]


@pytest.mark.parametrize(("human", "named"), [("usr_456", "usr_456"), ("", "key_9")])
def test_a_humans_answer_names_the_approver(human: str, named: str) -> None:
    """Contract, section 5, fourth row; the credential of record where there is no session."""
    body = {"human": human, "by": "key_9", "approvalId": "apr_1"}
    yes = entry(EntryType.APPROVAL_RESOLVED, reasons=["approved"]), body
    assert told(yes, ESCALATED) == [
        ("intent.approved", intent("approved", approvedBy=named, approvalId="apr_1")),
        ("decision.approved", decision("ALLOW")),
    ]
    no = entry(EntryType.APPROVAL_RESOLVED, reasons=["denied"]), body
    assert told(no, ESCALATED) == [
        ("intent.rejected", intent("rejected", rejectedBy=named, approvalId="apr_1")),
        ("decision.denied", decision("DENY")),
    ]


@pytest.mark.parametrize("state", ["pending", "expired", "cancelled"])
def test_what_no_human_answered_is_no_event(state: str) -> None:
    """Neither document has one for it."""
    body = {"human": "", "by": "gateway", "approvalId": "apr_1"}
    assert told((entry(EntryType.APPROVAL_RESOLVED, reasons=[state]), body), ESCALATED) == []


def test_an_execution_tells_its_end_and_a_code_only() -> None:
    """The text of an error may hold anything, an argument too."""
    ok = entry(EntryType.CALL_COMPLETED, reasons=["ok"]), {}
    assert told(ok, decided("ALLOW")) == [("intent.completed", intent("completed"))]
    bad = entry(EntryType.CALL_COMPLETED, reasons=["upstream-timeout"]), {"problem": "hunter2"}
    assert told(bad, decided("ALLOW")) == [("intent.failed", intent("failed", reason="upstream-timeout"))]


def test_an_intent_whose_decision_is_not_to_be_had_is_of_unknown_type() -> None:
    """The entry is still true, and its receiver waits for it."""
    [(_, data)] = told((entry(EntryType.CALL_COMPLETED, reasons=["completed"]), {}))
    assert data["type"] == "unknown"
    body = {"human": "usr_1", "by": "key_9", "approvalId": "apr_1"}
    [_, (_, data)] = told((entry(EntryType.APPROVAL_RESOLVED, reasons=["approved"]), body))
    assert data["riskScore"] == 0


def test_agents_and_the_chain_have_events_too() -> None:
    """Contract, section 5, last two rows."""
    registered = entry(EntryType.AGENT_REGISTERED, intentId=""), {"id": "agt_1", "name": "Billing Agent"}
    [event] = events_of(*registered, None)
    assert (event.name, event.lane) == ("agent.registered", "agent:billing-agent")
    assert event.data == {"agentId": "agt_1", "agent": "billing-agent", "name": "Billing Agent"}
    moved = {"id": "agt_1", "previousTier": "T1", "tier": "T2", "score": 61, "by": "gateway"}
    assert told((entry(EntryType.TRUST_CHANGED, intentId=""), moved)) == [
        ("agent.trust.changed", {"agentId": "agt_1", "previousTier": "T1", "tier": "T2", "score": 61})
    ]
    frozen = {"id": "agt_1", "by": "key_9", "reason": "an audit"}
    assert told((entry(EntryType.TRUST_CHANGED, intentId="", reasons=["frozen"]), frozen)) == []
    [event] = events_of(
        entry(EntryType.CHAIN_BROKEN, intentId="", agent=""),
        {"sequence": 7, "kind": "gap", "expected": "7", "found": "8"},
        None,
    )
    assert (event.name, event.lane, event.family) == ("chain.break", "chain", Family.REF)
    assert event.data == {"sequence": 7, "expected": "7", "found": "8"}


def test_other_entries_are_no_events() -> None:
    """The list is closed."""
    assert told((entry(EntryType.KEY_CREATED), {})) == []
    assert told((entry(EntryType.KEY_CREATED) | {"type": "from.the-future"}, {})) == []


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_the_guides_body() -> None:
    """Its example, member for member and in its order."""
    body = {"human": "usr_456", "by": "key_9", "approvalId": "apr_1"}
    event = events_of(entry(EntryType.APPROVAL_RESOLVED, reasons=["approved"]), body, ESCALATED)[0]
    assert json.loads(body_of(event, "whk_1")) == {
        "id": "whk_1",
        "timestamp": TIME,
        "tenantId": "acme",
        "event": "intent.approved",
        "data": intent("approved", approvedBy="usr_456", approvalId="apr_1"),
    }
    assert body_of(event, "whk_1").startswith(b'{"id":"whk_1","timestamp":"2026')


def test_the_references_body() -> None:
    """Its example, but for the signature, which the sender adds last."""
    event = events_of(*decided("ALLOW"), None)[1]
    assert body_of(event, "whk_1") == (
        b'{"event":"decision.completed","intentId":"int_1","decision":"ALLOW","riskScore":42,'
        b'"timestamp":"2026-03-22T14:30:00.000Z"}'
    )


def test_a_test_event_has_the_guides_shape() -> None:
    """It tries the receiver's code, so it must look like the rest."""
    event = probe("acme", time=TIME, lane="whk_1")
    assert (event.name, event.family, TEST_EVENT in EVENTS) == ("webhook.test", Family.OPS, False)
    assert json.loads(body_of(event, "whk_1"))["data"] == {"message": "A test; nothing happened."}


def test_a_delivery_that_is_made_again_has_the_same_id() -> None:
    """A receiver tells a repetition by it; another endpoint, entry or event has another."""
    event = probe("acme", time=TIME, lane="")
    at = round(datetime(2026, 3, 22, 14, 30, tzinfo=UTC).timestamp() * 1000)
    id_ = delivery_id("hook_1", "evt_1", event, milliseconds=at)
    assert id_ == delivery_id("hook_1", "evt_1", event, milliseconds=at)
    assert ULID.from_str(id_.removeprefix("whk_")).milliseconds == at
    other = Event(tenant="acme", name="intent.submitted", time=TIME, lane="", data={})
    ids = {
        id_,
        delivery_id("hook_2", "evt_1", event, milliseconds=at),
        delivery_id("hook_1", "evt_2", event, milliseconds=at),
        delivery_id("hook_1", "evt_1", other, milliseconds=at),
    }
    assert len(ids) == 4


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT.map("m".__add__), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_bodies_are_what_javascript_would_write(value: Any) -> None:
    """Against a second implementation of `JSON.stringify`; Node itself is asked in tests/clients."""
    written = compact(value)
    assert written.decode() == stringify(value)
    assert compact(orjson.loads(written)) == written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (2**53 + 1, "9007199254740992"),
        (10**22, "1e+22"),
        ((1, True), "[1,true]"),
        ("\x07\x7f\u2028é", '"\\u0007\x7f\u2028é"'),
    ],
)
def test_numbers_and_texts_are_ecmascripts(value: Any, text: str) -> None:
    """Where Python's own writers differ."""
    assert compact(value).decode() == text


def test_what_javascript_cannot_write_is_refused() -> None:
    """A half of a character has no UTF-8."""
    with pytest.raises((TypeError, ValueError)):
        compact({"m": "\ud800"})
