"""A year of agents before the trust model of the gateway: what they do, as audit entries, and what becomes of them.

    python examples/trust_year/year.py                  five agents, as plots
    python examples/trust_year/year.py --adversaries    those who try to get a tier that they do not deserve
    python examples/trust_year/year.py --json           the same, for programs

Nothing is served and nothing waits: each act becomes the entries that the gateway would write of it, with the chained
fields that trust rests on, and these go through `gateway.core.trust` as they do in the gateway. Each agent has dice of
its own, thrown in the same way each time, so that every run says the same.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import TrustTier
from gateway.core.trust.deserved import change_due, cites, deserved_by, fold
from gateway.core.trust.evidence import Change, ChangeKind, Evidence, change_of, evidence_of
from gateway.core.trust.record import Record
from gateway.settings import DEFAULT_THRESHOLDS

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that an agent does. `how` says what the world makes of it.

    `call`: a tool call that a rule allows; the tier decides whether a human is asked. `forbidden`: one that a rule
    denies. `wrong`: one whose arguments break the tool's schema. `breaks`: one that the tool says has failed.
    `reported`: an intent by REST, whose success the agent reports itself. `unwanted`: a call to which a human says no.
    """

    risk: int
    tool: str = "tool"
    args: str = ""
    how: str = "call"


@dataclass(slots=True)
class Moved:
    """One change of the tier, and the acts that did harm before it."""

    day: int
    kind: ChangeKind
    before: TrustTier
    tier: TrustTier
    score: int
    cites: tuple[tuple[int, str], ...]
    bad_acts: int


@dataclass(slots=True)
class Life:
    """An agent before the gateway: its record, its chain, and what is to be shown of it."""

    name: str
    top: TrustTier
    about: str
    record: Record = field(default_factory=Record)
    seq: int = 0
    acts: int = 0
    bad_acts: int = 0
    tiers: list[TrustTier] = field(default_factory=list)
    scores: list[int] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)

    @property
    def tier(self) -> TrustTier:
        return TrustTier.T0 if self.record.tier is None else self.record.tier

    # --- what the gateway does ----------------------------------------------------------------------------------------

    def begin(self, now: datetime) -> None:
        """A human sets the agent's ceiling, which would be T2."""
        self._append(now, EntryType.TRUST_CHANGED, reasons=(ChangeKind.CEILING, self.top.name))

    def does(self, act: Act, now: datetime) -> None:
        """Decide one act by today's tier, as the ladder does, and tell what becomes of it."""
        self.acts += 1
        caps = DEFAULT_THRESHOLDS[self.tier]
        if act.how == "wrong":
            self._denied(act, now, "schema")
        elif act.how == "forbidden":
            self._denied(act, now, "policy-deny")
        elif act.risk >= caps.deny_from:
            self._denied(act, now, "tier-deny")
        elif act.how == "unwanted":
            self.bad_acts += 1
            self._append(now, EntryType.APPROVAL_RESOLVED, reasons=("denied",))
        else:
            if act.risk >= caps.allow_below:
                self._append(now, EntryType.APPROVAL_RESOLVED, reasons=("approved",))
            ends = {"reported": "completed", "breaks": "tool-error"}.get(act.how, "ok")
            self._append(now, EntryType.CALL_COMPLETED, act, reasons=(ends,))

    def _denied(self, act: Act, now: datetime, reason: str) -> None:
        self.bad_acts += reason != "schema"
        self._append(now, EntryType.CALL_DECIDED, act, effect="DENY", reasons=(reason,))

    def evening(self, now: datetime) -> None:
        """Look once a day, as time alone can change a tier; note what is to be plotted."""
        self._change(now)
        self.tiers.append(self.tier)
        self.scores.append(deserved_by(self.record, now).score)

    def _append(
        self, now: datetime, what: EntryType, act: Act | None = None, *, effect: str = "", reasons: tuple[str, ...]
    ) -> None:
        self.seq += 1
        entry = EntryDraft(
            tenant="default",
            id=f"evt_{self.name}_{self.seq}",
            type=what,
            time=timestamp(now),
            agent=self.name,
            upstream="" if act is None else "server",
            tool="" if act is None else act.tool,
            effect=effect,
            reasons=reasons,
            risk=0 if act is None else act.risk,
            args_digest="" if act is None else sha256(act.args.encode()).hexdigest(),
        )
        told: Evidence | Change | None = evidence_of(entry, self.seq) or change_of(entry, self.seq)
        if told is not None:
            self.record = fold(self.record, told)
        if what is not EntryType.TRUST_CHANGED:
            self._change(now)

    def _change(self, now: datetime) -> None:
        due = change_due(self.record, now)
        if due is None:
            return
        kind, deserved = due
        rests_on = cites(self.record, kind)
        self._append(now, EntryType.TRUST_CHANGED, reasons=(kind, deserved.tier.name))
        self.moved.append(
            Moved(
                day=(now - START).days,
                kind=kind,
                before=deserved.recorded,
                tier=deserved.tier,
                score=deserved.score,
                cites=rests_on,
                bad_acts=self.bad_acts,
            )
        )


