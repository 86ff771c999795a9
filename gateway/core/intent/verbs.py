"""The words of a name or a sentence → the effect they speak for.

Owns the order of reading: which verb leads, which nouns turn it into something graver. The words are `words.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from gateway.core.intent.model import EffectClass
from gateway.core.intent.naming import singular, split
from gateway.core.intent.risk import EFFECT_POINTS
from gateway.core.intent.words import (
    ADMIN_NOUNS,
    AGENT_NOUNS,
    CHOSEN_NOUNS,
    CONNECTORS,
    CREDENTIAL_NOUNS,
    DRAFT_WORDS,
    FINAL_WORDS,
    IMPLICIT_READ_NOUNS,
    LIGHT_NOUNS,
    MONEY_NOUNS,
    MONEY_VERBS,
    NEUTRAL_VERBS,
    OPENED_RECORDS,
    OUTBOUND_NOUNS,
    RUNNABLE_NOUNS,
    STRONG_VERBS,
    TELLING_VERBS,
    WEAK_VERBS,
)

__all__ = ["NOUNS_TOO", "SELECTOR_WORDS", "Reading", "graver", "read_sentence", "read_value", "read_words"]

STRONG, WEAK, NOUN_ONLY, TOLD = 0.9, 0.75, 0.65, 0.4
"""How far a verb, a word that may be a noun, a name without a verb, and a description are believed."""

SENTENCE_WORDS = 6
"""Words of a description among which its verb is looked for."""

HTTP_EFFECTS = {
    "get": EffectClass.READ,
    "head": EffectClass.READ,
    "options": EffectClass.READ,
    "post": EffectClass.WRITE,
    "put": EffectClass.WRITE,
    "patch": EffectClass.WRITE,
    "delete": EffectClass.DESTRUCTIVE,
}
"""What a method of HTTP does to a resource, in names made from an interface description."""

SELECTOR_WORDS = frozenset(
    {"action", "method", "operation", "op", "command", "mode", "verb", "subcommand", "function", "tool", "toolname",
     "actiontype", "operationtype", "functionname"}
)  # fmt: skip
"""Arguments whose value decides what a tool does. A joined pair of words counts too."""

NOUNS_TOO = frozenset(
    {
        "download", "forecast", "preview", "count", "research", "poll", "extract", "estimate", "hash", "lookup", "load",
        "show", "stat", "wait", "aggregate", "schedule", "bookmark", "vote",
        "list", "view", "check", "print", "group", "index", "tag", "link", "reply", "trade",
        "lock", "block", "share", "query", "search", "scan", "watch", "trace", "head", "tail", "tree",
        "filter",
        "cache", "script", "trigger", "install", "monitor", "review", "book", "pin", "draft",
        "terminal", "sign", "audit", "embed", "release", "crawl", "think", "bash",
        "powershell", "graph",
        "interact",
    }
)  # fmt: skip
"""Strong verbs that are objects when a verb stands at the end: `list_create`, `group_delete`."""

TOKEN_KINDS = frozenset({"access", "api", "auth", "refresh", "bearer", "personal", "service", "session", "security"})
KEY_KINDS = frozenset({"api", "private", "ssh", "access", "encryption", "signing", "secret", "deploy", "gpg", "kms"})
LIGHT_VERBS = frozenset({"remove", "clear", "reset"})
USER_VERBS = frozenset(
    {"create", "add", "remove", "enable", "disable", "suspend", "activate", "deactivate", "register"}
)
MAKING_VERBS = frozenset({"create", "add", "write", "make", "compose", "push", "start", "schedule", "new"})
STARTING_VERBS = frozenset({"start", "create", "resume", "retry", "schedule", "push", "initiate"})
TRADING_VERBS = frozenset({"close", "liquidate", "exercise", "roll", "hedge"})
SERVING_NOUNS = frozenset({"service", "server", "instance", "cluster", "vm", "machine", "database"})
READING_ACTS: tuple[tuple[frozenset[str], frozenset[str], EffectClass], ...] = (
    (frozenset({"resolve"}), frozenset({"ticket", "issue", "incident", "alert", "thread", "comment", "case", "dispute",
        "discussion", "conversation", "review"}), EffectClass.WRITE),
    (frozenset({"review"}), frozenset({"pr", "pull", "merge"}), EffectClass.WRITE),
    (frozenset({"take"}), frozenset({"ownership", "over", "control"}), EffectClass.ACCESS),
    (frozenset({"take"}), frozenset({"down", "offline"}), EffectClass.DESTRUCTIVE),
    (frozenset({"load"}), frozenset({"extension", "module", "plugin", "driver"}), EffectClass.EXECUTE),
    (frozenset({"extract"}), frozenset({"zip", "archive", "tar", "tarball"}), EffectClass.WRITE),
    (frozenset({"answer"}), frozenset({"call", "callback", "message", "email", "ticket"}), EffectClass.SEND),
    (frozenset({"open"}), frozenset({"port", "firewall"}), EffectClass.ACCESS),
    (frozenset({"report"}), frozenset({"user", "spam", "abuse", "post", "message"}), EffectClass.SEND),
    (frozenset({"map"}), frozenset({"drive"}), EffectClass.WRITE),
    (frozenset({"export", "copy", "backup"}), frozenset({"email", "s3", "slack", "gcs", "webhook", "ftp", "sftp",
        "bucket"}), EffectClass.SEND),
)  # fmt: skip
"""Verbs that read, with the nouns with which they act, and how."""

CREATED_RUNS = frozenset(
    {"deployment", "container", "process", "job", "run", "cron", "cronjob", "worker", "trigger", "pod"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What words speak for. `effect` is None where they say nothing; `verb` is the word that led."""

    effect: EffectClass | None
    verb: str
    strength: float


