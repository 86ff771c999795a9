"""How a record changes with each entry: what adds, what fades, what is forfeited, and what is worth nothing."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.principal import TrustTier
from gateway.core.trust.evidence import Change, ChangeKind, Evidence, EvidenceKind
from gateway.core.trust.fold import after, after_change, aged
from gateway.core.trust.model import DEFAULT_MODEL, UNIT
from gateway.core.trust.record import CITED, NEW, read_record
from tests.simulate.trust import act, changed, histories, lived

EXECUTED, CLAIMED, FAILED, DENIED = (
    EvidenceKind.EXECUTED,
    EvidenceKind.CLAIMED,
    EvidenceKind.FAILED,
    EvidenceKind.DENIED,
)
CLAIMED_FAILED, SLIPPED, APPROVED, REJECTED = (
    EvidenceKind.CLAIMED_FAILED,
    EvidenceKind.SLIPPED,
    EvidenceKind.APPROVED,
    EvidenceKind.REJECTED,
)
DAY_ONE = act(EXECUTED).day


def trusted() -> list[Evidence | Change]:
    """Forty days of good work of high risk."""
    return [act(EXECUTED, risk=70, day=day, what=day) for day in range(40)]


# --- what adds --------------------------------------------------------------------------------------------------------


def test_a_success_weighs_by_the_square_of_its_risk() -> None:
    """So that splitting one act into many small ones gains less than the act."""
    assert lived([act(EXECUTED, risk=50)]).sums.proven == UNIT // 4
    assert lived([act(EXECUTED, risk=100)]).sums.proven == UNIT


@pytest.mark.parametrize(("risk", "days"), [(29, 1), (30, 2), (44, 2), (45, 3), (59, 3), (60, 4), (100, 4)])
def test_a_success_counts_its_day_for_the_tiers_that_its_risk_reaches(risk: int, days: int) -> None:
    """A high tier needs successes of corresponding risk, on separate days."""
    expected = tuple(UNIT if tier < days else 0 for tier in range(4))
    assert lived([act(EXECUTED, risk=risk)]).sums.days == expected


def test_a_day_counts_once_for_each_tier() -> None:
    """Else a burst would be as good as a month of work."""
    told = [act(EXECUTED, risk=risk, what=what) for what, risk in enumerate((20, 50, 50, 80, 30))]
    assert lived(told).sums.days == (UNIT, UNIT, UNIT, UNIT)


def test_a_day_adds_only_so_much() -> None:
    """A burst of a thousand calls is worth what a good day is."""
    told = [act(EXECUTED, risk=70, what=what) for what in range(1000)]
    assert lived(told).sums.proven == DEFAULT_MODEL.proven_a_day


def test_harmless_successes_are_slight_evidence_that_a_day_has_little_room_for() -> None:
    """Volume must not carry: they cost an agent nothing."""
    sums = lived([act(EXECUTED, risk=29, what=what) for what in range(1000)]).sums
    assert (sums.proven, sums.slight) == (0, DEFAULT_MODEL.slight_a_day)


def test_slight_evidence_has_a_top() -> None:
    """What is above it would count for nothing, and be a cushion for bad acts."""
    told = [act(EXECUTED, risk=29, day=day) for day in range(200)]
    assert max(lived(told[:days]).sums.slight for days in range(100, 200)) == DEFAULT_MODEL.slight_fills


def test_the_same_call_again_is_slight_evidence_on_any_day() -> None:
    """A replay shows nothing that the first call did not show."""
    sums = lived([act(EXECUTED, risk=70, day=day, what=7) for day in range(3)]).sums
    once = lived([act(EXECUTED, risk=70, what=7)]).sums
    assert sums.proven == aged(once, once.day + 2).proven
    assert sums.days[1] == aged(once, once.day + 2).days[1]
    assert sums.days[0] > 2 * UNIT
    assert sums.slight > 0


def test_a_call_is_forgotten_for_repetition_after_as_many_others() -> None:
    """The record stays small; who has done so many other things of some risk meanwhile has done them."""
    others = [act(EXECUTED, risk=40, day=1 + number, what=100 + number) for number in range(DEFAULT_MODEL.kinds)]
    before = lived([act(EXECUTED, risk=40, what=7), *others])
    assert 7 not in before.sums.kinds
    again = act(EXECUTED, risk=40, day=100, what=7)
    assert after(before, again).sums.proven > aged(before.sums, again.day).proven


def test_what_an_agent_reports_itself_is_slight_whatever_its_risk() -> None:
    """Its own word about its own act must not be worth an execution that the gateway saw."""
    sums = lived([act(CLAIMED, risk=100)]).sums
    assert (sums.proven, sums.slight, sums.days) == (0, UNIT // 10, (UNIT, 0, 0, 0))


def test_a_humans_yes_is_slight_and_no_day_of_good_work() -> None:
    """What comes of it is evidence of its own; a yes from an accomplice must not carry."""
    sums = lived([act(APPROVED, risk=0)]).sums
    assert (sums.proven, sums.slight, sums.days) == (0, UNIT * 36 * 25 // 10_000, (0, 0, 0, 0))


# --- what takes away --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "risk", "left"), [(DENIED, 100, 10), (DENIED, 60, 68), (REJECTED, 0, 84)])
def test_a_denial_or_a_no_forfeits_a_share_of_all_merit(kind: EvidenceKind, risk: int, left: int) -> None:
    """No amount of merit pays for a bad act: whoever has much loses much."""
    before = lived(trusted())
    record = after(before, act(kind, risk=risk, day=39, what=99))
    for earlier, later in zip(
        (before.sums.proven, *before.sums.days), (record.sums.proven, *record.sums.days), strict=True
    ):
        assert round(100 * later / earlier) == left


def test_a_denial_weighs_eight_times_a_success_of_its_risk_and_never_nothing() -> None:
    """Against a good day at most a whole; a denied call of no risk is still a denied call."""
    assert lived([act(DENIED, risk=50)]).sums.bad == 2 * UNIT
    assert lived([act(DENIED, risk=0)]).sums.bad == DEFAULT_MODEL.least_bad


@pytest.mark.parametrize(("written", "weight"), [(0, 2_160_000), (60, 2_160_000), (100, 6_000_000)])
def test_a_humans_no_weighs_as_of_risk_sixty_at_least(written: int, weight: int) -> None:
    """Its entry does not say the risk of what was asked; what a human has to forbid is not harmless."""
    assert lived([act(REJECTED, risk=written)]).sums.bad == weight


def test_the_same_denial_again_on_its_day_is_a_slip() -> None:
    """An agent in a loop means one thing; its calls in a row stop it elsewhere."""
    once = lived([act(DENIED, risk=80)])
    again = after(once, act(DENIED, risk=80))
    assert again.sums.bad == once.sums.bad + DEFAULT_MODEL.slip
    assert again.sums.proven == once.sums.proven
    assert again.failures_in_row == 2


def test_the_same_denial_on_another_day_weighs_anew() -> None:
    """By then it is no loop, but a habit."""
    once = lived([act(DENIED, risk=80)])
    again = after(once, act(DENIED, risk=80, day=1))
    assert again.sums.bad > 19 * once.sums.bad // 10


def test_bad_evidence_has_a_bottom() -> None:
    """The way back must not be endless: there is nothing more to lose, and nothing is allowed meanwhile."""
    told = [act(DENIED, risk=100, what=what) for what in range(50)]
    assert lived(told).sums.bad == DEFAULT_MODEL.bad_at_most
    assert lived([*told, act(FAILED, risk=100)]).sums.bad == DEFAULT_MODEL.bad_at_most


@pytest.mark.parametrize(("kind", "risk", "strikes"), [(DENIED, 33, False), (DENIED, 34, True), (REJECTED, 0, True)])
def test_a_strike_keeps_from_promotion(kind: EvidenceKind, risk: int, *, strikes: bool) -> None:
    """Who was just told no must not rise the next day on good small acts."""
    record = lived([act(kind, risk=risk)])
    assert record.barred == (DAY_ONE + DEFAULT_MODEL.quiet if strikes else 0)


# --- failures and slips -----------------------------------------------------------------------------------------------


def test_a_failure_weighs_less_the_more_has_gone_well_since_the_last() -> None:
    """An agent that does much fails more often; it is the share that tells something."""
    clumsy = lived([act(FAILED, risk=50)]).sums.bad
    skilled = lived([*(act(EXECUTED, risk=50, what=what) for what in range(9)), act(FAILED, risk=50)]).sums.bad
    assert clumsy == 15 * UNIT // 100
    assert skilled == clumsy // 10


def test_successes_between_failures_are_counted_to_an_end() -> None:
    """Also those that a full day adds nothing for, and those that repeat; harmless ones never, they cost nothing."""
    assert lived([act(EXECUTED, risk=70, what=what) for what in range(50)]).sums.run == 50
    assert lived([act(EXECUTED, risk=70) for _ in range(50)]).sums.run == 50
    assert lived([act(EXECUTED, risk=29, what=what) for what in range(50)]).sums.run == 0
    assert lived([act(EXECUTED, risk=70, what=what) for what in range(500)]).sums.run == DEFAULT_MODEL.run_at_most
    assert lived([act(EXECUTED, risk=70) for _ in range(500)]).sums.run == DEFAULT_MODEL.run_at_most


@pytest.mark.parametrize(
    ("kind", "risk", "most"),
    [
        (FAILED, 90, DEFAULT_MODEL.failed_a_day),
        (FAILED, 29, DEFAULT_MODEL.slips_a_day),
        (CLAIMED_FAILED, 90, DEFAULT_MODEL.slips_a_day),
        (SLIPPED, 90, DEFAULT_MODEL.slips_a_day),
    ],
)
def test_failures_and_slips_of_a_day_weigh_only_so_much(kind: EvidenceKind, risk: int, most: int) -> None:
    """None of them is an offence. What an agent reports of itself honestly must not cost it more than silence."""
    assert lived([act(kind, risk=risk) for _ in range(100)]).sums.bad == most


def test_a_failed_call_of_no_risk_weighs_nothing() -> None:
    """There is nothing to weigh; it still counts as a failure."""
    record = lived([act(FAILED, risk=0)])
    assert (record.sums.bad, record.failures_in_row, record.worst) == (0, 1, ())


def test_slips_after_failures_find_no_room_left() -> None:
    """They share a day; room that is overdrawn is no room, and never gives anything back."""
    failures = [act(FAILED, risk=90) for _ in range(3)]
    assert lived([*failures, act(SLIPPED)]).sums.bad == lived(failures).sums.bad


# --- time -------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(histories(), st.integers(0, 200), st.integers(0, 200))
def test_it_does_not_matter_on_how_many_days_somebody_looked(
    told: list[Evidence | Change], first: int, second: int
) -> None:
    """Fading is exact: else a record that was read more often would differ from the log's."""
    sums = lived(told).sums
    day = max(sums.day, DAY_ONE)
    assert aged(aged(sums, day + first), day + first + second) == aged(sums, day + first + second)


