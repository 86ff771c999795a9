"""The values that cross the border of policy evaluation: its input and its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.core.call import Call
from gateway.core.decision import Decision, MatchedRule
from gateway.core.intent.model import Intent
from gateway.core.principal import Principal, TrustTier
from gateway.core.value import value

__all__ = ["Evaluation", "FailedRule", "PolicyInput"]


@value
class PolicyInput:
    """Everything that a rule's match or condition may read (design, section 4, "CEL").

    `session` holds declared session facts, `budgets` and `counts` the values of the bundle's declared budgets and
    counters; a declared one that is missing here makes the conditions that read it errors, and so denies. `first_use`
    is True where this agent was never allowed the target before.
    """

    call: Call
    intent: Intent
    principal: Principal
    tier: TrustTier
    score: int
    now: datetime
    session: Mapping[str, object] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    first_use: bool = True
    failures_in_row: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRule:
    """A rule that applied but whose condition gave neither true nor false. `message` holds no argument's value."""

    id: str
    policy_set: str
    message: str


@value
class Evaluation:
    """What the bundle says of one call.

    `matched` are the rules that applied and held, in the bundle's order; `failed` those that could not be evaluated.
    `conditions` is every applicable rule's outcome (`true`, `false`, `error`) under its id, so that a verdict can be
    recomputed where the arguments themselves are no longer kept.
    """

    matched: tuple[MatchedRule, ...]
    failed: tuple[FailedRule, ...]
    conditions: Mapping[str, str]
    decisions: dict[tuple[object, ...], Decision] = field(default_factory=dict, repr=False, compare=False)
    """What the ladder has made of it: one evaluation may stand for many calls (`evaluate.py`)."""
