"""What the gateway counts: a projection of durable entries, and how long the steps of calls took.

Owns what is counted when, and the bound on names. A call pays for a few additions here and nothing else: sums, labels
and text are made when somebody asks (`exposition.py`). All of it begins at 0 with the process, as Prometheus expects.

Names that agents and programs choose are told apart up to a bound, for each tenant; what comes after that is counted
under `other`. Combinations of them are bounded as well. What is counted by closed words (effects, reasons, tiers,
types of entries) needs no bound.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import Final, Protocol

import orjson

from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.decision import Decision, Effect
from gateway.core.intent.model import Intent
from gateway.core.principal import Principal
from gateway.ports import Appended
from gateway.telemetry.catalogue import CALL_S, DECISION_S, OTHER, WAIT_S

__all__ = ["NAMES", "Histogram", "Metrics"]

NAMES: Final = 1000
"""Distinct agents, and distinct intent types, of one tenant that are told apart."""
COMBINATIONS: Final = 10
"""For each such name so many combinations of labels: an agent uses few intent types. Each tenant has its own room, so
that the names of one never take another's."""

_CALL_DECIDED: Final = EntryType.CALL_DECIDED
_CALL_COMPLETED: Final = EntryType.CALL_COMPLETED
_DENY: Final = Effect.DENY

