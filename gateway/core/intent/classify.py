"""A gated call → its intent: type, effect class, confidence, evidence, and the risk with its factors.

Deterministic: the same call, context and taxonomy give the same intent. What depends on the tool's definition alone
comes from `definition.py`, remembered; what depends on the arguments from `signals.py`. An operator's mapping settles
the type, but nothing that the arguments say is taken back by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from gateway.core.call import INTENT_METHOD, Call, PinnedTool, Review
from gateway.core.intent.definition import Definition, Profile, profile
from gateway.core.intent.model import EffectClass, Evidence, Intent, IntentContext, Mapping, RiskFactor
from gateway.core.intent.naming import MAX_NAME_CHARS
from gateway.core.intent.risk import EFFECT_POINTS, effect_factor, factor, total
from gateway.core.intent.settled import Settled
from gateway.core.intent.signals import Prior, Signals, read_arguments
from gateway.core.intent.taxonomy import TAXONOMY, UNKNOWN_TYPE, Taxonomy
from gateway.core.intent.text import read_submitted, settle_submitted
from gateway.core.jsonvalue import JsonObject
from gateway.core.value import value

__all__ = ["METHOD_TYPES", "classify"]

METHOD_TYPES = {
    "resources/read": "mcp.read_resource",
    "resources/subscribe": "mcp.subscribe_resource",
    "prompts/get": "mcp.get_prompt",
    "completion/complete": "mcp.complete",
    "sampling/createMessage": "mcp.sampling",
    "elicitation/create": "mcp.elicitation",
    "roots/list": "mcp.list_roots",
}
"""The gated methods that are no tool call, and what each is. Any other method is unknown."""

CHOICES = ("accept", "decline", "cancel")
"""What a person does with a form (elicitation, `action`)."""

CACHED_SETTLED = 4096
"""Pairs of tool and mapping of which it is remembered what they settle."""

CACHED_TOOLS = 1024
"""Pinned tools that are known by identity; one more, and all are looked up anew once."""

MAPPED, MAPPED_UNPINNED, DECIDED, RAISED = 1.0, 0.95, 0.85, 0.8
"""Confidence where an operator, a listed value, or an argument of its own has settled the effect."""

SETTLED_BY_MAPPING = frozenset({"low-confidence", "destructive-annotation", "not-read-only"})
"""What an operator's mapping answers: how sure the effect is, and an upstream's own word on it."""

NOVEL = factor("novel", "this agent was never allowed this before")
UNREVIEWED = factor("unreviewed-tool", "no operator has reviewed the definition")
CHANGED = factor("changed-tool", "the definition changed and was not reviewed since")
STALE = factor("changed-tool", "a mapping names this tool under another definition")


@dataclass(frozen=True, slots=True, eq=False)
class Mappings:
    """An operator's mappings, compared by identity: they live as long as their bundle and can key a cache."""

    rows: Sequence[Mapping]

    def __hash__(self) -> int:
        return id(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mappings) and other.rows is self.rows


@value
class Known:
    """What a call was settled as, with the very values that it was settled for, which `settle` compares by identity."""

    tool: PinnedTool
    rows: Sequence[Mapping]
    taxonomy: Taxonomy
    inside: tuple[str, ...]
    settled: Settled


_KNOWN: dict[tuple[int, int], Known] = {}
"""By the identities of tool and mappings: `settled_tool` without hashing a definition (4 µs of each call)."""


def classify(call: Call, context: IntentContext, taxonomy: Taxonomy = TAXONOMY) -> Intent:
    """Return the intent of a call with its risk.

    1 settle what does not depend on the arguments; 2 read the arguments; 3 put both together.
    """
    if call.method == INTENT_METHOD:
        submitted = settle_submitted(call, tuple(context.inside_domains), taxonomy)
        return conclude(submitted, read_submitted(call, submitted.prior), novel=context.novel)
    settled = settle(call, context, taxonomy)  # 1
    if call.uri:
        signals = read_arguments({"uri": call.uri, "arguments": call.arguments}, settled.prior)  # 2
    else:
        signals = read_arguments(call.arguments, settled.prior)
    if call.answers:
        signals.join(read_arguments({"answers": given(call.answers)}, settled.prior))
    return conclude(settled, signals, novel=context.novel)  # 3


