"""A lease allows calls of its shape, so many and so long; everything else asks a human, and nothing else runs."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Reason, Thresholds
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.lease_rows import uses_key
from gateway.core.leases import Check, Constraint
from gateway.core.principal import Principal, TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.services.audit_query import decisions
from gateway.services.lease_terms import LeaseTerms
from gateway.services.recompute import recompute
from gateway.services.trusted import Given
from tests.services.leasing import ASK, PAY, call, ended, granted, ran, reasons, runs, used, world
from tests.simulate.world import LOCAL, World

# --- what a lease allows ----------------------------------------------------------------------------------------------


async def test_calls_of_the_shape_run_without_asking_until_the_uses_are_over() -> None:
    """A human said yes to so many; the approved call has its own yes and is not counted."""
    made = world()
    lease = await granted(made)
    assert [ran(await call(made, amount)) for amount in (1, 500, 5)] == [True, True, True]
    assert await used(made, lease) == 3
    assert reasons(made) == ["policy-escalate", "approved", "leased", "leased", "leased"]
    assert (await call(made, 7))["outcome"] == "pending"
    assert runs(made) == 4
    assert ended(made) == [("used-up",)]


async def test_each_use_is_an_entry_that_names_the_lease() -> None:
    """Whoever reads the audit sees under whose yes a call ran."""
    made = world()
    lease = await granted(made)
    await call(made, 7)
    body = made.bodies(EntryType.CALL_DECIDED)[-1]
    assert body["facts"]["lease"]["id"] == lease
    assert (body["decision"]["reason"], body["decision"]["rung"]) == ("leased", 15)
    assert "approval" not in body["facts"]
    entry = made.entries(EntryType.CALL_DECIDED)[-1]
    assert (entry.effect, entry.opens, [one.key for one in entry.counts]) == ("ALLOW", True, [uses_key(lease)])
    assert len(made.entries(EntryType.CALL_COMPLETED)) == 2


@pytest.mark.parametrize(
    "params",
    [
        {"arguments": {"amount": 501, "to": "ACME"}},
        {"arguments": {"amount": True, "to": "ACME"}},
        {"arguments": {"amount": 5, "to": "EVIL"}},
        {"arguments": {"amount": 5}},
        {"arguments": {"amount": 5, "to": "ACME", "cc": "EVIL"}},
        {"name": "shop__pay", "arguments": {"amount": 5, "to": "ACME"}},
        {"inputResponses": {"q": {"action": "accept", "content": {"x": 1}}}},
    ],
)
async def test_what_is_not_of_the_shape_asks_and_does_not_run(params: JsonObject) -> None:
    """The shape is closed, and one tool's of one upstream; answers to questions are nothing that a human has seen."""
    made = world()
    lease = await granted(made)
    assert (await call(made, params=params))["outcome"] == "pending"
    assert (runs(made), await used(made, lease)) == (1, 0)


