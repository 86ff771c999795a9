"""What a bundle says of a call: no applicable rule is skipped, and no error is an answer."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from gateway.core.call import PinnedTool
from gateway.core.decision import Effect
from gateway.core.intent.model import EffectClass
from gateway.core.policy.cel import Engine
from gateway.core.policy.evaluate import PLANS_KEPT, could_pass, evaluate, plan
from gateway.core.policy.model import Evaluation, PolicyInput
from gateway.core.principal import TrustTier
from tests.core.policy.builders import bundle, given, rule


def held(evaluation: Evaluation) -> list[str]:
    return [matched.id for matched in evaluation.matched]


def test_rules_that_apply_and_hold_are_matched_in_order_and_every_outcome_is_kept() -> None:
    """A verdict can be recomputed from the outcomes where the arguments are gone."""
    policies = bundle(
        rule("a", when="args.n > 1"),
        rule("b", "deny", "args.n > 5"),
        rule("c", "escalate"),
        rule("d", match={"tools": ["other"]}),
    )
    evaluation = evaluate(policies, given({"n": 3}))
    assert held(evaluation) == ["a", "c"]
    assert evaluation.failed == ()
    assert evaluation.conditions == {"a": "true", "b": "false", "c": "true"}


@pytest.mark.parametrize("effect", ["allow", "escalate", "deny"])
def test_a_rule_that_errs_fails_whatever_its_effect(effect: str) -> None:
    """A deny rule on a missing argument must not silently stay quiet (promise 2)."""
    evaluation = evaluate(bundle(rule("ok"), rule("bad", effect, "args.missing > 1")), given())
    assert held(evaluation) == ["ok"]
    assert [(failed.id, failed.policy_set) for failed in evaluation.failed] == [("bad", "test")]
    assert "missing" in evaluation.failed[0].message
    assert evaluation.conditions == {"ok": "true", "bad": "error"}


def test_nul_fails_every_conditional_rule_that_looks_at_arguments() -> None:
    """The engine would cut the text; the wire guard refuses it before, this is the second net."""
    policies = bundle(rule("a", when="args.c == 'rm'"), rule("b", "deny", "has(args.c) && risk > 99"), rule("c"))
    evaluation = evaluate(policies, given({"c": "rm\0 -rf /"}))
    assert held(evaluation) == ["c"]
    assert [failed.id for failed in evaluation.failed] == ["a", "b"]


def test_rules_without_conditions_need_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hot path: nothing is converted for rules that read nothing."""
    policies = bundle(rule("a"), rule("b", when="risk > 1", match={"tools": ["other"]}))

    def untouchable(*_: object) -> None:
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(Engine, "activation", untouchable)
    assert held(evaluate(policies, given())) == ["a"]


def test_values_are_prepared_once_for_all_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converting a megabyte costs 2 ms; it is done once a call, for what the rules read."""
    policies = bundle(rule("a", when="args.n > 1"), rule("b", when="risk > 1"))
    calls: list[int] = []
    real = Engine.activation

    def counted(self: Engine, values: Any, reads: int) -> Any:
        calls.append(reads)
        return real(self, values, reads)

    monkeypatch.setattr(Engine, "activation", counted)
    evaluate(policies, given({"n": 2}))
    conditions = [r.condition for r in policies.rules if r.condition]
    assert calls == [conditions[0].reads | conditions[1].reads]


def test_intents_domains_and_static_keys_decide_what_applies() -> None:
    """All keys of a match must hold."""
    policies = bundle(
        rule("intent", match={"intents": ["files.read"]}),
        rule("domain", match={"domains": ["files"]}),
        rule("other", match={"domains": ["files"], "intents": ["files.write"]}),
        rule("tier", match={"tiers": ["T4"]}),
    )
    assert held(evaluate(policies, given())) == ["intent", "domain"]
    assert held(evaluate(policies, given(tier=TrustTier.T4, type="mcp.complete"))) == ["tier"]


def test_effects_and_factors_decide_what_applies_without_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The common tests are plain matching: nothing can err in them, and a rule that does not fit has no outcome."""
    policies = bundle(
        rule("reads", match={"effects": ["read", "write"]}),
        rule("paths", "deny", match={"factors": ["system-path", "path-traversal"]}),
        rule("both", "escalate", match={"effects": ["send"], "factors": ["bulk"]}),
        rule("conditional", "deny", "intent.effect == 'send'", match={"factors": ["bulk"]}),
    )
    assert evaluate(policies, given(effect=EffectClass.SEND, factors=("novel", "bulk"))).conditions == {
        "both": "true",
        "conditional": "true",
    }

    def untouchable(*_: object) -> None:
        raise AssertionError("the engine was asked")

    monkeypatch.setattr(Engine, "activation", untouchable)
    assert evaluate(policies, given(factors=("novel", "path-traversal"))).conditions == {
        "reads": "true",
        "paths": "true",
    }
    assert evaluate(policies, given(effect=EffectClass.WRITE)).conditions == {"reads": "true"}
    assert evaluate(policies, given(effect=EffectClass.SEND)).conditions == {}


MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.sampled_from([["t"], ["o", "t"], ["t*"], ["o*"]]),
        "effects": st.sampled_from([["read"], ["read", "send"], ["send"]]),
        "factors": st.sampled_from([["bulk"], ["bulk", "novel"], ["novel"]]),
        "domains": st.sampled_from([["files"], ["mcp"]]),
    },
)


@settings(max_examples=150, deadline=None)
@forall(
    st.lists(MATCHES, min_size=1, max_size=6),
    st.sampled_from(["t", "o", "x"]),
    st.sampled_from([EffectClass.READ, EffectClass.SEND, EffectClass.WRITE]),
    st.sets(st.sampled_from(["bulk", "novel"])),
)
def test_the_index_loses_no_rule_and_adds_none(
    matches: list[dict[str, Any]], name: str, effect: EffectClass, factors: set[str]
) -> None:
    """Asking every rule's own match, in order, gives the same."""
    policies = bundle(*(rule(f"r{number}", match=match) for number, match in enumerate(matches)))
    evaluation = evaluate(policies, given(name=name, effect=effect, factors=tuple(factors)))
    assert held(evaluation) == [
        each.matched.id
        for each in policies.rules
        if (each.match.tools is None or each.match.tools.match(name))
        and each.match.fits_intent("files.read", "files", effect.value, factors)
    ]


def test_a_method_that_nobody_knows_matches_nothing() -> None:
    """What no rule allows is denied."""
    assert evaluate(bundle(rule("a", match={"methods": ["*"]})), given(method="tasks/get")) == Evaluation(
        matched=(), failed=(), conditions={}
    )


