"""The PEP: one call from principal to outcome, top to bottom. The only place from which a gated call is forwarded.

    a facts      b intent      c decide      d append the decided entry
    e DENY and ESCALATE end here             f forward, if the caller is still there
    g append the completed entry         (f and g are `services/forwarding.py`)

Nothing is forwarded before (d) has returned, and no answer is given before (g) has. What an agent, an upstream or the
store can cause ends in an Outcome; only cancellation and our own faults are raised. How an outcome reads on the wire
is `core/refusal.py`; how a call is built from a message is `services/gating.py`. What is submitted by REST takes a to d
alone (`judge`): its program acts itself. What escalates waits at the `Desk`, opened in the transaction of (d).
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

import anyio

from gateway.core.approvals import Granted
from gateway.core.audit.body import decided, shown_place, timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Put, Unchanged
from gateway.core.budgets import NOTHING, Spent
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.decide import decide, is_hidden, refuse
from gateway.core.decision import BY_BUDGET, Effect, Reason
from gateway.core.facts import Facts
from gateway.core.intent.classify import classify
from gateway.core.intent.model import IntentContext
from gateway.core.intent.taxonomy import Taxonomy
from gateway.core.methods import BY_UPSTREAM, EMBEDDED_METHODS
from gateway.core.principal import TIER_NAMES, Principal
from gateway.core.respite import by_budget, respite
from gateway.core.worth import NO_AMOUNTS, Amounts
from gateway.errors import AuditUnavailable, StoreError
from gateway.ports import Appended, AuditLog, Clock, Conflict, Ids
from gateway.services.asking import ASKED_THERE, Asking
from gateway.services.budgets import OVERTAKEN, is_account
from gateway.services.facts import FactSource, seen_key
from gateway.services.forwarding import Forward, Forwarding, Prepare, heard
from gateway.services.inflight import InFlight
from gateway.services.judged import (
    NO_ROWS,
    Asked,
    Completion,
    Desk,
    Held,
    Judged,
    Outcome,
    OutcomeKind,
    Presence,
    Rows,
    Use,
)
from gateway.services.observing import Observer
from gateway.services.running import Running
from gateway.services.scope import new_scope
from gateway.services.traces import TRACE_ID

__all__ = [
    "NO_ROWS",
    "Completion",
    "Desk",
    "Enforcement",
    "Forward",
    "Held",
    "Judged",
    "Outcome",
    "OutcomeKind",
    "Prepare",
    "Presence",
    "Rows",
    "unrecorded",
]

ATTEMPTS = 3
"""How often a call starts again because what its decision rested on changed meanwhile (design, section 3)."""

_ALLOW: Final = Effect.ALLOW
_ESCALATE: Final = Effect.ESCALATE
_DENY: Final = Effect.DENY
_CALL_DECIDED: Final = EntryType.CALL_DECIDED

_BUSY = (Reason.BUSY, "Too many calls are in flight; wait for some to end.")
_CONTENTION = (Reason.CONTENTION, "What this decision rests on keeps changing; try later.")


class _Changed(Exception):
    """A row that the caller of `judge` expects is not as it was."""

    def __init__(self, conflict: Conflict) -> None:
        self.conflict = conflict


class Enforcement:
    """Decides, records, then forwards."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        facts: FactSource,
        taxonomy: Taxonomy,
        clock: Clock,
        ids: Ids,
        in_flight: InFlight,
        show_arguments: bool,
        observer: Observer,
        running: Running,
        desk: Desk | None = None,
        amounts: Amounts = NO_AMOUNTS,
        asking: Asking | None = None,
    ) -> None:
        """Without a `desk` an escalated call ends there: nobody can say yes to it. Without `asking` nobody is asked.

        `running` is where switches find the calls that are at their upstreams.
        """
        self._audit = audit
        self._facts = facts
        self._taxonomy = taxonomy
        self._clock = clock
        self._ids = ids
        self._in_flight = in_flight
        self._show_arguments = show_arguments
        self._observer = observer
        self._desk = desk
        self._asking = asking
        self._forwarding = Forwarding(
            audit=audit,
            clock=clock,
            ids=ids,
            observer=observer,
            amounts=amounts,
            stopped=facts.stopped,
            running=running,
        )

    async def call(
        self,
        principal: Principal,
        call: Call,
        forward: Forward,
        presence: Presence,
        *,
        prepare: Prepare | None = None,
        waited: tuple[str, str] = ("", ""),
    ) -> Outcome:
        """Take one call to its outcome; `forward` is awaited at most once, and only after a durable ALLOW.

        `prepare` is awaited once between the two. `waited` are the intent and the approval of a call that has waited
        for its human and goes on now.
        """
        intent_id = waited[0] or self._ids.new("int")
        entered = self._in_flight.enter(principal, call.upstream)
        try:
            # A caller that hangs up cannot suppress an entry or leave its call half known: whatever is recorded is
            # shielded, bounded by the store's own time-out. Only the forwarding itself can be cancelled.
            with new_scope(shield=True) as shield:
                try:
                    judged = await self._judge(principal, call, intent_id, busy=not entered, continues=waited[1])
                    if judged.again is not None:
                        return await judged.again(principal, call)
                except StoreError as error:
                    return unrecorded(intent_id, error)
                if judged.decision.effect is not _ALLOW:
                    return _not_allowed(judged)
                if prepare is None and judged.use is None:
                    outcome = await self._forwarding.forward(judged, forward, presence, shield)
                else:
                    outcome = await self._prepared(judged, forward, presence, shield, prepare)
            return outcome
        finally:
            if entered:
                self._in_flight.leave(principal, call.upstream)

    async def _prepared(
        self,
        judged: Judged,
        forward: Forward,
        presence: Presence,
        shield: anyio.CancelScope,
        prepare: Prepare | None,
    ) -> Outcome:
        """Forward a call that needs something made first, or that uses a human's yes up; the desk hears of its end."""
        use = judged.use
        if use is not None:
            use.heard = partial(heard, presence, shield)
        try:
            failed = None if prepare is None else await self._forwarding.prepare(prepare, judged)
            if failed is not None:
                return failed
            return await self._forwarding.forward(judged, forward, presence, shield)
        finally:
            if use is not None:
                use.desk.over(use, None)

    async def deny(
        self, principal: Principal, call: Call, reason: Reason, explanation: str, *, kind: OutcomeKind
    ) -> Outcome:
        """Record a DENY that was certain before any decision (no such target, its definition cannot be had).

        `kind` is how it is to be told; the outcome is UNRECORDED where the store fails.
        """
        intent_id = self._ids.new("int")
        begun = self._clock.monotonic()
        try:
            with anyio.CancelScope(shield=True):
                facts = await self._facts.gather(principal, call)
                intent = classify(call, IntentContext(mappings=facts.bundle.mappings), self._taxonomy)
                decision = refuse(facts, reason, explanation)
                judged = Judged(
                    principal=principal, call=call, intent_id=intent_id, intent=intent, decision=decision, facts=facts
                )
                evaluated = self._clock.monotonic()
                await self._audit.append(self._decided(judged))
        except StoreError as error:
            return unrecorded(intent_id, error)
        self._tell(judged, begun, evaluated)
        return Outcome(kind=kind, intent_id=intent_id, reason=reason, explanation=explanation, message={})

    async def judge(
        self,
        principal: Principal,
        call: Call,
        rows: Callable[[Judged], Rows],
        *,
        begin: Callable[[Judged], Awaitable[str]] | None = None,
        intent_id: str = "",
        approval: Granted | None = None,
    ) -> Judged | Conflict:
        """Decide a submitted intent, durably; nothing is forwarded and nothing stays open.

        `rows` are written with the decision. Where one that they expect has changed there is no decision, but the
        Conflict. `begin` begins what goes with an ALLOW while that is being made durable; the answer has it as `begun`,
        and nobody may use it before. `intent_id` and `approval` are given where an intent is decided again after a
        human's yes.

        Raises:
            StoreError: it is not certain that the decision is durable.
        """
        with anyio.CancelScope(shield=True):
            try:
                judged = await self._judge(
                    principal,
                    call,
                    intent_id or self._ids.new("int"),
                    busy=False,
                    rows=rows,
                    begin=begin,
                    approval=approval,
                )
            except _Changed as changed:
                return changed.conflict
        return judged

    # --- a to d: facts, intent, decision, durable entry ---------------------------------------------------------------

    async def _judge(
        self,
        principal: Principal,
        call: Call,
        intent_id: str,
        *,
        busy: bool,
        rows: Callable[[Judged], Rows] | None = None,
        begin: Callable[[Judged], Awaitable[str]] | None = None,
        approval: Granted | None = None,
        continues: str = "",
    ) -> Judged:
        """Return the judgement once it is durable. Raises StoreError where it is not."""
        attempt = overtaken = 0
        asked: Asked | None = None
        while True:
            attempt += 1
            begun = self._clock.monotonic()
            refusal = _BUSY if busy else _CONTENTION if attempt > ATTEMPTS else None
            judged = await self._considered(principal, call, intent_id, approval, refusal, asked, first=not continues)
            asked = judged.asked
            own = NO_ROWS
            if judged.decision.effect is _ESCALATE and self._desk is not None:
                judged, found = await self._hold(self._desk, replace(judged, continues=continues))
                asked = judged.asked
                if judged.again is not None:
                    return judged
                if found is None:
                    continue
                own = found
            if begin is not None and judged.decision.effect is _ALLOW:
                judged = replace(judged, begun=begin(judged))
            given = NO_ROWS if rows is None else rows(judged)
            again = bool(continues) or approval is not None or judged.intent_id != intent_id
            evaluated, conflict = await self._append(judged, own if given is NO_ROWS else own + given, again=again)
            if not isinstance(conflict, Conflict):
                break
            if any(conflict.key == one.key for one in given.expects):
                raise _Changed(conflict)
            if is_account(conflict.key) and overtaken < OVERTAKEN:
                overtaken += 1
                attempt -= 1
            await self._facts.outdated(principal.tenant, conflict.key)
        if judged.facts.novel and judged.decision.effect is _ALLOW:
            self._facts.remember(principal, call)
        self._tell(judged, begun, evaluated)
        return judged

    async def _considered(
        self,
        principal: Principal,
        call: Call,
        intent_id: str,
        approval: Granted | None,
        refusal: tuple[Reason, str] | None,
        asked: Asked | None,
        *,
        first: bool,
    ) -> Judged:
        """Gather the facts and decide; where there is a `refusal`, that is the decision. `asked`: a moment ago."""
        facts = await self._facts.gather(principal, call)
        if approval is not None:
            facts = replace(facts, approval=approval)
        intent = classify(call, IntentContext(mappings=facts.bundle.mappings, novel=facts.novel), self._taxonomy)
        if refusal is not None:
            decision = refuse(facts, *refusal)
        else:
            if facts.bundle.budgets:
                facts = await self._facts.budgets.read(call, intent, facts)
            decision = decide(call, intent, facts)
        judged = Judged(
            principal=principal, call=call, intent_id=intent_id, intent=intent, decision=decision, facts=facts
        )
        if self._asking is None:
            return judged
        return await self._asking.considered(judged, asked, first=first and approval is None)

    async def _reconsidered(self, judged: Judged, facts: Facts) -> Judged:
        """Decide again with what a human has said; budgets are read anew, for others went on meanwhile."""
        if facts.bundle.budgets:
            facts = await self._facts.budgets.read(judged.call, judged.intent, facts)
        judged = replace(judged, facts=facts, decision=decide(judged.call, judged.intent, facts))
        return judged if self._asking is None else await self._asking.confirmed(judged)

    async def _append(self, judged: Judged, rows: Rows, *, again: bool) -> tuple[float, Appended | Conflict]:
        """Append the decision, with what it spends of its budgets; also return when it was ready to be appended."""
        if not judged.facts.accounts or judged.decision.effect is not _ALLOW:
            draft = self._decided(judged, rows, again=again)
            evaluated = self._clock.monotonic()
            return evaluated, await self._queued(judged, draft)
        outcome = None
        spent, queued = self._facts.budgets.spend(judged)
        try:
            draft = self._decided(judged, rows, again=again, spent=spent)
            evaluated = self._clock.monotonic()
            outcome = await self._queued(judged, draft)
        finally:
            self._facts.budgets.ended(queued, outcome)
        return evaluated, outcome

    def _tell(self, judged: Judged, begun: float, evaluated: float) -> None:
        self._observer.decided(judged, evaluated_s=evaluated - begun, recorded_s=self._clock.monotonic() - evaluated)

    async def _hold(self, desk: Desk, judged: Judged) -> tuple[Judged, Rows | None]:
        """Let an escalated call wait for its approval, or decide it again with what a human has said to it.

        The rows are None where it has to start again: others have spent meanwhile what its lease would have let it
        have.
        """
        if judged.decision.rung == ASKED_THERE:
            return judged, NO_ROWS
        held = await desk.hold(judged)
        judged = replace(judged, intent_id=held.intent_id)
        if held.over:
            return replace(judged, again=partial(desk.again, over=held)), NO_ROWS
        if held.refused:
            return replace(judged, decision=refuse(judged.facts, Reason.REJECTED, held.refused)), NO_ROWS
        if held.leased is not None:
            judged = await self._reconsidered(judged, replace(judged.facts, lease=held.leased))
        elif held.yes is not None and held.use is not None:
            judged = await self._reconsidered(judged, replace(judged.facts, approval=held.yes.granted))
        else:
            return replace(judged, approval_id=held.approval_id), held.rows
        effect = judged.decision.effect
        if effect is Effect.ALLOW:
            approval_id = held.approval_id if held.leased is not None else ""
            return replace(judged, approval_id=approval_id, use=held.use), held.rows
        if held.use is not None:
            desk.over(held.use, None)
        if effect is Effect.DENY or judged.decision.rung == ASKED_THERE:
            # Others have spent what was left, or the authority has its own say: what the human said may be used later.
            return judged, NO_ROWS
        if held.yes is None:
            return judged, None
        held = desk.renew(judged, held.yes, held.rows.expects)
        return replace(judged, approval_id=held.approval_id), held.rows

    def _queued(self, judged: Judged, draft: EntryDraft) -> Awaitable[Appended | Conflict]:
        """Append a decision. Not a coroutine itself: most calls need no step of it."""
        return self._audit.append(draft) if judged.use is None else self._using(judged.use, draft)

    async def _using(self, use: Use, draft: EntryDraft) -> Appended | Conflict:
        """Append a decision that uses a yes up: its call runs from then on, until the desk hears it is over."""
        try:
            used = await self._audit.append(draft)
        except BaseException:
            use.desk.over(use, None)
            raise
        if isinstance(used, Conflict):
            use.desk.over(use, None)
        else:
            use.desk.began(use)
        return used

    def _decided(
        self, judged: Judged, rows: Rows = NO_ROWS, *, again: bool = False, spent: Spent = NOTHING
    ) -> EntryDraft:
        """Return the decided entry. A DENY rests on nothing that could conflict, so it expects nothing."""
        call, facts, decision = judged.call, judged.facts, judged.decision
        allowed = decision.effect is _ALLOW
        spent_up = bool(facts.accounts) and not allowed and by_budget(call, judged.intent, facts, decision)
        first = seen_key(judged.principal, call) if allowed and facts.novel else ""
        upstream, target = shown_place(call)
        if judged.asked is not None:
            rows += judged.asked.rows
        body, whole = decided(
            call,
            judged.intent,
            decision,
            facts,
            show_arguments=self._show_arguments,
            approval_id=judged.approval_id,
            trace=TRACE_ID.get(),
        )
        return EntryDraft(
            tenant=judged.principal.tenant,
            id=self._ids.new("evt"),
            type=_CALL_DECIDED,
            time=timestamp(facts.now),
            intent_id=judged.intent_id,
            agent=judged.principal.agent,
            upstream=upstream,
            tool=target,
            effect=decision.effect,
            reasons=(
                decision.reason,
                *[rule.id for rule in decision.rules],
                *([BY_BUDGET] if spent_up else ()),
                *([BY_UPSTREAM] if call.method in EMBEDDED_METHODS else ()),
            ),
            policy_digest=decision.policy_digest,
            risk=judged.intent.risk,
            confidence=f"{judged.intent.confidence:.2f}",
            args_digest=call.arguments_digest,
            body=body,
            evaluation_input=whole,
            opens=allowed and call.method != INTENT_METHOD,
            expects=rows.expects if decision.effect is _DENY else facts.expects + rows.expects,
            puts=(
                *rows.puts,
                *[Put(key=key, value=row) for key, row, _ in spent.after],
                *([Put(key=first, value=b"1")] if first else ()),
            ),
            counts=rows.counts,
            unchanged=spent.unchanged
            + ((Unchanged(key=first, value=None),) if first and facts.bundle.asks_first_use else ()),
            domain=judged.intent.domain,
            intent_type=judged.intent.type,
            tier=TIER_NAMES[facts.tier],
            again=again,
        )


