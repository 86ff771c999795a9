"""Decisions, intents and approvals as values: above all, what is no ALLOW."""

import dataclasses
from typing import Any

import pytest

from intended.reading import Fields, Nonsense
from intended.results import Approval, CreatedIntent, Decision, Intent, Page, Person, refusal
from tests.intended.answering import ALLOW, without

AGENT_INTENT = {
    "intentId": "int_1",
    "authorityDecision": {"decision": "ALLOW", "riskScore": 10, "confidence": 0.9},
    "authorityDecisionToken": "a.b.c",
    "escalationId": None,
    "explanation": "fine",
}


def test_the_reference_s_own_answer_is_an_allow() -> None:
    """It has no `reason`, and nothing that this service adds."""
    decision = Decision.read(Fields(ALLOW))
    assert (decision.verdict, decision.allowed, decision.denied, decision.escalated) == ("ALLOW", True, False, False)
    assert (decision.risk_score, decision.confidence, decision.intent_id) == (42, 0.94, "int_abc123")
    assert decision.token == ALLOW["token"]
    assert decision.trace is not None
    assert decision.trace.triggered_rules == ("allow-ci-deploy",)
    assert decision.reason == "ALLOW by policy"
    assert not decision.fail_closed


def test_what_the_service_adds_is_read() -> None:
    """Type, tier, risk factors, approval: what a program shows a human."""
    more = {
        "reason": "a human must say yes",
        "decision": "ESCALATE",
        "intentType": "billing.process_refund",
        "domain": "billing",
        "agentId": "agt_1",
        "trustTier": "T1",
        "riskFactors": [{"code": "money", "points": 30, "evidence": "amount 900"}],
        "escalationId": "apr_1",
        "approvalUrl": "http://127.0.0.1:8787/console/approvals/apr_1",
        "policyDigest": "ab" * 32,
    }
    decision = Decision.read(Fields(without(ALLOW, "token") | more))
    assert decision.escalated
    assert decision.risk_factors[0].points == 30
    assert (decision.escalation_id, decision.domain, decision.trust_tier) == ("apr_1", "billing", "T1")


@pytest.mark.parametrize(
    ("told", "read"), [({"retryAfterSeconds": 90}, 90), ({"retryAfterSeconds": 0}, None), ({}, None)]
)
def test_a_denial_may_say_when_to_ask_again(told: dict[str, Any], read: float | None) -> None:
    """Nothing told is never, not at once."""
    decision = Decision.read(Fields(without(ALLOW, "token") | {"decision": "DENY"} | told))
    assert (decision.denied, decision.retry_after_s) == (True, read)


@pytest.mark.parametrize("missing", ["intentId", "riskScore", "confidence", "token", "trace", "decision"])
def test_an_allow_that_lacks_what_an_allow_must_have_is_nonsense(missing: str) -> None:
    """Half an answer is no permission."""
    with pytest.raises(Nonsense):
        Decision.read(Fields(without(ALLOW, missing)))


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "allow"},
        {"decision": "ALLOWED"},
        {"decision": "MAYBE"},
        {"decision": True},
        {"decision": ["ALLOW"]},
        {"riskScore": "42"},
        {"riskScore": 101},
        {"riskScore": -1},
        {"riskScore": True},
        {"confidence": 1.5},
        {"confidence": None},
        {"token": ""},
        {"token": 1},
        {"token": "a\nb"},
        {"intentId": ""},
        {"trace": "yes"},
        {"trace": {}},
        {"trace": {"policySet": "p", "triggeredRules": "all", "evaluatedAt": "now"}},
        {"reason": {"text": "x"}},
        {"riskFactors": 3},
        {"decision": "ESCALATE"},
        {"decision": "DENY"},
    ],
    ids=str,
)
def test_an_answer_that_contradicts_itself_or_has_a_wrong_type_is_nonsense(change: dict[str, Any]) -> None:
    """A service that answers so is not the one that this client knows."""
    with pytest.raises(Nonsense):
        Decision.read(Fields(ALLOW | change))


def test_a_recorded_allow_needs_no_token() -> None:
    """It was issued once; `get_intent` shows the decision without it."""
    assert Decision.recorded(Fields(without(ALLOW, "token"))).allowed


