"""Approvals: a human's yes or no to one escalated intent, of either front.

Owns that each resolution is durable before it takes effect, and that exactly one of two wins. An approval is opened in
the transaction of the decision that asks for it, and its yes is used up in that of the act which it allows. Who may
resolve one is `voting.py`'s, where calls wait for it `desk.py`'s and `holding.py`'s; the states are
`core/approvals.py`'s, what is kept `core/rows.py`'s.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import anyio
import orjson

from gateway.core.approvals import Approval, ApprovalState
from gateway.core.audit.body import evaluation_input, read_call, timestamp
from gateway.core.audit.entry import Count, EntryDraft, EntryType, Expect, Put
from gateway.core.call import INTENT_METHOD, Call
from gateway.core.decision import ApprovalTerms, Effect
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import BY_UPSTREAM, EMBEDDED_METHODS
from gateway.core.outcomes import outcome_key, refused
from gateway.core.principal import Principal
from gateway.core.redact import redact
from gateway.core.retention import APPROVAL, read_kept_approval
from gateway.core.rows import (
    INPUTS,
    PENDING,
    HeldApproval,
    IntentState,
    Vote,
    about,
    approval_key,
    asked_key,
    call_key,
    input_key,
    intent_key,
    pending_key,
    read_approval,
    read_intent,
)
from gateway.core.submission import IntentStatus, may_become
from gateway.core.submitted import MAX_TEXT_CHARS, is_text
from gateway.errors import (
    FieldProblem,
    InvalidRequest,
    NotFound,
    StateConflict,
    StoreError,
)
from gateway.ports import AuditLog, Clock, Conflict, HeldFilter, HeldRow, Ids, Page, RecordIndex, StateStore, Vault
from gateway.services.jobs import Jobs
from gateway.services.judged import NO_ROWS, Held, Judged, Rows
from gateway.services.voting import closed, require_another, require_answerable, voted

__all__ = ["BY_ITSELF", "SWEEP_S", "Approvals", "failed", "used"]

SWEEP_S: Final = 5.0
"""Between two looks for approvals whose time is over. Nobody is told a wrong state meanwhile: whoever looks, sweeps."""

JOB: Final = "approvals-expiry"

ATTEMPTS: Final = 5
"""How often a resolution starts again because another approver's was recorded meanwhile."""

ASKED_MOST: Final = 2**53
"""Askings that are counted; nobody is turned away for asking often."""

BY_ITSELF: Final = "gateway"
"""Who resolves what nobody resolved in time."""

_STATUS: Final = {
    ApprovalState.APPROVED: IntentStatus.APPROVED,
    ApprovalState.DENIED: IntentStatus.REJECTED,
    ApprovalState.EXPIRED: IntentStatus.EXPIRED,
    ApprovalState.CANCELLED: IntentStatus.REJECTED,
}


