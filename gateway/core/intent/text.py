"""Free text or an intent type id → its intent, for what comes through the REST fronts and the command line.

A text is read as a tool's name would be, on a system in place of an upstream, with its parameters as arguments. Since
a sentence may ask for several things, every verb in it counts, the gravest most.
"""

from functools import lru_cache

from gateway.core.call import Review
from gateway.core.intent.classify import Mappings, Settled, conclude, settled_tool
from gateway.core.intent.definition import Definition, Profile
from gateway.core.intent.model import EffectClass, Evidence, Intent, IntentContext
from gateway.core.intent.naming import MAX_NAME_CHARS, split
from gateway.core.intent.signals import Signals, Standing, read_arguments
from gateway.core.intent.taxonomy import TAXONOMY, IntentType, Taxonomy
from gateway.core.intent.verbs import NOUNS_TOO
from gateway.core.intent.words import STRONG_VERBS
from gateway.core.jsonvalue import JsonObject

__all__ = ["classify_text"]

NAMED = 0.95
"""Confidence where the agent itself names the intent type."""

PRODUCTION_WORDS = frozenset({"prod", "production", "prd"})


def classify_text(
    action: str, params: JsonObject, system: str, context: IntentContext, taxonomy: Taxonomy = TAXONOMY
) -> Intent:
    """Return the intent of `action` with `params` on `system`; what cannot be classified is `unknown`."""
    inside = tuple(context.inside_domains)
    named = taxonomy.get(action)
    if named is not None and named.effect_class is not EffectClass.UNKNOWN:
        settled = settled_type(named, inside)
        return conclude(settled, read_arguments(params, settled.standing), novel=context.novel)
    definition = Definition(
        upstream=system, name=action[:MAX_NAME_CHARS], pin="", reviewed=False, taxonomy=taxonomy, body={}
    )
    settled = settled_tool(definition, Review.REVIEWED, Mappings(context.mappings), inside)
    signals = read_arguments({"action": action, "params": params}, settled.standing)
    read_sentence_verbs(signals, action, settled.standing)
    return conclude(settled, signals, novel=context.novel)


@lru_cache(maxsize=1024)
def settled_type(named: IntentType, inside: tuple[str, ...]) -> Settled:
    """Return the standing of an intent type that was named as such."""
    evidence = (Evidence(source="name", detail=f"names the intent type {named.id}"),)
    return Settled(
        profile=Profile(
            effect=named.effect_class,
            confidence=NAMED,
            evidence=evidence,
            factors=(),
            domain=named.domain,
            types=dict.fromkeys(EffectClass, named),
        ),
        standing=Standing(effect=named.effect_class, domain=named.domain, inside_domains=inside),
        mapped=named,
        factors=(),
        evidence=evidence,
        confidence=NAMED,
    )


def read_sentence_verbs(signals: Signals, action: str, standing: Standing) -> None:
    """Let every verb of a sentence raise the effect, and its words name the environment."""
    words = split(action)
    for word in words:
        effect = STRONG_VERBS.get(word)
        if effect is not None and word not in NOUNS_TOO:
            signals.raise_to(effect, f"'{word}' in the text")
    if not PRODUCTION_WORDS.isdisjoint(words) and not standing.reads:
        signals.add("production", "the text speaks of production")
    if len(action) > MAX_NAME_CHARS:
        signals.add("oversized-argument", "the text is longer than is read for its verbs")
