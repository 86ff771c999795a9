"""One judgement and what is written with it: the values between enforcement, the desk of approvals, and intents.

Owns no step of a decision; these are `services/enforcement.py`'s.
"""

from dataclasses import dataclass
from typing import Protocol

from gateway.core.audit.entry import Expect, Put
from gateway.core.call import Call
from gateway.core.decision import Decision
from gateway.core.facts import Facts
from gateway.core.intent.model import Intent
from gateway.core.principal import Principal
from gateway.core.rows import HeldApproval
from gateway.core.value import value

__all__ = ["NO_ROWS", "Desk", "Held", "Judged", "Rows"]


@value
class Judged:
    """One call with its judgement, as it was recorded. `approval_id` is the approval that it waits for."""

    principal: Principal
    call: Call
    intent_id: str
    intent: Intent
    decision: Decision
    facts: Facts
    approval_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """State rows that a decision reads and writes in its own transaction."""

    expects: tuple[Expect, ...] = ()
    puts: tuple[Put, ...] = ()

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(expects=self.expects + other.expects, puts=self.puts + other.puts)


NO_ROWS = Rows()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What becomes of an escalated call: it waits for an approval, or goes on with the yes that it got.

    `intent_id` is that of the first call of its kind. With `yes`, the approval that a human has given, the rows use it
    up; else they open what the call waits for, or show that it is open.
    """

    intent_id: str
    approval_id: str
    rows: Rows
    yes: HeldApproval | None = None


class Desk(Protocol):
    """Where escalated calls wait for their humans (`services/approvals.py`)."""

    async def hold(self, judged: Judged) -> Held:
        """Say what becomes of an escalated call. Raises StoreError."""
        ...

    def renew(self, judged: Judged, yes: HeldApproval, expects: tuple[Expect, ...]) -> Held:
        """Open an approval in place of one whose yes does not answer what the call escalates for today.

        `expects` are those under which the yes was found.
        """
        ...
