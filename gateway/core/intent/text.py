"""A submitted intent → what is known of it: the type that it declares, or what its words say.

A declared type settles type and effect; a text is read as a tool's name would be, clause by clause, and the gravest
clause counts. Words can only raise: what is not understood lowers the confidence, never the risk, and neither the
description nor the justification makes anything harmless. Arguments are `signals.py`'s, here as everywhere.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from gateway.core.call import MAX_ACTION_CHARS, Call, Told
from gateway.core.intent.definition import (
    SURE,
    Definition,
    Profile,
    domain_nouns,
    pick_type,
    profile,
    published_type,
)
from gateway.core.intent.model import EffectClass, Evidence, RiskFactor
from gateway.core.intent.naming import MAX_NAME_CHARS, singular, split
from gateway.core.intent.risk import EFFECT_POINTS, factor
from gateway.core.intent.settled import Settled
from gateway.core.intent.signals import Prior, Signals, read_arguments
from gateway.core.intent.taxonomy import UNKNOWN_TYPE, IntentType, Taxonomy
from gateway.core.intent.verbs import NOUNS_TOO, forms, graver, read_words
from gateway.core.intent.words import CONNECTORS, FINAL_WORDS, STRONG_VERBS, WEAK_VERBS

__all__ = ["declarable", "read_submitted", "settle_submitted"]

DECLARED = 0.9
"""Confidence where the program itself names the intent type."""

SAID, HALF_SAID = 0.85, 0.4
"""Highest confidence of a text, and of one of which a part was not understood."""

CACHED_TEXTS: Final = 512

LONGEST_PHRASE: Final = 3

MAX_SCANNED_CHARS: Final = 8192
"""Of a description so much is read for grave words; the services take no longer one."""

PRODUCTION_WORDS: Final = frozenset({"prod", "production", "prd"})

_PLACES: Final = frozenset({EffectClass.READ, EffectClass.WRITE})
"""For these the named system says best where they happen; what is deployed or paid, the words say."""

_BREAKS: Final = re.compile(r"[,;:!?\n\r\t()\[\]{}|\"]+|\.(?=\s|$)|\s[-\u2013\u2014]+\s|\u2014")
"""Between the clauses of a text. A dot within `acme.com` is none."""

_JOINS: Final = CONNECTORS | {"also", "but", "plus", "afterwards", "before", "after", "while", "when"}

_GRAVE: Final[Mapping[tuple[str, ...], EffectClass]] = {
    phrase: effect
    for effect, phrases in (
        (
            EffectClass.DESTRUCTIVE,
            "get rid|do away|tear down|take down|shut down|bring down|turn off|switch off|clean out|clear out|wipe out"
            "|blow away|throw away|throw out|zero out|scale to zero|eliminate|annihilate|eradicate|exterminate|demolish"
            "|dispose|retire|zap|raze|unpublish|sunset|force push|rewrite history",
        ),
        (EffectClass.PAYMENT, "wire|remit|disburse|pay out|cash out|move money|move funds|move cash"),
        (EffectClass.CREDENTIAL, "steal|crack|hack|phish|log in|sign in|take over"),
        (EffectClass.ACCESS, "make public|open up|hand over|escalate privileges|promote to admin|make admin"),
        (EffectClass.SEND, "exfiltrate|leak|hand out|pass on|reach out"),
        (EffectClass.EXECUTE, "kick off|spin up|roll out|fire up|bypass|sideload"),
    )
    for phrase in (tuple(text.split()) for text in phrases.split("|"))
}
"""Words and idioms of sentences that names of tools do not use."""

_APART: Final = frozenset({"off", "down", "out", "away", "up", "over", "public", "admin", "money", "funds", "cash"})
"""Second halves of idioms before which their object may stand: `turn the alarm off`, `move all the money`."""

OBJECT_WORDS: Final = 3
"""So long is such an object at most."""

_CAUSING: Final = frozenset({"get", "have"})

_POINTERS: Final = frozenset(
    {"the", "a", "an", "all", "any", "each", "every", "this", "that", "these", "those", "it", "them", "us",
     "our", "my", "your", "his", "her", "its", "their"}
)  # fmt: skip
"""Behind a word that may be a noun they make it the verb: `email the list`."""

_SILENT: Final = Told()


def declarable(type_id: str, taxonomy: Taxonomy) -> IntentType | None:
    """Return the type that a program may declare; None for what is unknown, and for what only MCP itself does."""
    named = taxonomy.get(type_id)
    return None if named is None or named.effect_class is EffectClass.UNKNOWN or named.domain == "mcp" else named


def settle_submitted(call: Call, inside: tuple[str, ...], taxonomy: Taxonomy) -> Settled:
    """Return what is known of a submitted intent before its arguments."""
    told = call.told or _SILENT
    declared = declarable(told.type or call.action, taxonomy)
    if declared is not None:
        return settled_type(declared, inside)
    action = call.action
    if len(action) > MAX_ACTION_CHARS:
        return settled_unread(inside)
    text = action if told.type in ("", action) else f"{action}; {told.type[:MAX_ACTION_CHARS]}"
    return settled_text(text, call.upstream, taxonomy, inside, called(text, call.arguments))


def read_submitted(call: Call, prior: Prior) -> Signals:
    """Return what the arguments and the texts beside them show; texts are looked through like arguments."""
    told = call.told or _SILENT
    signals = read_arguments(call.arguments, prior)
    texts = {"action": call.action, "description": told.description, "justification": told.justification}
    if declared_by(call):
        del texts["action"]
    texts["arguments"] = told_arguments(call.arguments)
    signals.join(read_arguments({name: text for name, text in texts.items() if text}, prior))
    for effect, words in grave_words(told.description):
        signals.raise_to(effect, f"'{words}' in the description")
    if told.type and "action" in texts:
        for effect, words in said(call.action[:MAX_SCANNED_CHARS]):
            signals.raise_to(effect, f"'{words}' in the action")
    if not prior.reads and not PRODUCTION_WORDS.isdisjoint(words_in(call.action)):
        signals.add("production", "the text speaks of production")
    return signals


def called(text: str, arguments: Mapping[str, object]) -> str:
    """Return the tool where a text is nothing but its call, as the published client writes one; else empty.

    The arguments must name the same tool: brackets alone would let any sentence hide its half in them.
    """
    tool, bracket, _ = text.partition("(")
    return tool if bracket and text.endswith(")") and tool.isidentifier() and arguments.get("tool") == tool else ""


def told_arguments(arguments: Mapping[str, object]) -> str:
    """Return the arguments of a tool that the published client's guards hand on as one text; empty without any.

    They call it `input`, which is prose everywhere else.
    """
    told = arguments.get("input")
    return told if isinstance(told, str) and isinstance(arguments.get("tool"), str) else ""


def declared_by(call: Call) -> bool:
    """Return True where the action is nothing but the name of an intent type: its words are the type's own."""
    action = call.action
    return action == call.told.type if call.told is not None and call.told.type else is_type(action)