class Approvals:
    """The approvals of every tenant: opened, looked at, answered, expired."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        state: StateStore,
        index: RecordIndex,
        clock: Clock,
        ids: Ids,
        vault: Vault,
        jobs: Jobs | None = None,
    ) -> None:
        self._jobs = jobs or Jobs()
        self._audit = audit
        self._state = state
        self._index = index
        self._clock = clock
        self._ids = ids
        self._vault = vault
        self._due: dict[tuple[str, str], str] = {}
        self._told_of_changes: list[Callable[[HeldApproval], None]] = []

    def on_change(self, tell: Callable[[HeldApproval], None]) -> None:
        """Call `tell` at once with each approval that has got an answer, durably, or whose time is over."""
        self._told_of_changes.append(tell)

    async def load(self, tenants: Iterable[str]) -> None:
        """Read when the open approvals of these tenants expire; part of the start. Raises StoreError."""
        for tenant in tenants:
            for key in await self._state.keys(tenant, INPUTS):  # which are there as long as their approvals are open
                row = await self._state.get(tenant, approval_key(key.removeprefix(INPUTS)))
                held = None if row is None else read_approval(tenant, row.value, row.version)
                if held is not None and held.open:
                    self._due[tenant, held.approval.id] = held.approval.expires

    async def run(self) -> None:
        """Expire what is due, for ever; `app.py` owns the task."""
        while True:
            await anyio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except StoreError:  # what cannot be recorded now is still due at the next look
                self._jobs.ran(JOB, well=False)
            else:
                self._jobs.ran(JOB)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def pending(self, tenant: str) -> int:
        """Return how many approvals of the tenant await a human. Raises StoreError."""
        await self.sweep(tenant)
        return len(await self._state.keys(tenant, PENDING))

    async def listed(
        self, tenant: str, state: ApprovalState | None, group: str, *, page: int, page_size: int
    ) -> Page[HeldApproval]:
        """Return one page (from 1) of approvals in that state (None: in any) and group (empty: of any), newest first.

        Also of those whose rows were removed; nothing is read but what is on the page. Raises StoreError.
        """
        wanted = HeldFilter(kind=APPROVAL, state=state or "", group=group)
        found = await self._index.held(tenant, wanted, page=page, page_size=page_size)
        shown = [await self._stood(tenant, row) for row in found.items]
        return Page(items=tuple(one for one in shown if one is not None), total=found.total)

    async def show(self, principal: Principal, approval_id: str) -> Approval:
        """Return an approval of the principal's tenant. Raises NotFound and StoreError."""
        return (await self._wanted(principal.tenant, approval_id, "")).approval

    async def arguments(self, principal: Principal, approval_id: str) -> JsonObject:
        """Return the exact arguments that the approval is about, while it is open.

        Raises:
            NotFound: there is no such approval, or it is open no more.
            StoreError: they cannot be read.
        """
        held = await self._wanted(principal.tenant, approval_id, "")
        call = await self.call(held, arguments_digest="")
        if call is None:
            msg = f"The approval '{approval_id}' is closed, and its arguments are kept no longer."
            raise NotFound(msg)
        return call.arguments

    # --- yes and no ---------------------------------------------------------------------------------------------------

    async def resolve(
        self,
        principal: Principal,
        *,
        approval_id: str = "",
        intent_id: str = "",
        approve: bool,
        rationale: str = "",
        claimed: str = "",
    ) -> Approval:
        """Say yes or no to the approval of that id, or to the one that the intent waits for.

        `claimed` is who the body says the approver is: stored as a claim beside the credential of record. Where a rule
        asks for several approvers, the approval stays pending until the last yes; one no is a no.

        Raises:
            NotFound: this tenant has no such approval.
            Forbidden: the principal submitted the intent, is an agent, or lacks the role that the rule asks for.
            AlreadyResolved: it has its answer, or its time is over.
            StateConflict: this approver has said yes already, and the rule asks for another one.
            InvalidRequest: a text cannot be recorded.
            StoreError: it could not be made durable; it has no answer yet.
        """
        for field, text in (("rationale", rationale), ("approver", claimed)):
            if not is_text(text, MAX_TEXT_CHARS):
                problem = f"must be a text of at most {MAX_TEXT_CHARS} characters"
                raise InvalidRequest(FieldProblem(path=(field,), message=problem))
        # Rows and answers show what is said here as long as the entry does: no secret of it, then, in either.
        said = redact({"claimed": claimed, "rationale": rationale})
        vote = Vote(
            credential=principal.credential,
            human=principal.human,
            time=timestamp(self._clock.now()),
            claimed=str(said["claimed"]),
            rationale=str(said["rationale"]),
        )
        for _ in range(ATTEMPTS):
            held = await self._wanted(principal.tenant, approval_id, intent_id)
            require_answerable(principal, held)
            require_another(held, vote)
            after = voted(held, vote, approve=approve)
            if await self._resolved(held, after, vote):
                return after.approval
        raise StateConflict("Others are resolving this approval at this moment; look at it again.")

    async def answerable(self, principal: Principal, *, approval_id: str = "", intent_id: str = "") -> HeldApproval:
        """Return the approval that the principal could answer now. Raises as `resolve` does."""
        held = await self._wanted(principal.tenant, approval_id, intent_id)
        require_answerable(principal, held)
        return held

    def open(self, tenant: str) -> tuple[str, ...]:
        """Return the ids of the tenant's open approvals."""
        return tuple(one for place, one in self._due if place == tenant)

    async def cancel(self, held: HeldApproval, *, by: str, why: str) -> bool:
        """Cancel an open approval, also one whose yes was not used yet; False where another change came first."""
        vote = Vote(credential=by, human="", time=timestamp(self._clock.now()), rationale=why)
        return await self._resolved(held, closed(held, ApprovalState.CANCELLED, vote), vote)

    async def sweep(self, tenant: str = "") -> None:
        """Expire what is due, of one tenant or of all. Raises StoreError."""
        now = timestamp(self._clock.now())
        for place in [place for place, expires in self._due.items() if expires <= now and tenant in ("", place[0])]:
            await self._find(*place)
            self._due.pop(place, None)

    # --- the desk: what enforcement and intents ask -------------------------------------------------------------------

    async def hold(self, judged: Judged) -> Held:
        """Say what becomes of an escalated call: the same call finds its approval, another one opens its own.

        Raises:
            StoreError: that cannot be known.
        """
        if judged.call.method == INTENT_METHOD:
            return self._opened(judged, "", ())
        key = call_key(judged.principal.agent, judged.call)
        held, pointer = await self.of_call(judged)
        if held is None:
            return self._opened(judged, key, (pointer,))
        found = Held(
            intent_id=held.approval.intent_id,
            approval_id=held.approval.id,
            rows=Rows(expects=(_expect(held), pointer)),
        )
        if held.approval.state is ApprovalState.PENDING:
            return replace(found, rows=replace(found.rows, counts=(_asked(held.approval.id),)))
        return replace(found, rows=replace(found.rows, puts=used(held).puts), yes=held)

    async def of_call(self, judged: Judged) -> tuple[HeldApproval | None, Expect]:
        """Return the open approval of the same tool call, None where there is none, and what says that this holds.

        Raises StoreError.
        """
        tenant, key = judged.principal.tenant, call_key(judged.principal.agent, judged.call)
        pointer = await self._state.get(tenant, key)
        held = None if pointer is None else await self._find(tenant, pointer.value.decode())
        if pointer is None or held is None or not held.open:  # closed since the pointer was read, which is gone then
            return None, Expect(key=key, version=0)
        return held, Expect(key=key, version=pointer.version)

    async def answered(self, held: HeldApproval, *, by: str, rationale: str) -> Rows:
        """Return the rows of a pending approval that a lease answers: it has its yes, which is used up at once.

        Raises StoreError.
        """
        one = held.approval
        vote = Vote(credential=by, human="", time=timestamp(self._clock.now()), rationale=rationale)
        rows = change(held, replace(closed(held, ApprovalState.APPROVED, vote), used=True))
        return rows + await self._of_intent(one, IntentStatus.APPROVED)

    def renew(self, judged: Judged, yes: HeldApproval, expects: tuple[Expect, ...]) -> Held:
        """Open an approval in place of one whose yes does not answer what the call escalates for today.

        `expects` are those under which the yes was found.
        """
        opened = self._opened(judged, yes.key, expects)
        return replace(opened, rows=replace(opened.rows, expects=expects, puts=failed(yes).puts + opened.rows.puts))

    async def current(self, tenant: str, approval_id: str) -> HeldApproval | None:
        """Return an approval as it stands now, expired where its time is over; None where there is none.

        One that was closed so long ago that its row is gone counts as none: nothing can rest on it.

        Raises StoreError.
        """
        return await self._find(tenant, approval_id)

    async def wanted(self, tenant: str, approval_id: str) -> HeldApproval:
        """Return an approval as it stands, or stood when it was closed however long ago.

        Raises NotFound and StoreError.
        """
        return await self._wanted(tenant, approval_id, "")

    async def call(self, held: HeldApproval, *, arguments_digest: str) -> Call | None:
        """Return the exact call that an open approval is about; None once it is closed.

        A tool's definition is not kept with it. Raises StoreError where it cannot be read.
        """
        one = held.approval
        row = await self._state.get(one.tenant, input_key(one.id))
        if row is None:
            return None
        plain = self._vault.unseal(row.value, tenant=one.tenant, intent_id=one.intent_id, entry_id=one.id)
        return read_call(orjson.loads(plain)["call"], arguments_digest=arguments_digest)

    def _opened(self, judged: Judged, key: str, expects: tuple[Expect, ...]) -> Held:
        """Return what opens an approval, in the transaction of the decision that escalates."""
        facts, decision, principal = judged.facts, judged.decision, judged.principal
        terms = decision.approval or ApprovalTerms()
        approval = Approval(
            id=self._ids.new("apr"),
            tenant=principal.tenant,
            intent_id=judged.intent_id,
            agent=principal.agent,
            requested_by=principal.credential,
            state=ApprovalState.PENDING,
            reason=decision.explanation,
            terms=terms,
            created=timestamp(facts.now),
            expires=timestamp(facts.now + timedelta(seconds=terms.expires_s)),
        )
        asking = frozenset((rule.id, rule.digest) for rule in decision.rules if rule.effect is Effect.ESCALATE)
        subject = about(principal.agent, judged.call, judged.intent, facts.tier)
        held = HeldApproval(approval=approval, rules=asking, key=key, human=principal.human, about=subject)
        sealed = self._vault.seal(
            evaluation_input(judged.call, facts),
            tenant=approval.tenant,
            intent_id=approval.intent_id,
            entry_id=approval.id,
        )
        waiting = IntentState(
            status=IntentStatus.PENDING,
            agent=approval.agent,
            credential=approval.requested_by,
            submitted=not key,
            approval_id=approval.id,
        )
        self._due[approval.tenant, approval.id] = approval.expires
        puts = (
            Put(key=approval_key(approval.id), value=held.written()),
            Put(key=pending_key(approval.id), value=subject.groups),
            Put(key=input_key(approval.id), value=sealed),
            Put(key=intent_key(approval.intent_id), value=waiting.written()),
            *((Put(key=key, value=approval.id.encode()),) if key else ()),
        )
        rows = Rows(expects=expects, puts=puts, counts=(_asked(approval.id),))
        return Held(intent_id=judged.intent_id, approval_id=approval.id, rows=rows)

    # --- rows and entries ---------------------------------------------------------------------------------------------

    async def _find(self, tenant: str, approval_id: str) -> HeldApproval | None:
        """Return the approval as it stands now: one whose time is over is expired, durably, before anybody sees it."""
        row = await self._state.get(tenant, approval_key(approval_id))
        if row is None:
            return None
        held = read_approval(tenant, row.value, row.version)
        now = timestamp(self._clock.now())
        if not held.open or held.approval.expires > now:
            return held
        vote = Vote(credential=BY_ITSELF, human="", time=now)
        expired = closed(held, ApprovalState.EXPIRED, vote)
        return expired if await self._resolved(held, expired, vote) else await self._find(tenant, approval_id)

    async def _stood(self, tenant: str, row: HeldRow) -> HeldApproval | None:
        """Return an approval of the index: as it stands, or as the chain keeps it where its rows were removed."""
        kept = row.kept
        if kept is None:
            held = await self._find(tenant, row.id)
            if held is not None:
                return held
            again = await self._index.held_one(tenant, APPROVAL, id=row.id)  # removed between the two looks
            kept = None if again is None else again.kept
        return None if kept is None else read_kept_approval(tenant, kept)

    async def _wanted(self, tenant: str, approval_id: str, intent_id: str) -> HeldApproval:
        """Return the approval of that id, or of that intent, or of both. Raises NotFound."""
        waiting = await self._intent(tenant, intent_id) if intent_id else None
        wanted = approval_id or (waiting.approval_id if waiting is not None else "")
        held = await self._find(tenant, wanted) if wanted else None
        if held is None:
            row = await self._index.held_one(tenant, APPROVAL, id=wanted, intent_id=intent_id)
            held = None if row is None else await self._stood(tenant, row)
        if held is None or intent_id not in ("", held.approval.intent_id):
            msg = f"There is no approval '{approval_id or intent_id}'."
            raise NotFound(msg)
        return held

    async def _intent(self, tenant: str, intent_id: str) -> IntentState | None:
        row = await self._state.get(tenant, intent_key(intent_id))
        return read_intent(row.value, row.version) if row is not None else None

    async def _resolved(self, before: HeldApproval, after: HeldApproval, vote: Vote) -> bool:
        """Make a change durable, with what it does to the intent; False where another change came first."""
        approval = after.approval
        rows = change(before, after) + await self._of_intent(approval, _STATUS.get(approval.state))
        with anyio.CancelScope(shield=True):
            outcome = await self._audit.append(self._told(after, vote, rows))
            if isinstance(outcome, Conflict):
                return False
            if not after.open:
                self._due.pop((approval.tenant, approval.id), None)
            for tell in self._told_of_changes:
                tell(after)
        return True

    async def _of_intent(self, approval: Approval, status: IntentStatus | None) -> Rows:
        """Return what an answer does to the intent that waits for it."""
        intent = await self._intent(approval.tenant, approval.intent_id)
        if intent is None or status is None or not may_become(intent.status, status):
            return NO_ROWS
        key = intent_key(approval.intent_id)
        written = Put(key=key, value=replace(intent, status=status).written())
        return Rows(expects=(Expect(key=key, version=intent.version),), puts=(written,))

    def _told(self, after: HeldApproval, vote: Vote, rows: Rows) -> EntryDraft:
        approval = after.approval
        body = {
            "approvalId": approval.id,
            "state": approval.state,
            "by": vote.credential,
            "human": vote.human,
            "yes": len(after.votes) if approval.state is not ApprovalState.DENIED else 0,
            "of": approval.terms.approvers,
            "claimed": vote.claimed,
            "rationale": vote.rationale,
        }
        about = after.about  # None where an earlier release opened it
        by_upstream = about is not None and about.method in EMBEDDED_METHODS
        return EntryDraft(
            tenant=approval.tenant,
            id=self._ids.new("evt"),
            type=EntryType.APPROVAL_RESOLVED,
            time=vote.time,
            intent_id=approval.intent_id,
            agent=approval.agent,
            upstream="" if about is None else about.upstream,
            tool="" if about is None else about.target,
            reasons=(approval.state, BY_UPSTREAM) if by_upstream else (approval.state,),
            risk=0 if about is None else about.risk,
            args_digest="" if about is None else about.args_digest,
            body=orjson.dumps(body),
            expects=rows.expects,
            puts=rows.puts,
        )