def test_a_bundle_without_an_engine_fails_its_conditions() -> None:
    """A bundle that was put together by hand must not evaluate to anything by accident."""
    policies = replace(bundle(rule("a", when="args.n > 1")), engine=None)
    evaluation = evaluate(policies, given({"n": 2}))
    assert held(evaluation) == []
    assert [failed.id for failed in evaluation.failed] == ["a"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
POLICIES = bundle(
    rule("path", when="args.path.startsWith('/w/') && !args.path.contains('..')"),
    rule("money", "deny", "args.amount > 1000.0"),
    rule("list", "escalate", "args.to.exists(r, r.endsWith('@evil.test'))"),
    rule("deep", "deny", "has(args.a) && args.a.b == null"),
)


@settings(max_examples=300, deadline=None)
@forall(st.dictionaries(st.sampled_from(["path", "amount", "to", "a", "x"]), JSON, max_size=4))
def test_whatever_the_arguments_every_applicable_rule_has_exactly_one_outcome(arguments: dict[str, Any]) -> None:
    """Never an exception, never a rule that is lost, never a match that is not Python's True."""
    evaluation = evaluate(POLICIES, given(arguments))
    assert set(evaluation.conditions) == {"path", "money", "list", "deep"}
    true = {rule_id for rule_id, outcome in evaluation.conditions.items() if outcome == "true"}
    failed = {rule_id for rule_id, outcome in evaluation.conditions.items() if outcome == "error"}
    assert true == set(held(evaluation))
    assert failed == {each.id for each in evaluation.failed}
    if "path" in true:
        assert isinstance(arguments["path"], str)
        assert arguments["path"].startswith("/w/")
        assert "\0" not in arguments["path"]


# --- what may be hidden -----------------------------------------------------------------------------------------------


def passes(*rules: dict[str, Any], **call: Any) -> bool:
    static = {"method": "tools/call", "upstream": "u", "name": "t", "uri": "", "agent": "a", "tier": TrustTier.T0}
    return could_pass(bundle(*rules), **{**static, **call})


@pytest.mark.parametrize(
    ("rules", "call", "expected"),
    [
        ([rule("a")], {}, True),
        ([rule("a", "escalate")], {}, True),
        ([rule("a", when="false")], {}, True),
        ([rule("a", match={"intents": ["files.read"]})], {}, True),
        ([rule("a", match={"domains": ["files"]})], {}, True),
        ([rule("a", "deny")], {}, False),
        ([rule("a"), rule("b", "deny")], {}, False),
        ([rule("a"), rule("b", "deny", "risk > 0")], {}, True),
        ([rule("a"), rule("b", "deny", match={"domains": ["files"]})], {}, True),
        ([rule("a", match={"effects": ["read"]})], {}, True),
        ([rule("a", match={"factors": ["bulk"]})], {}, True),
        ([rule("a"), rule("b", "deny", match={"effects": ["read"]})], {}, True),
        ([rule("a"), rule("b", "deny", match={"factors": ["bulk"]})], {}, True),
        ([rule("a", match={"effects": ["read"]}), rule("b", "deny")], {}, False),
        ([rule("a"), rule("b", "deny", match={"tiers": ["T4"]})], {}, True),
        ([rule("a"), rule("b", "deny", match={"tiers": ["T4"]})], {"tier": TrustTier.T4}, False),
        ([rule("a", match={"tools": ["other"]})], {}, False),
        ([rule("a", match={"upstreams": ["other"]})], {}, False),
        ([rule("a", match={"agents": ["other"]})], {}, False),
        ([rule("a")], {"method": "prompts/get"}, False),
        ([rule("a")], {"method": "tasks/get"}, False),
        (
            [rule("a", match={"methods": ["resources/read"], "uris": ["x:*"]})],
            {"method": "resources/read", "uri": "x:1"},
            True,
        ),
        (
            [rule("a", match={"methods": ["resources/read"], "uris": ["x:*"]})],
            {"method": "resources/read", "uri": "y:1"},
            False,
        ),
    ],
)
def test_a_tool_is_hidden_only_if_every_outcome_is_deny(
    rules: list[dict[str, Any]], call: dict[str, Any], expected: bool
) -> None:
    """Lists show what the principal could be allowed, and nothing that no arguments could make pass."""
    assert passes(*rules, **call) is expected


SOME = {"methods": ["resources/read"], "uris": ["x:*"]}
ANY = {"methods": ["resources/read"]}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule("a", match=SOME)], True),
        ([rule("a", "escalate", match=SOME)], True),
        ([rule("a", match=ANY), rule("b", "deny", match=SOME)], True),
        ([rule("a", match=ANY), rule("b", "deny", match=ANY)], False),
        ([rule("b", "deny", match=SOME)], False),
        ([rule("a", match={**SOME, "upstreams": ["other"]})], False),
    ],
)
def test_what_stands_for_many_uris_is_hidden_only_if_all_of_them_are(
    rules: list[dict[str, Any]], expected: bool
) -> None:
    """A resource template is no URI yet: a rule about some URIs neither hides it nor is one that could not apply."""
    assert passes(*rules, method="resources/read", name="", uri=None) is expected