@pytest.mark.parametrize(
    "other",
    [
        Principal(tenant="default", agent="eve", credential="key_2"),
        Principal(tenant="other", agent="local", credential="key_3"),
    ],
)
async def test_a_lease_is_for_one_agent_of_one_tenant(other: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another agent asks for itself."""
    made = world()
    await granted(made)
    monkeypatch.setattr("tests.simulate.world.LOCAL", other)
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


async def test_another_credential_of_the_agent_uses_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the agent's, as an approval is."""
    made = world()
    await granted(made)
    monkeypatch.setattr("tests.simulate.world.LOCAL", replace(LOCAL, credential="key_2"))
    assert ran(await call(made))


async def test_a_call_that_does_not_escalate_touches_no_lease() -> None:
    """Promise of the hot path: what needs no human pays nothing for those who do."""
    made = world()
    lease = await granted(made)
    made.policies.replace(ASK.replace("escalate", "allow"))
    made.leases._active = None  # type: ignore[assignment]
    assert ran(await call(made))
    assert reasons(made)[-1] == "policy-allow"
    assert await made.store.get("default", uses_key(lease)) is None


# --- today's policy, tier, tool and risk ------------------------------------------------------------------------------


Change = Callable[[World], None]


def denying_rule(made: World) -> None:
    made.policies.replace(ASK + '  - {id: never, effect: deny, when: "args.amount > 1", reason: no more}\n')


def broken_rule(made: World) -> None:
    made.policies.replace(ASK + '  - {id: broken, effect: allow, when: "args.nothing == 1", reason: odd}\n')


def no_rule(made: World) -> None:
    made.policies.replace(ASK.replace("reason: money", 'when: "args.amount > 1000", reason: money'))


def denying_tier(made: World) -> None:
    caps = Thresholds(allow_below=0, deny_from=0)
    made.facts._caps = ConfiguredTiers(default=TrustTier.T4, agents={}, thresholds=dict.fromkeys(TrustTier, caps))


def further_rule(made: World) -> None:
    made.policies.replace(ASK + "  - {id: ask-too, effect: escalate, reason: more money}\n")


def changed_rule(made: World) -> None:
    made.policies.replace(ASK.replace("money", "much money"))


def lower_tier(made: World) -> None:
    tiers = ConfiguredTiers(default=TrustTier.T3, agents={}, thresholds=made.thresholds._configured)
    made.facts._trust = Given(tiers)


def higher_risk(made: World) -> None:
    made.policies.replace(
        ASK.replace("rules:", "mappings:\n  - {upstream: bank, tool: pay, intent: access.delete}\nrules:")
    )


def described_anew(made: World) -> None:
    redefined(made, PAY | {"description": "Pay somebody!"})


def other_schema(made: World) -> None:
    redefined(made, PAY | {"inputSchema": {"type": "object", "title": "payment"}})


def elsewhere(made: World) -> None:
    made.policies.replace(ASK + "  - {id: other, effect: deny, match: {tools: [other]}, reason: x}\n")


def redefined(made: World, definition: JsonObject) -> None:
    made.upstream("bank").tools = [definition]
    made.catalog.forget_listing("bank")


@pytest.mark.parametrize("change", [denying_rule, broken_rule, no_rule, denying_tier])
async def test_what_denies_today_denies_in_spite_of_the_lease(change: Change) -> None:
    """A lease is a fact, not a bypass (promise 5)."""
    made = world()
    lease = await granted(made)
    change(made)
    assert (await call(made))["outcome"] == "deny"
    assert (runs(made), await used(made, lease)) == (1, 0)


@pytest.mark.parametrize("change", [further_rule, changed_rule, lower_tier, higher_risk, described_anew, other_schema])
async def test_what_the_human_has_not_seen_asks_again(change: Change) -> None:
    """A rule that is new or changed, a lower tier, a higher risk, another definition: not what the yes was for."""
    made = world()
    lease = await granted(made)
    change(made)
    assert (await call(made))["outcome"] == "pending"
    assert (runs(made), await used(made, lease)) == (1, 0)


async def test_a_change_elsewhere_harms_no_lease() -> None:
    """An unrelated edit of policies must not set everybody asking."""
    made = world()
    await granted(made)
    elsewhere(made)
    assert ran(await call(made))


@pytest.mark.parametrize("change", [described_anew, other_schema])
async def test_a_changed_tool_ends_its_lease_for_good(change: Change) -> None:
    """The definition that a human saw may come back; the trust in it does not come by itself."""
    made = world()
    await granted(made)
    change(made)
    await call(made)
    assert ended(made) == [("tool-changed",)]
    redefined(made, PAY)
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


async def test_a_risk_that_the_arguments_raise_is_not_covered() -> None:
    """The human saw one risk; what the shape lets in may be riskier, and is then asked for."""
    made = world()
    loose = LeaseTerms(constraints=(Constraint(path="/to", check=Check.ANY),))
    lease = await granted(made, loose)
    assert (await call(made, params={"arguments": {"amount": 5, "to": "rm -rf / --no-preserve-root"}}))[
        "outcome"
    ] == "pending"
    seen, now = made.entries(EntryType.CALL_DECIDED)[0], made.entries(EntryType.CALL_DECIDED)[-1]
    assert now.risk > seen.risk
    assert (runs(made), await used(made, lease)) == (1, 0)
    assert ran(await call(made, params={"arguments": {"amount": 5, "to": "BETA"}}))


async def test_a_decision_that_rests_on_a_lease_is_recomputed_with_it() -> None:
    """The lease is a fact on record, so that a stranger comes to the same answer."""
    made = world()
    await granted(made)
    await call(made, 7)
    (decision,) = await decisions(made.store, "default", made.judged[-1].intent_id)
    found = recompute(decision, bundle=made.policies.current(), definition=PAY, taxonomy=TAXONOMY)
    assert found.same, found
    assert decision.body["decision"]["reason"] == Reason.LEASED
