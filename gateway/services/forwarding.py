"""From a durable ALLOW to a durable end: forwards a decided call, once, and gives its answer only after its end is on
record.

Owns steps f and g of `services/enforcement.py`, which alone calls it. Before anything is sent it is looked once more
whether the caller is still there and no switch was thrown meanwhile; a switch that is thrown later ends the call where
it is (`services/running.py`).
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import anyio
import anyio.lowlevel

from gateway.core.audit.body import completed_body, timestamp
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.call import Call
from gateway.core.decision import Reason, Stop
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import BY_UPSTREAM, EMBEDDED_METHODS
from gateway.core.principal import Principal
from gateway.core.worth import Amounts
from gateway.errors import AuditUnavailable, SigningError, UpstreamError
from gateway.ports import AuditLog, Clock, Ids
from gateway.services.judged import NO_ROWS, Completion, Judged, Outcome, OutcomeKind, Presence, Rows
from gateway.services.observing import Observer
from gateway.services.running import Running, SwitchedOff
from gateway.services.scope import new_scope

__all__ = ["Forward", "Forwarding", "Prepare", "heard"]

Forward = Callable[[], Awaitable[JsonObject]]
"""Sends the decided call and returns the other side's answer: `{"result": …}` or `{"error": …}`."""

Prepare = Callable[[Judged], Awaitable[None]]
"""Makes what the forwarded call is to carry, once it is durably allowed. Raises SigningError; nothing is then sent."""


_OK: Final = Completion.OK
_ANSWERED: Final = OutcomeKind.ANSWERED
_CALL_COMPLETED: Final = EntryType.CALL_COMPLETED


