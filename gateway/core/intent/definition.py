"""A tool's definition → its profile: everything about a call that does not depend on its arguments.

Owns reading name, description, schema and annotations together. The result is remembered, because it costs a hundred
times what the rest of a classification does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.core.intent.model import EffectClass, Evidence, RiskFactor
from gateway.core.intent.naming import hidden, singular, split, words_of
from gateway.core.intent.risk import EFFECT_POINTS, factor
from gateway.core.intent.taxonomy import UNKNOWN_TYPE, IntentType, Taxonomy
from gateway.core.intent.verbs import SELECTOR_WORDS, Reading, graver, read_sentence, read_value, read_words
from gateway.core.intent.words import DRAFT_WORDS, NEUTRAL_VERBS, SENSITIVE_WORDS, STRONG_VERBS
from gateway.core.jsonvalue import JsonObject

__all__ = ["CACHED_PROFILES", "Definition", "Profile", "profile"]

CACHED_PROFILES = 4096
"""Definitions whose profile is remembered."""

SURE = 0.5
"""Below this the effect rests on too little, and the call weighs as much as an unknown one."""

MAX_PROPERTIES = 200
"""Properties of a schema that are read as evidence."""

COMMAND_WORDS = frozenset({"command", "cmd", "script", "shell", "javascript", "commands"})
RECIPIENT_WORDS = frozenset({"to", "recipient", "recipients", "cc", "bcc"})
LETTER_WORDS = frozenset({"subject", "body", "text", "message", "content", "html"})
PAYEE_WORDS = frozenset(
    {"customer", "recipient", "payee", "card", "account", "source", "wallet", "beneficiary", "payment"}
)
OUTPUT_WORDS = frozenset({"savepath", "savedir", "outputfilename", "outputpath", "outputfile", "outputdir", "outfile",
                          "downloadpath", "outputdirectory", "savedirectory"})  # fmt: skip
READ_ONLY_MARKS = ("read-only", "read only", "readonly", "select ")
"""Said of a query, these make it a read until the SQL itself says otherwise."""
NO_WAY_BACK = ("permanently delete", "cannot be undone", "can't be undone", "irreversibl", "permanently remove")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a profile depends on. Equal only where the definition itself is, so that a wrong pin changes nothing."""

    upstream: str
    name: str
    pin: str
    reviewed: bool
    taxonomy: Taxonomy
    body: JsonObject = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """What is known of a tool before its arguments are.

    `selectors` are the values that the schema lists for arguments that decide the effect, and what each does; they
    are filled only where the name leaves the effect open. Compared by identity,
        so that it can key a cache. `types` is the best intent type for each effect class.
    """

    effect: EffectClass
    confidence: float
    evidence: tuple[Evidence, ...]
    factors: tuple[RiskFactor, ...]
    domain: str
    types: Mapping[EffectClass, IntentType]
    selectors: Mapping[str, Mapping[str, EffectClass]] = field(default_factory=dict)


@dataclass(slots=True)
class Findings:
    """What reading a definition has gathered so far."""

    effect: EffectClass
    confidence: float
    evidence: list[Evidence]
    factors: list[RiskFactor]
    overwrites: bool = False
    """It is a write that is destructive only because nothing of the old is left."""

    def raise_to(self, effect: EffectClass, source: str, detail: str) -> None:
        """Take the graver effect, and say why."""
        if graver(self.effect, effect) is not self.effect:
            self.effect = effect
            self.confidence = min(self.confidence, 0.7)
            self.evidence.append(Evidence(source=source, detail=detail))


@lru_cache(maxsize=CACHED_PROFILES)
def profile(definition: Definition) -> Profile:
    """Return the profile of a definition.

    1 the name; 2 the schema; 3 the description; 4 the annotations; 5 what is hidden or sensitive; 6 the type.
    """
    body = definition.body
    words = tool_words(definition)
    properties = schema_properties(body)
    reading = read_words(words)
    nouns = tuple(word for word in words if word not in STRONG_VERBS)
    selectors = listed_selectors(properties, reading.effect, nouns)
    found = from_name(reading, words, selectors)  # 1
    description = str(body.get("description") or "")
    from_schema(found, reading, words, properties, description.lower())  # 2
    if not selectors or reading.effect is not None:
        from_description(found, reading, description)  # 3
    from_annotations(found, body.get("annotations"), reviewed=definition.reviewed)  # 4
    from_looks(found, definition, words)  # 5
    exact = published_type(definition.taxonomy, words)  # 6
    if exact is not None:
        found.raise_to(exact.effect_class, "name", f"the words of {exact.id}")
    domain = exact.domain if exact else domain_of(definition, words, properties)
    if found.confidence < SURE:
        missing = EFFECT_POINTS[EffectClass.UNKNOWN] - EFFECT_POINTS[found.effect]
        found.factors.append(factor("low-confidence", "the effect rests on weak evidence", max(0, missing)))
    return Profile(
        effect=found.effect,
        confidence=round(found.confidence - (0.05 if domain == "general" else 0.0), 2),
        evidence=tuple(found.evidence),
        factors=tuple(found.factors),
        domain=domain,
        types={
            effect: exact or pick_type(definition.taxonomy, domain, kind_of(effect, found), words)
            for effect in EffectClass
        },
        selectors=selectors,
    )


