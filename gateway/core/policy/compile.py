"""Policy documents → one bundle: type-checked, indexed, under one digest.

Owns what can only be seen across files or with the engine: unique ids, known intents, conditions. What a single file
may say is `document.py`; what a bundle says of a call is `evaluate.py`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from hashlib import sha256

from gateway.core.audit.canonical import digest
from gateway.core.decision import ApprovalTerms, Effect, MatchedRule
from gateway.core.intent.model import EffectClass, Mapping
from gateway.core.intent.risk import RISK_FACTORS
from gateway.core.intent.taxonomy import TAXONOMY, Taxonomy
from gateway.core.policy.bundle import ACCOUNTS, Budget, Bundle, Match, Rule, RuleIndex
from gateway.core.policy.cel import Condition, Engine, FactType, Invalid, canary
from gateway.core.policy.document import (
    GATED_METHODS,
    BudgetDocument,
    MatchDocument,
    RuleDocument,
    duration_s,
    nearest,
)
from gateway.core.policy.glob import Globs
from gateway.core.policy.reading import LoadedDocument, Steps
from gateway.core.principal import TrustTier
from gateway.errors import PolicyError, Problem

__all__ = ["Budget", "Bundle", "Match", "Rule", "RuleIndex", "compile_bundle", "digest_files"]


def digest_files(files: Sequence[tuple[str, str]]) -> str:
    """Return the digest of a bundle: SHA-256 over `SHA256  PATH` lines sorted by path, as `sha256sum` prints them."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files))
    return sha256(lines.encode()).hexdigest()


