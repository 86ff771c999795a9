"""Arguments → signals: what a call's arguments add to its risk, and what they say of its effect.

One walk over the arguments, each text looked at once; texts beyond a bound are not skipped silently, they add a
factor. Owns which detector is asked for which argument. The detectors are `content_*.py`, the names `arguments.py`.
Evidence names an argument by its path, never its value.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.core.intent.arguments import ArgumentName, argument_name
from gateway.core.intent.content_addresses import hosts_of, metadata_host, named_metadata, private_host
from gateway.core.intent.content_paths import looks_like_path, root_path, system_path, traversal
from gateway.core.intent.content_secrets import hands_out_secrets, names_secrets, secret_shape
from gateway.core.intent.content_shell import dangerous_command, injected_command
from gateway.core.intent.content_sql import injected_condition, read_sql
from gateway.core.intent.content_wrapped import fold, unwrapped
from gateway.core.intent.model import EffectClass, RiskFactor
from gateway.core.intent.naming import hidden
from gateway.core.intent.risk import factor
from gateway.core.intent.verbs import graver, read_value
from gateway.core.jsonvalue import JsonObject, JsonValue

__all__ = ["MAX_TEXT_CHARS", "Prior", "Signals", "read_arguments"]

MAX_TEXT_CHARS = 64 * 1024
"""Of one text so much is looked at; longer ones are file contents as a rule."""

MAX_TOTAL_CHARS = 256 * 1024
"""Of all texts of one call so much is looked at, so that a call costs milliseconds at most."""

MAX_INNER_VALUES = 2_000
"""Of JSON that is given as text so many values are looked at: the wire's bound on keys and items does not see them."""

MAX_NESTING = 64
"""Levels that are walked; the wire guard stops at 32."""

MAX_SHOWN_PATH = 160
"""Characters of an argument's path in evidence."""

LONG_QUERY_CHARS = 512
"""A query string longer than this carries data out, where ordinary ones carry a question."""

LONG_HOST_CHARS = 120
"""A host's name longer than this does so to whoever serves its domain."""

SOME_ITEMS, MANY_ITEMS = 20, 100
"""Lengths of lists from which a call counts as bulk."""

AMOUNTS = ((10_000.0, 20), (1_000.0, 15), (100.0, 10), (0.0, 5))
"""Amounts, in whatever unit they are sent, and their points."""

MAX_NAMING_CHARS = 256
"""Paths and names of resources are no longer than this."""

SHORT_CHARS = 64
"""The names of environments and branches are no longer than this."""

PRODUCTION = frozenset({"prod", "production", "prd", "live"})
MAIN_BRANCHES = frozenset({"main", "master", "production", "release"})
WILDCARDS = frozenset({"*", "**", "%", "*.*", ".*", "**/*", "*:*", ".+", "_all"})
EVERYONE = frozenset({"public", "anyone", "everyone", "allusers", "allauthenticatedusers", "public-read", "world",
    "anonymous",
                      "public-read-write", "internet", "0.0.0.0/0", "anyonewithlink", "default"})  # fmt: skip
LOCAL_DOMAINS = frozenset({"files", "documents", "code", "mcp", "general"})
"""Domains where a file: URL is an ordinary way to name a file."""
REACHING_EFFECTS = frozenset({EffectClass.SEND, EffectClass.ACCESS})
"""Tools for which any address is a recipient."""
PROTECTION_OFF = ("--no-sandbox", "--disable-web-security", "--insecure", "--no-verify", "--disable-setuid-sandbox",
                  "--ignore-certificate-errors", "verify=false", "sslmode=disable", "--load-extension",
                  "--allow-file-access")  # fmt: skip
SWITCHED_ON = frozenset({"1", "yes", "true", "on", "y", "t", "all", "enabled"})
"""How texts switch an argument on."""
SCRIPTS = ("javascript:", "vbscript:", "data:text/html")
WRAPPING_SCHEMES = ("jar:", "netdoc:", "php:", "phar:", "expect:", "zip:", "view-source:", "url:", "feed:", "blob:")
"""Schemes of libraries that open a local file, or another address than the one that is seen."""
MAX_PARTS = 8
"""Names of a path that is given in pieces."""
SENSITIVE_COLUMNS = ("password", "passwd", "secret", "api_key", "apikey", "credit_card", "ssn", "token",
    "pg_shadow", "pg_authid",
                     "mysql.user", "private_key", "information_schema.user", "credential",
                     "system.users")  # fmt: skip
