"""The desk of escalated calls: each finds its approval, goes on with its yes, or finds what became of it.

Owns that a yes leads to one execution and that its outcome is found by the same call: by all connections that wait for
it, and for ten minutes by one that comes back for an answer that nobody heard (contract, section 3). Approvals
themselves are `services/approvals.py`'s, waiting is `services/holding.py`'s.

A row `outcome:` says in turn: running (written with the decision that uses the yes up), then done (with the end of the
call), or nothing where its answer went out. Of a process that has ended, running means in doubt: the call is never sent
again for that yes. A human's no stands there too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import anyio
import orjson

from gateway.core.approvals import Approval, ApprovalState
from gateway.core.audit.body import completed_body, timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.outcomes import StoredOutcome, StoredState, outcome_key, read_outcome, until
from gateway.core.principal import Principal
from gateway.core.redact import redact
from gateway.core.rows import HeldApproval, approval_key, call_key
from gateway.ports import AuditLog, Clock, Conflict, Ids, StateStore, Vault
from gateway.services.approvals import Approvals
from gateway.services.judged import NO_ROWS, Completion, Held, Judged, Outcome, OutcomeKind, Rows, Use
from gateway.services.leases import Leases
from gateway.services.wakeups import Wakeups, Watch

__all__ = ["MAX_KEPT_BYTES", "CallDesk", "rejection"]

MAX_KEPT_BYTES: Final = 256 * 1024
"""Of an answer that nobody heard; of a larger one only that it was given is kept."""

SWEPT_AT_ONCE: Final = 16
"""Rows whose time is over that one escalation takes away."""


class CallDesk:
    """Implements `Desk` for both fronts; a submitted intent is its own and finds no other one's outcome."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        audit: AuditLog,
        state: StateStore,
        clock: Clock,
        ids: Ids,
        vault: Vault,
        wakeups: Wakeups,
        leases: Leases,
    ) -> None:
        self._approvals = approvals
        self._leases = leases
        self._audit = audit
        self._state = state
        self._clock = clock
        self._ids = ids
        self._vault = vault
        self._wakeups = wakeups
        self._attempts: dict[str, Use] = {}
        self._runs: dict[str, Use] = {}
        """Runs by approval, while somebody waits for it: also ended ones, whose outcome the others are given."""
        self._expiring: dict[str, dict[str, str]] = {}
        """Outcomes of this process and their ends. Those of an earlier one are removed by `services/retention.py`."""
        approvals.on_change(self._changed)
        leases.on_grant(wakeups.wake_all)

    # --- Desk ---------------------------------------------------------------------------------------------------------

    async def hold(self, judged: Judged) -> Held:
        """Say what becomes of an escalated call.

        Raises:
            StoreError: that cannot be known.
        """
        if judged.call.method == INTENT_METHOD:
            return await self._approvals.hold(judged)
        tenant = judged.principal.tenant
        key = outcome_key(call_key(judged.principal.agent, judged.call))
        row = await self._state.get(tenant, key)
        stored = None if row is None else read_outcome(row.value, row.version)
        if stored is not None and self.speaks(stored):
            return await self._found(tenant, stored)
        expects = [Expect(key=key, version=0 if row is None else row.version)]
        if judged.continues:
            waited = await self._approvals.current(tenant, judged.continues)
            if waited is not None and waited.used:
                return _over(waited.approval.intent_id, waited.approval.id)
            if waited is not None:
                expects.append(Expect(key=approval_key(judged.continues), version=waited.version))
        held = await self._leased(judged) or await self._approvals.hold(judged)
        rows = Rows(expects=tuple(expects)) + held.rows + await self._taken_away(tenant, key)
        if held.yes is not None or (held.leased is not None and held.approval_id):
            return self._going_on(judged, held, key, rows)
        stale = NO_ROWS if row is None else Rows(puts=(Put(key=key, value=None),))
        return replace(held, rows=rows + stale)

    async def _leased(self, judged: Judged) -> Held | None:
        """Return what a lease makes of an escalated call, None where none covers it or the call has a yes of its own.

        Where its approval is pending, that is answered by the lease: it leads to one execution as by any other yes,
        since others may wait for it. A call that nobody was asked about is one use of the lease and no more.
        """
        covering = await self._leases.covering(judged)
        if covering is None:
            return None
        waiting, pointer = await self._approvals.of_call(judged)
        rows = covering.rows + Rows(expects=(pointer,))
        if waiting is None:
            return Held(intent_id=judged.intent_id, approval_id="", rows=rows, leased=covering.fact)
        one = waiting.approval
        if one.state is not ApprovalState.PENDING:
            return None
        rows += await self._approvals.answered(waiting, by=covering.fact.id, rationale="A lease covers it.")
        return Held(intent_id=one.intent_id, approval_id=one.id, rows=rows, leased=covering.fact)

    def fitting(self, principal: Principal, call: Call) -> frozenset[str]:
        """Return the leases whose shape a call has that waits; whether they cover it, a new decision says."""
        return self._leases.fitting(principal, call)

    def renew(self, judged: Judged, yes: HeldApproval, expects: tuple[Expect, ...]) -> Held:
        """Open an approval in place of one whose yes does not answer what the call escalates for today."""
        return self._approvals.renew(judged, yes, expects)

    def began(self, use: Use) -> None:
        """Take note that the decision which uses the yes is durable, for those who wait for the approval."""
        if self._wakeups.watched(use.approval_id):
            self._runs[use.approval_id] = use
            self._wakeups.wake(use.approval_id)

    def ended(self, use: Use, judged: Judged, outcome: Outcome, *, heard: bool) -> Rows:
        """Return what the end of an approved call writes: nothing where its answer goes out at once."""
        if heard:
            return Rows(puts=(Put(key=use.key, value=None),))
        tenant = judged.principal.tenant
        stored = StoredOutcome(
            state=StoredState.DONE,
            approval_id=use.approval_id,
            intent_id=judged.intent_id,
            until=until(self._clock.now()),
            answered=outcome.kind is OutcomeKind.ANSWERED,
            reason=outcome.reason,
            explanation=outcome.explanation,
            may_have_run=outcome.may_have_run,
            sealed=self._sealed(tenant, judged.intent_id, use.key, outcome),
        )
        self._note(tenant, use.key, stored.until)
        return Rows(puts=(Put(key=use.key, value=stored.written()),))

    def over(self, use: Use, outcome: Outcome | None) -> None:
        """Take note that the attempt is over; only the first word counts."""
        if self._attempts.pop(use.attempt, None) is None:
            return
        use.outcome = outcome
        if outcome is not None:
            self.began(use)
        use.done.set()

    async def again(self, principal: Principal, call: Call, over: Held) -> Outcome:
        """Return what the same call is told that has been executed already, or is being.

        Raises:
            StoreError: what it is told could not be recorded; nothing is told then.
        """
        key = outcome_key(call_key(principal.agent, call))
        row = await self._state.get(principal.tenant, key)
        stored = None if row is None else read_outcome(row.value, row.version)
        if stored is not None and stored.approval_id != over.approval_id:
            stored = None
        use = self._runs.get(over.approval_id)
        if stored is not None and stored.attempt in self._attempts:
            use = self._attempts[stored.attempt]
        if use is not None and not use.done.is_set():
            return replace(_done(over), kind=OutcomeKind.RUNNING, reason=OutcomeKind.RUNNING, use=use)
        return await self._replayed(principal, call, over, key, stored, use)

    @contextmanager
    def waiting(self, approval_id: str) -> Iterator[Watch]:
        """Wait for changes of one approval inside of the block, and find there what became of its call."""
        try:
            with self._wakeups.watch(approval_id) as watch:
                yield watch
        finally:
            if not self._wakeups.watched(approval_id):
                self._runs.pop(approval_id, None)

    def wake_all(self) -> None:
        """Wake everybody who waits, for the gateway stops."""
        self._wakeups.wake_all()

    # --- what became of it --------------------------------------------------------------------------------------------

    async def _found(self, tenant: str, stored: StoredOutcome) -> Held:
        """Return what a call finds instead of an approval."""
        if stored.state is not StoredState.REFUSED:
            return _over(stored.intent_id, stored.approval_id)
        held = await self._approvals.current(tenant, stored.approval_id)
        refused = "A human has rejected this very call." if held is None else rejection(held.approval)
        return Held(intent_id=stored.intent_id, approval_id=stored.approval_id, rows=NO_ROWS, refused=refused)

    def speaks(self, stored: StoredOutcome) -> bool:
        """Return whether the row of an outcome still says something: a run says so as long as it lasts."""
        return stored.until > timestamp(self._clock.now()) or stored.attempt in self._attempts

    def _going_on(self, judged: Judged, held: Held, key: str, rows: Rows) -> Held:
        """Return the call with its yes, and the row which says that it runs."""
        use = Use(self, attempt=self._ids.secret(), key=key, approval_id=held.approval_id)
        self._attempts[use.attempt] = use
        running = StoredOutcome(
            state=StoredState.RUNNING,
            approval_id=held.approval_id,
            intent_id=held.intent_id,
            until=until(judged.facts.now),
            attempt=use.attempt,
        )
        self._note(judged.principal.tenant, key, running.until)
        return replace(held, use=use, rows=rows + Rows(puts=(Put(key=key, value=running.written()),)))

    async def _replayed(
        self, principal: Principal, call: Call, over: Held, key: str, stored: StoredOutcome | None, use: Use | None
    ) -> Outcome:
        """Return the outcome of a run that has ended, once that is on record; a kept answer is given once."""
        taken = NO_ROWS
        if stored is not None and stored.state is StoredState.DONE:
            outcome = self._told(principal.tenant, key, stored)
            taken = Rows(expects=(Expect(key=key, version=stored.version),), puts=(Put(key=key, value=None),))
        elif use is not None and use.outcome is not None:
            outcome = use.outcome
        else:
            outcome = _done(over) if stored is None else _in_doubt(over)
        outcome = replace(outcome, replayed=True)
        with anyio.CancelScope(shield=True):
            entry = self._replay(principal, call, over, outcome, taken)
            if isinstance(await self._audit.append(entry), Conflict):
                # Another connection took the same answer at this moment: there is nothing left to take away.
                await self._audit.append(self._replay(principal, call, over, outcome, NO_ROWS))
        return outcome

    def _told(self, tenant: str, key: str, stored: StoredOutcome) -> Outcome:
        """Return the outcome that a row has kept."""
        told = Outcome(
            kind=OutcomeKind.FAILED,
            intent_id=stored.intent_id,
            reason=stored.reason,
            explanation=stored.explanation,
            may_have_run=stored.may_have_run,
            approval_id=stored.approval_id,
            message={},
        )
        if not stored.answered:
            return told
        if stored.sealed is None:
            text = "It was executed once, and its answer was too large to be kept for you."
            return replace(told, kind=OutcomeKind.DONE, explanation=text)
        plain = self._vault.unseal(stored.sealed, tenant=tenant, intent_id=stored.intent_id, entry_id=key)
        return replace(told, kind=OutcomeKind.ANSWERED, message=orjson.loads(plain))

    def _sealed(self, tenant: str, intent_id: str, key: str, outcome: Outcome) -> bytes | None:
        if outcome.kind is not OutcomeKind.ANSWERED:
            return None
        try:
            plain = orjson.dumps(outcome.message)
        except orjson.JSONEncodeError:  # an integer beyond 64 bits: no answer that a row could give back
            return None
        if len(plain) > MAX_KEPT_BYTES:
            return None
        return self._vault.seal(plain, tenant=tenant, intent_id=intent_id, entry_id=key)

    def _replay(self, principal: Principal, call: Call, over: Held, outcome: Outcome, rows: Rows) -> EntryDraft:
        """Return the entry which says that the same call came again and was told what became of the first."""
        details = {"outcome": outcome.kind, "approvalId": over.approval_id, "mayHaveRun": outcome.may_have_run}
        return EntryDraft(
            tenant=principal.tenant,
            id=self._ids.new("evt"),
            type=EntryType.CALL_REPLAYED,
            time=timestamp(self._clock.now()),
            intent_id=over.intent_id,
            agent=principal.agent,
            upstream=call.upstream,
            tool=call.target,
            reasons=(outcome.reason,),
            args_digest=call.arguments_digest,
            body=completed_body(details),
            expects=rows.expects,
            puts=rows.puts,
        )

    # --- rows whose time is over --------------------------------------------------------------------------------------

    def _changed(self, after: HeldApproval) -> None:
        """Wake who waits for an approval that has changed."""
        approval = after.approval
        if approval.state is ApprovalState.DENIED and after.key:
            self._note(approval.tenant, outcome_key(after.key), until(self._clock.now()))
        self._wakeups.wake(approval.id)

    def _note(self, tenant: str, key: str, ends: str) -> None:
        kept = self._expiring.setdefault(tenant, {})
        kept.pop(key, None)  # in the order in which they end, nearly
        kept[key] = ends

    async def _taken_away(self, tenant: str, but: str) -> Rows:
        """Return the removal of a few rows that say nothing any more."""
        now = timestamp(self._clock.now())
        known = self._expiring.get(tenant, {})
        removed = NO_ROWS
        for key in list(known)[:SWEPT_AT_ONCE]:
            if known[key] > now:
                break
            row = await self._state.get(tenant, key)
            if row is not None and key != but and not self.speaks(read_outcome(row.value, row.version)):
                removed += Rows(
                    expects=(Expect(key=key, version=row.version),),
                    puts=(Put(key=key, value=None),),
                )
            known.pop(key, None)
        return removed


def rejection(approval: Approval) -> str:
    """Return what an agent is told of a human's no, with what the human said."""
    said = str(redact({"rationale": approval.rationale})["rationale"])
    return f"A human has rejected this very call ({approval.id}){': ' if said else '.'}{said}"


def _over(intent_id: str, approval_id: str) -> Held:
    return Held(intent_id=intent_id, approval_id=approval_id, rows=NO_ROWS, over=True)


def _done(over: Held) -> Outcome:
    """Return the outcome of a run whose answer went to another connection, or to the same one before."""
    return Outcome(
        kind=OutcomeKind.DONE,
        intent_id=over.intent_id,
        reason=OutcomeKind.DONE,
        explanation="It was executed once, and another connection got its answer.",
        may_have_run=True,
        approval_id=over.approval_id,
        message={},
    )


def _in_doubt(over: Held) -> Outcome:
    """Return the outcome of a run that ended with its process."""
    text = "This call had its yes and was sent, but the gateway stopped before its end. It is not sent again by itself."
    return replace(_done(over), kind=OutcomeKind.FAILED, reason=Completion.IN_DOUBT, explanation=text)