def is_type(text: str) -> bool:
    """Return True for a text of the form of an intent type, which no sentence has."""
    domain, dot, name = text.partition(".")
    return bool(dot) and domain.isidentifier() and name.isidentifier()


@lru_cache(maxsize=1024)
def settled_type(named: IntentType, inside: tuple[str, ...]) -> Settled:
    """Return what is settled of an intent type that was declared as such."""
    evidence = (Evidence(source="name", detail=f"names the intent type {named.id}"),)
    return Settled(
        profile=Profile(
            effect=named.effect_class,
            confidence=DECLARED,
            evidence=evidence,
            factors=(),
            domain=named.domain,
            types=dict.fromkeys(EffectClass, named),
        ),
        prior=Prior(effect=named.effect_class, domain=named.domain, inside_domains=inside),
        mapped=named,
        factors=(),
        evidence=evidence,
        confidence=DECLARED,
    )


@lru_cache(maxsize=64)
def settled_unread(inside: tuple[str, ...]) -> Settled:
    """Return what is settled of a text that is too long for the name of an action: unknown."""
    evidence = (Evidence(source="name", detail=f"longer than {MAX_ACTION_CHARS} characters"),)
    return Settled(
        profile=Profile(
            effect=EffectClass.UNKNOWN,
            confidence=0.1,
            evidence=evidence,
            factors=(),
            domain=UNKNOWN_TYPE.domain,
            types=dict.fromkeys(EffectClass, UNKNOWN_TYPE),
        ),
        prior=Prior(effect=EffectClass.UNKNOWN, domain=UNKNOWN_TYPE.domain, inside_domains=inside),
        mapped=None,
        factors=(factor("oversized-argument", "the action is longer than is read"),),
        evidence=evidence,
        confidence=0.1,
    )


@lru_cache(maxsize=CACHED_TEXTS)
def settled_text(text: str, system: str, taxonomy: Taxonomy, inside: tuple[str, ...], tool: str = "") -> Settled:
    """Return what is settled of a free text. Where it is `tool(…)`, what stands in brackets are values and no clauses.

    1 the whole as a name; 2 every clause and every grave word may raise it; 3 how far all of it was understood;
    4 where it happens.
    """
    values, text = text[len(tool) :] if tool else "", tool or text
    name = text[:MAX_NAME_CHARS]
    named = Definition(upstream=system, name=name, pin="", reviewed=False, taxonomy=taxonomy, body={})
    base = profile.__wrapped__(named)  # 1: past the memory of tools, which no text may push out of it
    effect, confidence, evidence = base.effect, min(base.confidence, SAID), list(base.evidence)
    for graver_effect, words in (*said(text), *grave_words(values)):  # 2
        if graver(effect, graver_effect) is not effect:
            effect, confidence = graver_effect, max(confidence, SURE)
            evidence.append(Evidence(source="name", detail=f"'{words}' speaks for {effect.value}"))
    if effect in _PLACES and any(map(says_nothing, clauses(text))):  # 3
        confidence = min(confidence, HALF_SAID)
        evidence.append(Evidence(source="name", detail="a part of the text says nothing that is understood"))
    domain, types = placed(base, effect, system, text, taxonomy)  # 4
    return Settled(
        profile=Profile(
            effect=effect,
            confidence=confidence,
            evidence=tuple(evidence),
            factors=base.factors,
            domain=domain,
            types=types,
        ),
        prior=Prior(effect=effect, domain=domain, inside_domains=inside),
        mapped=None,
        factors=(*(each for each in base.factors if each.code != "low-confidence"), *doubt(effect, confidence)),
        evidence=tuple(evidence),
        confidence=confidence,
    )