def _not_allowed(judged: Judged) -> Outcome:
    """Return the outcome of a DENY or an ESCALATE, which is pending: not executed."""
    decision = judged.decision
    kind = OutcomeKind.ESCALATED
    if decision.effect is Effect.DENY:
        hidden = decision.reason is Reason.UNKNOWN_TOOL or is_hidden(judged.call, judged.facts)
        kind = OutcomeKind.HIDDEN if hidden else OutcomeKind.DENIED
    return Outcome(
        kind=kind,
        intent_id=judged.intent_id,
        reason=decision.reason,
        explanation=decision.explanation,
        rule=decision.rule,
        approval_id=judged.approval_id,
        message={},
        respite=respite(judged.call, judged.intent, judged.facts, decision) if kind is OutcomeKind.DENIED else None,
    )


def unrecorded(intent_id: str, error: StoreError) -> Outcome:
    """Return the refusal of a call whose facts could not be read or whose decision could not be made durable."""
    durable = isinstance(error, AuditUnavailable)
    return Outcome(
        kind=OutcomeKind.UNRECORDED,
        intent_id=intent_id,
        reason=Reason.AUDIT_UNAVAILABLE if durable else Reason.FACTS_UNAVAILABLE,
        explanation="The gateway cannot record decisions at the moment, so no call is forwarded.",
        message={},
    )
