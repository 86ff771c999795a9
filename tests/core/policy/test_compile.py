"""One bundle or none: what is unsound in any file keeps all of them out."""

import hashlib
from dataclasses import FrozenInstanceError

import pytest

from gateway.core.decision import ApprovalTerms, Effect
from gateway.core.intent.model import EffectClass, Mapping
from gateway.core.intent.risk import RISK_FACTORS
from gateway.core.policy import compile as compiling
from gateway.core.policy.cel import ConditionProblem, Invalid
from gateway.core.policy.compile import compile_bundle, digest_files
from gateway.core.policy.reading import Place, Places, read_document
from gateway.core.principal import TrustTier
from gateway.errors import PolicyError
from tests.core.policy.builders import bundle, document, rule


def refusal(*documents: object, **options: object) -> str:
    with pytest.raises(PolicyError) as caught:
        compile_bundle(documents, **options)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_bundle_holds_the_rules_in_order_of_path_and_text() -> None:
    """The order must not depend on how a folder was listed."""
    first, second = document(rule("a"), rule("b"), path="1.yaml"), document(rule("c"), path="2.yaml")
    compiled = compile_bundle([second, first])
    assert [r.matched.id for r in compiled.rules] == ["a", "b", "c"]
    assert [r.file for r in compiled.rules] == ["1.yaml", "1.yaml", "2.yaml"]
    assert compiled.files == (("1.yaml", "0" * 64), ("2.yaml", "0" * 64))
    assert compiled.policy_sets == ("test",)


def test_the_digest_is_what_sha256sum_prints_digested() -> None:
    """A stranger recomputes it with `sha256sum *.yaml | sha256sum` (promise 6)."""
    lines = b"11  a.yaml\n22  b.yaml\n"
    assert digest_files([("b.yaml", "22"), ("a.yaml", "11")]) == hashlib.sha256(lines).hexdigest()
    assert bundle(rule()).digest == digest_files([("p.yaml", "0" * 64)])


def test_a_compiled_rule_says_everything_that_a_decision_records() -> None:
    """Id, set, effect, reason, duties, terms and the digest of its text go into the audit."""
    compiled = bundle(
        rule(
            "pay",
            "escalate",
            "args.amount > 100",
            reason="Over 100.",
            match={"tools": ["pay"], "tiers": ["T0", "T1"]},
            approval={"role": "finance", "approvers": 2, "expires": "15m"},
        )
    ).rules[0]
    assert compiled.matched.id == "pay"
    assert compiled.matched.policy_set == "test"
    assert compiled.matched.effect is Effect.ESCALATE
    assert compiled.matched.reason == "Over 100."
    assert compiled.matched.approval == ApprovalTerms(role="finance", approvers=2, expires_s=900)
    assert compiled.match.tiers == {TrustTier.T0, TrustTier.T1}
    assert compiled.methods == {"tools/call", "intent"}
    assert len(compiled.matched.digest) == 64


def test_a_changed_rule_has_another_digest_and_an_unchanged_one_the_same() -> None:
    """An approval given under another rule text must be told from it (design, "Approval key")."""
    one, same, other = (bundle(rule("a", reason=r)).rules[0].matched.digest for r in ("x.", "x.", "y."))
    assert one == same != other


def test_a_bundle_cannot_be_changed() -> None:
    """A call is never judged by two versions."""
    with pytest.raises(FrozenInstanceError):
        bundle(rule()).digest = "x"  # type: ignore[misc]


def test_ids_are_unique_across_files() -> None:
    """Two rules of one id could not be told apart in a decision."""
    text = refusal(document(rule("a"), path="1.yaml"), document(rule("a"), path="2.yaml"))
    assert "2.yaml: rules.0.id: there is already a rule 'a' in 1.yaml" in text


def test_budgets_and_mappings_are_unique_too() -> None:
    """Which of two would hold is nobody's guess."""
    budget = {"budgets": {"a": {"count": "calls", "per": "agent", "window": "1d"}}}
    twice = [{"tool": "x", "intent": "files.read"}, {"tool": "x", "intent": "files.write"}]
    text = refusal(document(rule("a"), path="1.yaml", **budget), document(rule("b"), mappings=twice, **budget))
    assert "already a budget 'a'" in text
    assert "already a mapping '*/x'" in text


def test_unknown_intents_and_domains_are_refused_with_the_nearest_known() -> None:
    """A rule for a misspelt type would never apply."""
    text = refusal(
        document(
            rule("a", match={"intents": ["files.raed"], "domains": ["filez"]}),
            mappings=[{"tool": "x", "intent": "nonsense"}],
        )
    )
    assert "rules.0.match.intents.0: 'files.raed' is not a known intent type (did you mean 'files.read'?)" in text
    assert "'filez' is not a known domain (did you mean 'files'?)" in text
    assert "mappings.0.intent: 'nonsense' is not a known intent type" in text