CONTENT_EFFECTS = frozenset({EffectClass.WRITE, EffectClass.SEND})
"""Tools that store or send the texts they are given."""


_READ: Final = EffectClass.READ


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is known of the tool before its arguments: its effect, its domain, and the values that decide the effect."""

    effect: EffectClass
    domain: str
    selectors: Mapping[str, Mapping[str, EffectClass]] = field(default_factory=dict)
    inside_domains: tuple[str, ...] = ()

    @property
    def reads(self) -> bool:
        """Return True where the tool itself changes nothing."""
        return self.effect is _READ


@dataclass(slots=True)
class Signals:
    """What the arguments have shown so far. `decided` is set by a listed value that settles what the name left open."""

    factors: dict[str, RiskFactor] = field(default_factory=dict)
    effect: EffectClass | None = None
    effect_evidence: str = ""
    decided: EffectClass | None = None
    decided_evidence: str = ""
    chars: int = 0
    inner_values: int = 0

    def add(self, code: str, evidence: str, points: int | None = None) -> None:
        """Note a factor once, at the most points it was seen with."""
        seen = factor(code, evidence, points)
        known = self.factors.get(code)
        if known is None or seen.points > known.points:
            self.factors[code] = seen

    def join(self, others: "Signals") -> None:
        """Take over what other arguments of the same call have shown."""
        for seen in others.factors.values():
            self.add(seen.code, seen.evidence, seen.points)
        if others.effect is not None:
            self.raise_to(others.effect, others.effect_evidence)

    def raise_to(self, effect: EffectClass, evidence: str) -> None:
        """Note that an argument speaks for an effect; the gravest one stays."""
        if self.effect is None or graver(self.effect, effect) is not self.effect:
            self.effect, self.effect_evidence = effect, evidence


TOP = ArgumentName(shown="arguments")


def read_arguments(arguments: JsonObject, prior: Prior, *, inner_values: int = 0) -> Signals:
    """Return the signals of a call's arguments, or of the URI of a resource given as `{"uri": …}`.

    `inner_values` is how many values of JSON in texts have been looked at before.
    """
    signals = Signals(inner_values=inner_values)
    waiting: list[tuple[JsonValue, ArgumentName, str, int]] = [(arguments, TOP, "", 0)]
    while waiting:
        value, name, path, level = waiting.pop()
        if isinstance(value, str):
            read_text(signals, value, name, path, prior)
        elif isinstance(value, dict):
            read_object(signals, value, path, level, prior, waiting)
            if not value and name.selection and not prior.reads:
                signals.add("wildcard", f"{path} is empty")
        elif isinstance(value, list):
            read_list(signals, value, name, path, prior)
            if level >= MAX_NESTING:
                signals.add("oversized-argument", f"{path} is nested deeper than is read")
            else:
                waiting.extend((item, name, path, level + 1) for item in value)
        elif value is not None:
            read_scalar(signals, value, name, path, prior)
    return signals


def read_object(
    signals: Signals,
    value: JsonObject,
    path: str,
    level: int,
    prior: Prior,
    waiting: list[tuple[JsonValue, ArgumentName, str, int]],
) -> None:
    """Put the members of an object on the list, and look at names that are themselves data."""
    if level >= MAX_NESTING:
        signals.add("oversized-argument", f"{path} is nested deeper than is read")
        return
    for key, member in value.items():
        name = argument_name(key)
        where = f"{path}.{name.shown}" if path else name.shown
        if name.odd:
            read_text(signals, key, TOP, f"a name in {path or 'arguments'}", prior)
        if name.operator is not None:
            signals.raise_to(name.operator, where)
        if (name.secret or name.sensitive) and member is not None and not isinstance(member, str):
            signals.add("sensitive-data", where)
        if name.selector:
            if level == 0 and isinstance(member, str):
                decide(signals, key, member, where, prior)
            elif isinstance(member, dict):
                choose_inside(signals, member, where)
        waiting.append((member, name, where[-MAX_SHOWN_PATH:], level + 1))


def choose_inside(signals: Signals, member: JsonObject, path: str) -> None:
    """Look at what names the act where it is given as an object: `{"action": {"name": "delete"}}`."""
    for value in member.values():
        effect = read_value(value).effect if isinstance(value, str) and len(value) <= SHORT_CHARS else None
        if effect is not None and effect is not EffectClass.READ:
            signals.raise_to(effect, path)


def decide(signals: Signals, key: str, value: str, path: str, prior: Prior) -> None:
    """Take the effect of a value that the schema lists, where the tool's name leaves the effect open."""
    effect = prior.selectors.get(key, {}).get(value)
    if effect is not None and (signals.decided is None or graver(signals.decided, effect) is not signals.decided):
        signals.decided, signals.decided_evidence = effect, path