def given(answers: JsonObject) -> JsonObject:
    """Return the answers of a round without a person's own choice, whose `cancel` is no verb of the tool's."""
    return {
        name: {key: value for key, value in answer.items() if key != "action" or value not in CHOICES}
        if isinstance(answer, dict)
        else answer
        for name, answer in answers.items()
    }


def settle(call: Call, context: IntentContext, taxonomy: Taxonomy) -> Settled:
    """Return what is known of the call before its arguments."""
    tool = call.tool
    if tool is None or call.method != "tools/call" or (call.name, call.upstream) != (tool.name, tool.upstream):
        return settle_anew(call, context, taxonomy)
    rows, inside = context.mappings, tuple(context.inside_domains)
    place = (id(tool), id(rows))
    known = _KNOWN.get(place)
    if (
        known is None
        or known.tool is not tool
        or known.rows is not rows
        or known.taxonomy is not taxonomy
        or known.inside != inside
    ):
        settled = settle_anew(call, context, taxonomy)
        if len(_KNOWN) >= CACHED_TOOLS:
            _KNOWN.clear()
        known = _KNOWN[place] = Known(tool=tool, rows=rows, taxonomy=taxonomy, inside=inside, settled=settled)
    return known.settled


def settle_anew(call: Call, context: IntentContext, taxonomy: Taxonomy) -> Settled:
    """Return what `settle` does, from the definition."""
    inside = tuple(context.inside_domains)
    if call.method != "tools/call":
        return settled_method(call.method if call.method in METHOD_TYPES else "", taxonomy, inside)
    tool = call.tool
    review = tool.review if tool is not None else Review.UNREVIEWED
    definition = Definition(
        upstream=call.upstream,
        name=call.name if tool is not None else call.name[:MAX_NAME_CHARS],
        pin=tool.pin if tool is not None else "",
        reviewed=review is Review.REVIEWED,
        taxonomy=taxonomy,
        body=tool.definition if tool is not None else {},
    )
    return settled_tool(definition, review, Mappings(context.mappings), inside)


@lru_cache(maxsize=64)
def settled_method(method: str, taxonomy: Taxonomy, inside: tuple[str, ...]) -> Settled:
    """Return what is settled of a method that is no tool call; one that nobody taught us is unknown."""
    intent_type = taxonomy.get(METHOD_TYPES.get(method, "unknown")) or UNKNOWN_TYPE
    effect = intent_type.effect_class
    known = intent_type is not UNKNOWN_TYPE
    evidence = (Evidence(source="method", detail=f"{method} is {intent_type.id}" if known else "no known method"),)
    return Settled(
        profile=Profile(
            effect=effect,
            confidence=0.9 if known else 0.1,
            evidence=evidence,
            factors=(),
            domain=intent_type.domain,
            types=dict.fromkeys(EffectClass, intent_type),
        ),
        prior=Prior(
            effect=EffectClass.SEND if method.startswith(("sampling", "elicitation")) else effect,
            domain=intent_type.domain,
            inside_domains=inside,
        ),
        mapped=intent_type if known else None,
        factors=(),
        evidence=evidence,
        confidence=0.9 if known else 0.1,
    )


@lru_cache(maxsize=CACHED_SETTLED)
def settled_tool(definition: Definition, review: Review, mappings: Mappings, inside: tuple[str, ...]) -> Settled:
    """Return what is settled of a tool under an operator's mappings."""
    mapping, stale = find_mapping(definition, mappings.rows)
    pinned = mapping is not None and bool(mapping.pin)
    if pinned and not definition.reviewed:
        definition = Definition(
            upstream=definition.upstream,
            name=definition.name,
            pin=definition.pin,
            reviewed=True,
            taxonomy=definition.taxonomy,
            body=definition.body,
        )
    judged = profile(definition)
    named = mapping or stale
    mapped = (definition.taxonomy.get(named.intent) or UNKNOWN_TYPE) if named is not None else None
    effect, factors, confidence = judged.effect, judged.factors, judged.confidence
    evidence = judged.evidence
    if mapped is not None and mapping is not None:
        effect, confidence = mapped.effect_class, MAPPED if pinned else MAPPED_UNPINNED
        factors = () if pinned else tuple(each for each in judged.factors if each.code not in SETTLED_BY_MAPPING)
        evidence = (Evidence(source="mapping", detail=f"an operator mapped the tool to {mapped.id}"), *evidence)
    elif mapped is not None and EFFECT_POINTS[mapped.effect_class] > EFFECT_POINTS[effect]:
        effect = mapped.effect_class
        evidence = (Evidence(source="mapping", detail=f"mapped to {mapped.id} under another definition"), *evidence)
    return Settled(
        profile=judged,
        prior=Prior(
            effect=effect,
            domain=mapped.domain if mapped is not None and mapping is not None else judged.domain,
            selectors={} if mapping is not None else judged.selectors,
            inside_domains=inside,
        ),
        mapped=mapped if mapping is not None else None,
        factors=(*factors, *review_factors(review, pinned=pinned, stale=stale is not None and mapping is None)),
        evidence=evidence,
        confidence=confidence,
    )


