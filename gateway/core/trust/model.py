"""The parameters of the trust model: what an act weighs, how it fades, and what each tier asks for.

Owns the numbers and nothing else; `docs/trust.md` shows them as tables. The model is a Beta reputation with forgetting
(A. Jøsang and R. Ismail, "The Beta Reputation System", 15th Bled Electronic Commerce Conference, 2002): a score is the
expected value of a Beta distribution over good and bad evidence, both of which fade. Beyond the paper: evidence is
weighted by risk, a day and a kind of call can contribute only so much, and a bad act forfeits a share of earlier merit,
so that no amount of merit pays for it.

Everything is an integer: sums are in millionths (`UNIT`), fading in parts of 2^32. Floating point would make the same
log give another record on another machine, and then a recomputation could prove nothing.
"""

from dataclasses import dataclass

__all__ = ["BEFORE_BUDGETS", "DEFAULT_MODEL", "UNIT", "VERSION", "Step", "TrustModel"]

UNIT = 1_000_000
"""One whole in the sums of a record."""

VERSION = 2
"""Of model and record together; a record that was written by another one is folded anew from the log.

What 1 wrote folds the same in 2, which only takes no notice of denials that are marked as by a budget (`by:budget`): 1
knew no such mark and wrote none, and would have weighed it as any other denial."""

BEFORE_BUDGETS = 1
"""The version that knew no such mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one tier above T0 asks for.

    `risk` is the least risk of the successes that count for it; 0: any. `days` are the separate days with such a
    success, faded, `score` the score, and `dwell` the days at the tier below before it is reached. `keeps_days` and
    `keeps_score` are what it takes to stay. `newcomer` is the score, without anything slight, at which an agent stays
    that was given this tier as its first (`tiers.default`) and has not earned it.
    """

    risk: int
    score: int
    days: int
    dwell: int
    keeps_score: int
    keeps_days: int
    newcomer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustModel:
    """All parameters. There are no settings for them: a tier must mean the same in every gateway."""

    prior: int = 5 * UNIT
    """Weight of what is believed of an agent before anything is known of it."""
    base_percent: int = 20
    """Share of the prior that is good: the score of a newcomer."""
    fade: int = 4_245_635_389
    """Share of evidence that is left after one day, in parts of 2^32: half after 60 days."""

    proven_risk: int = 30
    """Successes below this risk are harmless: slight evidence, however many."""
    proven_a_day: int = UNIT
    """The most that the proven successes of one day add."""
    slight_a_day: int = UNIT // 10
    """The most that the slight evidence of one day adds."""
    least_good: int = UNIT // 100
    """What a success weighs at least, before it is taken for a claim."""
    slight_fills: int = 2 * UNIT
    """The most slight evidence there is, and the merit up to which it counts: a score of 42, below what T2 takes."""
    kinds: int = 32
    """Proven calls that are remembered (tool and arguments): one of them again is slight evidence."""
    claimed_percent: int = 10
    """What a success weighs that the agent itself reports (REST), against one that the gateway saw."""
    approved_percent: int = 25
    """What a human's yes weighs. What comes of it is evidence of its own."""
    assumed_risk: int = 60
    """Risk that a yes is taken for, and a no at least: what a human had to forbid is not harmless."""

    denied_percent: int = 800
    """What a denial by policy, tier or declared scope weighs, against a success of the same risk."""
    rejected_percent: int = 600
    """What a human's no weighs."""
    least_bad: int = UNIT // 10
    """What such a denial or no weighs at least."""
    refused: int = 8
    """Denied calls of a day that are remembered; one of them again is a slip: an agent in a loop means one thing."""
    denied_forfeits_percent: int = 90
    """Share of all merit that a denial of risk 100 forfeits; of lower risk by its square."""
    rejected_forfeits_percent: int = 45
    """The same for a human's no."""
    failed_percent: int = 60
    """What a failed execution weighs, divided by one and the proven successes since the failure before: an agent that
    does much fails more often, and is to be judged by how large the share is."""
    failed_a_day: int = UNIT // 2
    """The most that the failures of one day weigh together."""
    run_at_most: int = 99
    """Successes between two failures that are counted."""
    slip: int = UNIT // 100
    """What a request weighs that nobody forbade: unknown tool, wrong arguments, no rule, asked again after a no."""
    slips_a_day: int = UNIT // 20
    """The most that such requests, harmless failures and those that the agent reports itself weigh in one day."""
    bad_at_most: int = 40 * UNIT
    """Bad evidence that is kept; at the bottom there is nothing more to lose, and the way back must not be endless."""

    probation: int = 30
    """Days after a demotion without any promotion; time alone, or a ceiling, bars nothing."""
    quiet: int = 14
    """Days after a strike without any promotion."""
    strike_percent: int = 10
    """A denial or a no that forfeits at least this share of all merit is a strike: from risk 34 on, and any no."""
    steps: tuple[Step, Step, Step, Step] = (
        Step(risk=0, score=22, days=3, dwell=3, keeps_score=15, keeps_days=0, newcomer=12),
        Step(risk=30, score=50, days=10, dwell=14, keeps_score=45, keeps_days=6, newcomer=14),
        Step(risk=45, score=70, days=20, dwell=30, keeps_score=60, keeps_days=14, newcomer=16),
        Step(risk=60, score=85, days=30, dwell=60, keeps_score=82, keeps_days=20, newcomer=18),
    )
    """What T1 to T4 ask for. The risks are those that the tier below may do alone by the default thresholds."""


DEFAULT_MODEL = TrustModel()