def kind_of(effect: EffectClass, found: Findings) -> EffectClass:
    """Return the effect by which a type is picked: to overwrite is to write, however grave it is, and no deletion."""
    return EffectClass.WRITE if found.overwrites and effect is EffectClass.DESTRUCTIVE else effect


def tool_words(definition: Definition) -> tuple[str, ...]:
    """Return the words of the tool's name without the upstream's own name before them."""
    words = split(definition.name)
    vendor = split(definition.upstream)
    if vendor and words[: len(vendor)] == vendor and len(words) > len(vendor):
        return words[len(vendor) :]
    return words


def schema_properties(body: JsonObject) -> Mapping[str, JsonObject]:
    """Return the top-level properties of the input schema that are themselves schemas."""
    schema = body.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return {}
    return {name: value for name, value in list(properties.items())[:MAX_PROPERTIES] if isinstance(value, dict)}


def from_name(reading: Reading, words: Sequence[str], selectors: Mapping[str, Mapping[str, EffectClass]]) -> Findings:
    """Begin with the name, and with the gravest value that the schema lists for what decides the effect."""
    if reading.effect is not None:
        detail = f"'{reading.verb}' speaks for {reading.effect.value}"
        found = Findings(reading.effect, reading.strength, [Evidence(source="name", detail=detail)], [])
        if selectors:
            found.raise_to(gravest(selectors), "schema", listed(selectors))
        return found
    if selectors:
        return Findings(gravest(selectors), 0.7, [Evidence(source="schema", detail=listed(selectors))], [])
    detail = "the verb says nothing about the effect" if NEUTRAL_VERBS.intersection(words) else "no verb"
    return Findings(EffectClass.UNKNOWN, 0.1, [Evidence(source="name", detail=detail)], [])


def listed(selectors: Mapping[str, Mapping[str, EffectClass]]) -> str:
    """Say which arguments decide the effect."""
    return f"the listed values of {', '.join(map(repr, selectors))} decide the effect"


def gravest(selectors: Mapping[str, Mapping[str, EffectClass]]) -> EffectClass:
    """Return the gravest effect that a listed value has."""
    worst = EffectClass.READ
    for effects in selectors.values():
        for effect in effects.values():
            worst = graver(worst, effect)
    return worst


def listed_selectors(
    properties: Mapping[str, JsonObject], floor: EffectClass | None, nouns: tuple[str, ...]
) -> Mapping[str, Mapping[str, EffectClass]]:
    """Return the properties that decide the effect by a list of values, and what each value does.

    No value does less than the tool's name says; one that says nothing does just that, or the unknown.
    """
    selectors: dict[str, Mapping[str, EffectClass]] = {}
    for name, schema in properties.items():
        values = schema.get("enum")
        if isinstance(values, list) and SELECTOR_WORDS & words_of(name):
            effects = {value: effect_of_value(value, floor, nouns) for value in values if isinstance(value, str)}
            if effects:
                selectors[name] = effects
    return selectors


def effect_of_value(value: str, floor: EffectClass | None, nouns: tuple[str, ...]) -> EffectClass:
    """Return what a listed value does."""
    effect = read_value(value, nouns).effect
    if floor is None:
        return effect or EffectClass.UNKNOWN
    return floor if effect is None else graver(floor, effect)


def from_schema(
    found: Findings, reading: Reading, words: Sequence[str], properties: Mapping[str, JsonObject], description: str
) -> None:
    """Raise the effect by what the arguments are for."""
    if found.effect is EffectClass.READ:
        read_from_schema(found, reading, properties, description)
    if found.effect in (EffectClass.WRITE, EffectClass.UNKNOWN) or reading.strength < STRONG_ENOUGH:
        act_from_schema(found, words, properties)