def test_everything_fades_to_nothing_in_the_end() -> None:
    """Neither old merit nor an old fault lasts for ever."""
    sums = aged(lived([*trusted(), act(DENIED, risk=90, day=39)]).sums, DAY_ONE + 10_000)
    assert (sums.proven, sums.slight, sums.bad, sums.days) == (0, 0, 0, (0, 0, 0, 0))


def test_a_clock_that_goes_back_gains_nothing() -> None:
    """A day that is over does not begin anew, and nothing fades less for it."""
    full = lived([act(EXECUTED, risk=70, day=9, what=what) for what in range(10)])
    earlier = act(EXECUTED, risk=70, day=3, what=99)
    record = after(full, earlier)
    assert record.sums == replace(full.sums, run=full.sums.run + 1)
    assert lived([earlier], record).since == full.since


def test_the_time_of_the_last_failure_never_goes_back() -> None:
    """A breaker counts from it."""
    record = lived([act(FAILED, day=9), act(FAILED, day=3)])
    assert (record.failures_in_row, record.failed_at) == (2, "2026-01-10T12:00:00.000Z")


# --- beside the sums --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [EXECUTED, CLAIMED])
def test_a_success_ends_a_row_of_failures(kind: EvidenceKind) -> None:
    """In a row means in a row."""
    assert lived([act(FAILED), act(DENIED, what=2), act(CLAIMED_FAILED)]).failures_in_row == 3
    assert lived([act(FAILED), act(DENIED, what=2), act(kind)]).failures_in_row == 0