# --- changes of one approval, as rows ---------------------------------------------------------------------------------


def change(before: HeldApproval, after: HeldApproval) -> Rows:
    """Return the rows of a change, and what goes when an approval is no longer open: marker, input, pointer."""
    one = after.approval
    gone = [] if one.state is ApprovalState.PENDING else [pending_key(one.id)]
    if not after.open:
        gone += [input_key(one.id), *([after.key] if after.key else [])]
    rows = Rows(
        expects=(_expect(before),),
        puts=(Put(key=approval_key(one.id), value=after.written()), *(Put(key=key, value=None) for key in gone)),
    )
    if one.state is not ApprovalState.DENIED or not after.key:
        return rows
    return rows + Rows(puts=(Put(key=outcome_key(after.key), value=refused(one).written()),))


def used(held: HeldApproval) -> Rows:
    """Return the rows that use a yes up."""
    return change(held, replace(held, used=True))


def failed(held: HeldApproval) -> Rows:
    """Return the rows of a yes that could not be used."""
    return change(held, held.as_state(ApprovalState.FAILED))


def _asked(approval_id: str) -> Count:
    """Count that the call was asked for (once more)."""
    return Count(key=asked_key(approval_id), most=ASKED_MOST)


def _expect(held: HeldApproval) -> Expect:
    return Expect(key=approval_key(held.approval.id), version=held.version)