NEGATIONS = frozenset({"not", "never", "without", "no", "cannot"})
"""Behind these a verb says what is not done."""

NOTHING = Reading(effect=None, verb="", strength=0.0)


def graver(first: EffectClass, second: EffectClass) -> EffectClass:
    """Return the effect class that weighs more; of equals the first."""
    return second if EFFECT_POINTS[second] > EFFECT_POINTS[first] else first


def read_words(words: Sequence[str]) -> Reading:
    """Return what the words of a name speak for, verb and nouns together."""
    lead = leading_verb(words)
    if lead.effect is None:
        return lead
    nouns = frozenset(singular(word) for word in words if word != lead.verb)
    effect = with_nouns(lead.effect, lead.verb, nouns, words)
    return Reading(effect=with_second_verbs(effect, words, lead.verb), verb=lead.verb, strength=lead.strength)


def leading_verb(words: Sequence[str]) -> Reading:
    """Return the verb that leads the words, the strong ones before those that may be nouns."""
    if "api" in words[:-1]:
        behind = words[words.index("api") + 1]
        if behind in HTTP_EFFECTS:
            return http_verb(behind, words)
    if words and words[-1] in AGENT_NOUNS:
        verb = AGENT_NOUNS[words[-1]]
        return Reading(effect=STRONG_VERBS[verb], verb=verb, strength=STRONG)
    strong = [word for word in words if word in STRONG_VERBS]
    if strong:
        verb = strong[-1] if strong[0] in NOUNS_TOO and words[-1] == strong[-1] not in NOUNS_TOO else strong[0]
        return Reading(effect=STRONG_VERBS[verb], verb=verb, strength=STRONG)
    if words and words[-1] in IMPLICIT_READ_NOUNS:
        return Reading(effect=EffectClass.READ, verb=words[-1], strength=NOUN_ONLY)
    weak = next((word for word in words if word in WEAK_VERBS), "")
    if weak:
        return Reading(effect=WEAK_VERBS[weak], verb=weak, strength=WEAK)
    if MONEY_NOUNS.intersection(map(singular, words)) and NEUTRAL_VERBS.intersection(words):
        return Reading(effect=EffectClass.PAYMENT, verb=words[0], strength=WEAK)
    return NOTHING


def http_verb(verb: str, words: Sequence[str]) -> Reading:
    """Read `api-post-search` as a search and `api-post-page` as a write."""
    rest = [word for word in words[words.index(verb) + 1 :] if word in ("search", "query")]
    if verb == "post" and rest:
        return Reading(effect=EffectClass.READ, verb=rest[0], strength=WEAK)
    return Reading(effect=HTTP_EFFECTS[verb], verb=verb, strength=STRONG)


def with_second_verbs(effect: EffectClass, words: Sequence[str], lead: str) -> EffectClass:
    """Return the gravest of the effect, of verbs joined by `and`, and of words that destroy wherever they stand."""
    for before, word in pairwise(words):
        if word == lead:
            continue
        if before in CONNECTORS:
            effect = graver(effect, STRONG_VERBS.get(word) or WEAK_VERBS.get(word) or EffectClass.READ)
        elif word in FINAL_WORDS:
            effect = graver(effect, EffectClass.DESTRUCTIVE)
    return effect