def test_unknown_risk_factors_are_refused_with_the_nearest_known() -> None:
    """A deny rule for a misspelt factor would be a silent hole."""
    misspelt = document(rule("a", match={"factors": ["bulk", "system-pth"]}))
    text = refusal(misspelt)
    assert "rules.0.match.factors.1: 'system-pth' is not a known risk factor (did you mean 'system-path'?)" in text
    assert "fix: use the code of a risk factor" in text
    assert compile_bundle([misspelt], risk_factors={"bulk", "system-pth"}).rules[0].match.factors == {
        "bulk",
        "system-pth",
    }


@pytest.mark.parametrize("code", RISK_FACTORS)
def test_every_risk_factor_can_be_named(code: str) -> None:
    """What a decision shows, a rule can ask for."""
    assert bundle(rule(match={"factors": [code]})).rules[0].match.factors == {code}


def test_every_effect_class_can_be_named() -> None:
    """What a decision shows, a rule can ask for."""
    names = [effect.value for effect in EffectClass]
    assert bundle(rule(match={"effects": names})).rules[0].match.effects == set(names)


def test_mappings_are_kept_for_the_classifier() -> None:
    """An operator's word that a tool is of an intent type."""
    compiled = bundle(rule(), mappings=[{"tool": "x", "intent": "files.read", "upstream": "u", "pin": "a" * 64}])
    assert compiled.mappings == (Mapping(upstream="u", tool="x", intent="files.read", pin="a" * 64),)
    assert bundle(rule(), mappings=[{"tool": "x", "intent": "files.read"}]).mappings[0].pin == ""


def test_a_duty_that_nobody_performs_is_refused() -> None:
    """An obligation that is accepted and ignored would be a permission without its condition."""
    duty = rule("a", obligations=["redact-results"])
    assert "nobody performs the obligation 'redact-results'" in refusal(document(duty))
    hint = refusal(document(duty), obligations=["redact-result"])
    assert "did you mean 'redact-result'?" in hint
    assert "redact-result)" in hint
    compiled = compile_bundle([document(duty)], obligations=["redact-results"])
    assert compiled.rules[0].matched.obligations == ("redact-results",)


def test_budgets_are_declared_to_conditions_and_handed_on() -> None:
    """`budget.NAME` is a sum, `count.NAME` a count; a condition on an undeclared one fails at load."""
    compiled = bundle(
        rule("a", "deny", "budget.refunds + double(args.amount) > 100.0 || count.mails >= 3"),
        budgets={
            "refunds": {"sum": "args.amount", "per": "agent", "window": "1d", "match": {"tools": ["refund"]}},
            "mails": {"count": "calls", "per": "tenant", "window": "1h"},
        },
    )
    refunds, mails = compiled.budgets
    assert (refunds.name, refunds.per, refunds.window_s, refunds.methods) == (
        "refunds",
        "agent",
        86_400,
        {"tools/call", "intent"},
    )
    assert refunds.amount is not None
    assert refunds.match.tools is not None
    assert (mails.name, mails.amount, mails.per, mails.window_s) == ("mails", None, "tenant", 3600)
    assert "undeclared reference to 'budget.other'" in refusal(document(rule(when="budget.other > 1.0")))
    declared = {"budgets": {"mails": {"count": "calls", "per": "agent", "window": "1d"}}}
    for wrong_name in ("count.mail", "budget.mails"):
        assert "did you mean 'count.mails'?" in refusal(document(rule(when=f"{wrong_name} > 1"), **declared))
    wrong = {"budgets": {"a": {"sum": "call.tool", "per": "agent", "window": "1d"}}}
    assert "budgets.a.sum: a budget sums numbers" in refusal(document(rule(), **wrong))


def test_session_facts_are_declared_by_who_gathers_them() -> None:
    """A fact that nobody gathers fails at load, not when a call comes."""
    guarded = document(rule("a", "deny", "session.read_private"))
    assert "undeclared reference to 'session.read_private'" in refusal(guarded)
    assert compile_bundle([guarded], session_facts={"read_private": "bool"}).rules


def test_a_condition_is_refused_at_its_line_and_column_in_the_file() -> None:
    """`policy.yaml:6:13: rules.1.when: …`, also inside of a block of text."""
    data = {"apiVersion": "intended/v1", "policySet": "x", "rules": [rule(when="true &&\nagent.teir < 3")]}
    places = Places(values={("rules", 0, "when"): Place(line=6, column=11, text_line=7, text_column=9)})
    text = refusal(read_document("p.yaml", "", data, places))
    assert text.startswith("p.yaml:8:14: rules.0.when: undeclared reference to 'agent.teir'")
    whole = {**data, "rules": [rule(when="risk")]}
    assert refusal(read_document("p.yaml", "", whole, places)).startswith("p.yaml:6:11: rules.0.when: a condition must")