def read_list(signals: Signals, value: list[JsonValue], name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at a list as a whole: its length, and a command given word by word."""
    if len(value) >= MANY_ITEMS:
        signals.add("bulk", f"{path} has {MANY_ITEMS} items or more", 10 if prior.reads else 20)
    elif len(value) >= SOME_ITEMS and not prior.reads:
        signals.add("bulk", f"{path} has {SOME_ITEMS} items or more", 10)
    texts = [item[:SHORT_CHARS] for item in value[: MAX_PARTS + 1] if isinstance(item, str)]
    if 1 < len(texts) == len(value) <= MAX_PARTS and not name.text and system_path(fold("/".join(texts))):
        signals.add("system-path", f"{path}, put together")
    if name.command and value and all(isinstance(item, str) for item in value):
        joined = " ".join(item[:SHORT_CHARS] for item in value[:SOME_ITEMS]).lower()
        if dangerous_command(joined, expected=True):
            signals.add("destructive-shell", path)


def read_scalar(signals: Signals, value: JsonValue, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at a number or a truth value."""
    if value is True:
        read_flag(signals, name, path, prior)
    elif value is False:
        if name.private and not prior.reads:
            signals.add("public-exposure", path)
        if name.protection:
            signals.add("protection-off", path)
    else:
        read_number(signals, value, name, path, prior)


def read_flag(signals: Signals, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at an argument that is switched on; what is switched off, or a dry run, counts for nothing."""
    if name.flag is not None and name.flag not in (EffectClass.READ, EffectClass.WRITE):
        signals.raise_to(name.flag, path)
    if name.danger:
        signals.add("protection-off", path)
    if prior.reads:
        return
    if name.force:
        signals.add("irreversible", path)
    if name.all:
        signals.add("bulk", f"{path} takes everything", 15)
    if name.public:
        signals.add("public-exposure", path)


def read_number(signals: Signals, value: float, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at a number: a switch, an amount of money, or an address written as one."""
    if value == 1 and name.flag is not None:
        read_flag(signals, name, path, prior)
    if name.money and not prior.reads:
        points = next((points for least, points in AMOUNTS if abs(value) > least), 0)
        if points:
            signals.add("amount", path, points)
    if name.host and isinstance(value, int) and metadata_host(str(value)):
        signals.add("metadata-address", path)


def read_text(signals: Signals, value: str, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at one text."""
    text = value[:MAX_TEXT_CHARS]
    signals.chars += len(text)
    if len(value) > MAX_TEXT_CHARS or signals.chars > MAX_TOTAL_CHARS:
        signals.add("oversized-argument", f"{path or 'arguments'} is longer than is read")
        if signals.chars > MAX_TOTAL_CHARS:
            return
    if name.sensitive or name.secret:
        read_secret(signals, text, name, path, prior)
    if len(text) <= SHORT_CHARS:
        read_choice(signals, text, name, path, prior)
    folded = bounded(signals, text, fold(text), path)
    if (
        len(folded) <= MAX_NAMING_CHARS
        and not (name.text and not name.place)
        and (names_secrets(text, folded) or (name.host and "/" in folded and hands_out_secrets(folded)))
    ):
        signals.add("sensitive-data", path)
    if len(folded) <= SHORT_CHARS:
        read_short(signals, folded, name, path, prior)
    if len(folded) < 4 and folded.isalnum():
        return
    read_content(signals, text, folded, name, path, prior)
    inner = unwrapped(text)
    if inner:
        read_content(signals, inner, fold(inner), name, f"{path}, decoded", prior)
    if text.lstrip().startswith(("{", "[")):
        read_json(signals, text, name, path, prior)


def bounded(signals: Signals, text: str, folded: str, path: str) -> str:
    """Return what is looked at of a text that grew: one character may stand for eighteen, and counts so."""
    signals.chars += max(0, len(folded) - len(text))
    if len(folded) > MAX_TEXT_CHARS:
        signals.add("oversized-argument", f"{path or 'arguments'} is longer than is read")
    return folded[:MAX_TEXT_CHARS]


def read_secret(signals: Signals, text: str, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at a text whose name says that it is a secret, or data that hurts."""
    if name.sensitive and text:
        signals.add("sensitive-data", path)
    if name.secret and len(text) > 3 and prior.effect is not EffectClass.CREDENTIAL:
        signals.add("secret-in-arguments", f"{path} by its name")


def read_json(signals: Signals, text: str, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at arguments that are given as the text of a JSON value; a text that is none has been looked at as text."""
    if name.text and prior.effect in CONTENT_EFFECTS:
        return
    signals.inner_values += 1 + text.count(",") + text.count(":")
    if signals.inner_values > MAX_INNER_VALUES:
        signals.add("oversized-argument", f"{path} holds more values than are looked at")
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    members = value if isinstance(value, dict) else {name.shown: value}
    inner = read_arguments(members, prior, inner_values=signals.inner_values)
    signals.chars, signals.inner_values = signals.chars + inner.chars, inner.inner_values
    signals.join(inner)


def read_choice(signals: Signals, text: str, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at a value that may decide the effect, or switch something on."""
    if not name.selector:
        if name.flag is not None and text.strip().lower() in SWITCHED_ON:
            read_flag(signals, name, path, prior)
        return
    effect = read_value(text).effect
    if effect is not None and effect is not EffectClass.READ:
        signals.raise_to(effect, path)


def read_short(signals: Signals, folded: str, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look at a text that may be the name of something, or a pattern."""
    word = folded.strip()
    if prior.reads:
        if name.place and root_path(word):
            signals.add("wildcard", f"{path} is a whole machine or home")
        return
    if word in WILDCARDS or (not word and name.selection) or (name.place and (root_path(word) or word.endswith("/*"))):
        signals.add("wildcard", path)
    if name.exposure and word in EVERYONE:
        signals.add("public-exposure", path)
    if name.branch and word in MAIN_BRANCHES:
        signals.add("production", f"{path} is a main branch", 10)
    if not name.text and in_production(word, name):
        signals.add("production", path)
    if name.money:
        read_amount(signals, word, path)
    if name.all or (name.recipient and word in ("all", "everyone", "@everyone", "@channel", "@here")):
        signals.add("bulk", path, 15)


def in_production(word: str, name: ArgumentName) -> bool:
    """Return True where a name speaks of the production environment."""
    if "prod" not in word:
        return name.environment and word in PRODUCTION
    joiners = "" if name.environment else "_"
    parts = "".join(char if char.isalnum() or char in joiners else " " for char in word).split()
    return not PRODUCTION.isdisjoint(parts)


def read_amount(signals: Signals, word: str, path: str) -> None:
    """Look at an amount that is written as text; one that cannot be read counts as large."""
    digits = "".join(char for char in word if char in "0123456789.-")
    if not digits:
        return
    try:
        value = abs(float(digits))
    except ValueError:
        value = AMOUNTS[0][0] + 1
    points = next((points for least, points in AMOUNTS if value > least), 0)
    if points:
        signals.add("amount", path, points)


def read_content(signals: Signals, text: str, folded: str, name: ArgumentName, path: str, prior: Prior) -> None:
    """Ask the detectors: secrets anywhere; paths, addresses, SQL and commands as the argument's purpose has it."""
    if secret_shape(text) and prior.effect is not EffectClass.CREDENTIAL:
        signals.add("secret-in-arguments", path)
    if not text.isascii() and hidden(text) and not (name.text and smuggles_nothing(text)):
        signals.add("hidden-characters", path)
    stored = name.text and prior.effect in CONTENT_EFFECTS and not name.sql
    prose = name.text and (stored or prior.reads)
    read_paths(signals, folded, name, path, prior, prose=prose, stored=stored)
    read_addresses(signals, folded, name, path, prose=prose)
    read_statements(signals, folded, name, path, prior, stored=stored)
    read_commands(signals, folded, name, path, prior, prose=prose)
    if name.recipient or (name.addressee and prior.effect in REACHING_EFFECTS):
        read_recipients(signals, folded, name, path, prior)


def smuggles_nothing(text: str) -> bool:
    """Return True where prose holds no character that hides text: tags and overrides of direction."""
    return not any("\U000e0000" <= char <= "\U000e007f" or char in "\u202d\u202e" for char in text)


def read_paths(
    signals: Signals, folded: str, name: ArgumentName, path: str, prior: Prior, *, prose: bool, stored: bool
) -> None:
    """Look for protected paths. Prose may speak of them; a whole value that is one counts, unless it is only stored."""
    if stored or (prose and not (looks_like_path(folded) or name.place)):
        return
    kind = system_path(folded)
    if kind:
        signals.add("system-path", f"{path}: {kind}")
    if traversal(folded):
        signals.add("path-traversal", path)
    local = folded.startswith("file:") and prior.domain not in LOCAL_DOMAINS
    if local or folded.startswith(SCRIPTS) or (folded.startswith(WRAPPING_SCHEMES) and "/" in folded):
        signals.add("file-url", path)


def read_addresses(signals: Signals, folded: str, name: ArgumentName, path: str, *, prose: bool) -> None:
    """Look for addresses of metadata services and private networks, and for data in the query of a URL."""
    if not name.host and "//" not in folded and (("." not in folded and ":" not in folded) or folded[:1] in "/.~"):
        if named_metadata(folded):
            signals.add("dangerous-text" if prose else "metadata-address", path)
        return
    mention = prose and (" " in folded or "\n" in folded)
    hosts = list(hosts_of(folded, is_host=name.host))
    if named_metadata(folded) or any(map(metadata_host, hosts)):
        signals.add("dangerous-text" if mention else "metadata-address", path)
    elif not mention and any(map(private_host, hosts)):
        signals.add("private-address", path)
    if not prose and "//" in folded:
        query = folded.partition("//")[2].partition("?")[2]
        if len(query) > LONG_QUERY_CHARS or any(len(host) > LONG_HOST_CHARS for host in hosts):
            signals.add("data-in-url", path)
        if "_method=" in query:
            signals.raise_to(EffectClass.DESTRUCTIVE if "_method=delete" in query else EffectClass.WRITE, path)


def read_statements(
    signals: Signals, folded: str, name: ArgumentName, path: str, prior: Prior, *, stored: bool
) -> None:
    """Look for SQL, and for mutations of GraphQL."""
    expected = name.sql and (prior.domain == "database" or "sql" in path.lower())
    reading = read_sql(folded, expected=expected)
    if stored:
        if reading.danger:
            signals.add("dangerous-text", path)
        return
    if reading.danger:
        signals.add("destructive-sql", f"{path}: {reading.danger}")
    if reading.effect is not None and reading.effect not in (EffectClass.READ, EffectClass.UNKNOWN):
        signals.raise_to(reading.effect, path)
    read = name.sql and (reading.effect is not None or prior.domain == "database")
    if read and any(column in folded for column in SENSITIVE_COLUMNS):
        signals.add("sensitive-data", path)
    if name.sql and folded.lstrip().startswith("mutation"):
        signals.raise_to(
            EffectClass.DESTRUCTIVE if "delete" in folded or "remove" in folded else EffectClass.WRITE, path
        )


def read_commands(signals: Signals, folded: str, name: ArgumentName, path: str, prior: Prior, *, prose: bool) -> None:
    """Look for commands, where they are expected and where they were slipped in."""
    expected = name.command and not prose
    danger = dangerous_command(folded, expected=expected)
    if danger:
        signals.add("dangerous-text" if prose else "destructive-shell", f"{path}: {danger}")
    if "--" in folded and any(mark in folded for mark in PROTECTION_OFF):
        signals.add("protection-off", path)
    if name.text or expected or name.sql:
        return
    if injected_command(folded):
        signals.add("shell-injection", path)
    if name.place and folded.startswith("-") and (folded[1:2].isalpha() or folded[1:2] == "-"):
        signals.add("option-injection", path)
    if injected_condition(folded):
        signals.add("destructive-sql", f"{path}: a condition that breaks out of its quotes")


def read_recipients(signals: Signals, folded: str, name: ArgumentName, path: str, prior: Prior) -> None:
    """Look for recipients that are not known to be inside."""
    if "//" in folded and name.recipient:
        signals.add("outside-recipient", path)
        if prior.reads:
            signals.raise_to(EffectClass.SEND, path)
    for mention in folded.split("@")[1:]:
        domain = mention.strip(" <>\"'").partition(" ")[0].partition(">")[0].partition(",")[0].rstrip(".;")
        if "." in domain and domain not in prior.inside_domains:
            signals.add("outside-recipient", path)
            break
    if folded.count("@") >= SOME_ITEMS:
        signals.add("bulk", path, 10)
