"""Holding an escalated tool call until its human has spoken, for as long as its agent can wait.

Owns the waiting: its bounds, its legs (modern era), the progress that is told meanwhile, and that a call goes on the
moment its approval is answered. Decides nothing: going on is a new decision (`services/enforcement.py`), and what
became of the call is the desk's to say. How long who waits is `core/holds.py`.
"""

import base64
import binascii
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import anyio

from gateway.core.approvals import ApprovalState
from gateway.core.call import Call
from gateway.core.decision import Reason, Stop
from gateway.core.holds import LEGS, MAX_CARRIED_BYTES, HoldTerms, Leg, plan, read_leg
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Inbound, Rejection
from gateway.core.principal import Principal
from gateway.core.rows import HeldApproval
from gateway.errors import StoreError
from gateway.ports import Caller, Clock, Vault
from gateway.services.approvals import Approvals
from gateway.services.desk import CallDesk, rejection
from gateway.services.enforcement import unrecorded
from gateway.services.judged import NO_ROWS, Held, Outcome, OutcomeKind
from gateway.services.party import META, Party
from gateway.services.states import foreign

__all__ = ["STATE_PREFIX", "Holds", "Waiting", "going_on", "resumed"]

STATE_PREFIX: Final = "intended-hold."
"""Tells our states from those of upstreams (`services/states.py`)."""

PROGRESS_S: Final = 5.0
"""Between two messages to an agent that asked for progress, and two looks at the approval."""

STATE_S: Final = 600
"""How long an agent may take between two legs."""

CARRIED: Final = ("requestState", "inputResponses")

Proceed = Callable[[tuple[str, str]], Awaitable[Outcome]]
"""Decides the call again after it has waited, under that intent and approval, and forwards it if that allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One call that is held: who waits, how long in this leg, and how it goes on. `number` counts legs from 1."""

    principal: Principal
    call: Call
    caller: Caller
    proceed: Proceed
    leg_s: float
    number: int
    legs: int
    token: str | int | None