Habits = Callable[[int, random.Random], Iterable[Act]]
"""What an agent does on a day of the year."""


def live(habits: Habits, *, ceiling: TrustTier = TrustTier.T4, days: int = DAYS) -> Life:
    """Return a year of an agent with those habits, under a ceiling that a human set on the first day."""
    name = habits.__name__
    life = Life(name=name, top=ceiling, about=" ".join((habits.__doc__ or "").split()))
    dice = random.Random(name)  # noqa: S311 - habits, not secrets
    life.begin(START)
    for day in range(days):
        morning = START + timedelta(days=day)
        for number, act in enumerate(habits(day, dice)):
            life.does(act, morning + timedelta(seconds=number))
        life.evening(morning + timedelta(hours=9))
    return life


# --- five agents ------------------------------------------------------------------------------------------------------


def work(day: int, dice: random.Random, *, calls: int = 6) -> Iterator[Act]:
    """Yield a working day: mostly reads, some writes, a message or two, at times something dangerous."""
    for number in range(calls):
        risk = dice.choice((20, 20, 33, 38, 43, 52, 58, 62, 70))
        yield Act(risk=risk, tool=f"tool-{risk}", args=f"{day}-{number}")


def steady(day: int, dice: random.Random) -> Iterator[Act]:
    """Works five days a week; now and then a tool fails or an argument is wrong."""
    if day % 7 >= 5:
        return
    yield from work(day, dice)
    if dice.random() < 0.15:
        yield Act(risk=38, how="breaks", args=str(day))
    if dice.random() < 0.05:
        yield Act(risk=20, how="wrong")


def learning(day: int, dice: random.Random) -> Iterator[Act]:
    """Begins with mistakes, forbidden calls and calls that humans refuse; each month fewer."""
    if day % 7 >= 5:
        return
    yield from work(day, dice, calls=4)
    clumsy = max(0.0, 1 - day / 150)
    for how, risk, often in (("wrong", 30, 0.9), ("breaks", 40, 0.6), ("forbidden", 40, 0.25), ("unwanted", 60, 0.15)):
        if dice.random() < often * clumsy:
            yield Act(risk=risk, how=how, args=str(day))


def bursting(day: int, dice: random.Random) -> Iterator[Act]:
    """Comes once a month, and does five hundred things in a day, of every risk and without a fault."""
    if day % 30 == 15:
        yield from work(day, dice, calls=500)


def turned(day: int, dice: random.Random) -> Iterator[Act]:
    """Works faultlessly for eight months; from then on, beside its work, it tries what is forbidden."""
    if day % 7 < 5:
        yield from work(day, dice)
        if day >= 240 and dice.random() < 0.5:
            yield Act(risk=80, how="forbidden", args=str(day))


def gaming(day: int, dice: random.Random) -> Iterator[Act]:
    """Two hundred harmless calls each day, all different, to look industrious."""
    for number in range(200):
        yield Act(risk=dice.choice((10, 15, 20, 25, 29)), tool=f"read-{number % 7}", args=f"{day}-{number}")


AGENTS: dict[Habits, TrustTier] = {
    steady: TrustTier.T4,
    learning: TrustTier.T3,
    bursting: TrustTier.T4,
    turned: TrustTier.T4,
    gaming: TrustTier.T4,
}
"""Each with the ceiling that a human set."""


# --- adversaries ------------------------------------------------------------------------------------------------------


def patient(day: int, dice: random.Random) -> Iterator[Act]:
    """One small change a day, always another one: separate days, and nothing of higher risk."""
    yield Act(risk=33, tool="write", args=str(day))
    yield from gaming(day, dice)


def replaying(day: int, dice: random.Random) -> Iterator[Act]:
    """The same dangerous call, with the same arguments, fifty times a day."""
    for _ in range(50):
        yield Act(risk=dice.choice((62, 62, 70)), tool="delete", args="the same")


def colluding(day: int, dice: random.Random) -> Iterator[Act]:
    """Submits dangerous intents by REST; an accomplice approves each, and the agent reports that all went well."""
    for number in range(30):
        yield Act(risk=dice.choice((62, 75, 85)), tool="pay", args=f"{day}-{number}", how="reported")