def placed(
    base: Profile, effect: EffectClass, system: str, text: str, taxonomy: Taxonomy
) -> tuple[str, Mapping[EffectClass, IntentType]]:
    """Return the domain with its types: the system's where it names one for a read or write, else the words' own."""
    words = split(text)
    spoken = domain_nouns(taxonomy)
    named = next((found[0] for word in split(system) if (found := spoken.get(word) or spoken.get(singular(word)))), "")
    if effect not in _PLACES or not named or published_type(taxonomy, words) is not None:
        return base.domain, base.types
    return named, {each: pick_type(taxonomy, named, each, words) for each in EffectClass}


def doubt(effect: EffectClass, confidence: float) -> tuple[RiskFactor, ...]:
    """Return the factor of a text that was understood too little: it weighs as much as an unknown one."""
    if confidence >= SURE:
        return ()
    missing = max(0, EFFECT_POINTS[EffectClass.UNKNOWN] - EFFECT_POINTS[effect])
    return (factor("low-confidence", "the text says too little that is understood", missing),)


def clauses(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each clause, also of those that an `and` joins."""
    for piece in _BREAKS.split(text):
        clause: list[str] = []
        for word in words_in(piece):
            if word in _JOINS:
                yield tuple(clause)
                clause = []
            else:
                clause.append(word)
        yield tuple(clause)


def words_in(text: str) -> tuple[str, ...]:
    """Return the words of a text of any length; `split` alone reads a name."""
    return tuple(word for piece in text.split() for word in split(piece))


def said(text: str) -> Iterator[tuple[EffectClass, str]]:
    """Yield the effects that a text speaks for, each with the words that do."""
    for clause in clauses(text):
        reading = read_words(clause)
        if reading.effect is not None:
            yield reading.effect, reading.verb
        yield from led(clause)
    for word in words_in(text):
        if word in STRONG_VERBS and word not in NOUNS_TOO:
            yield STRONG_VERBS[word], word
    yield from grave_words(text)


def led(clause: tuple[str, ...]) -> Iterator[tuple[EffectClass, str]]:
    """Yield what a clause is about by its place in the sentence, where a name of the same words would say another.

    `email the list` sends, though `list` is a verb in names; `get the server removed` removes.
    """
    if len(clause) < 3:
        return
    first, last = clause[0], clause[-1]
    if first in WEAK_VERBS and (clause[1] in _POINTERS or "to" in clause[2:]):
        yield WEAK_VERBS[first], first
    if first in _CAUSING and last.endswith("ed"):
        for form in (last[:-1], last[:-2]):
            if form in STRONG_VERBS and form not in NOUNS_TOO:
                yield STRONG_VERBS[form], last


def says_nothing(clause: tuple[str, ...]) -> bool:
    """Return True for a clause of several words of which none tells what it does; one word is an aside."""
    return len(clause) > 1 and read_words(clause).effect is None


def apart(verb: str, behind: tuple[str, ...]) -> Iterator[tuple[EffectClass, str]]:
    """Yield the idiom that a verb makes with a word behind its object."""
    for distance, word in enumerate(behind):
        if word in _JOINS:
            return
        if distance and word in _APART and (verb, word) in _GRAVE:
            yield _GRAVE[verb, word], f"{verb} ... {word}"


def grave_words(text: str) -> Iterator[tuple[EffectClass, str]]:
    """Yield what a text says, in whatever form, that cannot be taken back or that nobody says in passing."""
    words = words_in(text[:MAX_SCANNED_CHARS])
    for position, word in enumerate(words):
        for form in forms(word):
            if form in FINAL_WORDS or STRONG_VERBS.get(form) is EffectClass.PAYMENT:
                yield STRONG_VERBS[form], form
            for length in range(1, LONGEST_PHRASE + 1):
                phrase = (form, *words[position + 1 : position + length])
                if phrase in _GRAVE:
                    yield _GRAVE[phrase], " ".join(phrase)
            yield from apart(form, words[position + 1 : position + 2 + OBJECT_WORDS])