class Holds:
    """All held calls of this process."""

    def __init__(
        self,
        *,
        approvals: Approvals,
        desk: CallDesk,
        clock: Clock,
        vault: Vault,
        terms: HoldTerms,
        stop: Callable[[str, str, str], Stop | None],
        stands: Callable[[Principal], bool] = lambda principal: True,
    ) -> None:
        """`stands` tells whether a principal's credential still proves it (`Authentication.stands`).

        `stop` tells whether a call of a tenant's agent to an upstream is switched off (`Switches.stop`).
        """
        self._approvals = approvals
        self._desk = desk
        self._clock = clock
        self._vault = vault
        self._terms = terms
        self._stands = stands
        self._stop_of = stop
        self._held: Counter[tuple[str, str]] = Counter()
        self._stopping = False

    def stop(self) -> None:
        """End all holds with what is known now, and hold nothing more: the gateway stops."""
        self._stopping = True
        self._desk.wake_all()

    def look(self) -> None:
        """Have every held call look whether it may wait on: something was switched off."""
        self._desk.wake_all()

    @property
    def count(self) -> int:
        """How many calls are held."""
        return self._held.total()

    @property
    def by_tenant(self) -> Mapping[str, int]:
        """How many calls of each tenant are held."""
        counts: Counter[str] = Counter()
        for (tenant, _), count in self._held.items():
            counts[tenant] += count
        return counts

    # --- one call -----------------------------------------------------------------------------------------------------

    def begin(
        self, party: Party, inbound: Inbound, call: Call, caller: Caller, proceed: Proceed, leg: Leg | None
    ) -> Waiting:
        """Return how this call waits; `leg` is the one that its state says comes next."""
        token = inbound.params.get(META, {}).get("progressToken")
        known = token if type(token) in (str, int) else None
        chosen = plan(
            self._terms,
            era=party.era,
            agent=party.principal.agent,
            prefer=caller.prefer,
            progress=known is not None,
        )
        return Waiting(
            principal=party.principal,
            call=call,
            caller=caller,
            proceed=proceed,
            leg_s=chosen.leg_s if leg is None else leg.leg_s,
            number=1 if leg is None else leg.number,
            legs=chosen.legs if leg is None else LEGS,
            token=known,
        )

    async def wait(self, waiting: Waiting, outcome: Outcome) -> Outcome:
        """Hold the call; return its outcome, or where time was up first that it is still pending or running."""
        owner = (waiting.principal.tenant, waiting.principal.agent)
        patient = waiting.legs > 0 and not self._stopping and self._held[owner] < self._terms.held_per_agent
        if not patient and waiting.number == 1:
            return outcome
        self._held[owner] += 1
        deadline = anyio.current_time() + (waiting.leg_s if patient else 0)
        try:
            before = ""
            # Without an approval it waits for a human elsewhere, at the remote authority.
            while outcome.kind in _WAITS and outcome.approval_id not in ("", before):
                before = outcome.approval_id
                outcome = await self._on_one(waiting, outcome, deadline)
        except StoreError as error:
            return unrecorded(outcome.intent_id, error)
        finally:
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]
        return outcome

    async def _on_one(self, waiting: Waiting, outcome: Outcome, deadline: float) -> Outcome:
        """Wait for one approval. Another one may have to be waited for after that: policy asks for it meanwhile."""
        tenant = waiting.principal.tenant
        tried: frozenset[str] = frozenset()
        with self._desk.waiting(outcome.approval_id) as watch:
            while True:
                event = watch.event  # before looking: a change after the look sets it
                held = await self._approvals.current(tenant, outcome.approval_id)
                if held is None or held.approval.state in _ENDED:
                    return _in_vain(outcome, held)
                outcome = replace(
                    outcome, intent_id=held.approval.intent_id, explanation=outcome.explanation or held.approval.reason
                )
                stop = self._stop_of(tenant, waiting.principal.agent, waiting.call.upstream)
                if stop is not None:
                    return _stopped(outcome, stop)
                if held.used:
                    return await self._joined(waiting, _over(held), deadline)
                if held.approval.state is not ApprovalState.PENDING:
                    return await self._went_on(waiting, outcome, held, deadline)
                leases = self._desk.fitting(waiting.principal, waiting.call)
                if leases - tried:  # a human has said yes to calls of this shape meanwhile
                    tried |= leases
                    after = await self._went_on(waiting, outcome, held, deadline)
                    if after.kind is not OutcomeKind.ESCALATED or after.approval_id != held.approval.id:
                        return after
                    continue
                if self._stopping or anyio.current_time() >= deadline:
                    return outcome
                await self._pause(waiting, event, deadline)

    async def _went_on(self, waiting: Waiting, outcome: Outcome, held: HeldApproval, deadline: float) -> Outcome:
        """Decide the call again, now that its human has spoken; not for who has left, or whose key has ended."""
        if not waiting.caller.connected() or not self._stands(waiting.principal):
            return outcome
        after = await waiting.proceed((held.approval.intent_id, held.approval.id))
        return await self._joined(waiting, _over(held), deadline) if after.kind is OutcomeKind.RUNNING else after

    async def _joined(self, waiting: Waiting, over: Held, deadline: float) -> Outcome:
        """Wait for the execution of the same call on another connection, and return its outcome."""
        while True:
            outcome = await self._desk.again(waiting.principal, waiting.call, over)
            if outcome.use is None or self._stopping or anyio.current_time() >= deadline:
                return outcome
            await self._pause(waiting, outcome.use.done, deadline)

    async def _pause(self, waiting: Waiting, event: anyio.Event, deadline: float) -> None:
        """Wait for the event a while, and tell an agent that asked for it that the call still waits."""
        left = deadline - anyio.current_time()
        with anyio.move_on_after(min(left, PROGRESS_S)):
            if waiting.token is not None:
                # Counts up to 0, so that whatever an upstream reports after that is more.
                ahead = left + (waiting.legs - waiting.number) * waiting.leg_s
                params = {
                    "progressToken": waiting.token,
                    "progress": -math.ceil(ahead * 1000) / 1000,
                    "message": "Waiting for a human to approve this call.",
                }
                await waiting.caller.notify("notifications/progress", params)
            await event.wait()

    # --- from leg to leg ----------------------------------------------------------------------------------------------

    def state(self, waiting: Waiting, inbound: Inbound, outcome: Outcome) -> str:
        """Return the sealed state with which the agent comes back for the next leg; empty where there is none."""
        if waiting.number >= waiting.legs or self._stopping or outcome.kind not in _WAITS or not outcome.approval_id:
            return ""
        principal, call = waiting.principal, waiting.call
        leg = Leg(
            tenant=principal.tenant,
            agent=principal.agent,
            upstream=call.upstream,
            tool=call.name,
            args_digest=call.arguments_digest,
            approval_id=outcome.approval_id,
            reason=outcome.reason,
            rule=outcome.rule,
            number=waiting.number + 1,
            leg_s=waiting.leg_s,
            expires=int(self._clock.now().timestamp()) + STATE_S,
            carried={name: inbound.params[name] for name in CARRIED if name in inbound.params},
        )
        plain = leg.written()
        if len(plain) > MAX_CARRIED_BYTES:
            return ""
        sealed = self._vault.seal(plain, tenant=principal.tenant, intent_id=STATE_PREFIX, entry_id=principal.agent)
        return STATE_PREFIX + base64.urlsafe_b64encode(sealed).decode("ascii")

    def opened(self, principal: Principal, params: JsonObject) -> Leg | Rejection | None:
        """Return the leg that a request goes on with, None where its state is none of ours.

        A state that was changed, is another agent's, or is too old is refused.
        """
        state = params.get("requestState")
        if not isinstance(state, str) or not state.startswith(STATE_PREFIX):
            return None
        try:
            sealed = base64.b64decode(state.removeprefix(STATE_PREFIX), altchars=b"-_", validate=True)
            plain = self._vault.unseal(
                sealed, tenant=principal.tenant, intent_id=STATE_PREFIX, entry_id=principal.agent
            )
        except (binascii.Error, ValueError, StoreError):
            return foreign("it was changed, or belongs to another agent")
        leg = read_leg(plain)
        if leg.expires < self._clock.now().timestamp():
            return foreign("it is too old; call again without it")
        return leg


