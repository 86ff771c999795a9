"""The gateway's own judgement for commands that decide without serving (`eval`, `test`).

Wires the same functions that a running gateway uses; reads policy files, opens no store and no upstream.
"""

from gateway.core.decide import decide
from gateway.core.intent.classify import classify
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import DEFAULT_TENANT, Principal, TrustTier
from gateway.core.tiers import ConfiguredTiers
from gateway.parts import policy_places
from gateway.policyfiles.files import load_bundle
from gateway.services.explain import Explanation, Question, explain
from gateway.services.policy_check import Judge
from gateway.settings import Settings
from gateway.telemetry.clock import SystemClock

__all__ = ["bundle_of", "judge_of", "judge_once", "principal", "tier_of"]


def bundle_of(settings: Settings) -> Bundle:
    """Load the policies that a gateway with these settings would run under. Raises ConfigurationError."""
    return load_bundle(*policy_places(settings), taxonomy=TAXONOMY)


def judge_of(settings: Settings) -> Judge:
    """Return what decides in a running gateway."""
    return Judge(classify=classify, decide=decide, thresholds=settings.tiers.threshold)


def principal(agent: str) -> Principal:
    """Return the agent that a question is asked for."""
    return Principal(tenant=DEFAULT_TENANT, agent=agent, credential="command line")


def judge_once(question: Question, settings: Settings, bundle: Bundle) -> Explanation:
    """Decide one call as the first of its kind by this agent.

    Raises:
        CanonicalError: the arguments have no canonical form, so no gateway would take them.
    """
    return explain(
        question,
        bundle=bundle,
        thresholds=settings.tiers.threshold(question.tier),
        taxonomy=TAXONOMY,
        clock=SystemClock(),
    )


def tier_of(agent: str, settings: Settings, named: TrustTier | None) -> TrustTier:
    """Return the tier that counts: the one that was asked about, else the agent's own, else the default."""
    if named is not None:
        return named
    tiers = settings.tiers
    return ConfiguredTiers(default=tiers.default, agents=tiers.agents, thresholds={}).tier(DEFAULT_TENANT, agent)
