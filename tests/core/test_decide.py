"""The decision ladder, rung by rung: the first one that applies answers, and the last one denies."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.core.agents import Restriction
from gateway.core.approvals import Granted
from gateway.core.call import Call
from gateway.core.decide import decide, is_hidden, refuse
from gateway.core.decision import ApprovalTerms, Effect, Reason, Stop, Thresholds
from gateway.core.facts import Facts
from gateway.core.intent.model import EffectClass, Intent, RiskFactor
from gateway.core.leases import Leased
from gateway.core.pinning import pin_tool
from gateway.core.principal import TrustTier
from gateway.core.remote import Remote
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


FILES_ONLY = Restriction(domains=frozenset({"files"}))


@pytest.mark.parametrize(
    ("declared", "rung"),
    [
        (FILES_ONLY, 8),
        (Restriction(intent_types=frozenset({"files.read"})), 8),
        (Restriction(), 8),
        (Restriction(domains=frozenset({"billing"})), 11),
        (Restriction(intent_types=frozenset({"files.write"})), 11),
        (Restriction(domains=frozenset({"files"}), intent_types=frozenset({"files.write"})), 11),
    ],
)
def test_an_agent_does_what_it_declared_and_nothing_else(declared: Restriction, rung: int) -> None:
    """The contract: a type outside of the declared ones is DENY; empty lists restrict nothing."""
    decision = decide(CALL, INTENT, replace(facts(ALLOW), restriction=declared))
    assert decision.rung == rung
    assert (decision.reason is Reason.AGENT_SCOPE) == (rung == 11)


def test_no_yes_goes_beyond_what_an_agent_declared() -> None:
    """A human approves a call, not another agent."""
    given = replace(facts(ESCALATE), restriction=Restriction(domains=frozenset({"x"})), approval=Granted(id="apr_1"))
    assert decide(CALL, INTENT, given).reason is Reason.AGENT_SCOPE


def yes_to(*rules: str) -> Granted:
    """Return the yes to what these rules made of the call."""
    asked = decide(CALL, INTENT, facts(*rules))
    return Granted(id="apr_1", rules=frozenset((rule.id, rule.digest) for rule in asked.rules))


def test_a_yes_allows_what_escalated() -> None:
    """An approval is a fact of the decision; what allowed the call anyway is told as before."""
    given = replace(facts(ALLOW, ESCALATE), approval=yes_to(ALLOW, ESCALATE))
    decision = decide(CALL, INTENT, given)
    assert (decision.effect, decision.reason, decision.rung) == (Effect.ALLOW, Reason.APPROVED, 12)
    assert (decision.approval, "apr_1" in decision.explanation) == (None, True)
    below = replace(facts(ALLOW, allow_below=40), approval=yes_to(ALLOW, ESCALATE))
    assert decide(CALL, INTENT, below).reason is Reason.APPROVED
    plain = replace(facts(ALLOW), approval=yes_to(ALLOW, ESCALATE))
    assert decide(CALL, INTENT, plain).reason is Reason.POLICY_ALLOW


def test_a_deny_of_today_is_above_a_yes_of_yesterday() -> None:
    """Approval is no bypass: policy, tier and broken conditions deny as ever."""
    yes = yes_to(ESCALATE)
    for rules, caps, reason in (
        ((ESCALATE, DENY), {}, Reason.POLICY_DENY),
        ((ESCALATE,), {"deny_from": 40}, Reason.TIER_DENY),
        ((ESCALATE, BROKEN), {}, Reason.CONDITION_ERROR),
    ):
        assert decide(CALL, INTENT, replace(facts(*rules, **caps), approval=yes)).reason is reason


def test_an_escalating_rule_that_is_new_or_changed_asks_again_and_any_other_change_does_not() -> None:
    """The human has seen why; a new why is a new question."""
    yes = yes_to(ESCALATE)
    changed = ESCALATE.replace("a person", "two persons")
    new = ESCALATE.replace("id: ask", "id: ask-too")
    for rules in ((changed,), (ESCALATE, new)):
        assert decide(CALL, INTENT, replace(facts(*rules), approval=yes)).effect is Effect.ESCALATE
    unrelated = ALLOW.replace("id: yes", "id: elsewhere").replace("[t]", "[z]")
    assert decide(CALL, INTENT, replace(facts(ESCALATE, unrelated), approval=yes)).effect is Effect.ALLOW


@pytest.mark.parametrize(
    "rule",
    [
        "{id: yes, effect: allow, match: {agents: [NAME]}, reason: fine}",
        "{id: yes, effect: allow, match: {tools: [t]}, when: \"agent.id == 'NAME'\", reason: fine}",
    ],
    ids=["match", "condition"],
)
@pytest.mark.parametrize(
    ("tenant", "name", "allowed"),
    [
        ("default", "deployer", True),
        ("acme", "deployer", False),
        ("acme", "acme/deployer", True),
        ("default", "acme/deployer", False),
        ("other", "acme/deployer", False),
    ],
)
def test_a_rule_for_an_agent_is_for_the_agent_of_one_tenant(rule: str, tenant: str, name: str, allowed: bool) -> None:
    """Programs choose their agents' names: one tenant's must not come under the rule for another's."""
    principal = replace(LOCAL, tenant=tenant, agent="deployer")
    given = replace(facts(rule.replace("NAME", name)), principal=principal)
    assert (decide(CALL, INTENT, given).effect is Effect.ALLOW) == allowed
    if "agents" in rule:
        assert is_hidden(CALL, given) != allowed


