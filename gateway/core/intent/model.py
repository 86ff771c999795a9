"""The values of intent: effect class, evidence, risk factors, and the intent itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.core.value import value

__all__ = ["EffectClass", "Evidence", "Intent", "IntentContext", "Mapping", "RiskFactor"]


class EffectClass(StrEnum):
    """What kind of thing happens in the world if the call runs."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"
    EXECUTE = "execute"
    SEND = "send"
    PAYMENT = "payment"
    CREDENTIAL = "credential"
    ACCESS = "access"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One observation that spoke for an effect class or an intent type.

    `source` says where it was seen (`name`, `description`, `arguments`, `schema`, `annotations`, `mapping`, `method`);
    `detail` is for people and never holds an argument's value.
    """

    source: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFactor:
    """One explained share of the risk. `points` may be negative only for what an operator has reviewed.

    `code` is stable (policies read it as `risk.factors`); `evidence` is for people and names the argument, by its
    path, never its value.
    """

    code: str
    points: int
    evidence: str


@value
class Intent:
    """The judgement on one call.

    `type` is an intent type of the taxonomy (`files.read`, `billing.process_refund`, `unknown`), `domain` its domain.
    `confidence` is 0.0 to 1.0. `risk` is 0 to 100: the bounded sum of `factors`.
    """

    type: str
    domain: str
    effect_class: EffectClass
    confidence: float
    evidence: tuple[Evidence, ...]
    risk: int
    factors: tuple[RiskFactor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """An operator's word that a tool is of an intent type (policy file, `mappings:`).

    `upstream` and `tool` are case-sensitive globs over the upstream's own names. `pin` is the definition that was
    reviewed, or empty: the type then holds for any definition, but nothing counts as reviewed.
    """

    upstream: str
    tool: str
    intent: str
    pin: str = ""


@value
class IntentContext:
    """What classification may know besides the call.

    `novel` is True where this agent was never allowed this tool before. `inside_domains` are the mail domains that
    an operator counts as inside; recipients elsewhere are outside.
    """

    mappings: Sequence[Mapping] = ()
    novel: bool = True
    inside_domains: Sequence[str] = ()