def test_the_token_is_in_no_representation() -> None:
    """Whoever holds it may act, and representations end up in logs."""
    decision = Decision.read(Fields(ALLOW))
    assert ALLOW["token"] not in repr(decision)
    intent = Intent.read(Fields(ALLOW | {"status": "approved"}))
    assert intent.token == ALLOW["token"]
    assert ALLOW["token"] not in repr(intent)


def test_a_decision_cannot_be_changed() -> None:
    """What was decided is what is acted on."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        refusal("down").verdict = "ALLOW"  # type: ignore[misc]


def test_a_refusal_of_the_client_s_own_says_so() -> None:
    """Highest risk, no confidence, and a flag that a program can look at."""
    decision = refusal("the service is down")
    assert (decision.verdict, decision.risk_score, decision.confidence) == ("DENY", 100, 0.0)
    assert decision.fail_closed
    assert decision.denied
    assert decision.token is None


def test_the_answer_of_agent_intent_is_a_decision_too() -> None:
    """It spells the same in its own way."""
    decision = Decision.read_agent_intent(Fields(AGENT_INTENT))
    assert (decision.verdict, decision.token, decision.reason) == ("ALLOW", "a.b.c", "fine")


@pytest.mark.parametrize(
    "change",
    [{"authorityDecisionToken": None}, {"authorityDecision": None}, {"authorityDecision": {"decision": "APPROVED"}}],
    ids=str,
)
def test_an_allow_of_agent_intent_needs_its_token(change: dict[str, Any]) -> None:
    """As on the other route."""
    with pytest.raises(Nonsense):
        Decision.read_agent_intent(Fields(AGENT_INTENT | change))


def test_a_denial_of_agent_intent_gives_no_token() -> None:
    """Whatever stands in the answer."""
    denied = AGENT_INTENT | {"authorityDecision": {"decision": "DENY", "riskScore": 90, "confidence": 1}}
    assert Decision.read_agent_intent(Fields(denied)).token is None


def test_an_intent_is_read_from_either_dialect() -> None:
    """Ref says `intentId` beside the decision, Ops `id`."""
    ref = Intent.read(Fields(without(ALLOW, "token") | {"status": "approved", "intentType": "code.deploy"}))
    ops = Intent.read(Fields({"id": "int_2", "type": "billing.send_invoice", "status": "pending", "params": {"a": 1}}))
    assert (ref.id, ref.type, ref.decision is not None, ref.token) == ("int_abc123", "code.deploy", True, None)
    assert (ops.id, ops.type, ops.decision, dict(ops.params)) == ("int_2", "billing.send_invoice", None, {"a": 1})
    assert ops.token is None


def test_created_intents_and_approvals_need_their_id() -> None:
    """Without it nothing can be done with them."""
    assert CreatedIntent.read(Fields({"intentId": "int_1", "status": "pending", "createdAt": "t"})).status == "pending"
    assert Approval.read(Fields({"id": "apr_1", "status": "pending"})).id == "apr_1"
    for read in (CreatedIntent.read, Approval.read):
        with pytest.raises(Nonsense):
            read(Fields({"status": "pending"}))


def test_an_approval_says_which_human_answered() -> None:
    """Where it was a portal session; the name is missing where the user is no more."""
    said = {"id": "apr_1", "status": "approved", "resolvedBy": "ps_1"}
    named = Approval.read(Fields(said | {"resolvedByUser": {"id": "usr_1", "name": "ada@example.com"}}))
    assert named.resolved_by_user == Person(id="usr_1", name="ada@example.com")
    gone = Approval.read(Fields(said | {"resolvedByUser": {"id": "usr_1", "name": None}}))
    assert gone.resolved_by_user == Person(id="usr_1")
    for other in (said, said | {"resolvedByUser": None}):
        assert Approval.read(Fields(other)).resolved_by_user is None


def test_a_page_is_its_items() -> None:
    """`for intent in client.list_intents()` reads well."""
    page = Page(items=(1, 2), total=5, page=1, page_size=2)
    assert (list(page), len(page)) == ([1, 2], 2)
