"""The compiled bundle: rules indexed by what they match, and the values around them. Immutable, hence one version.

How it is made is `compile.py`, what it says of a call `evaluate.py`.
"""

from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from typing import Final

from gateway.core.decision import MatchedRule
from gateway.core.intent.model import Mapping
from gateway.core.policy.cel import Condition, Engine
from gateway.core.policy.glob import Globs
from gateway.core.policy.model import Evaluation
from gateway.core.principal import TrustTier

__all__ = ["ACCOUNTS", "Budget", "Bundle", "Match", "Plan", "Rule", "RuleIndex"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A compiled `match`: None is any. The methods are the index's business."""

    upstreams: Globs | None
    tools: Globs | None
    uris: Globs | None
    agents: Globs | None
    tiers: frozenset[TrustTier] | None
    intents: frozenset[str] | None
    domains: frozenset[str] | None
    effects: frozenset[str] | None = None
    factors: frozenset[str] | None = None

    def may_apply(self, *, upstream: str, name: str, uri: str | None, agent: str, tier: TrustTier) -> bool:
        """Return True where everything that is known before the arguments fits. A URI of None is any URI."""
        return (
            (self.upstreams is None or self.upstreams.match(upstream))
            and (self.tools is None or self.tools.match(name))
            and (self.uris is None or uri is None or self.uris.match(uri))
            and (self.agents is None or self.agents.match(agent))
            and (self.tiers is None or tier in self.tiers)
        )

    @property
    def judged(self) -> bool:
        """True where the call must be classified before it is known whether the rule applies: it hides no tool."""
        return not (self.intents is None and self.domains is None and self.effects is None and self.factors is None)

    def fits_intent(self, intent: str, domain: str, effect: str, factors: Iterable[str]) -> bool:
        """Return True where the judgement on the call fits too: its type, domain, effect class, codes of factors."""
        return (
            (self.effects is None or effect in self.effects)
            and (self.factors is None or not self.factors.isdisjoint(factors))
            and (self.intents is None or intent in self.intents)
            and (self.domains is None or domain in self.domains)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One compiled rule. `matched` is what it contributes to an evaluation when it holds."""

    matched: MatchedRule
    match: Match
    methods: frozenset[str]
    condition: Condition | None
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleIndex:
    """The rules of one method in the bundle's order, narrowed by tool name where rules name tools plainly.

    It only narrows: whether a candidate applies is its own match's to say. `by_effect` holds the same for the rules
    that the call's effect class leaves, once that is known.
    """

    by_name: MappingOf[str, tuple[Rule, ...]]
    others: tuple[Rule, ...]
    by_effect: MappingOf[str, "RuleIndex"] = field(default_factory=dict)

    def candidates(self, name: str) -> tuple[Rule, ...]:
        """Return the rules that can apply to this name, in the bundle's order."""
        return self.by_name.get(name, self.others)

    def judged(self, effect: str) -> "RuleIndex":
        """Return the index of the rules that can apply to a call of this effect class."""
        return self.by_effect.get(effect, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The rules that apply to calls of one kind, and what they say of each of them where none has a condition.

    `charged` are the budgets that count such a call, `read` these and all that a condition reads. `charges` is what a
    call adds to each of `charged`, None where that is in its arguments.
    """

    rules: tuple[Rule, ...]
    settled: Evaluation | None
    charged: tuple["Budget", ...] = ()
    read: tuple["Budget", ...] = ()
    charges: MappingOf[str, int] | None = None


ACCOUNTS: Final = "budget:"
"""How the keys of the accounts of all budgets begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A declared budget: conditions read it as `budget.NAME` (a sum) or `count.NAME`. Its value arrives as a fact.

    `amount` is what one call adds; None counts calls. `match` and `methods` say which calls count. `place` is how the
    keys of its accounts begin: the length of the window and what is counted are no part of it, so that an account
    outlives a change of these. `file` and `line` say where it is declared.
    """

    name: str
    amount: Condition | None
    per: str
    window_s: int
    match: Match
    methods: frozenset[str]
    place: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A compiled set of policy files. Immutable: take it once per call, so that no call is judged by two versions.

    `digest` is the lower-case hex SHA-256 over the sorted (path, SHA-256) pairs of its files. `warnings` are for the
    operator and are printed whenever the bundle comes into force. `asks_first_use`: a condition reads that fact.
    """

    digest: str
    mappings: tuple[Mapping, ...]
    rules: tuple[Rule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    policy_sets: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    index: MappingOf[str, RuleIndex] = field(default_factory=dict)
    engine: Engine | None = None
    asks_first_use: bool = False
    plans: dict[tuple[object, ...], Plan] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `evaluate` has found to apply to calls of one kind; it follows from the rest, and ends with it."""