def read_from_schema(found: Findings, reading: Reading, properties: Mapping[str, JsonObject], description: str) -> None:
    """Raise what is named like a read but saves files, or takes any SQL."""
    for name, schema in properties.items():
        words = words_of(name)
        if OUTPUT_WORDS & words or (reading.verb == "download" and "path" in words):
            found.raise_to(EffectClass.WRITE, "schema", f"saves to {name!r}")
        sql = "sql" in words or "sql query" in str(schema.get("description") or "").lower()
        if sql and reading.verb == "query" and not any(mark in description for mark in READ_ONLY_MARKS):
            found.raise_to(EffectClass.EXECUTE, "schema", f"takes any SQL in {name!r}")
        if takes_command(name, schema):
            found.raise_to(EffectClass.EXECUTE, "schema", f"takes a command in {name!r}")


def act_from_schema(found: Findings, words: Sequence[str], properties: Mapping[str, JsonObject]) -> None:
    """Raise what may be more than its name says: it takes a command, a letter, or money."""
    names = frozenset(word for name in properties for word in split(name))
    commands = [name for name, schema in properties.items() if takes_command(name, schema)]
    if commands:
        replace_unknown(found, EffectClass.EXECUTE, f"takes a command in {commands[0]!r}")
    if names & RECIPIENT_WORDS and names & LETTER_WORDS and not DRAFT_WORDS.intersection(words):
        replace_unknown(found, EffectClass.SEND, "takes recipients and a text")
    if "amount" in names and "currency" in names and names & PAYEE_WORDS:
        replace_unknown(found, EffectClass.PAYMENT, "takes an amount and a currency")


def takes_command(name: str, schema: JsonObject) -> bool:
    """Return True where a property is free text to run, not the name of something or one of listed values."""
    words = split(name)
    return bool(words) and words[-1] in COMMAND_WORDS and "enum" not in schema


def replace_unknown(found: Findings, effect: EffectClass, detail: str) -> None:
    """Raise to an effect that the schema shows; where nothing was known, it is at least that."""
    if found.effect is EffectClass.UNKNOWN:
        found.factors.append(factor("low-confidence", "only the schema tells the effect", unknown_gap(effect)))
        found.effect, found.confidence = effect, SURE
        found.evidence.append(Evidence(source="schema", detail=detail))
        return
    found.raise_to(effect, "schema", detail)


def unknown_gap(effect: EffectClass) -> int:
    """Return the points by which an effect weighs less than an unknown one."""
    return max(0, EFFECT_POINTS[EffectClass.UNKNOWN] - EFFECT_POINTS[effect])


def from_description(found: Findings, reading: Reading, description: str) -> None:
    """Take the description as weak evidence: it names an effect where nothing else does, and may only raise."""
    told = read_sentence(description)
    if found.effect is EffectClass.UNKNOWN:
        if told.effect is not None:
            found.effect, found.confidence = told.effect, told.strength
            found.evidence.append(Evidence(source="description", detail=f"begins with '{told.verb}'"))
    elif told.effect is found.effect:
        found.confidence = min(0.95, found.confidence + 0.05)
    elif told.effect is not None and believable(found.effect, reading, told):
        found.raise_to(told.effect, "description", f"begins with '{told.verb}'")
    lowered = description[:2000].lower()
    overwrites = "overwrit" in lowered and "not overwrit" not in lowered and "without overwrit" not in lowered
    if found.effect is EffectClass.WRITE and (overwrites or any(phrase in lowered for phrase in NO_WAY_BACK)):
        found.raise_to(EffectClass.DESTRUCTIVE, "description", "says that there is no way back")
        found.overwrites = True


def believable(effect: EffectClass, reading: Reading, told: Reading) -> bool:
    """Return True where a description's verb may overrule the name's.

    Descriptions begin with `execute a search` or `send a request` for plain reads; of a clear verb they overrule only
    towards what cannot be taken back.
    """
    if reading.strength < STRONG_ENOUGH:
        return True
    return told.effect in (EffectClass.DESTRUCTIVE, EffectClass.PAYMENT) and effect is not EffectClass.EXECUTE


STRONG_ENOUGH = 0.9