@pytest.mark.parametrize("kind", [APPROVED, REJECTED, SLIPPED])
def test_what_is_no_execution_and_no_denial_leaves_the_row_as_it_is(kind: EvidenceKind) -> None:
    """A human's answer is about a call that comes later or never; a wrong argument is no failure."""
    assert lived([act(FAILED), act(kind)]).failures_in_row == 1


def test_the_entries_that_moved_the_sums_last_are_named() -> None:
    """A change cites what it rests on; what a full day adds nothing for is not among it."""
    told = [act(EXECUTED, risk=40, day=day, what=day, seq=day) for day in range(1, 9)]
    told += [act(DENIED, risk=40, day=9, what=day, seq=day) for day in range(11, 19)]
    record = lived([*told, act(EXECUTED, risk=0, day=9, seq=99)])
    assert [seq for seq, _ in record.worst] == [15, 16, 17, 18]
    assert [seq for seq, _ in record.good] == [6, 7, 8, 99]
    assert len(record.good) == len(record.worst) == CITED
    saturated = lived([act(EXECUTED, risk=70, what=what, seq=what) for what in range(10)])
    assert [seq for seq, _ in saturated.good] == [0, 1, 2]


def test_a_full_day_leaves_the_sums_the_very_same_value() -> None:
    """Whoever keeps what follows from them need not work it out again for each harmless call."""
    told = [act(EXECUTED, risk=29) for _ in range(20)]
    record = lived(told)
    assert after(record, told[0]).sums is record.sums


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_demotion_bars_promotion_for_a_while_and_a_ceiling_does_not() -> None:
    """The way back is slow for who fell, not for whom a human capped."""
    fell = after_change(NEW, changed(ChangeKind.DEMOTED, TrustTier.T1, day=5))
    capped = after_change(NEW, changed(ChangeKind.CAPPED, TrustTier.T1, day=5))
    assert (fell.tier, fell.since, fell.barred) == (
        TrustTier.T1,
        DAY_ONE + 5,
        DAY_ONE + 5 + DEFAULT_MODEL.probation,
    )
    assert (capped.tier, capped.since, capped.barred) == (TrustTier.T1, DAY_ONE + 5, 0)


