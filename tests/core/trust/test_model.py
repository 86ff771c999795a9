"""The parameters: that they fit each other, as the pages say they do."""

from itertools import pairwise

from gateway.core.decision import Thresholds
from gateway.core.principal import TrustTier
from gateway.core.trust.deserved import score_of
from gateway.core.trust.evidence import EvidenceKind
from gateway.core.trust.fold import after
from gateway.core.trust.model import DEFAULT_MODEL, UNIT
from gateway.core.trust.record import Record, Sums
from gateway.settings import DEFAULT_THRESHOLDS, TierSettings
from tests.simulate.trust import act

STEPS = DEFAULT_MODEL.steps


def test_evidence_is_half_gone_after_sixty_days() -> None:
    """The page says so; the parameter is the share that one day leaves, as an integer, for the same on any machine."""
    left = UNIT
    for _ in range(60):
        left = left * DEFAULT_MODEL.fade >> 32
    assert abs(left - UNIT // 2) < 100


def test_a_newcomer_has_a_score_of_twenty() -> None:
    """The prior: little is believed, and little of it good."""
    assert score_of(Sums()) == 20


def test_each_tier_asks_for_more_than_the_one_below_it() -> None:
    """A tier that is easier than the one below it would be reached by way of it and mean nothing."""
    for low, high in pairwise(STEPS):
        assert low.risk < high.risk
        assert low.score < high.score
        assert low.days < high.days
        assert low.dwell < high.dwell
        assert low.keeps_score < high.keeps_score
        assert low.keeps_days < high.keeps_days
        assert low.newcomer < high.newcomer <= score_of(Sums())


def test_it_takes_less_to_stay_than_to_come() -> None:
    """Without a gap a tier would flap with each call."""
    for step in STEPS:
        assert step.keeps_score < step.score
        assert step.keeps_days < step.days


def test_slight_evidence_alone_is_not_enough_to_reach_or_keep_the_second_tier() -> None:
    """What is harmless, claimed or repeated must not carry beyond T1, however much there is of it."""
    full = score_of(Sums(slight=1000 * UNIT))
    assert STEPS[0].score <= full < STEPS[1].keeps_score


def test_what_a_tier_asks_for_can_be_done_alone_at_the_tier_below_it() -> None:
    """Else an agent could only rise by having every step approved; the steps follow the default thresholds."""
    caps: dict[TrustTier, Thresholds] = {tier: TierSettings().threshold(tier) for tier in DEFAULT_THRESHOLDS}
    for below, step in enumerate(STEPS):
        assert step.risk < caps[TrustTier(below)].allow_below


def test_a_denial_of_risk_eighty_costs_the_highest_tier_from_the_best_record_there_can_be() -> None:
    """No merit pays for it: a full day's evidence on every day for ever is what a record can hold at most."""
    best = 0
    for _ in range(2000):
        best = (best * DEFAULT_MODEL.fade >> 32) + DEFAULT_MODEL.proven_a_day
    day = act(EvidenceKind.DENIED).day
    record = Record(sums=Sums(day=day, proven=best))
    assert score_of(record.sums) > STEPS[3].score
    assert score_of(after(record, act(EvidenceKind.DENIED, risk=80)).sums) < STEPS[3].keeps_score