def from_annotations(found: Findings, annotations: object, *, reviewed: bool) -> None:
    """Let an upstream's own hints raise, and lower only where an operator has reviewed the definition."""
    if not isinstance(annotations, dict):
        return
    if reviewed and annotations.get("readOnlyHint") is True:
        found.effect, found.confidence = EffectClass.READ, 0.95
        found.factors.clear()
        found.evidence.append(Evidence(source="annotations", detail="reviewed as read-only"))
        return
    if annotations.get("readOnlyHint") is False and found.effect is EffectClass.READ:
        if found.confidence < STRONG_ENOUGH:
            found.raise_to(EffectClass.WRITE, "annotations", "says that it is not read-only")
        else:
            found.factors.append(factor("not-read-only", "the upstream says that the tool is not read-only"))
    if annotations.get("destructiveHint") is True and found.effect in (EffectClass.READ, EffectClass.WRITE):
        found.factors.append(factor("destructive-annotation", "the upstream calls the tool destructive"))


def from_looks(found: Findings, definition: Definition, words: Sequence[str]) -> None:
    """Raise for characters that a reader would not see, and for data that hurts."""
    if hidden(definition.name) or not definition.name.isascii():
        found.confidence = min(found.confidence, 0.3)
        found.factors.append(factor("hidden-characters", "the tool's name"))
    elif hidden(str(definition.body.get("description") or "")):
        found.factors.append(factor("hidden-characters", "the tool's description"))
    sensitive = sorted((SENSITIVE_WORDS & words_of(definition.name)) - places_of_work(words))
    if sensitive and found.effect in (EffectClass.READ, EffectClass.WRITE):
        found.factors.append(factor("sensitive-data", f"the tool's name speaks of {sensitive[0]}"))


def places_of_work(words: Sequence[str]) -> frozenset[str]:
    """Return the word that names production and staging where it is a plural, and variables where it is not."""
    return frozenset({"environment"} if "environments" in words and "environment" not in words else ())


def published_type(taxonomy: Taxonomy, words: Sequence[str]) -> IntentType | None:
    """Return the published type whose words the name holds, with at most one word more."""
    nouns = frozenset(map(singular, words))
    for wanted, intent_type in published_words(taxonomy):
        if wanted <= nouns and len(nouns) <= len(wanted) + 1:
            return intent_type
    return None


@lru_cache(maxsize=8)
def published_words(taxonomy: Taxonomy) -> tuple[tuple[frozenset[str], IntentType], ...]:
    """Return the words of each published type, the longest first."""
    published = {domain.name for domain in taxonomy.domains if domain.published}
    rows = [
        (frozenset(map(singular, split(each.id.partition(".")[2]))), each)
        for each in taxonomy.types
        if each.domain in published
    ]
    return tuple(sorted(rows, key=lambda row: -len(row[0])))


def domain_of(definition: Definition, words: Sequence[str], properties: Mapping[str, JsonObject]) -> str:
    """Return the domain whose nouns the definition uses most: in its name, its upstream's name, its arguments."""
    nouns = domain_nouns(definition.taxonomy)
    scores: dict[str, int] = dict.fromkeys(definition.taxonomy.by_domain, 0)
    weighed = ((words, 3), (split(definition.upstream), 2), (tuple(w for p in properties for w in split(p)), 1))
    for group, weight in weighed:
        for word in dict.fromkeys(group):
            for domain in nouns.get(word) or nouns.get(singular(word), ()):
                scores[domain] += weight
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] else "general"


@lru_cache(maxsize=8)
def domain_nouns(taxonomy: Taxonomy) -> Mapping[str, tuple[str, ...]]:
    """Return the domains that each noun speaks for."""
    nouns: dict[str, list[str]] = {}
    for domain in taxonomy.domains:
        for noun in domain.nouns:
            nouns.setdefault(noun, []).append(domain.name)
    return {noun: tuple(names) for noun, names in nouns.items()}


def pick_type(taxonomy: Taxonomy, domain: str, effect: EffectClass, words: Sequence[str]) -> IntentType:
    """Return the type of that domain and effect whose words the name holds most of; else the general one."""
    if effect is EffectClass.UNKNOWN:
        return UNKNOWN_TYPE
    fitting = [each for each in taxonomy.by_domain.get(domain, ()) if each.effect_class is effect]
    if not fitting:
        general = taxonomy.by_domain.get("general", ())
        return next((each for each in general if each.effect_class is effect), UNKNOWN_TYPE)
    held = frozenset(map(singular, words))
    return max(fitting, key=lambda each: len(held.intersection(each.words)))
