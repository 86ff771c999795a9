"""The facts of one decision: everything it may depend on besides the call and its intent.

Gathered once by `services/facts.py`; a fact that could not be read is an error there, never a default here.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from gateway.core.audit.entry import Expect
from gateway.core.decision import Thresholds
from gateway.core.policy.compile import Bundle
from gateway.core.principal import Principal, TrustTier
from gateway.core.value import value

__all__ = ["Facts"]


@value
class Facts:
    """What `decide` rests on.

    `novel` is True where this agent was never allowed
    this tool before. `expects` are the state rows that were read and must not have changed when the decision is
    recorded.
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
