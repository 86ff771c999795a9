"""Whose doing an agent's failures are: what it does itself, and what each upstream answers.

Owns what a breaker (`core/breaker.py`) may hold against whom, and what ends a row. A tool's error is its server's word:
however many servers answer with nothing else, each closes the way to itself, and none the agent's way elsewhere. What
was denied, or reported by the agent itself, is its own doing. Folds the same evidence as `fold.py`, and is no part of a
record: no tier rests on it.

A denial is on record at once, a success only when its call has ended, which may take minutes, or never come to be where
the gateway is killed. So a row of denials ends with what is allowed, not only with what has succeeded: else an agent
that does as much that is allowed, only slowly, would be taken for one that does nothing but what is forbidden.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Final

import orjson

from gateway.core.audit.entry import EntryDraft
from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonValue
from gateway.core.methods import BY_UPSTREAM
from gateway.core.trust.evidence import Change, Evidence, EvidenceKind
from gateway.core.trust.fold import FAILURES, SUCCESSES
from gateway.core.value import value

__all__ = ["NO_ROW", "Failing", "Row", "failing_after", "failing_allowed", "read_failing"]

Row = tuple[int, str]
"""How many failures there are in a row, and when the last one was (RFC 3339)."""

NO_ROW: Final[Row] = (0, "")


@value
class Failing:
    """The failures of one agent, of which there are some.

    `denied` are its denials since anything was allowed it or went well, `reported` the failures that it reported itself
    since anything went well. `at` has those that an upstream answered since the last success there, whatever went well
    elsewhere.
    """

    denied: Row = NO_ROW
    reported: Row = NO_ROW
    at: Mapping[str, Row] = field(default_factory=dict)

    def own(self) -> Row:
        """Return the row of what is the agent's own doing, which no upstream has a part in."""
        (denied, denied_at), (reported, reported_at) = self.denied, self.reported
        return denied + reported, max(denied_at, reported_at)

    def written(self) -> bytes:
        """Return the one written form, a JSON array."""
        return orjson.dumps((self.denied, self.reported, self.at))


def failing_after(failing: Failing | None, told: Evidence | Change, upstream: str) -> Failing | None:
    """Return an agent's failures with one more entry of that upstream; None where there are none."""
    if isinstance(told, Change):
        return failing
    if told.kind in SUCCESSES:
        at = {} if failing is None else failing.at
        if told.kind is EvidenceKind.EXECUTED:  # what the agent says of itself is no success of a server's
            at = {place: row for place, row in at.items() if place != upstream}
        return Failing(at=at) if at else None
    if told.kind not in FAILURES:
        return failing
    found = Failing() if failing is None else failing
    if told.kind is EvidenceKind.DENIED:
        return Failing(denied=_one_more(found.denied, told), reported=found.reported, at=found.at)
    if told.kind is EvidenceKind.CLAIMED_FAILED:
        return Failing(denied=found.denied, reported=_one_more(found.reported, told), at=found.at)
    at = {**found.at, upstream: _one_more(found.at.get(upstream, NO_ROW), told)}
    return Failing(denied=found.denied, reported=found.reported, at=at)


def failing_allowed(failing: Failing, entry: EntryDraft) -> Failing | None:
    """Return an agent's failures with an entry that is no evidence: that something was allowed it ends its denials."""
    if entry.effect != Effect.ALLOW or not failing.denied[0] or BY_UPSTREAM in entry.reasons:
        return failing
    if not failing.reported[0] and not failing.at:
        return None
    return Failing(reported=failing.reported, at=failing.at)


def read_failing(written: JsonValue) -> Failing:
    """Return the failures that were written so."""
    denied, reported, at = written
    return Failing(denied=_row(denied), reported=_row(reported), at={place: _row(row) for place, row in at.items()})


def _row(written: JsonValue) -> Row:
    count, last = written
    return count, last


def _one_more(row: Row, told: Evidence) -> Row:
    count, last = row
    return count + 1, max(last, told.time)
