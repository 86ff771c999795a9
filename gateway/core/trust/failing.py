"""Whose doing an agent's failures are: rows of them at each upstream, and of the agent itself.

Owns what a breaker (`core/breaker.py`) may hold against whom. A tool's error is its server's word: whoever answers with
nothing else must close the way to itself, and not the agent's way everywhere. What was denied, or reported by the agent
itself, is the agent's own doing. Folds the same evidence as `fold.py`, and is no part of a record: no tier rests on it.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from gateway.core.jsonvalue import JsonValue
from gateway.core.trust.evidence import Change, Evidence, EvidenceKind
from gateway.core.trust.fold import FAILURES, SUCCESSES
from gateway.core.value import value

__all__ = ["OWN", "Failing", "Row", "failing_after", "read_failing"]

Row = tuple[int, str]
"""How many failures there are in a row, and when the last one was (RFC 3339)."""

OWN: Final = ""
"""In the place of an upstream: what is the agent's own doing."""


@value
class Failing:
    """The failures of one agent, of which there are some.

    `row` has those since its last success anywhere, by the upstream that answered them, or `OWN`. `at` has those that
    an upstream answered since the last success there, whatever went well elsewhere.
    """

    row: Mapping[str, Row]
    at: Mapping[str, Row]

    def count(self) -> int:
        """Return how many there are in a row."""
        return sum(count for count, _ in self.row.values())

    def without_worst(self) -> Row:
        """Return what would be left of the row without the upstream that answered most of it; of two, the later one."""
        answered = [(row, upstream) for upstream, row in self.row.items() if upstream != OWN]
        worst = max(answered)[1] if answered else None
        left = [row for upstream, row in self.row.items() if upstream != worst]
        return sum(count for count, _ in left), max((last for _, last in left), default="")

    def written(self) -> bytes:
        """Return the one written form, a JSON array."""
        return orjson.dumps((self.row, self.at))


def failing_after(failing: Failing | None, told: Evidence | Change, upstream: str) -> Failing | None:
    """Return an agent's failures with one more entry of that upstream; None where there are none."""
    if isinstance(told, Change):
        return failing
    if told.kind in SUCCESSES:
        at = {} if failing is None else failing.at
        if told.kind is EvidenceKind.EXECUTED:  # what the agent says of itself is no success of a server's
            at = {place: row for place, row in at.items() if place != upstream}
        return Failing(row={}, at=at) if at else None
    if told.kind not in FAILURES:
        return failing
    found = Failing(row={}, at={}) if failing is None else failing
    if told.kind is not EvidenceKind.FAILED:
        return Failing(row=_one_more(found.row, OWN, told.time), at=found.at)
    return Failing(row=_one_more(found.row, upstream, told.time), at=_one_more(found.at, upstream, told.time))


def read_failing(written: JsonValue) -> Failing:
    """Return the failures that were written so."""
    row, at = ({place: (count, last) for place, (count, last) in rows.items()} for rows in written)
    return Failing(row=row, at=at)


def _one_more(rows: Mapping[str, Row], place: str, time: str) -> Mapping[str, Row]:
    count, last = rows.get(place, (0, ""))
    return {**rows, place: (count + 1, max(last, time))}
