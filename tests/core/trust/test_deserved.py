"""What a record deserves: slow up, fast down, never past the ceiling, and not by what is slight."""

from datetime import timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.principal import TrustTier
from gateway.core.trust.deserved import change_due, cites, deserved_by, move, needs, score_of
from gateway.core.trust.evidence import Change, ChangeKind, Evidence, EvidenceKind
from gateway.core.trust.fold import after, after_change
from gateway.core.trust.model import DEFAULT_MODEL, UNIT
from gateway.core.trust.record import NEW, Record, Sums
from tests.simulate.trust import BAD, act, acts, changed, histories, lived, on_day

T0, T1, T2, T3, T4 = TrustTier
EXECUTED, DENIED = EvidenceKind.EXECUTED, EvidenceKind.DENIED
DAY_ONE = act(EXECUTED).day

TIERS = st.sampled_from(TrustTier)


def worked(days: int, *, risk: int = 70, record: Record = NEW, ceiling: TrustTier = T4) -> Record:
    """Return the record after so many days of good work, each change of the tier recorded as it falls due."""
    for day in range(days):
        for number in range(4):
            record = after(record, act(EXECUTED, risk=risk, day=day, what=10 * day + number, seq=10 * day + number))
        record = settled(record, day, ceiling=ceiling)
    return record


def settled(record: Record, day: int, *, ceiling: TrustTier = T4) -> Record:
    due = change_due(record, on_day(day), ceiling=ceiling)
    return record if due is None else after_change(record, changed(due[0], due[1].tier, day=day))


# --- the score --------------------------------------------------------------------------------------------------------


def test_the_score_is_the_expected_share_of_good_rounded_down() -> None:
    """The Beta distribution's mean, with a prior of five of which one is good."""
    assert score_of(Sums()) == 20
    assert score_of(Sums(proven=3 * UNIT)) == 50
    assert score_of(Sums(proven=3 * UNIT, bad=2 * UNIT)) == 40
    assert score_of(Sums(proven=3 * UNIT - 1)) == 49


