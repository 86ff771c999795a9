"""Everything a human needs to say yes or no to one approval, gathered: the use case behind every face that asks.

Owns who sees how much. Whoever may read the tenant's approvals sees what was decided and why; the exact arguments,
which may hold what no record shows, only who may also answer. Who asked, and who acts for the same agent, gets the
approval alone: what speaks against it would teach it how to ask. The words are `core/presentation.py`'s.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect
from gateway.core.differences import differences
from gateway.core.jsonvalue import JsonObject
from gateway.core.presentation import (
    AgentRecord,
    ApprovalView,
    Compared,
    Details,
    Judgement,
    Offer,
    sentence,
    still_needed,
)
from gateway.core.principal import Principal, Scope
from gateway.core.redact import redact
from gateway.core.rows import HeldApproval
from gateway.core.visible import pretty, warnings
from gateway.errors import StoreError
from gateway.ports import AuditReader, Clock, EntryFilter, IntentFilter, RecordIndex
from gateway.services.approval_list import ApprovalList
from gateway.services.approvals import Approvals
from gateway.services.audit_query import decisions, shown
from gateway.services.authentication import require_scope
from gateway.services.leases import Leases
from gateway.services.voting import asked_for, may_answer

__all__ = ["LOOKED_THROUGH", "ApprovalViews"]

PAGE: Final = 100
LOOKED_THROUGH: Final = 300
"""Decisions of the agent at that upstream among which its last allowed call of the tool is sought: some 30 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The call that waits, as far as it may be shown. `arguments` is None where nothing is kept of them."""

    entry: JsonObject
    arguments: JsonObject | None
    answers: JsonObject
    exact: bool
    upstream: str
    target: str
    description: str = ""
    justification: str = ""


class ApprovalViews:
    """Looks at approvals; changes nothing, but that what is due expires."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        lists: ApprovalList,
        leases: Leases,
        reader: AuditReader,
        index: RecordIndex,
        clock: Clock,
    ) -> None:
        self._approvals = approvals
        self._lists = lists
        self._leases = leases
        self._reader = reader
        self._index = index
        self._clock = clock

    async def show(self, principal: Principal, approval_id: str) -> ApprovalView:
        """Return what the principal may see of an approval of its tenant.

        Raises:
            Forbidden: it may not read approvals.
            NotFound: this tenant has no such approval.
            StoreError: it cannot be read.
        """
        require_scope(principal, Scope.APPROVALS_READ)
        held = await self._approvals.wanted(principal.tenant, approval_id)
        one = held.approval
        pending = one.state is ApprovalState.PENDING
        left = (datetime.fromisoformat(one.expires) - self._clock.now()).total_seconds()
        return ApprovalView(
            approval=one,
            seconds_left=max(int(left), 0) if pending else 0,
            votes=tuple(vote.credential for vote in held.votes),
            voters=tuple(vote.human for vote in held.votes),
            needed=still_needed(one.terms.approvers, len(held.votes), pending=pending),
            alike=await self._lists.alike(held),
            details=None if asked_for(principal, held) else await self._details(principal, held),
        )

    async def _details(self, principal: Principal, held: HeldApproval) -> Details:
        asked = await self._asked(held, exact=may_answer(principal))
        entry, called = asked.entry, asked.entry["body"]["call"]
        judgement = _judgement(entry)
        whole = {"arguments": asked.arguments, "answers": asked.answers} if asked.answers else asked.arguments
        return Details(
            sentence=sentence(
                agent=held.approval.agent,
                method=called["method"],
                upstream=asked.upstream,
                target=asked.target,
                type=judgement.type,
                effect_class=judgement.effect_class,
                arguments=asked.arguments,
            ),
            method=called["method"],
            upstream=asked.upstream,
            target=asked.target,
            arguments=asked.arguments,
            answers=asked.answers,
            exact=asked.exact,
            shown="" if asked.arguments is None else pretty(whole),
            warnings=warnings(whole),
            description=asked.description,
            justification=asked.justification,
            judgement=judgement,
            record=await self._record(held, judgement.type),
            compared=await self._compared(held, asked),
            offer=self._offer(held, asked),
        )

    def _offer(self, held: HeldApproval, asked: _Asked) -> Offer:
        if held.approval.state is not ApprovalState.PENDING:
            return Offer(problem="it has its answer")
        if asked.answers:
            return Offer(problem="the call carries answers of an earlier round")
        return self._leases.offer(held, asked.arguments if asked.exact else None)

    async def _asked(self, held: HeldApproval, *, exact: bool) -> _Asked:
        """Return the call that waits: exact while it is kept and may be seen, else as the audit shows it."""
        one = held.approval
        found = [shown(entry) for entry in await self._reader.by_intent(one.tenant, one.intent_id, inputs=False)]
        decided = [entry for entry in found if entry["type"] == EntryType.CALL_DECIDED]
        entry = next((entry for entry in reversed(decided) if entry["effect"] == Effect.ESCALATE), None)
        if entry is None:
            msg = f"the decision that approval {one.id} belongs to is not in the chain; verify it"
            raise StoreError(msg)
        called = entry["body"]["call"]
        call = await self._approvals.call(held, arguments_digest=entry["argsDigest"]) if exact else None
        if call is not None:
            return _Asked(
                entry=entry,
                arguments=call.arguments,
                answers=call.answers,
                exact=True,
                upstream=call.upstream,
                target=call.action or call.target,
                description=call.told.description if call.told is not None else "",
                justification=call.told.justification if call.told is not None else "",
            )
        told = called.get("told", {})
        return _Asked(
            entry=entry,
            arguments=called.get("arguments"),
            answers=called.get("answers", {}),
            exact=False,
            upstream=called["upstream"],
            target=_target(called),
            description=told.get("description", ""),
            justification=told.get("justification", ""),
        )

    async def _record(self, held: HeldApproval, type: str) -> AgentRecord:
        """Return how many of the agent's intents are in which status; the one that waits is among them."""
        one = held.approval
        counted: Counter[str] = Counter()
        same: Counter[str] = Counter()
        counts = await self._index.intent_counts(one.tenant, IntentFilter(agent=one.agent))
        for (_, of, status), count in counts.items():
            counted[status] += count
            if of == type:
                same[status] += count
        return AgentRecord(all=dict(counted), of_type=dict(same))

    async def _compared(self, held: HeldApproval, asked: _Asked) -> Compared:
        if asked.arguments is None:
            return Compared(problem="Nothing is kept of this call's arguments.")
        last = await self._last_allowed(held, asked.entry)
        if last is None:
            return Compared()
        intent_id, time = last["intentId"], last["time"]
        before, exact = None, False
        if asked.exact:
            before = await self._kept(held.approval.tenant, last)
            exact = before is not None
        if before is None:
            before = last["body"]["call"].get("arguments")
        if before is None:
            return Compared(intent_id=intent_id, time=time, problem="Its arguments are kept no longer.")
        now = redact(asked.arguments) if asked.exact and not exact else asked.arguments
        return Compared(intent_id=intent_id, time=time, exact=exact, differences=differences(before, now))

    async def _last_allowed(self, held: HeldApproval, asked: JsonObject) -> JsonObject | None:
        """Return the decided entry of the agent's last allowed call of the same tool before this one."""
        called = asked["body"]["call"]
        wanted = EntryFilter(
            type=EntryType.CALL_DECIDED,
            agent=held.approval.agent,
            upstream=asked["upstream"],
            before=asked["seq"],
        )
        for page in range(1, LOOKED_THROUGH // PAGE + 1):
            found = await self._index.entries(held.approval.tenant, wanted, page=page, page_size=PAGE)
            for stored in found.items:
                entry = shown(stored)
                other = entry["body"]["call"]
                if entry["effect"] == Effect.ALLOW and all(other[name] == called[name] for name in _SAME):
                    return entry
            if len(found.items) < PAGE:
                break
        return None

    async def _kept(self, tenant: str, entry: JsonObject) -> JsonObject | None:
        """Return the exact arguments of a decided entry, where its evaluation input is still kept."""
        for decision in await decisions(self._reader, tenant, entry["intentId"]):
            if decision.seq == entry["seq"] and decision.evaluation_input is not None:
                arguments: JsonObject = decision.evaluation_input["call"]["arguments"]
                return arguments
        return None


_SAME: Final = ("method", "upstream", "name", "uri")
"""What makes two calls calls of the same tool."""


def _target(called: JsonObject) -> str:
    return str(called["name"] or called["uri"] or called["method"])


def _judgement(entry: JsonObject) -> Judgement:
    intent, decision = entry["body"]["intent"], entry["body"]["decision"]
    return Judgement(
        type=intent["type"],
        domain=intent["domain"],
        effect_class=intent["effect"],
        evidence=tuple(intent["evidence"]),
        confidence=entry["confidence"],
        risk=entry["risk"],
        factors=tuple((code, points, evidence) for code, points, evidence in intent["factors"]),
        tier=entry["body"]["facts"]["tier"],
        reason=decision["reason"],
        explanation=decision["explanation"],
        policy_set=decision["policySet"],
        rules=tuple(rule["id"] for rule in decision["rules"]),
    )
