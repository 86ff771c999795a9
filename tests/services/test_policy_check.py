"""Policy cases: what passes here is what the gateway would decide."""

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.core.call import Call, Review, Told
from gateway.core.decide import decide
from gateway.core.decision import Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.model import EffectClass, Intent, IntentContext, RiskFactor
from gateway.core.policy.bundle import Bundle
from gateway.core.policy.cases import CaseDocument, CaseSuite
from gateway.core.principal import TrustTier
from gateway.services.policy_check import FileReport, Judge, check_cases, explain_bundle, render, warn_of_unfit
from tests.core.policy.builders import bundle, rule

POLICIES = bundle(rule("reads", when="intent.effect == 'read'"), rule("big", "escalate", "args.n > 10"))


class Classifier:
    """Says `read` of everything and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Call, IntentContext]] = []

    def __call__(self, call: Call, context: IntentContext) -> Intent:
        self.asked.append((call, context))
        return Intent(
            type="files.read",
            domain="files",
            effect_class=EffectClass.READ,
            confidence=1.0,
            evidence=(),
            risk=20,
            factors=(RiskFactor(code="effect-read", points=20, evidence=""),),
        )


def judge(classifier: Classifier | None = None) -> Judge:
    def thresholds(tier: TrustTier) -> Thresholds:
        return Thresholds(allow_below=101 if tier is TrustTier.T4 else 30, deny_from=101)

    return Judge(classify=classifier or Classifier(), decide=decide, thresholds=thresholds)


def case(name: str = "case", **fields: Any) -> CaseDocument:
    data = {"name": name, "call": {"tool": "x", "arguments": {"n": 1}}, "expect": {"effect": "ALLOW"}, **fields}
    return CaseDocument.model_validate(data)


def check(*cases: CaseDocument, policies: Bundle = POLICIES, judged: Judge | None = None) -> FileReport:
    suite = CaseSuite(source="x_test.yaml", bundle=policies, cases=tuple(enumerate(cases, start=3)))
    return check_cases([suite], judged or judge())[0]


def lines(*reports: FileReport) -> Sequence[str]:
    return list(render(reports))


def test_a_case_passes_exactly_if_effect_rules_and_reason_are_as_expected() -> None:
    """The report is of the gateway's own decision, not of a second opinion."""
    report = check(
        case("one", expect={"effect": "ALLOW", "rules": ["reads"], "reason": "policy-allow"}),
        case(
            "two", call={"tool": "x", "arguments": {"n": 11}}, expect={"effect": "ESCALATE", "rules": ["big", "reads"]}
        ),
        case("three", call={"tool": "x"}, expect={"effect": "DENY", "reason": "condition-error"}),
    )
    assert report.passed
    assert lines(report) == [
        "PASS  x_test.yaml:3  one",
        "PASS  x_test.yaml:4  two",
        "PASS  x_test.yaml:5  three",
        "      x_test.yaml: 2 of 2 rules held in at least one case",
        "3 passed, 0 failed",
    ]


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"effect": "DENY"}, "expected DENY, got ALLOW (policy-allow): Rule"),
        ({"effect": "ALLOW", "reason": "no-rule"}, "expected reason no-rule, got policy-allow"),
        ({"effect": "ALLOW", "rules": ["big"]}, "expected rule 'big' to hold: false"),
        ({"effect": "ALLOW", "rules": ["none"]}, "expected rule 'none', but no rule has this id"),
    ],
)
def test_what_differs_is_said_with_how_the_call_was_judged(expect: dict[str, Any], words: str) -> None:
    """An operator must see whether the rule or the judgement is to blame."""
    report = check(case(expect=expect))
    assert not report.passed
    text = "\n".join(lines(report))
    assert "FAIL  x_test.yaml:3  case" in text
    assert words in text
    assert "judged as files.read (read), risk 20, factors: effect-read; held: reads" in text
    assert "never held: big" in text
    assert text.endswith("0 passed, 1 failed")