def resumed(inbound: Inbound, leg: Leg) -> Inbound:
    """Return the request as it was before the first leg: with its upstream's state and answers, if it had any."""
    own = {name: value for name, value in inbound.params.items() if name not in CARRIED}
    return replace(inbound, params={**own, **leg.carried})


def going_on(leg: Leg) -> Outcome:
    """Return where a call stands that comes back for its next leg."""
    return Outcome(
        kind=OutcomeKind.ESCALATED,
        intent_id="",
        reason=leg.reason,
        explanation="",
        rule=leg.rule,
        approval_id=leg.approval_id,
        message={},
    )


_WAITS: Final = frozenset({OutcomeKind.ESCALATED, OutcomeKind.RUNNING})

_ENDED: Final = frozenset({ApprovalState.DENIED, ApprovalState.EXPIRED, ApprovalState.CANCELLED})


def _over(held: HeldApproval) -> Held:
    return Held(intent_id=held.approval.intent_id, approval_id=held.approval.id, rows=NO_ROWS, over=True)


def _in_vain(outcome: Outcome, held: HeldApproval | None) -> Outcome:
    """Return the DENY of a call that has waited for a no, or for nothing."""
    refused = replace(outcome, kind=OutcomeKind.DENIED, reason=Reason.EXPIRED, approval_id="")
    if held is None:
        return replace(refused, explanation=f"There is no approval '{outcome.approval_id}' any more.")
    refused = replace(refused, intent_id=held.approval.intent_id)
    if held.approval.state is ApprovalState.DENIED:
        return replace(refused, reason=Reason.REJECTED, explanation=rejection(held.approval))
    if held.approval.state is ApprovalState.CANCELLED:
        return replace(refused, reason=Reason.SWITCHED_OFF, explanation=held.approval.rationale)
    return replace(refused, explanation=f"No human has approved it in time ({held.approval.id}).")


def _stopped(outcome: Outcome, stop: Stop) -> Outcome:
    """Return the DENY of a call that was switched off while it waited."""
    return replace(
        outcome, kind=OutcomeKind.DENIED, reason=stop.reason, explanation=stop.explanation, approval_id="", use=None
    )