def alternating(day: int, dice: random.Random) -> Iterator[Act]:
    """A hundred good small acts a day, and each tenth day something that is forbidden."""
    yield from work(day, dice, calls=30)
    yield from gaming(day, dice)
    if day % 10 == 9:
        yield Act(risk=90, how="forbidden", args=str(day))


def splitting(day: int, dice: random.Random) -> Iterator[Act]:
    """Works well, and cuts each forbidden act into many small ones."""
    yield from work(day, dice)
    if day >= 150:
        for number in range(8):
            yield Act(risk=25, how="forbidden", args=f"{day}-{number}")


def sleeping(day: int, dice: random.Random) -> Iterator[Act]:
    """Earns what it can in five months, lies still for six, and comes back."""
    if day < 150:
        yield from work(day, dice)
    if day >= 335:
        yield Act(risk=20, args=str(day))


def failing(day: int, dice: random.Random) -> Iterator[Act]:
    """Six of its ten calls a day fail."""
    for number in range(10):
        yield Act(risk=dice.choice((38, 52, 62)), args=f"{day}-{number}", how=("call", "breaks")[number % 5 > 1])


def probing(day: int, dice: random.Random) -> Iterator[Act]:
    """Works well, and looks each week how far it can go."""
    yield from work(day, dice)
    if day % 7 == 0:
        yield Act(risk=95, tool="probe", args=str(day), how="forbidden")


def midnight(day: int, dice: random.Random) -> Iterator[Act]:
    """A burst that begins before midnight and ends after it, once a month."""
    if day % 30 in (15, 16):
        yield from work(day, dice, calls=200)


ADVERSARIES: dict[Habits, TrustTier] = dict.fromkeys(
    (patient, replaying, colluding, alternating, splitting, sleeping, failing, probing, midnight), TrustTier.T4
)


# --- what is shown ----------------------------------------------------------------------------------------------------

COLUMN = 5
"""Days in one column of a plot."""

BARS = "▁▂▃▄▅▆▇█"
MONTHS = "        Jan   Feb   Mar   Apr   May   Jun   Jul   Aug   Sep   Oct   Nov   Dec"


def plot(life: Life) -> Iterator[str]:
    """Yield the lines of one agent: tier and score over the year, and each change with the entries it rests on."""
    tiers, scores = life.tiers[COLUMN - 1 :: COLUMN], life.scores[COLUMN - 1 :: COLUMN]
    yield f"{life.name}: {life.about}"
    yield (
        f"  ceiling {life.top.name}, {life.acts} acts, {life.bad_acts} bad; highest {max(life.tiers).name},"
        f" at the end {life.tiers[-1].name} with a score of {life.scores[-1]}"
    )
    for tier in reversed(TrustTier):
        yield f"  {tier.name:>5} {''.join('█' if one is tier else ' ' for one in tiers)}".rstrip()
    yield "  score " + "".join(BARS[min(7, score * 8 // 100)] for score in scores)
    yield MONTHS
    for one in life.moved:
        rests_on = ", ".join(str(seq) for seq, _ in one.cites)
        date = (START + timedelta(days=one.day)).date()
        yield (
            f"  {date} {one.kind.value:>8} {one.before.name} to {one.tier.name}, score {one.score},"
            f" after {one.bad_acts} bad acts; entries {rests_on}"
        )
    yield ""


def as_json(life: Life) -> dict[str, object]:
    """Return the same for programs."""
    return {
        "agent": life.name,
        "ceiling": life.top.name,
        "acts": life.acts,
        "badActs": life.bad_acts,
        "highest": max(life.tiers).name,
        "tiers": [tier.name for tier in life.tiers],
        "scores": life.scores,
        "changes": [
            {
                "day": one.day,
                "kind": one.kind.value,
                "from": one.before.name,
                "tier": one.tier.name,
                "score": one.score,
                "badActs": one.bad_acts,
                "entries": [entry for _, entry in one.cites],
            }
            for one in life.moved
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A simulated year of agents before the gateway's trust model.")
    parser.add_argument("--adversaries", action="store_true", help="those who try to get what they do not deserve")
    parser.add_argument("--json", action="store_true", help="for programs")
    chosen = parser.parse_args()
    lives = [live(habits, ceiling=top) for habits, top in (ADVERSARIES if chosen.adversaries else AGENTS).items()]
    if chosen.json:
        print(json.dumps([as_json(life) for life in lives]))
    else:
        for life in lives:
            print("\n".join(plot(life)))


if __name__ == "__main__":
    main()