def with_nouns(effect: EffectClass, verb: str, nouns: frozenset[str], words: Sequence[str]) -> EffectClass:
    """Return the effect once the nouns are known: writing a role is a change of access, and so on."""
    if touches_credentials(nouns) and verb not in ("count", "estimate"):
        return EffectClass.CREDENTIAL
    if effect is EffectClass.READ:
        return acting(verb, nouns, words)
    if effect is EffectClass.DESTRUCTIVE and verb in LIGHT_VERBS and nouns & LIGHT_NOUNS and not nouns & ADMIN_NOUNS:
        return EffectClass.WRITE
    if (nouns & MONEY_NOUNS and verb in MONEY_VERBS) or ("position" in nouns and verb in TRADING_VERBS):
        return EffectClass.PAYMENT
    if changes_access(effect, verb, nouns):
        return EffectClass.ACCESS
    if effect is EffectClass.WRITE:
        return made(verb, nouns, words)
    return effect


def acting(verb: str, nouns: frozenset[str], words: Sequence[str]) -> EffectClass:
    """Return what a reading verb does with nouns that make an act of it: `resolve_thread`, `load_extension`."""
    if (verb == "open" and nouns & OPENED_RECORDS) or (verb == "select" and nouns & CHOSEN_NOUNS):
        return EffectClass.WRITE
    if verb == "check" and tuple(words[:2]) in (("check", "in"), ("check", "out")):
        return EffectClass.WRITE
    fitting = (act for verbs, objects, act in READING_ACTS if verb in verbs and nouns & objects)
    return next(fitting, EffectClass.READ)


def touches_credentials(nouns: frozenset[str]) -> bool:
    """Return True where the nouns name something that opens doors."""
    if nouns & CREDENTIAL_NOUNS or {"environment", "variable"} <= nouns or {"seed", "phrase"} <= nouns:
        return True
    if nouns == {"token"}:
        return True
    return ("token" in nouns and bool(nouns & TOKEN_KINDS)) or ("key" in nouns and bool(nouns & KEY_KINDS))


def changes_access(effect: EffectClass, verb: str, nouns: frozenset[str]) -> bool:
    """Return True where a write, or the removal of a right, changes who may do what."""
    if effect not in (EffectClass.WRITE, EffectClass.DESTRUCTIVE):
        return False
    named = nouns & ADMIN_NOUNS
    return bool(named - {"user"}) or ("user" in named and (verb in USER_VERBS or effect is EffectClass.DESTRUCTIVE))


def made(verb: str, nouns: frozenset[str], words: Sequence[str]) -> EffectClass:
    """Return what a write is when its object leaves the house or runs."""
    if nouns & LIGHT_NOUNS:
        return EffectClass.WRITE
    if nouns & OUTBOUND_NOUNS and verb in MAKING_VERBS and not (DRAFT_WORDS & set(words)) - {verb}:
        return EffectClass.SEND
    if verb == "write" and nouns & {"query", "sql", "statement"}:
        return EffectClass.DESTRUCTIVE
    if verb == "stop" and nouns & (RUNNABLE_NOUNS | SERVING_NOUNS):
        return EffectClass.DESTRUCTIVE
    if nouns & RUNNABLE_NOUNS and verb in STARTING_VERBS and (verb != "create" or nouns & CREATED_RUNS):
        return EffectClass.EXECUTE
    return EffectClass.WRITE


def read_sentence(text: str) -> Reading:
    """Return what the first verb of a sentence speaks for: `Deletes the file` → destructive."""
    for position, word in enumerate(split(text[:200])[:SENTENCE_WORDS]):
        if word in NEGATIONS:
            return NOTHING
        for form in forms(word) if position == 0 or not word.endswith("ing") else ():
            if form in STRONG_VERBS:
                return Reading(effect=STRONG_VERBS[form], verb=form, strength=TOLD)
            if form in TELLING_VERBS:
                return Reading(effect=EffectClass.READ, verb=form, strength=TOLD)
    return NOTHING


def forms(word: str) -> tuple[str, ...]:
    """Return the base forms that a third person or a gerund may come from."""
    if word.endswith("ies"):
        return (word, word[:-3] + "y")
    if word.endswith("es"):
        return (word, word[:-1], word[:-2])
    if word.endswith("ing"):
        return (word, word[:-3], word[:-3] + "e")
    return (word, word.removesuffix("s"))


@lru_cache(maxsize=4096)
def read_value(value: str, nouns: tuple[str, ...] = ()) -> Reading:
    """Return what the value of an `action` argument speaks for; only verbs count. `nouns` are those of the tool."""
    words = split(value)
    if len(words) == 1 and words[0] in HTTP_EFFECTS:
        effect = EffectClass.SEND if words[0] == "post" else HTTP_EFFECTS[words[0]]
        with_its_nouns = with_nouns(effect, words[0], frozenset(map(singular, nouns)), (*words, *nouns))
        return Reading(effect=graver(effect, with_its_nouns), verb=words[0], strength=STRONG)
    if not any(word in STRONG_VERBS or word in HTTP_EFFECTS for word in words):
        return NOTHING
    reading = read_words((*words, *nouns))
    return reading if reading.strength == STRONG else NOTHING