def test_every_problem_of_all_files_is_told_at_once() -> None:
    """There is no bundle of the parts that are sound."""
    with pytest.raises(PolicyError) as caught:
        compile_bundle([document(rule("a", when="x"), path="1"), document(rule("b", when="y"), path="2")])
    assert len(caught.value.problems) == 2


def test_no_files_are_no_policy() -> None:
    """Nothing to deny with is not permission to run."""
    assert "there is no policy file" in refusal()


def test_an_engine_that_misbehaves_stops_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary comes before any rule is trusted to it."""

    def sick() -> None:
        raise Invalid(ConditionProblem(message="misjudges"))

    monkeypatch.setattr(compiling, "canary", sick)
    assert "policy engine: misjudges" in refusal(document(rule()))


def test_warnings_of_files_and_of_the_reader_are_kept() -> None:
    """allow-all warns loudly wherever it comes into force."""
    compiled = compile_bundle([document(rule(), warning="Careful.")], warnings=["below/: not read"])
    assert compiled.warnings == ("p.yaml: Careful.", "below/: not read")


def test_a_budget_is_nothing_to_warn_about() -> None:
    """A warning that stands for ever is read by nobody."""
    kept = {"count": "calls", "per": "agent", "window": "1d"}
    loaded = document(rule("a"), path="1.yaml", warning="Careful.", budgets={"calls": kept})
    assert compile_bundle([loaded]).warnings == ("1.yaml: Careful.",)


def test_a_sum_over_calls_of_every_kind_is_warned_about() -> None:
    """An operator must not learn from denied calls that hardly any has the argument."""
    amount = {"sum": "args.amount", "per": "agent", "window": "1d"}
    budgets = {
        "all": amount,
        "some": {**amount, "match": {"tools": ["pay"]}},
        "judged": {**amount, "match": {"effects": ["payment"]}},
        "guarded": {**amount, "sum": "has(args.amount) ? double(args.amount) : 0.0"},
        "fixed": {**amount, "sum": "double(risk)"},
    }
    assert bundle(rule(), budgets=budgets).warnings == (
        "p.yaml: budget 'all' adds up an argument of every call, so that calls without it are denied;"
        " name the tools that have it in its `match`",
    )


def test_a_bundle_knows_whether_anybody_asks_for_the_first_use() -> None:
    """Only then must a first allowed call be the only first one."""
    assert bundle(rule("a", when="!call.first_use"), rule("b")).asks_first_use
    assert not bundle(rule("a", when="call.tool == 'x'"), rule("b")).asks_first_use


def test_the_index_narrows_by_plain_names_and_keeps_the_order() -> None:
    """Only rules that can apply are evaluated; none that can is lost."""
    compiled = bundle(
        rule("all"),
        rule("x", match={"tools": ["x"]}),
        rule("glob", match={"tools": ["x*", "y"]}),
        rule("two", match={"tools": ["x", "z"]}),
        rule("prompts", match={"methods": ["prompts/get"]}),
        rule("every", match={"methods": ["*"]}),
    )

    def ids(method: str, name: str) -> list[str]:
        return [r.matched.id for r in compiled.index[method].candidates(name)]

    assert ids("tools/call", "x") == ["all", "x", "glob", "two", "every"]
    assert ids("tools/call", "z") == ["all", "glob", "two", "every"]
    assert ids("tools/call", "other") == ["all", "glob", "every"]
    assert ids("prompts/get", "x") == ["prompts", "every"]
    assert ids("roots/list", "") == ["every"]


def test_the_index_narrows_by_effect_and_keeps_the_order() -> None:
    """A read is not asked about rules for payments; before the effect is known, every rule is a candidate."""
    compiled = bundle(
        rule("reads", match={"effects": ["read"]}),
        rule("x", match={"tools": ["x"]}),
        rule("all"),
        rule("pay-x", match={"tools": ["x"], "effects": ["payment", "send"]}),
    )
    index = compiled.index["tools/call"]

    def ids(effect: str, name: str) -> list[str]:
        return [r.matched.id for r in index.judged(effect).candidates(name)]

    assert ids("read", "x") == ["reads", "x", "all"]
    assert ids("read", "other") == ["reads", "all"]
    assert ids("payment", "x") == ["x", "all", "pay-x"]
    assert ids("write", "x") == ["x", "all"]
    assert [r.matched.id for r in index.candidates("x")] == ["reads", "x", "all", "pay-x"]
    assert index.judged("write") is index.judged("execute")
