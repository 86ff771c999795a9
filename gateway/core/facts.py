"""The facts of one decision: everything it may depend on besides the call and its intent.

Gathered once by `services/facts.py`; a fact that could not be read is an error there, never a default here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime

from gateway.core.agents import Restriction
from gateway.core.approvals import Granted
from gateway.core.audit.entry import Expect
from gateway.core.budgets import Account
from gateway.core.decision import Stop, Thresholds
from gateway.core.leases import Leased
from gateway.core.policy.compile import Bundle
from gateway.core.principal import Principal, TrustTier
from gateway.core.remote import Remote
from gateway.core.value import value

__all__ = ["Facts", "Grounds"]


@value
class Grounds:
    """What an earned tier and score rest on: the agent's record up to one entry, and the configuration's bounds.

    `up_to` is the last entry of the tenant's chain that moved the record, 0 where none has. `start` is the tier of an
    agent of whom nothing is known, `ceiling` that of promotion where no human set another. Without grounds a tier is
    the configuration's.
    """

    up_to: int
    start: TrustTier
    ceiling: TrustTier


@value
class Facts:
    """What `decide` rests on.

    `novel` is True where this agent was never allowed this tool before. `restriction` is what the agent declared for
    itself, None where it declared nothing. `approval` is a human's yes to this very call, where there is one, `lease`
    one to calls of its shape. `stop` is what forbids everything, whatever the call. `failures_in_row` counts the
    agent's failed and denied calls since its last that went well. `remote` is what a remote authority said, where one
    was asked; that is done after all else. `grounds` say what an earned tier rests on. `expects`
    are the state rows that were read and must not have changed when the decision is recorded, `accounts` those of the
    budgets, which a decision to allow rests on and adds to. These are read last, when it is known what the call is
    for (`services/budgets.py`).
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
    accounts: Sequence[Account] = ()
    grounds: Grounds | None = None
    lease: Leased | None = None
    remote: Remote | None = None

    def spent(self, accounts: Sequence[Account], *, budgets: Mapping[str, float], counts: Mapping[str, int]) -> "Facts":
        """Return the facts with what was spent of budgets. Field by field: `replace` takes twice as long."""
        return Facts(
            principal=self.principal,
            tier=self.tier,
            score=self.score,
            thresholds=self.thresholds,
            bundle=self.bundle,
            now=self.now,
            novel=self.novel,
            session=self.session,
            budgets=budgets,
            counts=counts,
            expects=self.expects,
            restriction=self.restriction,
            approval=self.approval,
            stop=self.stop,
            failures_in_row=self.failures_in_row,
            accounts=accounts,
            grounds=self.grounds,
            lease=self.lease,
            remote=self.remote,
        )
