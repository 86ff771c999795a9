"""What is known of a call before its arguments are: the value that classification begins with."""

from dataclasses import dataclass, field

from gateway.core.intent.definition import Profile
from gateway.core.intent.model import Evidence, Intent, RiskFactor
from gateway.core.intent.signals import Prior
from gateway.core.intent.taxonomy import IntentType

__all__ = ["Settled"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """A tool, a method or a submitted intent, with everything applied that does not depend on arguments.

    `mapped` is the type that an operator gave, or the program itself declared; `factors` are those beside the effect
    class's own.
    """

    profile: Profile
    prior: Prior
    mapped: IntentType | None
    factors: tuple[RiskFactor, ...]
    evidence: tuple[Evidence, ...]
    confidence: float
    quiet: dict[bool, Intent] = field(default_factory=dict)
    """By `novel`: the intent of a call whose arguments show nothing, as most do; it is the same for all of them."""