RULES = st.lists(
    st.builds(
        lambda effect, when, match: {"effect": effect, **({"when": when} if when else {}), "match": match},
        st.sampled_from(["allow", "escalate", "deny"]),
        st.sampled_from([None, "risk > 50", "args.n == 1"]),
        st.fixed_dictionaries(
            {},
            optional={
                "tools": st.sampled_from([["t"], ["o"], ["t*"]]),
                "tiers": st.sampled_from([["T0"], ["T4"]]),
                "domains": st.sampled_from([["files"], ["mcp"]]),
                "effects": st.sampled_from([["read"], ["send"]]),
                "factors": st.sampled_from([["bulk"], ["novel"]]),
            },
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@forall(RULES, st.sampled_from([0, 100]), st.sampled_from([{}, {"n": 1}]))
def test_what_is_hidden_is_never_allowed_nor_escalated(
    rules: list[dict[str, Any]], risk: int, args: dict[str, int]
) -> None:
    """Hiding a tool that could be called would break a promise; so would the other way round for its refusal."""
    policies = bundle(*({"id": f"r{number}", **each} for number, each in enumerate(rules)))
    seen = could_pass(
        policies, method="tools/call", upstream="default", name="t", uri="", agent="local", tier=TrustTier.T0
    )
    evaluation = evaluate(policies, given(args, name="t", risk=risk, factors=("bulk",)))
    effects = {matched.effect for matched in evaluation.matched}
    possible = bool(effects) and Effect.DENY not in effects and not evaluation.failed
    assert seen or not possible


def of_tool(one: PolicyInput) -> PolicyInput:
    """The same, of a pinned tool: only of these a bundle remembers what applies."""
    tool = PinnedTool(upstream=one.call.upstream, name=one.call.name, pin="", definition={})
    return replace(one, call=replace(one.call, tool=tool))


ASKED = st.builds(
    given,
    st.sampled_from([{}, {"n": 1}]),
    name=st.sampled_from(["t", "o"]),
    upstream=st.sampled_from(["default", "other"]),
    agent=st.sampled_from(["local", "worker"]),
    tier=st.sampled_from([TrustTier.T0, TrustTier.T4]),
    type=st.sampled_from(["files.read", "mcp.complete"]),
    effect=st.sampled_from([EffectClass.READ, EffectClass.SEND]),
    risk=st.sampled_from([0, 100]),
    factors=st.sampled_from([(), ("bulk",), ("bulk", "novel")]),
)


@settings(max_examples=100, deadline=None)
@forall(RULES, st.lists(ASKED, min_size=2, max_size=12))
def test_what_a_bundle_remembers_of_one_call_never_answers_another(
    rules: list[dict[str, Any]], asked: list[PolicyInput]
) -> None:
    """Ours: a bundle that has seen other calls before says of each what a fresh one says."""
    policies = bundle(*({"id": f"r{number}", **each} for number, each in enumerate(rules)))
    for one in asked:
        assert evaluate(policies, of_tool(one)) == evaluate(policies, one)
        assert evaluate(policies, of_tool(one)) == evaluate(policies, one)


def test_what_a_bundle_remembers_is_bounded_and_no_part_of_its_value() -> None:
    """Ours: agents and tools come and go for as long as a bundle is in force."""
    policies = bundle(rule("a"))
    for number in range(PLANS_KEPT + 10):
        evaluate(policies, of_tool(given(agent=f"agent-{number}")))
    assert 0 < len(policies.plans) <= PLANS_KEPT
    assert replace(policies) == policies
    assert replace(policies).plans == {}


def test_a_plan_names_the_budgets_that_count_a_call_and_those_that_its_rules_read() -> None:
    """A call waits for, and rests on, no budget that has nothing to do with it."""
    counted = {"count": "calls", "per": "agent", "window": "1h"}
    policies = bundle(
        rule("a", when="count.mails < 3", match={"tools": ["read"]}),
        rule("b", match={"tools": ["mail", "pay", "other"]}),
        budgets={
            "mails": {**counted, "match": {"tools": ["mail"]}},
            "spent": {"sum": "args.n + int(budget.more)", "per": "agent", "window": "1h", "match": {"tools": ["pay"]}},
            "more": {"sum": "args.n", "per": "agent", "window": "1h", "match": {"tools": ["more"]}},
            "risky": {**counted, "match": {"factors": ["bulk"]}},
            "mine": {**counted, "match": {"agents": ["somebody"]}},
            "prompts": {**counted, "match": {"methods": ["prompts/get"]}},
        },
    )

    def named(**more: object) -> tuple[list[str], list[str]]:
        asked = given(**more)  # type: ignore[arg-type]
        planned = plan(policies, asked.call, asked.intent, asked.principal, asked.tier)
        return [one.name for one in planned.charged], [one.name for one in planned.read]

    assert named(name="read") == ([], ["mails"])
    assert named(name="mail") == (["mails"], ["mails"])
    assert named(name="pay") == (["spent"], ["spent", "more"])
    assert named(name="other", factors=("bulk",)) == (["risky"], ["risky"])
    assert named(name="other") == ([], [])