# --- rung 15 ----------------------------------------------------------------------------------------------------------

ASKS = facts(ALLOW, ESCALATE)
LEASE = Leased(
    id="lse_1", rules=frozenset((rule.id, rule.digest) for rule in decide(CALL, INTENT, ASKS).rules), risk=40, tier=1
)


def test_a_lease_allows_what_escalates_and_nothing_else_changes() -> None:
    """A lease is a fact of the decision: the rules that matched are told all the same."""
    decision = decide(CALL, INTENT, replace(ASKS, lease=LEASE))
    assert (decision.effect, decision.reason, decision.rung) == (Effect.ALLOW, Reason.LEASED, 15)
    assert decision.rules == decide(CALL, INTENT, ASKS).rules
    assert decision.approval is None
    assert LEASE.id in decision.explanation


@pytest.mark.parametrize(
    ("intent", "given", "effect", "reason"),
    [
        (INTENT, facts(ALLOW, ESCALATE, DENY), Effect.DENY, Reason.POLICY_DENY),
        (INTENT, facts(ESCALATE, deny_from=40), Effect.DENY, Reason.TIER_DENY),
        (INTENT, facts(ESCALATE, BROKEN), Effect.DENY, Reason.CONDITION_ERROR),
        (INTENT, facts(DENY.replace("/x", "/y")), Effect.DENY, Reason.NO_RULE),
        (INTENT, facts(ALLOW), Effect.ALLOW, Reason.POLICY_ALLOW),
        (INTENT, facts(ESCALATE.replace("look", "look twice")), Effect.ESCALATE, Reason.POLICY_ESCALATE),
        (replace(INTENT, risk=41), ASKS, Effect.ESCALATE, Reason.POLICY_ESCALATE),
        (
            replace(INTENT, factors=(RiskFactor(code="new", points=0, evidence=""),)),
            ASKS,
            Effect.ESCALATE,
            Reason.POLICY_ESCALATE,
        ),
        (INTENT, replace(ASKS, tier=TrustTier.T0), Effect.ESCALATE, Reason.POLICY_ESCALATE),
    ],
)
def test_a_lease_is_no_bypass(intent: Intent, given: Facts, effect: Effect, reason: Reason) -> None:
    """Today's policy and tier decide; what the human has not seen asks again."""
    decision = decide(CALL, intent, replace(given, lease=LEASE))
    assert (decision.effect, decision.reason) == (effect, reason)


def test_a_lease_covers_what_the_tier_escalates() -> None:
    """Where the tier asks for the human, the risk that was seen is the bound."""
    given = replace(facts(ALLOW, allow_below=40), lease=replace(LEASE, rules=frozenset()))
    assert decide(CALL, INTENT, given).reason is Reason.LEASED
    assert decide(CALL, replace(INTENT, risk=60), given).reason is Reason.TIER_ESCALATE


# --- stopped ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "rung"), [(Reason.SWITCHED_OFF, 13), (Reason.CIRCUIT_OPEN, 14)])
@pytest.mark.parametrize("call", [CALL, replace(CALL, tool=None), replace(CALL, arguments={"path": 7})])
def test_nothing_is_above_a_stop(call: Call, reason: Reason, rung: int) -> None:
    """No rule, no yes, no lease, and not even the question whether there is such a tool."""
    given = replace(facts(ALLOW), stop=Stop(reason=reason, explanation="stopped"), approval=Granted(id="apr_1"))
    decision = decide(call, INTENT, given)
    assert (decision.rung, decision.effect, decision.reason) == (rung, Effect.DENY, reason)
    assert (decision.explanation, decision.rules) == ("stopped", ())


BUDGETS = """
budgets:
  bytes: {sum: size(args.path) + int(args.more), per: agent, window: 1d, match: {tools: [t]}}
  calls: {count: calls, per: agent, window: 1m}
"""


def counting(*rules: str, **more: object) -> Facts:
    given = facts(*rules)
    text = "apiVersion: intended/v1\npolicySet: set\nrules:\n" + "".join(f"  - {rule}\n" for rule in rules) + BUDGETS
    return replace(given, bundle=bundle(text), **more)


COUNTED = replace(CALL, arguments={"path": "/x", "more": 1})


