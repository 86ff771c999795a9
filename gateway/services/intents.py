"""Intents that programs submit by REST: decide, show, list, take their outcome, and hand out the token of a yes.

The decision is `services/enforcement.py`'s, the very same as for a tool call; nothing is forwarded here. Intents of the
MCP front are shown and listed alike, read from their entries (`services/intent_records.py`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from itertools import islice, takewhile
from typing import Final, Protocol

import anyio
import orjson

from gateway.core.approvals import ApprovalState
from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.decision import Effect
from gateway.core.intent.taxonomy import Taxonomy
from gateway.core.principal import Principal, Scope
from gateway.core.respite import Respite, respite
from gateway.core.rows import HeldApproval, IntentState, Used, idempotency_key, intent_key, read_intent, read_used
from gateway.core.submission import IntentRecord, IntentStatus, Outcome, Submission
from gateway.core.submitted import agent_field, body_digest, call_of, problems_of
from gateway.core.tokens import DEFAULT_AUDIENCE, MAX_TTL_S, Grant
from gateway.core.value import value
from gateway.core.worth import NO_AMOUNTS, Amounts
from gateway.errors import (
    InvalidRequest,
    NotFound,
    SigningError,
    StateConflict,
    Unavailable,
)
from gateway.ports import AuditLog, AuditReader, Clock, Conflict, Ids, IntentFilter, Page, RecordIndex, StateStore
from gateway.services.agents import Agents
from gateway.services.approvals import Approvals, failed, used
from gateway.services.audit_query import shown
from gateway.services.enforcement import Enforcement
from gateway.services.intent_records import just_decided, record_of, state_of
from gateway.services.judged import NO_ROWS, Judged, Rows
from gateway.services.reporting import reported_entry, require_reportable, require_text, submitted_by, too_late

__all__ = ["IDEMPOTENCY_TTL", "Intents", "Submitted", "TokenIssuer"]

IDEMPOTENCY_TTL: Final = timedelta(hours=24)
"""How long an idempotency key stands for its first intent (contract, section 1)."""

ATTEMPTS: Final = 3
"""How often a submission starts again because another one used its idempotency key at the same moment."""

SWEPT_AT_ONCE: Final = 2
"""Expired idempotency keys that one submission takes along. Each adds one, so that they cannot pile up."""

KEYS_KEPT: Final = 100_000
"""Idempotency keys of one tenant whose end is remembered; those beyond, and those of an earlier process, are removed by
`services/retention.py`."""


@value
class Submitted:
    """An intent as it stands, and its token where this answer is the one that carries it, else an empty text.

    `repeated` is True where the idempotency key had been used for the same body: this is the first one's intent. One
    that was denied right now may have a `respite`.
    """

    record: IntentRecord
    token: str = ""
    repeated: bool = False
    respite: Respite | None = None


class TokenIssuer(Protocol):
    """Issues authority tokens (`services/tokens.py`)."""

    async def ensure(self, tenant: str) -> None:
        """Make sure that the tenant has a key that signs. Raises Unavailable."""
        ...

    async def issue(self, grant: Grant) -> str:
        """Return the signed token. Raises SigningError."""
        ...

    def begin(self, grant: Grant) -> Awaitable[str]:
        """Begin to sign a token whose decision is about to be made durable. Raises SigningError."""
        ...

    async def finish(self, begun: Awaitable[str]) -> str:
        """Return the token that was begun, once its decision is durable. Raises SigningError."""
        ...


class Intents:
    """The use cases of submitted intents."""

    def __init__(
        self,
        *,
        enforcement: Enforcement,
        approvals: Approvals,
        agents: Agents,
        tokens: TokenIssuer,
        audit: AuditLog,
        state: StateStore,
        reader: AuditReader,
        index: RecordIndex,
        clock: Clock,
        ids: Ids,
        taxonomy: Taxonomy,
        show_arguments: bool,
        ttl_s: int = MAX_TTL_S,
        amounts: Amounts = NO_AMOUNTS,
    ) -> None:
        self._enforcement = enforcement
        self._approvals = approvals
        self._agents = agents
        self._tokens = tokens
        self._audit = audit
        self._state = state
        self._reader = reader
        self._index = index
        self._clock = clock
        self._ids = ids
        self._taxonomy = taxonomy
        self._show_arguments = show_arguments
        self._ttl_s = ttl_s
        self._amounts = amounts
        self._expiring: dict[str, dict[str, str]] = {}
        self._issuing: set[tuple[str, str]] = set()

    # --- submitting ---------------------------------------------------------------------------------------------------

    async def submit(self, principal: Principal, submission: Submission) -> Submitted:
        """Decide a submission, durably, and return it with its token where the answer is ALLOW.

        In Ops (`domain` is declared) there is no token: that dialect's answer has no member for it.

        Raises:
            InvalidRequest: a field cannot be used; in Ops (`domain` is declared) also a type that is unknown, or is
                none of the domain.
            AgentNotFound: there is no such agent, and it must be there: in Ops, or as it is named by an id.
            Forbidden: the credential is bound to another agent.
            StateConflict: the idempotency key was used for another body (`field` is `idempotencyKey`).
            Unavailable: tokens cannot be issued; nothing was decided. Or the token could not be signed.
            StoreError: it could not be decided or recorded.
        """
        problems = tuple(problems_of(submission, self._taxonomy))
        if problems:
            raise InvalidRequest(*problems)
        call = call_of(submission)
        await self._ready(principal.tenant)
        agent = await self._agents.acting(
            principal, submission.agent, known=bool(submission.domain), field=agent_field(submission)
        )
        acting = replace(principal, agent=agent.slug)
        for attempt in range(ATTEMPTS):
            first = await self._repeated(principal.tenant, submission)
            if isinstance(first, Submitted):
                return first
            taken = await self._expired(principal.tenant) if attempt == 0 else NO_ROWS
            rows = self._rows(submission, first, taken)
            # In Ops (`domain` is declared) the answer has no place for a token.
            begin = None if submission.domain else self._begun
            judged = await self._enforcement.judge(acting, call, rows, begin=begin)
            if isinstance(judged, Judged):
                self._note(principal.tenant, submission, judged)
                return await self._answered(judged)
        raise StateConflict("This idempotency key is being used by others at this moment.", field="idempotencyKey")

    async def _ready(self, tenant: str) -> None:
        """Raise Unavailable where an ALLOW could not be recorded, or not be told by a token."""
        problem = self._audit.ready()
        if problem:
            msg = f"No intent can be decided at the moment: {problem}"
            raise Unavailable(msg)
        await self._tokens.ensure(tenant)  # its own key only: another tenant's that does not open is not its business

    async def _repeated(self, tenant: str, submission: Submission) -> Submitted | Used | None:
        """Return the first intent of the idempotency key; else the row to replace, or None where there is none."""
        if not submission.idempotency_key:
            return None
        row = await self._state.get(tenant, idempotency_key(submission.idempotency_key))
        if row is None:
            return None
        first = read_used(row.value, row.version)
        if first.expires <= timestamp(self._clock.now()):
            return first
        if first.body != body_digest(submission):
            raise StateConflict(
                "This idempotency key was used for another body; use a new one.", field="idempotencyKey"
            )
        return Submitted(record=await self._record(tenant, first.intent_id), repeated=True)

    async def _expired(self, tenant: str) -> Rows:
        """Return the removal of some idempotency keys whose time is over."""
        now = timestamp(self._clock.now())
        known = self._expiring.get(tenant, {})
        # The first are the oldest: all live equally long, and a key that is used anew goes to the end.
        due = list(takewhile(lambda key: known[key] <= now, islice(known, SWEPT_AT_ONCE)))
        removed = NO_ROWS
        for key in due:
            del known[key]
            row = await self._state.get(tenant, key)
            if row is not None and read_used(row.value, row.version).expires <= now:
                expect = Expect(key=key, version=row.version)
                removed += Rows(expects=(expect,), puts=(Put(key=key, value=None),))
        return removed

    def _rows(self, submission: Submission, replaced: Used | None, taken: Rows) -> Callable[[Judged], Rows]:
        """Return what is written with the decision: the intent, its idempotency key, and what goes with it."""
        key = idempotency_key(submission.idempotency_key) if submission.idempotency_key else ""
        taken = Rows(
            expects=tuple(one for one in taken.expects if one.key != key),
            puts=tuple(one for one in taken.puts if one.key != key),
        )

        def rows(judged: Judged) -> Rows:
            found = taken
            if judged.decision.effect is not Effect.ESCALATE or not judged.approval_id:
                found += Rows(puts=(Put(key=intent_key(judged.intent_id), value=_state(judged).written()),))
            if key:
                expires = timestamp(judged.facts.now + IDEMPOTENCY_TTL)
                stands_for = Used(intent_id=judged.intent_id, body=body_digest(submission), expires=expires)
                version = replaced.version if replaced is not None else 0
                found += Rows(
                    expects=(Expect(key=key, version=version),), puts=(Put(key=key, value=stands_for.written()),)
                )
            return found

        return rows

    def _note(self, tenant: str, submission: Submission, judged: Judged) -> None:
        if submission.idempotency_key:
            expires = timestamp(judged.facts.now + IDEMPOTENCY_TTL)
            known = self._expiring.setdefault(tenant, {})
            key = idempotency_key(submission.idempotency_key)
            known.pop(key, None)
            if len(known) < KEYS_KEPT:
                known[key] = expires

    async def _answered(self, judged: Judged) -> Submitted:
        """Return the intent, with the token that was begun where it is allowed: the decision is durable by now."""
        record = just_decided(judged, show_arguments=self._show_arguments)
        if judged.decision.effect is Effect.DENY:
            found = respite(judged.call, judged.intent, judged.facts, judged.decision)
            return Submitted(record=record, respite=found)
        if judged.begun is None:
            return Submitted(record=record)
        return Submitted(record=record, token=await self._token(judged, self._tokens.finish(judged.begun)))

    async def _token(self, judged: Judged, signed: Awaitable[str]) -> str:
        """Return the token of an allowed intent. Raises Unavailable where it cannot be signed."""
        try:
            return await signed
        except SigningError as error:
            msg = f"The intent is allowed, but its token cannot be signed; do not act. ({judged.intent_id})"
            raise Unavailable(msg) from error

    def _begun(self, judged: Judged) -> Awaitable[str]:
        """Begin to sign the token of an intent that is about to be recorded as allowed. Raises Unavailable."""
        try:
            return self._tokens.begin(self._grant(judged))
        except SigningError as error:
            raise Unavailable("No token can be signed at the moment; nothing was decided.") from error

    def _grant(self, judged: Judged) -> Grant:
        """Return what the token of an allowed intent is bound to."""
        call = judged.call
        return Grant(
            tenant=judged.principal.tenant,
            agent=judged.principal.agent,
            intent_id=judged.intent_id,
            intent_type=judged.intent.type,
            args_digest=call.arguments_digest,
            policy_digest=judged.decision.policy_digest,
            audience=call.upstream or DEFAULT_AUDIENCE,
            ttl_s=self._ttl_s,
            action=call.action,
            system=call.upstream,
        )

    # --- showing ------------------------------------------------------------------------------------------------------

    async def show(self, principal: Principal, intent_id: str) -> Submitted:
        """Return an intent of the principal's tenant, of either front.

        To the agent that submitted it, the first time after a human's yes, with the token: the intent is decided again
        under today's policy and tier, and a no of today is a no.

        Raises:
            NotFound: this tenant has no such intent.
            Unavailable: the token that is due cannot be issued at the moment.
            StoreError: it cannot be read, or its token not be recorded.
        """
        tenant = principal.tenant
        waiting = await self._waiting(tenant, intent_id)
        held = await self._held(tenant, waiting)
        token = ""
        if waiting is not None and held is not None and _awaits_token(waiting, held) and _may_act(principal, waiting):
            token = await self._once(principal, intent_id, waiting, held)
        return Submitted(record=await self._record(tenant, intent_id), token=token)

    async def list(
        self, principal: Principal, wanted: IntentFilter, *, page: int, page_size: int
    ) -> Page[IntentRecord]:
        """Return one page (from 1) of the tenant's intents, newest first. `wanted.agent` is a slug or an id.

        Raises StoreError.
        """
        tenant = principal.tenant
        await self._approvals.sweep(tenant)
        agent = self._agents.find(tenant, wanted.agent) if wanted.agent else None
        found = await self._index.intents(
            tenant,
            replace(wanted, agent=agent.slug if agent is not None else wanted.agent),
            page=page,
            page_size=page_size,
        )
        records = [await self._found(tenant, row.id) for row in found.items]
        return Page(items=tuple(one for one in records if one is not None), total=found.total)

    async def _found(self, tenant: str, intent_id: str) -> IntentRecord | None:
        return record_of([shown(entry) for entry in await self._reader.by_intent(tenant, intent_id, inputs=False)])

    async def _record(self, tenant: str, intent_id: str) -> IntentRecord:
        """Return the record as it stands. Raises NotFound."""
        found = await self._found(tenant, intent_id)
        if found is None:
            msg = f"There is no intent '{intent_id}'."
            raise NotFound(msg)
        return found

    async def _waiting(self, tenant: str, intent_id: str) -> IntentState | None:
        row = await self._state.get(tenant, intent_key(intent_id))
        if row is not None:
            return read_intent(row.value, row.version)
        return state_of([shown(entry) for entry in await self._reader.by_intent(tenant, intent_id, inputs=False)])

    async def _held(self, tenant: str, waiting: IntentState | None) -> HeldApproval | None:
        """Return the approval of an intent, expired where its time is over."""
        if waiting is None or not waiting.approval_id:
            return None
        return await self._approvals.current(tenant, waiting.approval_id)

    # --- after a human's yes ------------------------------------------------------------------------------------------

    async def _once(self, principal: Principal, intent_id: str, waiting: IntentState, held: HeldApproval) -> str:
        """Return what `_after_yes` does; nothing to whoever asks meanwhile.

        Each decision is on record and spends of its budgets: of many who ask at once all would, and one gets the token.
        """
        place = (principal.tenant, intent_id)
        if place in self._issuing:
            return ""
        self._issuing.add(place)
        try:
            return await self._after_yes(principal, intent_id, waiting, held)
        finally:
            self._issuing.discard(place)

    async def _after_yes(self, principal: Principal, intent_id: str, waiting: IntentState, held: HeldApproval) -> str:
        """Decide the intent again with the yes as a fact, and return its token where that still allows it, once."""
        await self._ready(principal.tenant)
        record = await self._record(principal.tenant, intent_id)
        call = await self._approvals.call(held, arguments_digest=record.args_digest)
        if call is None:
            return ""
        judged = await self._enforcement.judge(
            replace(principal, agent=waiting.agent),
            call,
            lambda judged: _again(judged, waiting, held),
            intent_id=intent_id,
            approval=held.granted,
        )
        if isinstance(judged, Conflict) or judged.decision.effect is not Effect.ALLOW:
            return ""
        token = await self._token(judged, self._tokens.issue(self._grant(judged)))
        with anyio.CancelScope(shield=True):
            recorded = await self._audit.append(self._issued(judged, waiting, held))
        return "" if isinstance(recorded, Conflict) else token

    def _issued(self, judged: Judged, waiting: IntentState, held: HeldApproval) -> EntryDraft:
        """Return the entry of a token that was issued after a yes, which uses the yes up."""
        key = intent_key(judged.intent_id)
        rows = used(held) + Rows(
            expects=(Expect(key=key, version=waiting.version),),
            puts=(Put(key=key, value=replace(waiting, issued=True).written()),),
        )
        told = {"approvalId": held.approval.id, "by": judged.principal.credential, "ttlS": self._ttl_s}
        return EntryDraft(
            tenant=judged.principal.tenant,
            id=self._ids.new("evt"),
            type=EntryType.TOKEN_ISSUED,
            time=timestamp(self._clock.now()),
            intent_id=judged.intent_id,
            agent=judged.principal.agent,
            policy_digest=judged.decision.policy_digest,
            risk=judged.intent.risk,
            args_digest=judged.call.arguments_digest,
            body=orjson.dumps(told),
            # What the decision rested on holds still: no switch was thrown while the token was signed.
            expects=rows.expects + judged.facts.expects,
            puts=rows.puts,
        )

    # --- outcomes -----------------------------------------------------------------------------------------------------

    async def outcome(self, principal: Principal, intent_id: str, outcome: Outcome, error: str = "") -> IntentRecord:
        """Record how an allowed act went, as the agent that submitted it or an operator reports it.

        Raises:
            NotFound: this tenant has no such intent.
            Forbidden: it was submitted by another agent.
            InvalidRequest: `error` is no text that can be recorded, or comes with a success.
            StateConflict: the intent is not approved (any more), or is a tool call, which reports itself.
            StoreError: it could not be recorded.
        """
        require_text(outcome, error)
        tenant = principal.tenant
        held = await self._held(tenant, await self._waiting(tenant, intent_id))
        record = await self._record(tenant, intent_id)
        waiting = require_reportable(principal, await self._waiting(tenant, intent_id), outcome)
        draft = reported_entry(
            principal,
            record,
            waiting,
            outcome,
            error=error,
            rows=used(held) if held is not None and held.open else NO_ROWS,
            credit=self._amounts.of(record.type),
            entry_id=self._ids.new("evt"),
            time=timestamp(self._clock.now()),
        )
        with anyio.CancelScope(shield=True):
            reported = await self._audit.append(draft)
        if isinstance(reported, Conflict):
            raise too_late((await self._record(tenant, intent_id)).status)
        return await self._record(tenant, intent_id)


# --- what is kept of an intent ----------------------------------------------------------------------------------------

_AFTER: Final = {
    Effect.ALLOW: IntentStatus.APPROVED,
    Effect.DENY: IntentStatus.REJECTED,
    Effect.ESCALATE: IntentStatus.PENDING,
}


def _state(judged: Judged) -> IntentState:
    """Return what is kept of an intent that waits for nobody."""
    effect = judged.decision.effect
    return IntentState(
        status=_AFTER[effect],
        agent=judged.principal.agent,
        credential=judged.principal.credential,
        submitted=True,
        issued=effect is Effect.ALLOW,
    )


def _may_act(principal: Principal, waiting: IntentState) -> bool:
    """Return True for who submitted, but for a key that may only look: it gets, and uses up, nothing to act with."""
    return Scope.INTENTS_WRITE in principal.scopes and submitted_by(principal, waiting)


def _awaits_token(waiting: IntentState, held: HeldApproval) -> bool:
    """Return True where a human has said yes and no token has been issued."""
    approved = held.approval.state is ApprovalState.APPROVED and not held.used
    return waiting.submitted and approved and waiting.status is IntentStatus.APPROVED


def _again(judged: Judged, waiting: IntentState, held: HeldApproval) -> Rows:
    """Return what a second decision writes: it rests on yes and intent, and where it is no ALLOW the yes has failed."""
    key = intent_key(judged.intent_id)
    unchanged = (Expect(key=key, version=waiting.version),)
    rows = failed(held)
    if judged.decision.effect is Effect.ALLOW:
        return Rows(expects=unchanged + rows.expects)
    if judged.decision.effect is Effect.ESCALATE and judged.approval_id:
        return Rows(expects=unchanged + rows.expects, puts=rows.puts)
    rejected = Put(key=key, value=replace(waiting, status=_AFTER[judged.decision.effect]).written())
    return Rows(expects=unchanged + rows.expects, puts=(*rows.puts, rejected))
