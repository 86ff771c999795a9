"""The circuit breaker of an agent: after so many failures in a row it is stopped for a while, and then may try again.

Owns the rule. There is one circuit for the agent everywhere and one for its way to each upstream. Whose doing a failure
is and what ends a row is in `core/trust/failing.py`; how many there were is read off the chain (`services/trust.py`),
and nothing is kept here. Once the while is over calls pass again: the first that fails is one more in the same row and
stops the agent anew.
"""

from datetime import datetime, timedelta

from gateway.core.audit.body import timestamp
from gateway.core.decision import Reason, Stop
from gateway.core.value import value

__all__ = ["BreakerTerms", "Circuit", "circuit"]


@value
class BreakerTerms:
    """After how many failures in a row an agent is stopped (0: never), and for how many seconds after the last."""

    failures: int = 20
    cool_down_s: float = 60.0


@value
class Circuit:
    """An open circuit: after so many failures in a row its agent is stopped until then, at `upstream` or everywhere."""

    until: datetime
    failures: int
    upstream: str = ""

    @property
    def stop(self) -> Stop:
        """What a call is told that it stops."""
        who = "were denied, or failed by its own report, so that it is stopped"
        if self.upstream:
            who = f"failed at the upstream '{self.upstream}', so that none is sent there"
        text = (
            f"The last {self.failures} calls of this agent {who} until {timestamp(self.until)}."
            " Do not retry before; see what fails."
        )
        return Stop(reason=Reason.CIRCUIT_OPEN, explanation=text, until=self.until)


def circuit(
    terms: BreakerTerms, *, failures: int, last: datetime | None, now: datetime, upstream: str = ""
) -> Circuit | None:
    """Return the open circuit of an agent with so many failures in a row, the last at that time; None where closed.

    With `upstream` they are the failures there, else what the agent did itself.

    A failure whose time lies ahead of `now` (the clock was set back) stops the agent no longer than one of this moment.
    """
    if not terms.failures or failures < terms.failures or last is None:
        return None
    until = min(last, now) + timedelta(seconds=terms.cool_down_s)
    return Circuit(until=until, failures=failures, upstream=upstream) if until > now else None