def find_mapping(definition: Definition, rows: Sequence[Mapping]) -> tuple[Mapping | None, Mapping | None]:
    """Return the first mapping that holds for this definition, and the first that names another definition."""
    stale = None
    for row in rows:
        if fnmatchcase(definition.upstream, row.upstream) and fnmatchcase(definition.name, row.tool):
            if row.pin in ("", definition.pin):
                return row, stale
            stale = stale or row
    return None, stale


def review_factors(review: Review, *, pinned: bool, stale: bool) -> tuple[RiskFactor, ...]:
    """Return what the tool's review adds; a mapping of exactly this definition is a review."""
    if pinned or review is Review.REVIEWED:
        return ()
    if stale:
        return (STALE,)
    return (CHANGED,) if review is Review.CHANGED else (UNREVIEWED,)


def conclude(settled: Settled, signals: Signals, *, novel: bool) -> Intent:
    """Put what was settled and the signals together."""
    if signals.factors or signals.effect is not None or signals.decided is not None:
        return conclude_anew(settled, signals, novel=novel)
    intent = settled.quiet.get(novel)
    if intent is None:
        intent = settled.quiet[novel] = conclude_anew(settled, signals, novel=novel)
    return intent


def conclude_anew(settled: Settled, signals: Signals, *, novel: bool) -> Intent:
    """Return what `conclude` does, from what the arguments have shown."""
    effect, confidence, evidence, marks = effect_of(settled, signals)
    intent_type = settled.mapped or settled.profile.types[effect]
    own = intent_type.base_risk
    points = EFFECT_POINTS[effect]
    if own is not None:
        points = own if effect is intent_type.effect_class else max(own, points)
    factors = (
        effect_factor(effect, evidence[0].detail if evidence else effect.value, points),
        *(regraded(settled.factors, effect) if marks else settled.factors),
        *marks,
        *signals.factors.values(),
        *((NOVEL,) if novel else ()),
    )
    return Intent(
        type=intent_type.id,
        domain=intent_type.domain,
        effect_class=effect,
        confidence=confidence,
        evidence=evidence,
        risk=total(factors),
        factors=factors,
    )


def regraded(factors: tuple[RiskFactor, ...], effect: EffectClass) -> tuple[RiskFactor, ...]:
    """Return the factors where an argument has raised the effect: what was unsure weighs only up to the unknown."""
    gap = max(0, EFFECT_POINTS[EffectClass.UNKNOWN] - EFFECT_POINTS[effect])
    return tuple(
        factor(each.code, each.evidence, min(each.points, gap)) if each.code == "low-confidence" else each
        for each in factors
    )


def effect_of(
    settled: Settled, signals: Signals
) -> tuple[EffectClass, float, tuple[Evidence, ...], tuple[RiskFactor, ...]]:
    """Return the effect with what the arguments say of it: a listed value settles, any other may only raise."""
    effect, confidence, evidence = settled.prior.effect, settled.confidence, settled.evidence
    if settled.mapped is not None and not settled.prior.selectors:
        effect = settled.mapped.effect_class
    marks: tuple[RiskFactor, ...] = ()
    if signals.decided is not None:
        effect, confidence = signals.decided, DECIDED
        evidence = (*evidence, Evidence(source="arguments", detail=f"{signals.decided_evidence} decides the effect"))
    if signals.effect is not None and EFFECT_POINTS[signals.effect] > EFFECT_POINTS[effect]:
        effect, confidence = signals.effect, min(RAISED, max(confidence, DECIDED))
        evidence = (*evidence, Evidence(source="arguments", detail=f"{signals.effect_evidence} raises the effect"))
        marks = (factor("action-argument", f"{signals.effect_evidence} speaks for {effect.value}"),)
    return effect, confidence, evidence, marks