def test_a_rule_whose_match_does_not_apply_is_told_from_one_that_was_false() -> None:
    """Two different mistakes in a policy."""
    policies = bundle(rule("other", match={"tools": ["other"]}))
    intent = {"effect": "read", "factors": []}
    text = "\n".join(
        lines(check(case(intent=intent, expect={"effect": "DENY", "rules": ["other"]}), policies=policies))
    )
    assert "expected rule 'other' to hold: its match does not apply" in text
    assert "judged as unknown (read), risk 0, factors: none; held: none" in text


def test_a_case_may_bring_its_own_judgement() -> None:
    """Then it is about the rules alone, and the classifier is not asked."""
    classifier = Classifier()
    intent = {"effect": "write", "type": "files.write", "domain": "files", "risk": 40, "factors": ["novel"]}
    report = check(case(intent=intent, expect={"effect": "DENY", "reason": "no-rule"}), judged=judge(classifier))
    assert report.passed
    assert classifier.asked == []


def test_the_classifier_sees_the_call_as_the_gateway_would() -> None:
    """Names, arguments, definition, review, mappings and novelty are those of the case."""
    classifier = Classifier()
    policies = bundle(rule(), mappings=[{"tool": "x", "intent": "files.read"}])
    definition = {"description": "Reads.", "inputSchema": {"type": "object", "required": ["path"]}}
    call = {
        "tool": "x",
        "upstream": "files",
        "arguments": {"path": "a"},
        "definition": definition,
        "review": "reviewed",
    }
    check(case(call=call, facts={"novel": False}), policies=policies, judged=judge(classifier))
    asked, context = classifier.asked[0]
    assert asked.tool is not None
    assert asked.tool.definition == {**definition, "name": "x"}
    assert asked.tool.review is Review.REVIEWED
    assert (asked.upstream, asked.name, asked.uri, asked.arguments) == ("files", "x", "", {"path": "a"})
    assert context.novel is False
    assert context.mappings == policies.mappings


def test_a_case_of_a_submitted_intent_is_one_for_the_classifier() -> None:
    """With all that its body may say, and no tool."""
    classifier = Classifier()
    call = {"method": "intent", "tool": "deploy to production", "type": "deployment.deploy", "description": "Now."}
    check(case(call=call), judged=judge(classifier))
    asked, _ = classifier.asked[0]
    assert (asked.tool, asked.upstream, asked.name) == (None, "", "deploy to production")
    assert asked.told == Told(type="deployment.deploy", description="Now.")


def test_arguments_that_break_the_schema_of_a_case_are_denied_as_in_the_gateway() -> None:
    """A case with a definition is held to it."""
    definition = {"inputSchema": {"type": "object", "required": ["path"]}}
    report = check(
        case(call={"tool": "x", "definition": definition}, expect={"effect": "DENY", "reason": "schema"}),
        policies=bundle(rule()),
    )
    assert report.passed


def test_facts_and_tier_of_a_case_reach_the_decision() -> None:
    """Cases about budgets and trust must be possible."""
    policies = bundle(
        rule("spent", "deny", "budget.refunds > 5.0 || count.mails > 2"),
        rule("failing", "deny", "agent.failures_in_row > 4 && !call.first_use"),
        rule("open", match={"tiers": ["T4"], "agents": ["bill*"]}),
        budgets={
            "refunds": {"sum": "args.n", "per": "agent", "window": "1d", "match": {"tools": ["pay"]}},
            "mails": {"count": "calls", "per": "agent", "window": "1d"},
        },
    )
    facts = {"budgets": {"refunds": 1}, "counts": {"mails": 1}, "session": {}, "now": "2026-01-05T12:00:00Z"}
    failing = {"failures_in_row": 5, "novel": False}
    agent = {"id": "billing", "tier": "T4", "score": 3}
    report = check(
        case("in", facts=facts, agent=agent),
        case(
            "over", facts={**facts, "counts": {"mails": 3}}, agent=agent, expect={"effect": "DENY", "rules": ["spent"]}
        ),
        case("nothing was spent", agent=agent),
        case("failing", facts=failing, agent=agent, expect={"effect": "DENY", "rules": ["failing"]}),
        case("new", facts={**failing, "novel": True}, agent=agent),
        policies=policies,
    )
    assert report.passed, lines(report)