def compile_bundle(
    documents: Sequence[LoadedDocument],
    *,
    taxonomy: Taxonomy = TAXONOMY,
    risk_factors: Collection[str] = RISK_FACTORS,
    session_facts: MappingOf[str, FactType] | None = None,
    obligations: Collection[str] = (),
    warnings: Sequence[str] = (),
) -> Bundle:
    """Compile documents into one bundle. The order of its rules is by path, then as written.

    `taxonomy` and `risk_factors` (codes) are what rules may name, `session_facts` the declared session variables,
    `obligations` the duties that this gateway can perform: a duty that nobody performs is refused, not ignored.

    Raises:
        PolicyError: with every Problem found. There is no bundle of the parts that are sound.
    """
    try:
        canary()
    except Invalid as error:
        remedy = "install the exact version of cel-expr-python that this gateway pins"
        raise PolicyError(Problem(source="policy engine", message=str(error), remedy=remedy)) from error
    ordered = sorted(documents, key=lambda loaded: loaded.path)
    if not ordered:
        raise PolicyError(Problem(source="policies", message="there is no policy file", remedy="add one with rules"))
    known = _Known(
        intents=taxonomy.by_id, domains=taxonomy.by_domain, factors=risk_factors, obligations=frozenset(obligations)
    )
    return _Compiler(ordered, known, session_facts or {}).bundle(tuple(warnings))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The words that rules may use."""

    intents: Collection[str]
    domains: Collection[str]
    factors: Collection[str]
    obligations: frozenset[str]


class _Compiler:
    """One compilation: collects every problem before it gives up."""

    def __init__(
        self,
        documents: Sequence[LoadedDocument],
        known: _Known,
        session_facts: MappingOf[str, FactType],
    ) -> None:
        self._documents = documents
        self._known = known
        self._problems: list[Problem] = []
        self._everywhere: list[str] = []
        named = [(name, budget) for loaded in documents for name, budget in (loaded.document.budgets or {}).items()]
        self._engine = Engine(
            sums=[name for name, budget in named if budget.sum is not None],
            counts=[name for name, budget in named if budget.count is not None],
            session=session_facts,
        )

    def bundle(self, warnings: tuple[str, ...]) -> Bundle:
        """Compile every part; raise PolicyError if any is unsound."""
        self._check_unique()
        budgets = [
            self._budget(loaded, name, budget)
            for loaded in self._documents
            for name, budget in (loaded.document.budgets or {}).items()
        ]
        mappings = [m for loaded in self._documents for m in self._mappings(loaded)]
        rules = [
            self._rule(loaded, number, rule)
            for loaded in self._documents
            for number, rule in enumerate(loaded.document.rules)
        ]
        if self._problems:
            raise PolicyError(*self._problems)
        files = tuple((loaded.path, loaded.sha256) for loaded in self._documents)
        own = tuple(f"{loaded.path}: {text}" for loaded in self._documents if (text := loaded.document.warning))
        return Bundle(
            digest=digest_files(files),
            mappings=tuple(mappings),
            rules=tuple(rules),
            budgets=tuple(budgets),
            policy_sets=tuple(dict.fromkeys(loaded.document.policySet for loaded in self._documents)),
            files=files,
            warnings=own + tuple(self._everywhere) + warnings,
            index={method: _index([r for r in rules if method in r.methods]) for method in GATED_METHODS},
            engine=self._engine,
            asks_first_use=any(r.condition is not None and FIRST_USE in r.condition.text for r in rules),
        )

    def _report(
        self, loaded: LoadedDocument, steps: Steps, message: str, remedy: str, inside: tuple[int, int] | None = None
    ) -> None:
        self._problems.append(loaded.problem(steps, message, remedy, inside=inside))

    def _check_unique(self) -> None:
        """Ids of rules, names of budgets and targets of mappings are unique across all files."""
        seen: dict[tuple[str, str], str] = {}
        for loaded in self._documents:
            for kind, name, steps in _names(loaded):
                if (kind, name) in seen:
                    message = f"there is already a {kind} '{name}' in {seen[kind, name]}"
                    self._report(loaded, steps, message, "rename or remove one of them")
                seen.setdefault((kind, name), loaded.path)

    def _rule(self, loaded: LoadedDocument, number: int, rule: RuleDocument) -> Rule:
        steps: Steps = ("rules", number)
        for duty in set(rule.obligations or ()) - self._known.obligations:
            known = ", ".join(sorted(self._known.obligations)) or "none yet"
            message = f"nobody performs the obligation '{duty}'{nearest(duty, self._known.obligations)}"
            self._report(loaded, (*steps, "obligations"), message, f"use one that this gateway knows ({known})")
        return Rule(
            matched=MatchedRule(
                id=rule.id,
                policy_set=loaded.document.policySet,
                effect=Effect[rule.effect.upper()],
                reason=rule.reason or "",
                digest=digest(rule.model_dump(mode="json", exclude_unset=True)),
                obligations=rule.obligations or (),
                approval=_terms(rule),
            ),
            match=self._match(loaded, (*steps, "match"), rule.match),
            methods=_methods(rule.match),
            condition=self._condition(loaded, (*steps, "when"), rule.when),
            file=loaded.path,
            line=loaded.places.of(steps).line,
        )

    def _budget(self, loaded: LoadedDocument, name: str, budget: BudgetDocument) -> Budget:
        steps: Steps = ("budgets", name)
        if budget.sum is not None and "args" in budget.sum and not _narrow(budget):
            text = f"budget '{name}' adds up an argument of every call, so that calls without it are denied"
            self._everywhere.append(f"{loaded.path}: {text}; name the tools that have it in its `match`")
        return Budget(
            name=name,
            amount=self._condition(loaded, (*steps, "sum"), budget.sum, amount=True),
            per=budget.per,
            window_s=duration_s(budget.window),
            match=self._match(loaded, (*steps, "match"), budget.match),
            methods=_methods(budget.match),
            place=f"{ACCOUNTS}{name}:{'count' if budget.sum is None else 'sum'}:{budget.per}",
            file=loaded.path,
            line=loaded.places.of(steps, key=True).line,
        )

    def _mappings(self, loaded: LoadedDocument) -> list[Mapping]:
        mappings = []
        for number, mapping in enumerate(loaded.document.mappings or ()):
            self._check_word(loaded, ("mappings", number, "intent"), "intent type", self._known.intents, mapping.intent)
            mappings.append(
                Mapping(upstream=mapping.upstream, tool=mapping.tool, intent=mapping.intent, pin=mapping.pin or "")
            )
        return mappings

    def _match(self, loaded: LoadedDocument, steps: Steps, match: MatchDocument) -> Match:
        for key, kind, known, words in (
            ("intents", "intent type", self._known.intents, match.intents),
            ("domains", "domain", self._known.domains, match.domains),
            ("factors", "risk factor", self._known.factors, match.factors),
        ):
            for number, word in enumerate(words or ()):
                self._check_word(loaded, (*steps, key, number), kind, known, word)
        return Match(
            upstreams=_globs(match.upstreams),
            tools=_globs(match.tools),
            uris=_globs(match.uris),
            agents=_globs(match.agents),
            tiers=frozenset(TrustTier[tier] for tier in match.tiers) if match.tiers else None,
            intents=frozenset(match.intents) if match.intents else None,
            domains=frozenset(match.domains) if match.domains else None,
            effects=frozenset(effect.value for effect in match.effects) if match.effects else None,
            factors=frozenset(match.factors) if match.factors else None,
        )

    def _check_word(self, loaded: LoadedDocument, steps: Steps, kind: str, known: Collection[str], word: str) -> None:
        if word not in known:
            message = f"'{word}' is not a known {kind}{nearest(word, known)}"
            self._report(loaded, steps, message, _WORD_REMEDIES[kind])

    def _condition(
        self, loaded: LoadedDocument, steps: Steps, text: str | None, *, amount: bool = False
    ) -> Condition | None:
        if text is None:
            return None
        try:
            return self._engine.amount(text) if amount else self._engine.condition(text)
        except Invalid as error:
            for problem in error.problems:
                inside = (problem.line, problem.column) if problem.line else None
                self._report(loaded, steps, problem.message, _CONDITION_REMEDY, inside)
            return None


FIRST_USE = "first_use"
"""A condition that does not hold this word cannot ask whether a target is used for the first time."""

_WORD_REMEDIES = {
    "intent type": "use an intent type of the taxonomy",
    "domain": "use a domain of the taxonomy",
    "risk factor": "use the code of a risk factor, as decisions list them",
}

_CONDITION_REMEDY = (
    "conditions are CEL over args, call.*, agent.*, intent.*, risk, risk.factors, session.*, budget.NAME, count.NAME"
    " and now; policies/README.md has them all"
)


def _names(loaded: LoadedDocument) -> Iterator[tuple[str, str, Steps]]:
    """Everything in a file that must be unique: its kind, its name, its place."""
    for number, rule in enumerate(loaded.document.rules):
        yield "rule", rule.id, ("rules", number, "id")
    for name in loaded.document.budgets or {}:
        yield "budget", name, ("budgets", name)
    for number, mapping in enumerate(loaded.document.mappings or ()):
        yield "mapping", f"{mapping.upstream}/{mapping.tool}", ("mappings", number, "tool")


def _narrow(budget: BudgetDocument) -> bool:
    """Say whether the calls that count are of some kind, or the amount is made for calls of any."""
    match = budget.match
    kinds = (match.tools, match.intents, match.domains, match.effects, match.uris, match.factors)
    return any(kind is not None for kind in kinds) or "has(" in (budget.sum or "")


def _methods(match: MatchDocument) -> frozenset[str]:
    return frozenset(GATED_METHODS if "*" in match.methods else match.methods)


def _globs(patterns: tuple[str, ...] | None) -> Globs | None:
    return Globs.of(patterns) if patterns else None


def _terms(rule: RuleDocument) -> ApprovalTerms | None:
    if rule.approval is None:
        return None
    terms = rule.approval
    return ApprovalTerms(role=terms.role, approvers=terms.approvers, expires_s=duration_s(terms.expires))


def _index(rules: Sequence[Rule]) -> RuleIndex:
    """Narrow by effect class, then by name. Effect classes that leave the same rules share one index."""
    left = {effect.value: _left_by(effect, rules) for effect in EffectClass}
    shared = {places: _by_name([rules[place] for place in places]) for places in set(left.values())}
    every = _by_name(rules)
    return replace(every, by_effect={effect: shared[places] for effect, places in left.items()})


def _left_by(effect: EffectClass, rules: Sequence[Rule]) -> tuple[int, ...]:
    """The places of the rules that can apply to a call of this effect class."""
    asked = ((place, rule.match.effects) for place, rule in enumerate(rules))
    return tuple(place for place, effects in asked if effects is None or effect.value in effects)


def _by_name(rules: Sequence[Rule]) -> RuleIndex:
    """Narrow by name: a rule whose tools are all plain names is a candidate for these only."""
    others: list[int] = []
    named: defaultdict[str, list[int]] = defaultdict(list)
    for place, rule in enumerate(rules):
        tools = rule.match.tools
        if tools is None or tools.patterns:
            others.append(place)
        else:
            for name in tools.literals:
                named[name].append(place)

    def at(places: Iterable[int]) -> tuple[Rule, ...]:
        return tuple(rules[place] for place in places)

    return RuleIndex(
        by_name={name: at(sorted(others + places)) for name, places in named.items()},
        others=at(others),
    )
