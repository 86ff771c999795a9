"""One judgement, its outcome and what is written with it: the values between enforcement, the desk, holds and intents.

Owns no step of a decision; these are `services/enforcement.py`'s.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import anyio

from gateway.core.audit.entry import Count, Expect, Put
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent
from gateway.core.jsonvalue import JsonObject
from gateway.core.leases import Leased
from gateway.core.principal import Principal
from gateway.core.remote import Told
from gateway.core.respite import Respite
from gateway.core.rows import HeldApproval
from gateway.core.value import value

__all__ = [
    "NO_ROWS",
    "Asked",
    "Completion",
    "Desk",
    "Held",
    "Judged",
    "Outcome",
    "OutcomeKind",
    "Presence",
    "Rows",
    "Use",
]


class Presence(Protocol):
    """Whoever waits for the outcome, as far as enforcement is concerned."""

    def gone(self) -> bool:
        """Return True once nobody can receive the answer any more."""
        ...

    def connected(self) -> bool:
        """Return True while the answer would go out at once; who may come back for it later is not connected now."""
        ...


class OutcomeKind(StrEnum):
    """How a call ended, for the one who has to answer it."""

    ANSWERED = "answered"
    """Forwarded, and this is the other side's answer."""
    DENIED = "denied"
    HIDDEN = "hidden"
    """Denied, and to this principal the target does not exist."""
    ESCALATED = "escalated"
    RUNNING = "running"
    """The same call is being executed for another connection; this one was not forwarded."""
    DONE = "done"
    """The same call was executed already, and its answer is not there to be given (again)."""
    FAILED = "failed"
    """Allowed and forwarded, but the other side gave no usable answer."""
    UNRECORDED = "unrecorded"
    """Not forwarded, because the decision could not be made durable or a fact could not be read."""
    WITHHELD = "withheld"
    """Forwarded and answered, but that could not be made durable: the answer is not given."""


class Completion(StrEnum):
    """How a forwarded call ended, as the reason of its completed entry."""

    OK = "ok"
    TOOL_ERROR = "tool-error"
    """The upstream's own result says `isError`."""
    RPC_ERROR = "rpc-error"
    """The upstream answered with a JSON-RPC error."""
    UPSTREAM_FAILED = "upstream-failed"
    CANCELLED = "cancelled"
    """The agent cancelled or hung up while the upstream was working; it may have run."""
    CALLER_GONE = "caller-gone"
    """The agent hung up before the first byte; it did not run."""
    SWITCHED_OFF = "switched-off"
    """A switch was thrown: before the first byte, or while the upstream was working, and then it may have run."""
    DISOWNED = "disowned"
    """The decision became durable only after its call had been refused as unrecorded; it did not run."""
    UNSIGNED = "unsigned"
    """The authority token that the upstream asks for could not be signed; it did not run."""
    FAULT = "fault"
    """An unforeseen fault of the gateway; it may have run."""
    IN_DOUBT = "in-doubt"
    """The gateway stopped between decided and completed; it may have run, and is never sent again by itself."""


@value
class Outcome:
    """The end of one call. `message` is the other side's answer where there is one, else empty.

    `use` is the run that a call of kind RUNNING waits for. `replayed`: it is that of the same call, made earlier,
    perhaps in the other era. `respite` tells of a denied one when it may be asked again.
    """

    kind: OutcomeKind
    intent_id: str
    reason: str
    explanation: str
    rule: str = ""
    may_have_run: bool = False
    approval_id: str = ""
    message: JsonObject
    use: "Use | None" = None
    replayed: bool = False
    respite: Respite | None = None


class Use:
    """One attempt to use a human's yes up, from before its decision is durable to the end of its call.

    `outcome` is there once `done` is set, unless nobody knows how it ended.
    """

    __slots__ = ("approval_id", "attempt", "desk", "done", "heard", "key", "outcome")

    def __init__(self, desk: "Desk", *, attempt: str, key: str, approval_id: str) -> None:
        """`key` is that of the outcome's row. `heard` tells whether its answer goes out at once."""
        self.desk = desk
        self.attempt = attempt
        self.key = key
        self.approval_id = approval_id
        self.done = anyio.Event()
        self.heard: Callable[[], bool] = bool  # nobody is there yet
        self.outcome: Outcome | None = None


@value
class Judged:
    """One call with its judgement, as it was recorded. `approval_id` is the approval that it waits for.

    `continues` is the approval that it has waited for, where it goes on after that. With `use` it goes on with a
    human's yes. With `again` there is no decision: the same call has been executed, or is being, and
    this tells what became of it. `asked` is what a remote authority said, where one was asked. `begun` is what was
    begun while the decision was being made durable, for whoever asked for that.
    """

    principal: Principal
    call: Call
    intent_id: str
    intent: Intent
    decision: Decision
    facts: Facts
    approval_id: str = ""
    continues: str = ""
    use: Use | None = None
    again: "Callable[[Principal, Call], Awaitable[Outcome]] | None" = None
    begun: "Awaitable[str] | None" = None
    asked: "Asked | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """State rows that a decision reads and writes in its own transaction."""

    expects: tuple[Expect, ...] = ()
    puts: tuple[Put, ...] = ()
    counts: tuple[Count, ...] = ()

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(
            expects=self.expects + other.expects,
            puts=self.puts + other.puts,
            counts=self.counts + other.counts,
        )


NO_ROWS = Rows()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a remote authority said of a call, and what is written with the decision that rests on it."""

    told: Told
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What becomes of an escalated call: it waits for an approval, or goes on with the yes that it got.

    `intent_id` is that of the first call of its kind. With `yes`, the approval that a human has given, the rows use it
    up, and `use` is that attempt; else they open what the call waits for, or show that it is open. `leased` is the
    lease that covers the call: the rows count one use of it, and `use` is there too where its approval was pending.
    `refused` says why a human's no stands. `over`: the same call has been executed or is being, and nothing is decided.
    """

    intent_id: str
    approval_id: str
    rows: Rows
    yes: HeldApproval | None = None
    use: Use | None = None
    leased: Leased | None = None
    refused: str = ""
    over: bool = False


class Desk(Protocol):
    """Where escalated calls wait for their humans, and find what became of them (`services/desk.py`)."""

    async def hold(self, judged: Judged) -> Held:
        """Say what becomes of an escalated call. Raises StoreError."""
        ...

    def renew(self, judged: Judged, yes: HeldApproval, expects: tuple[Expect, ...]) -> Held:
        """Open an approval in place of one whose yes does not answer what the call escalates for today.

        `expects` are those under which the yes was found.
        """
        ...

    def began(self, use: Use) -> None:
        """Take note that the decision which uses the yes is durable: its call runs now."""
        ...

    def ended(self, use: Use, judged: Judged, outcome: Outcome, *, heard: bool) -> Rows:
        """Return what the end of an approved call writes. `heard`: its answer goes out at once."""
        ...

    def over(self, use: Use, outcome: Outcome | None) -> None:
        """Take note that the attempt is over; None where it came to nothing, or nobody knows how it ended."""
        ...

    async def again(self, principal: Principal, call: Call, over: Held) -> Outcome:
        """Return what the same call is told that has been executed already, or is being. Raises StoreError."""
        ...