def test_a_change_never_shortens_what_is_to_be_waited_for() -> None:
    """A clock that goes back would else let an agent rise early."""
    record = lived([act(DENIED, risk=90, day=50), changed(ChangeKind.DEMOTED, TrustTier.T1, day=3)])
    assert (record.since, record.barred) == (DAY_ONE + 50, DAY_ONE + 50 + DEFAULT_MODEL.probation)
    promoted = after_change(record, changed(ChangeKind.PROMOTED, TrustTier.T2, day=3))
    assert (promoted.since, promoted.barred) == (record.since, record.barred)


def test_a_human_freezes_releases_and_caps() -> None:
    """None of it moves the tier by itself, and none of it takes evidence away."""
    record = lived([*trusted(), changed(ChangeKind.FROZEN, day=40)])
    assert record.frozen
    assert not after_change(record, changed(ChangeKind.UNFROZEN, day=41)).frozen
    capped = after_change(record, changed(ChangeKind.CEILING, TrustTier.T3, day=41))
    assert (capped.ceiling, capped.sums, capped.tier) == (TrustTier.T3, record.sums, None)
    assert after_change(capped, changed(ChangeKind.CEILING, day=42)).ceiling is None


# --- folding ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(histories(), histories())
def test_folding_on_from_a_snapshot_gives_what_folding_at_once_gives(
    first: list[Evidence | Change], second: list[Evidence | Change]
) -> None:
    """A start takes a snapshot and folds what came after; it must be where it would be without."""
    snapshot = read_record(lived(first).written())
    assert snapshot is not None
    assert lived(second, snapshot) == lived([*first, *second])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), histories(max_size=3)), max_size=10))
def test_two_agents_do_not_touch_each_other(parts: list[tuple[bool, list[Evidence | Change]]]) -> None:
    """However their entries are interleaved, each has the record of its own entries alone."""
    records = {True: NEW, False: NEW}
    for whose, told in parts:
        records[whose] = lived(told, records[whose])
    for whose in (True, False):
        assert records[whose] == lived([one for mine, told in parts if mine is whose for one in told])


@settings(deadline=None, max_examples=60)
@given(histories())
def test_no_sum_ever_leaves_its_bounds(told: list[Evidence | Change]) -> None:
    """Whatever a log holds, the sums stay what the model says they are."""
    sums = lived(told).sums
    assert min(sums.proven, sums.slight, sums.bad, *sums.days) >= 0
    assert sums.bad <= DEFAULT_MODEL.bad_at_most
    assert sums.proven_today <= DEFAULT_MODEL.proven_a_day
