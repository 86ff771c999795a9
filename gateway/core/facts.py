"""The facts of one decision: everything it may depend on besides the call and its intent.

Gathered once by `services/facts.py`; a fact that could not be read is an error there, never a default here.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from gateway.core.agents import Restriction
from gateway.core.approvals import Granted
from gateway.core.audit.entry import Expect
from gateway.core.decision import Stop, Thresholds
from gateway.core.leases import Leased
from gateway.core.policy.compile import Bundle
from gateway.core.principal import Principal, TrustTier
from gateway.core.value import value

__all__ = ["Facts"]


@value
class Facts:
    """What `decide` rests on.

    `novel` is True where this agent was never allowed this tool before. `restriction` is what the agent declared for
    itself, None where it declared nothing. `approval` is a human's yes to this very call, where there is one, `lease`
    one to calls of its shape. `stop` is what forbids everything, whatever the call. `failures_in_row` counts the
    agent's failed and denied calls since its last that went well. `expects` are the state rows that were read and must
    not have changed when the decision is recorded.
    """

    principal: Principal
    tier: TrustTier
    score: int
    thresholds: Thresholds
    bundle: Bundle
    now: datetime
    novel: bool
    session: Mapping[str, object] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    expects: tuple[Expect, ...] = ()
    restriction: Restriction | None = None
    approval: Granted | None = None
    stop: Stop | None = None
    failures_in_row: int = 0
    lease: Leased | None = None