def test_slight_evidence_fills_merit_up_to_a_mark_and_never_above_it() -> None:
    """It makes a newcomer somewhat known, and adds nothing to one who has proven more."""
    mark = DEFAULT_MODEL.slight_fills
    assert score_of(Sums(slight=mark // 2)) == score_of(Sums(proven=mark // 2))
    assert score_of(Sums(proven=mark // 2, slight=100 * mark)) == score_of(Sums(proven=mark))
    assert score_of(Sums(proven=2 * mark, slight=100 * mark)) == score_of(Sums(proven=2 * mark))


# --- up ---------------------------------------------------------------------------------------------------------------


def test_a_newcomer_begins_where_configuration_says() -> None:
    """T0 by default; nothing is known of it, so that nothing speaks against a higher one either."""
    assert deserved_by(NEW, on_day(0)).tier is T0
    for start in TrustTier:
        found = deserved_by(NEW, on_day(0), start=start)
        assert (found.tier, found.recorded, found.score) == (start, start, 20)


def test_each_promotion_takes_the_days_that_the_model_says() -> None:
    """Slow on purpose: faultless work of the highest risk on every day is not enough by itself."""
    reached, record = {}, NEW
    for day in range(150):
        for number in range(4):
            record = after(record, act(EXECUTED, risk=70, day=day, what=10 * day + number))
        record = settled(record, day)
        reached.setdefault(record.tier, day)
    assert reached == {None: 0, T1: 3, T2: 17, T3: 47, T4: 107}


def test_a_promotion_is_one_tier_at_a_time() -> None:
    """Also where the evidence would be enough for more."""
    record = Record(sums=worked(150).sums, tier=T0, since=DAY_ONE)
    assert deserved_by(record, on_day(150), ceiling=T4).tier is T1


@pytest.mark.parametrize(("risk", "highest"), [(29, T1), (44, T2), (59, T3), (60, T4)])
def test_a_tier_needs_successes_of_its_risk(risk: int, highest: TrustTier) -> None:
    """A year of smaller ones shows nothing about greater ones."""
    assert worked(365, risk=risk).tier is highest


def test_the_ceiling_of_configuration_holds_until_a_human_sets_another() -> None:
    """A promotion beyond it is a human's decision, for each agent by name."""
    record = worked(365, ceiling=T2)
    assert record.tier is T2
    assert deserved_by(record, on_day(365)).tier is T2
    higher = after_change(record, changed(ChangeKind.CEILING, T3, day=365))
    assert deserved_by(higher, on_day(365)).tier is T3


def test_a_start_above_the_ceiling_is_kept() -> None:
    """What configuration gives, its own ceiling does not take away; one that a human set for the agent does."""
    assert deserved_by(NEW, on_day(0), start=T3, ceiling=T2).tier is T3
    capped = after_change(NEW, changed(ChangeKind.CEILING, T1))
    assert deserved_by(capped, on_day(0), start=T3).tier is T1


def test_a_frozen_agent_is_not_promoted_and_may_still_fall() -> None:
    """A human who wants to look first must not thereby keep a tier up that is not deserved."""
    ripe = Record(sums=worked(150).sums, tier=T3, since=DAY_ONE)
    frozen = after_change(ripe, changed(ChangeKind.FROZEN, day=150))
    assert deserved_by(ripe, on_day(150), ceiling=T4).tier is T4
    assert deserved_by(frozen, on_day(150), ceiling=T4).tier is T3
    fallen = lived([act(DENIED, risk=90, day=150, what=number) for number in range(3)], frozen)
    assert deserved_by(fallen, on_day(150), ceiling=T4).tier < T3


# --- down -------------------------------------------------------------------------------------------------------------


def test_the_very_entry_that_causes_a_demotion_demotes() -> None:
    """There is nothing to wait for: what the next call may do is decided on what is known."""
    record = worked(150)
    assert deserved_by(record, on_day(150), ceiling=T4).tier is T4
    bad = after(record, act(DENIED, risk=80, day=150, what=-1))
    assert deserved_by(bad, on_day(150), ceiling=T4).tier is T3


def test_one_act_may_cost_several_tiers() -> None:
    """The way down knows no steps."""
    bad = after(worked(110), act(DENIED, risk=100, day=110, what=-1))
    assert deserved_by(bad, on_day(110), ceiling=T4).tier is T1


def test_three_bad_acts_bring_the_highest_tier_to_the_second_lowest() -> None:
    """However long the good life was before: each takes half of what is left."""
    record = lived([act(DENIED, risk=80, day=365, what=-number) for number in range(3)], worked(365))
    assert deserved_by(record, on_day(365), ceiling=T4).tier is T1


def test_after_a_demotion_there_is_no_promotion_for_a_while() -> None:
    """The way back is slow, also for who works faultlessly from then on."""
    record = settled(after(worked(110), act(DENIED, risk=100, day=110, what=-1)), 110)
    assert record.tier is T1
    back = None
    for day in range(111, 300):
        for number in range(4):
            record = after(record, act(EXECUTED, risk=70, day=day, what=10 * day + number))
        record = settled(record, day)
        if record.tier is T4:
            back = day
            break
    assert back is not None
    assert back - 110 > 107


def test_merit_that_is_old_keeps_no_high_tier() -> None:
    """What was earned half a year ago says little about today."""
    record = worked(150)
    assert [deserved_by(record, on_day(150 + days), ceiling=T4).tier for days in (60, 125, 180, 250)] == [
        T4,
        T3,
        T2,
        T1,
    ]


def test_a_tier_that_was_given_falls_by_what_speaks_against_it() -> None:
    """Nobody earned it, so that no merit is asked for; but it is no more than a beginning."""
    found = []
    for risk in (20, 40, 60, 90):
        record = after(NEW, act(DENIED, risk=risk))
        found.append(deserved_by(record, on_day(0), start=T4).tier)
    assert found == [T4, T2, T1, T0]


def test_a_tier_that_was_given_is_given_again() -> None:
    """Once what spoke against it has faded and the time of waiting is over, one step at a time."""
    record = settled_from(T2, after(NEW, act(DENIED, risk=90)), 0)
    assert record.tier is T0
    tiers = []
    for day in range(0, 300, 10):
        record = settled_from(T2, record, day)
        tiers.append(record.tier)
    assert tiers[-1] is T2
    assert tiers == sorted(tiers)


def settled_from(start: TrustTier, record: Record, day: int) -> Record:
    due = change_due(record, on_day(day), start=start)
    return record if due is None else after_change(record, changed(due[0], due[1].tier, day=day))


# --- changes that are due ---------------------------------------------------------------------------------------------


def test_no_change_is_due_where_the_tier_is_as_it_should_be() -> None:
    """Else each call would write an entry."""
    assert change_due(NEW, on_day(0)) is None


def test_what_comes_down_to_a_ceiling_is_capped_and_not_demoted() -> None:
    """It is no fault of the agent's, and bars nothing."""
    record = after_change(worked(150), changed(ChangeKind.CEILING, T2, day=150))
    due = change_due(record, on_day(150))
    assert due is not None
    assert (due[0], due[1].tier, due[1].recorded) == (ChangeKind.CAPPED, T2, T4)


def test_what_falls_below_its_ceiling_is_demoted() -> None:
    """Also where the ceiling fell at the same time, and where it is written some days later."""
    record = after(worked(150), act(DENIED, risk=100, day=150, what=-1))
    capped = after_change(record, changed(ChangeKind.CEILING, T3, day=150))
    for late in (150, 160):
        due = change_due(capped, on_day(late), ceiling=T4)
        assert due is not None
        assert (due[0], due[1].tier) == (ChangeKind.DEMOTED, T1)


def test_what_falls_by_time_alone_has_faded_and_is_not_barred() -> None:
    """Who was not there did nothing wrong; it has to show again what it can, and that is all."""
    record = worked(150)
    assert change_due(record, on_day(200), ceiling=T4) is None
    due = change_due(record, on_day(280), ceiling=T4)
    assert due is not None
    assert (due[0], due[1].tier, due[1].recorded) == (ChangeKind.FADED, T3, T4)
    assert after_change(record, changed(due[0], due[1].tier, day=280)).barred == 0


@pytest.mark.parametrize(
    ("kind", "risk", "expected"),
    [
        (EXECUTED, 20, ChangeKind.FADED),
        (DENIED, 20, ChangeKind.FADED),
        (DENIED, 60, ChangeKind.DEMOTED),
        (EvidenceKind.REJECTED, 0, ChangeKind.DEMOTED),
    ],
)
def test_coming_back_after_a_long_time_is_no_fault(kind: EvidenceKind, risk: int, expected: ChangeKind) -> None:
    """What is gone by then has faded, also where it is a new act that shows it; a strike is a fault on any day."""
    due = change_due(after(worked(150), act(kind, risk=risk, day=280, what=-1)), on_day(280), ceiling=T4)
    assert due is not None
    assert due[0] is expected


def test_a_change_cites_the_entries_that_it_rests_on() -> None:
    """A promotion the last good ones, anything else the bad ones with them, in the order of the chain."""
    record = after(worked(20), act(DENIED, risk=80, day=20, what=-1, seq=5))
    good = tuple((seq, f"evt_{seq}") for seq in (182, 190, 191, 192))
    assert cites(record, ChangeKind.PROMOTED) == cites(record, ChangeKind.FADED) == good
    assert cites(record, ChangeKind.DEMOTED) == ((5, "evt_5"), *good)


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_what_the_next_tier_takes_is_told_with_what_there_is_of_it() -> None:
    """Whoever asks why an agent does not rise is answered in numbers."""
    record = after_change(lived([act(DENIED, risk=60, day=1)], worked(20)), changed(ChangeKind.FROZEN, day=20))
    found = [(need.what, need.has, need.asks, need.met) for need in needs(record, on_day(22))]
    assert found == [
        ("ceiling", "T2", "T3", False),
        ("not frozen", "frozen", "free", False),
        ("score", "65", "70", False),
        ("separate days with a success of risk 45 or more", "11.7", "20", False),
        ("days at this tier", "5", "30", False),
        ("days to wait after a demotion or strike", "11", "0", False),
    ]


def test_of_a_newcomer_everything_is_told() -> None:
    """Nothing of it is met, but that nobody stands against it."""
    assert [(need.what, need.has, need.met) for need in needs(NEW, on_day(0))] == [
        ("ceiling", "T2", True),
        ("not frozen", "free", True),
        ("score", "20", False),
        ("separate days", "0.0", False),
        ("days at this tier", "0", False),
        ("days to wait after a demotion or strike", "0", True),
    ]


def test_of_a_tier_that_is_given_no_days_are_asked() -> None:
    """Below its start an agent needs no merit, only that not too much speaks against it."""
    record = after_change(NEW, changed(ChangeKind.DEMOTED, T0))
    assert "separate days" not in [need.what for need in needs(record, on_day(9), start=T1)]


def test_above_the_highest_tier_there_is_nothing_to_need() -> None:
    """There is none."""
    assert needs(after_change(NEW, changed(ChangeKind.PROMOTED, T4)), on_day(0)) == ()


@settings(deadline=None, max_examples=100)
@given(histories(), st.integers(0, 400), TIERS, TIERS)
def test_a_promotion_is_due_exactly_where_every_need_is_met(
    told: list[Evidence | Change], day: int, ceiling: TrustTier, start: TrustTier
) -> None:
    """What is shown is what decides."""
    record = lived(told)
    found = deserved_by(record, on_day(day), ceiling=ceiling, start=start)
    needed = needs(record, on_day(day), ceiling=ceiling, start=start)
    if found.tier >= found.recorded and needed:
        assert (found.tier > found.recorded) == all(need.met for need in needed)


def test_moves_tell_what_each_entry_did() -> None:
    """Fading between two entries is no entry's doing."""
    told = [
        act(EXECUTED, risk=100, day=0),
        act(DENIED, risk=50, day=60, what=2),
        changed(ChangeKind.PROMOTED, T1, day=60),
    ]
    records = [lived(told[:count]) for count in range(len(told) + 1)]
    found = [move(one, *records[at : at + 2]) for at, one in enumerate(told)]
    assert [(one.score_before, one.score, one.tier_before, one.tier) for one in found] == [
        (20, 33, T0, T0),
        (27, 18, T0, T0),
        (18, 18, T0, T1),
    ]
    assert [one.told for one in found] == told
    assert move(told[0], NEW, records[1], start=T2).tier is T2


# --- what no history gets around --------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(histories(), acts(BAD), st.integers(0, 400), TIERS, TIERS)
def test_a_bad_act_never_raises_score_or_tier(
    told: list[Evidence | Change], bad: Evidence, day: int, ceiling: TrustTier, start: TrustTier
) -> None:
    """On no day after it, whatever was before."""
    record = lived(told)
    worse = after(record, bad)
    now = on_day(max(day, bad.day - DAY_ONE))
    before = deserved_by(record, now, ceiling=ceiling, start=start)
    found = deserved_by(worse, now, ceiling=ceiling, start=start)
    assert found.score <= before.score
    assert found.tier <= before.tier


HARMLESS = acts((EXECUTED,), risks=(0, 29)) | acts((EvidenceKind.CLAIMED, EvidenceKind.APPROVED))


@settings(deadline=None, max_examples=150)
@given(histories(), st.lists(HARMLESS, max_size=30), st.integers(0, 400), TIERS)
def test_no_number_of_harmless_acts_lifts_above_the_first_tier(
    told: list[Evidence | Change], added: list[Evidence], day: int, start: TrustTier
) -> None:
    """Nor of claims, nor of an accomplice's yes: they change nothing about any higher tier."""
    record = lived(told)
    latest = max([day, *(one.day - DAY_ONE for one in (*told, *added))])
    before = deserved_by(record, on_day(latest), ceiling=T4, start=start)
    found = deserved_by(lived(added, record), on_day(latest), ceiling=T4, start=start)
    assert found.tier <= max(T1, before.tier)


@settings(deadline=None, max_examples=100)
@given(histories(), st.integers(0, 400), TIERS, TIERS)
def test_no_tier_ever_passes_its_ceiling(
    told: list[Evidence | Change], day: int, ceiling: TrustTier, start: TrustTier
) -> None:
    """A human's ceiling holds whatever the record says, and whatever was recorded before it."""
    record = lived(told)
    found = deserved_by(record, on_day(day), ceiling=ceiling, start=start)
    assert found.tier <= (max(ceiling, start) if record.ceiling is None else record.ceiling)
    assert found.tier <= found.recorded + 1
    assert 0 <= found.score <= 100


@settings(deadline=None, max_examples=60)
@given(histories(), st.integers(0, 400))
def test_a_clock_that_goes_back_promotes_nobody(told: list[Evidence | Change], back: int) -> None:
    """Nor does it bring faded evidence back."""
    record = lived(told)
    now = on_day(max([0, *(one.day - DAY_ONE for one in told)]))
    assert deserved_by(record, now - timedelta(days=back), ceiling=T4).tier <= deserved_by(record, now, ceiling=T4).tier


def test_the_day_is_that_of_utc() -> None:
    """Whoever recomputes a log sits in another place."""
    record = worked(17)
    east = timezone(timedelta(hours=14))
    late = on_day(16).replace(hour=23)
    assert deserved_by(record, late) == deserved_by(record, late.astimezone(east))


def test_harmless_acts_do_not_keep_a_tier_that_was_given() -> None:
    """They cost nothing, and would be a cushion for bad acts."""
    bad = [act(DENIED, risk=90, day=40, what=-number) for number in range(1, 3)]
    idle = deserved_by(lived(bad), on_day(40), start=T2)
    busy = lived([*(act(EXECUTED, risk=29, day=day) for day in range(41)), *bad])
    assert deserved_by(busy, on_day(40), start=T2).tier == idle.tier == T0
    again = lived([act(EXECUTED, risk=29, day=day) for day in range(41, 60)], lived(bad))
    assert deserved_by(again, on_day(60), start=T2).tier is T0