_OPEN: Final = "pending"
"""The reason of an approval's entry while it needs more yeses."""
_CROCKFORD: Final = {sign: number for number, sign in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_TIME_SIGNS: Final = 10
"""Of a ULID; the rest is random."""

Decided = tuple[str, str, str, str, str, str, bool]
"""Tenant, agent, domain, intent type, effect, tier, and whether the intent was decided before."""
Ended = tuple[str, str, str, str, str]
"""Tenant, agent, domain, intent type, and the reason of the completed entry or the kind of value."""


class Judgement(Protocol):
    """What of a judged call is looked at (`services/judged.py`)."""

    @property
    def principal(self) -> Principal:
        """Who asked."""
        ...

    @property
    def call(self) -> "Target":
        """What was called."""
        ...

    @property
    def intent(self) -> Intent:
        """What it is for."""
        ...

    @property
    def decision(self) -> Decision:
        """The answer."""
        ...


class Target(Protocol):
    """Where a call goes."""

    @property
    def upstream(self) -> str:
        """The upstream's name."""
        ...


class Ending(Protocol):
    """What of an outcome is looked at."""

    @property
    def reason(self) -> str:
        """How it ended, as one of a few codes."""
        ...


class Histogram:
    """Durations by upper bounds; `counts` has one place more, for what is longer than all of them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def merged(self, other: "Histogram") -> "Histogram":
        """Return both in one."""
        both = Histogram(self.bounds)
        both.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        both.total = self.total + other.total
        return both


class _Names:
    """Which names of each tenant are told apart: the first so many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: defaultdict[str, set[str]] = defaultdict(set)

    def of(self, tenant: str, name: str) -> str:
        known = self._known[tenant]
        if name not in known:
            if len(known) >= self._most:
                return OTHER
            known.add(name)
        return name


class Metrics:
    """Counts entries (`follow`) and times calls (`decided`, `ended`), on the event loop."""

    def __init__(self, *, names: int = NAMES) -> None:
        self.names = names
        self._agents = _Names(names)
        self._types = _Names(names)
        self._most = COMBINATIONS * names
        self._decisions_of: defaultdict[str, int] = defaultdict(int)
        self._endings_of: defaultdict[str, int] = defaultdict(int)
        # --- by entry
        self.intents: dict[Decided, int] = {}
        self.endings: dict[Ended, int] = {}
        self.cents: defaultdict[Ended, int] = defaultdict(int)
        self.denials: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.trust: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
        self.refusals: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.entries: defaultdict[tuple[str, EntryType], int] = defaultdict(int)
        self.reloads = [0, 0]
        self.reloaded_at = 0.0
        self.waits: defaultdict[tuple[str, str], Histogram] = defaultdict(lambda: Histogram(WAIT_S))
        # --- by the clock
        self.evaluations: defaultdict[tuple[str, str, Effect], Histogram] = defaultdict(lambda: Histogram(DECISION_S))
        self.decisions: defaultdict[tuple[str, Effect], Histogram] = defaultdict(lambda: Histogram(DECISION_S))
        self.appends = Histogram(DECISION_S)
        self.executions: defaultdict[tuple[str, str, str, str], Histogram] = defaultdict(lambda: Histogram(CALL_S))
        self._rare: dict[EntryType, Callable[[EntryDraft], None]] = {
            EntryType.APPROVAL_RESOLVED: self._resolved,
            EntryType.TRUST_CHANGED: self._trust_changed,
            EntryType.REQUEST_REFUSED: self._refused,
            EntryType.STRANGERS_REFUSED: self._refused,
            EntryType.POLICY_LOADED: self._policies,
            EntryType.POLICY_REJECTED: self._policies,
        }

    def snapshot(self) -> "Metrics":
        """Return the counts as they are now. What is timed from now on may be seen in histograms that are there."""
        taken = copy(self)
        for name, table in vars(self).items():
            if isinstance(table, dict | list):
                setattr(taken, name, copy(table))
        return taken

    # --- entries, as they become durable ------------------------------------------------------------------------------

    def follow(self, draft: EntryDraft, appended: Appended) -> None:
        """As `ports.Follower`."""
        kind = draft.type
        self.entries[draft.tenant, kind] += 1
        if kind is _CALL_DECIDED:
            self._decided(draft)
        elif kind is _CALL_COMPLETED:
            self._completed(draft)
        elif kind in self._rare:
            self._rare[kind](draft)

    def _decided(self, draft: EntryDraft) -> None:
        effect = draft.effect
        key = (draft.tenant, draft.agent, draft.domain, draft.intent_type, effect, draft.tier, draft.again)
        counts = self.intents
        if key not in counts:
            agent, kind = self._bounded(draft, full=self._decisions_of[draft.tenant] >= self._most)
            key = (draft.tenant, agent, draft.domain, kind, effect, draft.tier, draft.again)
            self._decisions_of[draft.tenant] += key not in counts
        counts[key] = counts.get(key, 0) + 1
        if effect == _DENY and draft.reasons:
            self.denials[draft.tenant, draft.reasons[0]] += 1

    def _completed(self, draft: EntryDraft) -> None:
        reason = draft.reasons[0] if draft.reasons else ""
        key = (draft.tenant, draft.agent, draft.domain, draft.intent_type, reason)
        counts = self.endings
        if key not in counts:
            agent, kind = self._bounded(draft, full=self._endings_of[draft.tenant] >= self._most)
            key = (draft.tenant, agent, draft.domain, kind, reason)
            self._endings_of[draft.tenant] += key not in counts
        counts[key] = counts.get(key, 0) + 1
        if draft.value_cents:
            self.cents[*key[:-1], draft.value_type] += draft.value_cents

    def _bounded(self, draft: EntryDraft, *, full: bool) -> tuple[str, str]:
        """Return agent and intent type as they are counted; with no room for another combination neither is told."""
        if full:
            return OTHER, OTHER
        return self._agents.of(draft.tenant, draft.agent), self._types.of(draft.tenant, draft.intent_type)

    # --- entries that are rare ----------------------------------------------------------------------------------------

    def _resolved(self, draft: EntryDraft) -> None:
        state = draft.reasons[0]
        opened = _made_at(str(orjson.loads(draft.body).get("approvalId", "")))
        if state != _OPEN and opened is not None:
            waited = datetime.fromisoformat(draft.time).timestamp() - opened
            self.waits[draft.tenant, state].add(max(0.0, waited))

    def _trust_changed(self, draft: EntryDraft) -> None:
        word, tier = (*draft.reasons, "")[:2]
        self.trust[draft.tenant, self._agents.of(draft.tenant, draft.agent), word, tier] += 1

    def _refused(self, draft: EntryDraft) -> None:
        count = 1 if draft.type is EntryType.REQUEST_REFUSED else int(orjson.loads(draft.body)["count"])
        self.refusals[draft.tenant, draft.reasons[0]] += count

    def _policies(self, draft: EntryDraft) -> None:
        failed = draft.type is EntryType.POLICY_REJECTED
        self.reloads[failed] += 1
        if not failed:
            self.reloaded_at = datetime.fromisoformat(draft.time).timestamp()

    # --- calls, as their steps end ------------------------------------------------------------------------------------

    def decided(self, judged: Judgement, *, evaluated_s: float, recorded_s: float) -> None:
        """As `services/observing.py`'s `Observer.decided`."""
        tenant, effect = judged.principal.tenant, judged.decision.effect
        self.evaluations[tenant, judged.intent.domain, effect].add(evaluated_s)
        self.decisions[tenant, effect].add(evaluated_s + recorded_s)
        self.appends.add(recorded_s)

    def ended(self, judged: Judgement, outcome: Ending, *, upstream_s: float | None) -> None:
        """As `services/observing.py`'s `Observer.ended`; a call that was not forwarded took no time there."""
        if upstream_s is not None:
            key = (judged.principal.tenant, judged.intent.domain, judged.call.upstream, outcome.reason)
            self.executions[key].add(upstream_s)


def _made_at(id_: str) -> float | None:
    """Return when an id was made, in seconds since 1970; None where it is no ULID behind a prefix."""
    signs = id_.rpartition("_")[2][:_TIME_SIGNS]
    if len(signs) < _TIME_SIGNS or any(sign not in _CROCKFORD for sign in signs):
        return None
    milliseconds = 0
    for sign in signs:
        milliseconds = milliseconds * 32 + _CROCKFORD[sign]
    return milliseconds / 1000
