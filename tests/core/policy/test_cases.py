"""Cases are an operator's tests; a case that tests nothing must not be accepted."""

from typing import Any

import pytest

from gateway.core.policy.cases import MONDAY_NOON, CaseFileDocument
from gateway.core.policy.reading import Places, validated
from gateway.errors import PolicyError


def read(case: dict[str, Any], **top: Any) -> CaseFileDocument:
    return validated(CaseFileDocument, "x_test.yaml", {"apiVersion": "intended/v1", "cases": [case], **top}, Places())


CASE: dict[str, Any] = {"name": "reads", "call": {"tool": "read"}, "expect": {"effect": "ALLOW"}}


def test_a_case_needs_a_name_a_call_and_what_is_expected_and_nothing_else() -> None:
    """What is left out is as in the first minute: T0, unreviewed, novel, at a fixed time."""
    case = read(CASE).cases[0]
    assert (case.call.method, case.call.upstream, case.call.review) == ("tools/call", "default", "unreviewed")
    assert (case.agent.tier, case.facts.novel, case.facts.now) == ("T0", True, MONDAY_NOON)
    assert case.intent is None


def test_an_intent_names_a_system_only_where_the_case_does() -> None:
    """A program need not say on which system it acts; a tool call is always on an upstream."""
    calls = [{"method": "intent", "tool": "deploy"}, {"method": "intent", "tool": "deploy", "upstream": "github"}]
    places = [read({**CASE, "call": call}).cases[0].call.place for call in (*calls, {"tool": "deploy"})]
    assert places == ["", "github", "default"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"call": {"method": "*", "tool": "x"}}, "a case is of one method"),
        ({"call": {}}, "`tool` is missing"),
        ({"call": {"method": "prompts/get"}}, "`tool` is missing"),
        ({"call": {"method": "intent"}}, "`tool` is missing"),
        ({"call": {"tool": "x", "type": "files.read"}}, "belong to `method: intent`"),
        ({"call": {"tool": "x", "description": "y"}}, "belong to `method: intent`"),
        ({"expect": {"effect": "allow"}}, "'allow' is not one of ALLOW, ESCALATE, DENY"),
        ({"expect": {"effect": "ALLOW", "rules": []}}, "an empty list"),
        ({"agent": {"tier": "T9"}}, "'T9' is not one of"),
        ({"facts": {"now": "2026-01-05T12:00:00"}}, "timezone"),
        ({"intent": {"effect": "reed"}}, "cases.0.intent.effect"),
        ({"expct": {}}, "unknown field (did you mean 'expect'?)"),
    ],
)
def test_a_case_that_could_never_be_a_call_or_says_nothing_is_refused(change: dict[str, Any], words: str) -> None:
    """A mistyped case that passes is a false comfort."""
    with pytest.raises(PolicyError) as caught:
        read({**CASE, **change})
    assert words in str(caught.value)


def test_calls_without_a_name_are_of_methods_without_one() -> None:
    """Resources have URIs, sampling has neither."""
    read({**CASE, "call": {"method": "resources/read", "uri": "x:1"}})
    read({**CASE, "call": {"method": "completion/complete", "uri": "x:{y}"}})
    read({**CASE, "call": {"method": "roots/list"}})
