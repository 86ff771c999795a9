"""The wiring of the gateway's own judgement for commands."""

from pathlib import Path

import pytest

from gateway.cli.judging import bundle_of, judge_of, judge_once, principal, tier_of
from gateway.core.decide import decide
from gateway.core.decision import Effect, Thresholds
from gateway.core.intent.classify import classify
from gateway.core.principal import TrustTier
from gateway.errors import PolicyError
from gateway.services.explain import Question
from gateway.settings import Settings, TierSettings


def test_without_policies_the_shipped_default_judges() -> None:
    """As in a gateway that was started without."""
    assert bundle_of(Settings()).policy_sets == ("default",)


def test_policies_that_cannot_be_loaded_judge_nothing(tmp_path: Path) -> None:
    """No fallback to the shipped ones."""
    with pytest.raises(PolicyError):
        bundle_of(Settings(policies=tmp_path))


def test_cases_are_judged_by_the_functions_of_the_gateway() -> None:
    """A case passes exactly if the gateway would decide so."""
    judge = judge_of(Settings())
    assert (judge.classify, judge.decide) == (classify, decide)
    assert judge.thresholds(TrustTier.T4) == Thresholds(allow_below=101, deny_from=101)


def test_a_question_is_judged_with_the_thresholds_of_its_tier() -> None:
    """What T0 may not do alone is escalated."""
    settings = Settings.model_validate({"tiers": {"thresholds": {"T0": {"allow_below": 0, "deny_from": 101}}}})
    question = Question(
        principal=principal("a"), tier=TrustTier.T0, method="tools/call", upstream="default", name="get_time"
    )
    judged = judge_once(question, settings, bundle_of(settings))
    assert judged.decision.effect is not Effect.ALLOW
    assert judged.facts.thresholds.allow_below == 0


@pytest.mark.parametrize(
    ("named", "tier"), [(TrustTier.T4, TrustTier.T4), (None, TrustTier.T2)], ids=["named", "configured"]
)
def test_the_tier_is_the_named_one_or_the_agents_own(named: TrustTier | None, tier: TrustTier) -> None:
    """A question about another tier is still a question."""
    settings = Settings(tiers=TierSettings(agents={"a": TrustTier.T2}))
    assert tier_of("a", settings, named) is tier
    assert tier_of("b", settings, None) is TrustTier.T0