class Forwarding:
    """Forwards allowed calls."""

    def __init__(
        self,
        *,
        audit: AuditLog,
        clock: Clock,
        ids: Ids,
        observer: Observer,
        amounts: Amounts,
        stopped: Callable[[Principal, Call], Stop | None],
        running: Running,
    ) -> None:
        """`stopped` tells whether a switch is in force against a call."""
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._observer = observer
        self._amounts = amounts
        self._stopped = stopped
        self._running = running

    async def prepare(self, prepare: Prepare, judged: Judged) -> Outcome | None:
        """Do what comes between the durable ALLOW and the forwarding; an Outcome where that fails: nothing was sent."""
        try:
            await prepare(judged)
        except SigningError as error:
            return await self._end(judged, Completion.UNSIGNED, f"No authority token: {error}.", may_have_run=False)
        except BaseException:
            await self._end(judged, Completion.FAULT, "", may_have_run=False)
            raise
        return None

    async def forward(self, judged: Judged, forward: Forward, presence: Presence, shield: anyio.CancelScope) -> Outcome:
        """Forward an allowed call, once, and return its answer only after its end is durable.

        `shield` is the scope of this call and of nothing else, and shielded.
        """
        if presence.gone():
            return await self._end(judged, Completion.CALLER_GONE, "The caller hung up.", may_have_run=False)
        stop = self._stopped(judged.principal, judged.call)
        if stop is not None:
            return await self._end(judged, Completion.SWITCHED_OFF, stop.explanation, may_have_run=False)
        started = self._clock.monotonic()
        sent = False
        shield.shield = False
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
            sent = True
            # What a human has approved runs to its end once it has begun: its agent may give up waiting and call
            # again, and must then get the outcome instead of a second execution.
            shield.shield = judged.use is not None
            self._running.enter(shield, judged)
            try:
                message = await forward()
            finally:
                self._running.leave(shield)
        except SwitchedOff as stopped:
            with new_scope(shield=True):  # the call's own is cancelled
                return await self._end(
                    judged, Completion.SWITCHED_OFF, str(stopped), may_have_run=True, started=started
                )
        except UpstreamError as error:
            shield.shield = True
            return await self._end(
                judged, Completion.UPSTREAM_FAILED, str(error), may_have_run=error.may_have_run, started=started
            )
        except BaseException as error:
            shield.shield = True
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            completion = Completion.CANCELLED if cancelled else Completion.FAULT
            completion = completion if sent else Completion.CALLER_GONE
            await self._end(judged, completion, "", may_have_run=sent, started=started)
            raise
        shield.shield = True
        return await self._answer(judged, message, started)

    async def _answer(self, judged: Judged, message: JsonObject, started: float) -> Outcome:
        completion = _OK
        if "error" in message:
            completion = Completion.RPC_ERROR
        elif message["result"].get("isError") is True:
            completion = Completion.TOOL_ERROR
        return await self._end(judged, completion, "", may_have_run=True, started=started, message=message)

    async def _end(
        self,
        judged: Judged,
        completion: Completion,
        problem: str,
        *,
        may_have_run: bool,
        started: float | None = None,
        message: JsonObject | None = None,
    ) -> Outcome:
        """Record how the call ended; only then is there an outcome other than WITHHELD."""
        outcome = Outcome(
            kind=OutcomeKind.FAILED if message is None else _ANSWERED,
            intent_id=judged.intent_id,
            reason=completion,
            explanation=problem,
            may_have_run=may_have_run,
            message=message or {},
        )
        took = None if started is None else self._clock.monotonic() - started
        use = judged.use
        kept = NO_ROWS if use is None else use.desk.ended(use, judged, outcome, heard=use.heard())
        try:
            await self._audit.append(self._completed(judged, outcome, took, kept))
        except AuditUnavailable:
            text = "The call was forwarded, but its end could not be recorded; its answer is withheld."
            outcome = replace(
                outcome,
                kind=OutcomeKind.WITHHELD if may_have_run else OutcomeKind.UNRECORDED,
                reason=Reason.AUDIT_UNAVAILABLE,
                explanation=text if may_have_run else "The call's end could not be recorded.",
                message={},
            )
        if use is not None:
            use.desk.over(use, outcome)
        self._observer.ended(judged, outcome, upstream_s=took)
        return outcome

    def _completed(self, judged: Judged, outcome: Outcome, took: float | None, rows: Rows) -> EntryDraft:
        details: JsonObject = {"completion": outcome.reason, "mayHaveRun": outcome.may_have_run}
        if outcome.explanation:
            details["problem"] = outcome.explanation
        if took is not None:
            details["upstreamMs"] = round(took * 1000, 1)
        call = judged.call
        credit = self._amounts.of(judged.intent.type) if _did_it(outcome) else None
        if credit is not None:
            details["value"] = credit.shown()
        return EntryDraft(
            tenant=judged.principal.tenant,
            id=self._ids.new("evt"),
            type=_CALL_COMPLETED,
            time=timestamp(self._clock.now()),
            intent_id=judged.intent_id,
            agent=judged.principal.agent,
            upstream=call.upstream,
            tool=call.target,
            reasons=(outcome.reason, BY_UPSTREAM) if call.method in EMBEDDED_METHODS else (outcome.reason,),
            policy_digest=judged.decision.policy_digest,
            risk=judged.intent.risk,
            args_digest=call.arguments_digest,
            body=completed_body(details),
            closes=True,
            puts=rows.puts,
            domain=judged.intent.domain,
            intent_type=judged.intent.type,
            value_cents=0 if credit is None else credit.cents,
            value_type="" if credit is None else credit.type,
        )


def _did_it(outcome: Outcome) -> bool:
    """Return whether the call did what it was for: its answer is a result, and not one that asks for more input."""
    return outcome.reason == _OK and outcome.message["result"].get("resultType") != "input_required"


def heard(presence: Presence, shield: anyio.CancelScope) -> bool:
    """Return whether the answer of an approved call goes out at once: its caller is there and has not given up."""
    shield.shield = False  # else what has cancelled the caller could not be seen
    given_up = anyio.current_effective_deadline() == -math.inf
    shield.shield = True
    return not given_up and presence.connected()
