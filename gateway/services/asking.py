"""Asking a remote authority about a call, after everything that this gateway decides itself.

Owns when it is asked, and the row that says which of its intents a call waits for: a call that waits there is not asked
about anew, and its yes is fetched with the token by the next one like it, which the authority gives once. How it is
asked is `ports.RemoteAuthority`, what its answer means `core/remote.py` and the last rungs of `core/decide.py`.

What is denied here is never asked about. One decision asks one question, however often it starts again because what it
rests on changed meanwhile: the authority counts and records each.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import Expect, Put
from gateway.core.decide import with_authority
from gateway.core.decision import Effect
from gateway.core.principal import DEFAULT_TENANT
from gateway.core.remote import (
    Pending,
    Question,
    Told,
    Verdict,
    fact_of,
    question_of,
    read_pending,
    remote_key,
    unavailable,
)
from gateway.core.rows import call_key
from gateway.ports import Ids, RemoteAuthority, StateRow, StateStore
from gateway.services.judged import NO_ROWS, Asked, Judged, Rows

__all__ = ["ASKED_THERE", "REFUSED_FOR", "WAITS_FOR", "Asking"]

ASKED_THERE: Final = 19
"""The rung of `core/decide.py` on which a human is asked at the authority, and nobody here."""

WAITS_FOR: Final = timedelta(hours=24)
"""How long a row stands for what waits at the authority; an approval there lives an hour, unless its policy says so."""

REFUSED_FOR: Final = timedelta(minutes=10)
"""How long a human's no there answers the same call, before the authority is asked anew; the desk keeps its own so."""


class Asking:
    """Asks about the calls of one tenant."""

    def __init__(self, *, authority: RemoteAuthority, state: StateStore, ids: Ids, tenant: str) -> None:
        """`tenant` is the authority's. What a gateway without tenants of its own calls `default` stands for it."""
        self._authority = authority
        self._state = state
        self._ids = ids
        self._tenants = frozenset({tenant, DEFAULT_TENANT})

    async def considered(self, judged: Judged, before: Asked | None, *, first: bool) -> Judged:
        """Return the judgement with what the authority says to it.

        `before` is what it said when the same decision was made a moment ago. `first`: the intent is a new one, whose
        id nobody has used in a question.

        A call that needs a human here is asked about too, lest one is asked in vain; but not while it waits there: what
        the yes there is worth is fetched once it can be used.

        Raises:
            StoreError: it cannot be read whether the call waits there.
        """
        if judged.decision.effect is Effect.DENY:
            return judged
        if judged.principal.tenant not in self._tenants:
            told = unavailable("it decides for another tenant")
            return _with(judged, Asked(told=told, rows=NO_ROWS))
        key = remote_key(call_key(judged.principal.agent, judged.call))
        row = await self._state.get(judged.principal.tenant, key)
        waiting = _waiting(judged, row)
        if before is not None:
            told = _known(before.told, waiting)
        elif waiting is None:
            told = await self._authority.ask(self._question(judged, first=first))
        elif judged.decision.effect is Effect.ESCALATE:
            return judged
        else:
            told = await self._authority.recall(self._question(judged, first=first), waiting.intent_id)
        return _with(judged, Asked(told=told, rows=_rows(judged, key, row, waiting, told)))

    async def confirmed(self, judged: Judged) -> Judged:
        """Return the judgement of a call that a human here allows, with what the authority says, if it was not asked.

        Raises StoreError.
        """
        return judged if judged.asked is not None else await self.considered(judged, None, first=False)

    def _question(self, judged: Judged, *, first: bool) -> Question:
        key = judged.intent_id if first else f"{judged.intent_id}:{self._ids.new('ask')}"
        return question_of(judged.call, judged.principal.agent, key)


def _waiting(judged: Judged, row: StateRow | None) -> Pending | None:
    """Return what the call waits for at the authority, None where it waits for nothing."""
    pending = None if row is None else read_pending(row.value)
    return pending if pending is not None and pending.until > timestamp(judged.facts.now) else None


def _known(told: Told, waiting: Pending | None) -> Told:
    """Return what was told before. Where an equal call was faster, both wait for that one's approval."""
    if told.verdict is not Verdict.PENDING or waiting is None:
        return told
    return replace(told, intent_id=waiting.intent_id, approval_id=waiting.approval_id, url=waiting.url)


def _rows(judged: Judged, key: str, row: StateRow | None, waiting: Pending | None, told: Told) -> Rows:
    """Return what is written with the decision: the row of what the call waits for, or its removal."""
    expects = (Expect(key=key, version=0 if row is None else row.version),)
    if told.verdict is Verdict.UNAVAILABLE:
        return NO_ROWS
    if told.verdict is Verdict.PENDING:
        if waiting is not None and waiting.intent_id == told.intent_id:
            return Rows(expects=expects)
        until = timestamp(judged.facts.now + WAITS_FOR)
        pending = Pending(intent_id=told.intent_id, approval_id=told.approval_id, url=told.url, until=until)
        return Rows(expects=expects, puts=(Put(key=key, value=pending.written()),))
    if row is None:
        return NO_ROWS
    if told.verdict is Verdict.DENY and waiting is not None and waiting.intent_id == told.intent_id:
        until = min(waiting.until, timestamp(judged.facts.now + REFUSED_FOR))
        return Rows(expects=expects, puts=(Put(key=key, value=replace(waiting, until=until).written()),))
    return Rows(expects=expects, puts=(Put(key=key, value=None),))


def _with(judged: Judged, asked: Asked) -> Judged:
    remote = fact_of(asked.told)
    return replace(
        judged,
        facts=replace(judged.facts, remote=remote),
        decision=with_authority(judged.decision, remote),
        asked=asked,
    )
