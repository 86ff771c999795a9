"""A policy file that can be read two ways, or that silently does nothing, is worse than none."""

from typing import Any

import pytest

from gateway.core.call import INTENT_METHOD
from gateway.core.methods import TABLE, Treatment
from gateway.core.policy.document import GATED_METHODS, PolicyDocument, RuleDocument, duration_s
from gateway.errors import PolicyError
from tests.core.policy.builders import document, rule


def refusal(*rules: Any, **top: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        document(*rules, **top)
    return str(caught.value)


def test_every_gated_method_of_the_table_can_be_named_and_no_other() -> None:
    """A method that policy cannot name could never be allowed, or never be denied."""
    gated = {row.method for row in TABLE if row.treatment is Treatment.GATE}
    assert set(GATED_METHODS) == gated | {INTENT_METHOD}
    assert INTENT_METHOD not in {row.method for row in TABLE}


def test_methods_default_to_acts_of_either_front() -> None:
    """A rule about refunds holds for those asked by REST too; prompts and sampling it must name (design, section 4)."""
    assert RuleDocument(id="a", effect="allow").match.methods == ("tools/call", "intent")


@pytest.mark.parametrize(
    ("rules", "top", "words"),
    [
        ([rule(effect="permit")], {}, "rules.0.effect: 'permit' is not one of allow, escalate, deny"),
        ([rule(effect="alow")], {}, "did you mean 'allow'?"),
        ([rule(effect=True)], {}, "is not one of allow"),
        ([rule(effect=["allow"])], {}, "expected one of allow"),
        ([], {}, "rules: an empty list matches nothing and is refused"),
        ([rule(match={"tools": []})], {}, "rules.0.match.tools: an empty list"),
        ([rule(match={"tols": ["x"]})], {}, "unknown field (did you mean 'tools'?)"),
        ([rule(match={"tools": "x"})], {}, "rules.0.match.tools: expected a list"),
        ([rule(match={"tools": [1]})], {}, "rules.0.match.tools.0: expected text"),
        ([rule(match={"tools": [""]})], {}, "rules.0.match.tools.0: string should have at least 1 character"),
        ([rule(match={"methods": ["tool/call"]})], {}, "did you mean 'tools/call'?"),
        ([rule(match={"methods": ["tools/list"]})], {}, "is not a method that is decided"),
        ([rule(match={"uris": ["x"]})], {}, "no call can match"),
        ([rule(match={"methods": ["roots/list"], "tools": ["x"]})], {}, "no call can match"),
        ([rule(match={"tiers": [3]})], {}, "3 is not one of T0, T1, T2, T3, T4"),
        ([rule(match={"effects": ["reed"]})], {}, "rules.0.match.effects.0: 'reed' is not one of read, write, dest"),
        ([rule(match={"effects": ["reed"]})], {}, "did you mean 'read'?"),
        ([rule(match={"effects": [None]})], {}, "rules.0.match.effects.0: expected one of read"),
        ([rule(match={"effects": []})], {}, "rules.0.match.effects: an empty list"),
        ([rule(match={"factors": []})], {}, "rules.0.match.factors: an empty list"),
        ([rule(match={"factors": "bulk"})], {}, "rules.0.match.factors: expected a list"),
        ([rule(match={"factor": ["bulk"]})], {}, "unknown field (did you mean 'factors'?)"),
        ([rule(match=3)], {}, "rules.0.match: expected a mapping"),
        ([rule(when="")], {}, "rules.0.when: string should have at least 1 character"),
        ([rule(when="x" * 5000)], {}, "at most 4096"),
        ([rule(approval={"approvers": 2})], {}, "`approval` belongs to `effect: escalate`"),
        ([rule(effect="escalate", approval={"approvers": True})], {}, "expected a whole number"),
        ([rule(effect="escalate", approval={"approvers": 0})], {}, "greater than or equal to 1"),
        ([rule(effect="escalate", approval={"expires": "5s"})], {}, "an approval may be open for 1m to 7d"),
        ([rule(effect="escalate", approval={"expires": "soon"})], {}, "expected a whole number and a unit"),
        ([rule(effect="deny", obligations=["x"])], {}, "`obligations` belong to"),
        ([rule(id="No Spaces")], {}, "rules.0.id: expected lower-case letters"),
        ([{"effect": "allow"}], {}, "rules.0.id: `id` is missing"),
        ([rule()], {"policyset": "x"}, "unknown field (did you mean 'policySet'?)"),
        ([rule()], {"apiVersion": "intended/v2"}, "apiVersion: 'intended/v2' is not one of intended/v1"),
        ([rule()], {"budgets": [1]}, "budgets: expected a mapping of names"),
        ([rule()], {"budgets": {"A b": {"count": "calls", "per": "agent", "window": "1d"}}}, "lower-case letter"),
        ([rule()], {"budgets": {"a": {"per": "agent", "window": "1d"}}}, "name either `sum: EXPRESSION`"),
        ([rule()], {"budgets": {"a": {"count": "calls", "per": "agent", "window": "99d"}}}, "window is 1m to 31d"),
        ([rule()], {"budgets": {"a": {"count": "calls", "per": "agent", "wndow": "1d"}}}, "did you mean 'window'?"),
        ([rule()], {"mappings": [{"tool": "x", "intent": "y", "pin": "ff"}]}, "expected 64 lower-case hex digits"),
        ([rule()], {"mappings": [{"tol": "x", "intent": "y"}]}, "did you mean 'tool'?"),
    ],
)
def test_what_is_not_understood_is_an_error_that_says_where_and_what_to_do(
    rules: list[Any], top: dict[str, Any], words: str
) -> None:
    """An ignored field, an empty list or a rule that nothing can meet would be a silent hole (promise 2)."""
    text = refusal(*rules, **top)
    assert words in text
    assert "fix: " in text


def test_only_the_wrong_item_is_reported_not_its_list_as_empty() -> None:
    """One mistake, one problem: noise hides the cause."""
    with pytest.raises(PolicyError) as caught:
        document(rule(effect="permit"))
    assert len(caught.value.problems) == 1


def test_every_problem_of_a_file_is_reported_at_once() -> None:
    """An operator mends a file in one go."""
    with pytest.raises(PolicyError) as caught:
        document(rule(effect="permit"), rule(id="B"), rule(match={"x": 1}))
    assert len(caught.value.problems) == 3


def test_tools_may_be_named_for_methods_that_have_names_and_uris_for_those_that_have_uris() -> None:
    """The check for rules that nothing meets must not refuse sound ones."""
    document(
        rule("a", match={"methods": ["*"], "tools": ["x"]}),
        rule("b", match={"methods": ["resources/read", "tools/call"], "uris": ["file:*"]}),
        rule("c", match={"methods": ["completion/complete"], "uris": ["x"], "tools": ["x"]}),
        rule("d", "escalate", approval={"expires": "15m", "approvers": 2, "role": "finance"}),
    )


@pytest.mark.parametrize("text", ["", "1", "d", "-1d", "1.5h", "1w", "٣d", "1234567s"])
def test_a_duration_is_a_whole_number_and_a_unit(text: str) -> None:
    """A time that reads two ways could keep an approval open for too long."""
    with pytest.raises(ValueError, match="whole number and a unit"):
        duration_s(text)


def test_durations_are_seconds() -> None:
    """Everything inside counts seconds."""
    assert [duration_s(text) for text in ("90s", "15m", "8h", "1d")] == [90, 900, 28_800, 86_400]


def test_a_document_cannot_be_changed_once_read() -> None:
    """What was checked is what is compiled."""
    read = document(rule()).document
    assert isinstance(read, PolicyDocument)
    with pytest.raises(ValueError, match="frozen"):
        read.policySet = "other"  # type: ignore[misc]
