"""Risk is a bounded sum of explained factors, calibrated on the default thresholds."""

from gateway.core.intent.model import EffectClass, RiskFactor
from gateway.core.intent.risk import EFFECT_POINTS, RISK_FACTORS, effect_factor, factor, total
from gateway.core.principal import TrustTier
from gateway.settings import DEFAULT_THRESHOLDS

NEWCOMER = RISK_FACTORS["unreviewed-tool"].points + RISK_FACTORS["novel"].points
PLAINLY_DANGEROUS = ("system-path", "path-traversal", "destructive-sql", "destructive-shell", "metadata-address")
CONSEQUENTIAL = set(EffectClass) - {EffectClass.READ, EffectClass.WRITE}


def test_an_ordinary_read_of_a_new_tool_is_below_what_a_new_agent_may_do_alone() -> None:
    """A gateway that stops every read is switched off within the hour."""
    assert EFFECT_POINTS[EffectClass.READ] + NEWCOMER < DEFAULT_THRESHOLDS[TrustTier.T0].allow_below


def test_an_ordinary_write_needs_a_human_for_a_new_agent_and_none_for_the_next_tier() -> None:
    """The first promotion must be worth something, and no more than this."""
    risk = EFFECT_POINTS[EffectClass.WRITE] + NEWCOMER
    assert DEFAULT_THRESHOLDS[TrustTier.T0].allow_below <= risk < DEFAULT_THRESHOLDS[TrustTier.T1].allow_below


def test_every_other_effect_is_above_the_two_lowest_tiers_even_when_known_and_reviewed() -> None:
    """Sending, paying, running and deleting are never a new agent's to decide."""
    assert all(EFFECT_POINTS[effect] >= 50 for effect in CONSEQUENTIAL)


def test_plainly_dangerous_content_alone_makes_a_read_deniable() -> None:
    """What the arguments say outranks the tool's name."""
    base = EFFECT_POINTS[EffectClass.READ]
    assert all(base + RISK_FACTORS[code].points >= 90 for code in PLAINLY_DANGEROUS)


def test_no_factor_of_the_table_lowers_risk() -> None:
    """Then adding something to a call can never make it look safer."""
    assert all(kind.points >= 0 for kind in RISK_FACTORS.values())
    assert all(code == kind.code and kind.meaning for code, kind in RISK_FACTORS.items())


def test_the_sum_stays_between_nothing_and_a_hundred() -> None:
    """Thresholds are points of 0 to 100; a sum beyond them would have no meaning."""
    assert total([factor("system-path", "a"), factor("metadata-address", "b")]) == 100
    assert total([RiskFactor(code="operator", points=-5, evidence="")]) == 0
    assert total([]) == 0


def test_a_factor_carries_its_points_unless_it_is_graded() -> None:
    """Graded factors (amounts, bulk) say how much they weigh this time."""
    assert factor("amount", "x") == RiskFactor(code="amount", points=20, evidence="x")
    assert factor("amount", "x", 5).points == 5
    assert effect_factor(EffectClass.READ, "x") == RiskFactor(code="effect-read", points=10, evidence="x")
    assert effect_factor(EffectClass.READ, "x", 3).points == 3
