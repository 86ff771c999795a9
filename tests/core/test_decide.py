"""The decision ladder, rung by rung: the first one that applies answers, and the last one denies."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.core.call import Call
from gateway.core.decide import decide, is_hidden, refuse
from gateway.core.decision import ApprovalTerms, Effect, Reason, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.model import EffectClass, Intent
from gateway.core.pinning import pin_tool
from gateway.core.principal import TrustTier
from tests.simulate.world import LOCAL, bundle

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOL = pin_tool("u", {"name": "t", "inputSchema": SCHEMA})
CALL = Call(
    method="tools/call", upstream="u", name="t", uri="", arguments={"path": "/x"}, arguments_digest="", tool=TOOL
)
INTENT = Intent(
    type="files.read",
    domain="files",
    effect_class=EffectClass.READ,
    confidence=0.9,
    evidence=(),
    risk=40,
    factors=(),
)
ALLOW = "{id: yes, effect: allow, match: {tools: [t]}, reason: fine}"
ESCALATE = "{id: ask, effect: escalate, match: {tools: [t]}, reason: a person should look}"
DENY = "{id: no, effect: deny, match: {tools: [t]}, when: \"args.path.startsWith('/x')\", reason: never}"
BROKEN = "{id: broken, effect: allow, match: {tools: [t]}, when: \"args.nothing == 'x'\", reason: odd}"


def facts(*rules: str, allow_below: int = 101, deny_from: int = 101) -> Facts:
    text = "apiVersion: intended/v1\npolicySet: set\nrules:\n" + "".join(f"  - {rule}\n" for rule in rules)
    return Facts(
        principal=LOCAL,
        tier=TrustTier.T1,
        score=25,
        thresholds=Thresholds(allow_below=allow_below, deny_from=deny_from),
        bundle=bundle(text),
        now=datetime(2026, 11, 22, tzinfo=UTC),
        novel=False,
    )


RUNGS = [
    (1, replace(CALL, tool=None), facts(ALLOW), Effect.DENY, Reason.UNKNOWN_TOOL),
    (2, replace(CALL, tool=pin_tool("u", {"name": "t"})), facts(ALLOW), Effect.DENY, Reason.SCHEMA_UNUSABLE),
    (3, replace(CALL, arguments={"path": 7}), facts(ALLOW), Effect.DENY, Reason.SCHEMA),
    (4, CALL, facts(ALLOW, BROKEN), Effect.DENY, Reason.CONDITION_ERROR),
    (4, CALL, facts(DENY, BROKEN), Effect.DENY, Reason.CONDITION_ERROR),
    (5, CALL, facts(ALLOW, ESCALATE, DENY), Effect.DENY, Reason.POLICY_DENY),
    (6, CALL, facts(ALLOW, deny_from=40), Effect.DENY, Reason.TIER_DENY),
    (6, CALL, facts(ESCALATE, deny_from=40), Effect.DENY, Reason.TIER_DENY),
    (7, CALL, facts(ALLOW, ESCALATE), Effect.ESCALATE, Reason.POLICY_ESCALATE),
    (7, CALL, facts(ESCALATE, allow_below=0), Effect.ESCALATE, Reason.POLICY_ESCALATE),
    (8, CALL, facts(ALLOW, allow_below=41), Effect.ALLOW, Reason.POLICY_ALLOW),
    (9, CALL, facts(ALLOW, allow_below=40), Effect.ESCALATE, Reason.TIER_ESCALATE),
    (10, CALL, facts("{id: other, effect: allow, match: {tools: [z]}, reason: z}"), Effect.DENY, Reason.NO_RULE),
    (10, CALL, facts(DENY.replace("/x", "/y")), Effect.DENY, Reason.NO_RULE),
]


@pytest.mark.parametrize(("rung", "call", "given", "effect", "reason"), RUNGS)
def test_each_rung_answers_in_its_turn(rung: int, call: Call, given: Facts, effect: Effect, reason: Reason) -> None:
    """Deny overrides escalate, escalate overrides allow, and an error in any applicable rule denies."""
    decision = decide(call, INTENT, given)
    assert (decision.rung, decision.effect, decision.reason) == (rung, effect, reason)
    assert decision.policy_digest == given.bundle.digest
    assert "/x" not in decision.explanation


def test_a_decision_names_its_rule_first_and_lists_the_others() -> None:
    """`trace.policySet` and `triggeredRules` come from here."""
    decision = decide(CALL, INTENT, facts(ALLOW, ESCALATE, DENY))
    assert [rule.id for rule in decision.rules] == ["no", "ask", "yes"]
    assert decision.policy_set == "set"
    assert decision.explanation == "Rule 'no' of policy 'set' forbids this call: never"
    assert decision.conditions == {"yes": "true", "ask": "true", "no": "true"}


def test_a_method_without_tools_is_decided_by_rules_alone() -> None:
    """Resources and prompts have no pinned definition."""
    given = facts("{id: r, effect: allow, match: {methods: [resources/read], uris: ['x://*']}, reason: r}")
    call = Call(method="resources/read", upstream="u", name="", uri="x://1", arguments={}, arguments_digest="")
    assert decide(call, INTENT, given).effect is Effect.ALLOW
    assert decide(replace(call, uri="y://1"), INTENT, given).effect is Effect.DENY


def test_an_escalation_without_terms_has_the_default_ones() -> None:
    """There always is somebody to ask, and an end."""
    assert decide(CALL, INTENT, facts(ESCALATE)).approval == ApprovalTerms()
    assert decide(CALL, INTENT, facts(ALLOW)).approval is None


def test_several_escalating_rules_ask_for_the_strictest_terms() -> None:
    """Most approvers, soonest expiry."""
    two = "{id: a, effect: escalate, match: {tools: [t]}, reason: a, approval: {approvers: 2, expires: 2h}}"
    quick = "{id: b, effect: escalate, match: {tools: [t]}, reason: b, approval: {role: admin, expires: 10m}}"
    terms = decide(CALL, INTENT, facts(two, quick)).approval
    assert terms is not None
    assert (terms.approvers, terms.expires_s) == (2, 600)


def test_an_explanation_without_a_reason_still_names_the_rule() -> None:
    """The agent must be told what refused it."""
    rule = decide(CALL, INTENT, facts(DENY)).rules[0]
    assert rule.reason == "never"


def test_a_refusal_outside_the_ladder_is_rung_zero() -> None:
    """Busy, contention and the like rest on no rule."""
    decision = refuse(facts(ALLOW), Reason.BUSY, "busy")
    assert (decision.rung, decision.effect, decision.rules) == (0, Effect.DENY, ())


@pytest.mark.parametrize(
    ("call", "given", "hidden"),
    [
        (CALL, facts(ALLOW), False),
        (CALL, facts(ESCALATE), False),
        (CALL, facts(DENY, ALLOW), False),
        (CALL, facts("{id: z, effect: allow, match: {tools: [z]}, reason: z}"), True),
        (CALL, facts("{id: n, effect: deny, match: {tools: [t]}, reason: n}", ALLOW), True),
        (replace(CALL, tool=pin_tool("u", {"name": "t"})), facts(ALLOW), True),
    ],
)
def test_only_what_can_never_be_had_is_hidden(call: Call, given: Facts, hidden: bool) -> None:
    """A list shows what a principal could be allowed, whatever the arguments."""
    assert is_hidden(call, given) is hidden


def test_a_rule_about_some_uris_does_not_hide_what_stands_for_any() -> None:
    """A template, or elicitation as such, is judged before its URI is known."""
    template = Call(method="resources/read", upstream="u", name="", uri="", arguments={}, arguments_digest="")
    some = facts("{id: s, effect: allow, match: {methods: [resources/read], uris: ['notes://*']}, reason: s}")
    assert (is_hidden(template, some), is_hidden(template, some, any_uri=True)) == (True, False)


def test_an_evaluation_that_stands_for_many_calls_is_judged_for_each_of_them() -> None:
    """Ours: what the ladder remembers must not outlive a change of risk or of what a tier may do."""
    given = facts(ALLOW, allow_below=41)
    stricter = replace(given, thresholds=Thresholds(allow_below=40, deny_from=101))
    higher = replace(stricter, tier=TrustTier.T2)
    for _ in range(2):
        assert decide(CALL, INTENT, given).effect is Effect.ALLOW
        assert decide(CALL, INTENT, stricter).effect is Effect.ESCALATE
        assert "tier T1" in decide(CALL, INTENT, stricter).explanation
        assert "tier T2" in decide(CALL, INTENT, higher).explanation
        assert decide(CALL, replace(INTENT, risk=41), given).effect is Effect.ESCALATE