def test_a_case_that_gives_a_value_to_no_budget_fails() -> None:
    """A mistyped name would test another limit than its author thinks."""
    policies = bundle(rule(), budgets={"mails": {"count": "calls", "per": "agent", "window": "1d"}})
    report = check(case(facts={"budgets": {"mails": 1}, "counts": {"mail": 1}}), policies=policies)
    assert list(report.results[0].differences[:2]) == [
        "the policies declare no budget 'mails'",
        "the policies declare no budget 'mail'",
    ]


def test_other_methods_have_no_tool() -> None:
    """A prompt or resource has no pinned definition."""
    classifier = Classifier()
    check(case(call={"method": "resources/read", "uri": "x:1"}), judged=judge(classifier))
    assert classifier.asked[0][0].tool is None
    assert classifier.asked[0][0].uri == "x:1"


def test_arguments_without_a_canonical_form_fail_their_case_only() -> None:
    """The wire would refuse them; a report must not end for them."""
    report = check(case("bad", call={"tool": "x", "arguments": {"n": 2**60}}), case("good"))
    assert [bool(result.differences) for result in report.results] == [True, False]
    assert "cannot be sent at all" in report.results[0].differences[0]


def test_the_sum_is_over_all_files() -> None:
    """`intended test` ends with one line that says it all."""
    assert lines(check(case("one")), check(case("two")))[-1] == "2 passed, 0 failed"


def test_what_check_says_of_sound_policies() -> None:
    """Which files are in force, under which digest, and what to beware of."""
    policies = bundle(rule("a"), rule("b", "deny"), warning="Careful.")
    assert list(explain_bundle(policies)) == [
        "policy p.yaml: 2 rules, sha256 000000000000",
        f"bundle {policies.digest[:12]}: 1 allow, 0 escalate, 1 deny, 0 mappings, 0 budgets",
        "warning: p.yaml: Careful.",
    ]
    assert next(explain_bundle(bundle(rule()))) == "policy p.yaml: 1 rule, sha256 000000000000"


def test_what_fits_no_listed_tool_is_warned_of() -> None:
    """A deny rule with a mistyped tool denies nothing, and a budget counts nothing: nobody would notice."""
    fitting = {"any": {}, "glob": {"tools": ["pay.*"]}, "there": {"upstreams": ["git*"]}, "url": {"methods": ["*"]}}
    typed = {"prefixed": {"tools": ["shop.pay.refund"]}, "elsewhere": {"tools": ["pay.*"], "upstreams": ["github"]}}
    prompts = rule("prompts", match={"methods": ["prompts/get"], "tools": ["hello"]})
    policies = bundle(
        *(rule(id, match=match) for id, match in {**fitting, **typed}.items()),
        prompts,
        budgets={"calls": {"count": "calls", "per": "agent", "window": "1m", "match": {"upstreams": ["nowhere"]}}},
    )
    told = list(warn_of_unfit(policies, {"shop": ["pay.refund"], "github": []}))
    assert [warning.split(" fits ")[0] for warning in told] == [
        "warning: rule 'prefixed'",
        "warning: rule 'elsewhere'",
        "warning: budget 'calls'",
    ]


def test_the_judge_is_given_the_bundle_of_its_file() -> None:
    """Two files with two bundles do not mix."""
    seen: list[Bundle] = []

    def watching(call: Call, intent: Intent, facts: Facts) -> Any:
        seen.append(facts.bundle)
        return decide(call, intent, facts)

    other = bundle(rule("z"))
    suites = [
        CaseSuite(source=name, bundle=made, cases=((1, case()),)) for name, made in (("a", POLICIES), ("b", other))
    ]
    check_cases(suites, Judge(classify=Classifier(), decide=watching, thresholds=judge().thresholds))
    assert seen == [POLICIES, other]