def test_an_allowed_call_says_what_it_adds_to_each_budget() -> None:
    """Ours: what was counted is on record with the decision, so that the sums can be made again."""
    allowed = decide(COUNTED, INTENT, counting(ALLOW))
    assert (allowed.effect, allowed.charges) == (Effect.ALLOW, {"bytes": 3_000_000, "calls": 1})
    escalated = decide(COUNTED, INTENT, counting(ESCALATE))
    assert (escalated.effect, escalated.charges) == (Effect.ESCALATE, {})
    granted = Granted(id="apr_1", rules=frozenset((rule.id, rule.digest) for rule in escalated.rules))
    approved = decide(COUNTED, INTENT, counting(ESCALATE, approval=granted))
    assert (approved.reason, approved.charges) == (Reason.APPROVED, {"bytes": 3_000_000, "calls": 1})
    assert decide(replace(CALL, method="roots/list", tool=None), INTENT, counting(ALLOW)).charges == {}


@pytest.mark.parametrize("rules", [(ALLOW,), (ESCALATE,)])
@pytest.mark.parametrize("arguments", [{"path": "/x"}, {"path": "/x", "more": -3}, {"path": "/x", "more": "?"}])
def test_what_cannot_be_counted_is_denied_and_no_human_is_asked(
    rules: tuple[str, ...], arguments: dict[str, object]
) -> None:
    """Rung 16: a call that runs uncounted, or gives back what others have spent, makes a limit worth nothing."""
    decision = decide(replace(CALL, arguments=arguments), INTENT, counting(*rules))
    assert (decision.effect, decision.reason, decision.rung) == (Effect.DENY, Reason.BUDGET, 16)
    assert "'bytes'" in decision.explanation
    assert decision.charges == {}


def test_a_yes_does_not_make_countable_what_is_not() -> None:
    """Ours: a human says yes to a call, not to its running uncounted."""
    rules = decide(COUNTED, INTENT, counting(ESCALATE)).rules
    granted = Granted(id="apr_1", rules=frozenset((rule.id, rule.digest) for rule in rules))
    assert decide(CALL, INTENT, counting(ESCALATE, approval=granted)).reason is Reason.BUDGET


def test_a_rule_that_forbids_is_told_before_what_cannot_be_counted() -> None:
    """Ours: the operator's own word says more."""
    assert decide(CALL, INTENT, counting(DENY, ALLOW)).reason is Reason.POLICY_DENY


def test_conditions_read_whether_it_is_the_first_use_and_how_often_it_failed() -> None:
    """Ours: both are facts of the decision, and decide alike when it is recomputed from them."""
    first = "{id: first, effect: escalate, match: {tools: [t]}, when: call.first_use, reason: new}"
    failing = "{id: failing, effect: deny, match: {tools: [t]}, when: agent.failures_in_row >= 5, reason: stop}"
    given = facts(ALLOW, first, failing)
    assert decide(CALL, INTENT, given).reason is Reason.POLICY_ALLOW
    assert decide(CALL, INTENT, replace(given, novel=True)).reason is Reason.POLICY_ESCALATE
    assert decide(CALL, INTENT, replace(given, failures_in_row=5)).reason is Reason.POLICY_DENY


THERE_ALLOWS = Remote(effect=Effect.ALLOW, reason=Reason.AUTHORITY_ALLOW, explanation="fine")
THERE_DENIES = Remote(effect=Effect.DENY, reason=Reason.AUTHORITY_DENY, explanation="Not there.")
THERE_ASKS = Remote(effect=Effect.ESCALATE, reason=Reason.AUTHORITY_ESCALATE, explanation="Look.")
THERE_AWAY = Remote(effect=Effect.DENY, reason=Reason.AUTHORITY_UNAVAILABLE, explanation="It is away.")


@pytest.mark.parametrize(
    ("rules", "remote", "rung"),
    [
        ([ALLOW], THERE_ALLOWS, 8),
        ([ALLOW], THERE_AWAY, 17),
        ([ALLOW], THERE_DENIES, 18),
        ([ALLOW], THERE_ASKS, 19),
        ([ESCALATE], THERE_ALLOWS, 7),
        ([ESCALATE], THERE_AWAY, 17),
        ([ESCALATE], THERE_DENIES, 18),
        ([ESCALATE], THERE_ASKS, 7),
        ([DENY], THERE_ALLOWS, 5),
        ([DENY], THERE_AWAY, 5),
        ([DENY], THERE_ASKS, 5),
    ],
)
def test_of_a_remote_authority_s_answer_and_ours_the_stricter_one_counts(
    rules: list[str], remote: Remote, rung: int
) -> None:
    """It takes away and gives nothing; a human is asked here only for what asks for one here."""
    decision = decide(CALL, INTENT, replace(facts(*rules), remote=remote))
    assert decision.rung == rung
    own = decide(CALL, INTENT, facts(*rules))
    strict = list(Effect)
    assert strict.index(decision.effect) == max(strict.index(own.effect), strict.index(remote.effect))
    if rung >= 17:
        assert (decision.reason, decision.explanation, decision.approval) == (remote.reason, remote.explanation, None)
        assert decision.charges == {}
