"""Names of arguments → what their values are for.

Owns the vocabulary of argument names. What is looked for in the values is `signals.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.core.intent.model import EffectClass
from gateway.core.intent.naming import MAX_NAME_CHARS, split, words_of
from gateway.core.intent.verbs import SELECTOR_WORDS
from gateway.core.intent.words import STRONG_VERBS

__all__ = ["ArgumentName", "argument_name"]

CACHED_NAMES = 8192
"""Distinct argument names that are remembered."""

MAX_SHOWN_CHARS = 64
"""Longer names are not shown in evidence: a name may itself be data."""

TEXT = frozenset(
    {"content", "contents", "text", "body", "message", "description", "title", "summary", "comment", "comments",
        "note",
     "notes", "prompt", "markdown", "html", "subject", "observation", "observations", "thought", "query",
     "question", "q",
     "keyword", "keywords", "phrase", "term", "newtext", "oldtext", "newstr", "oldstr", "filetext", "instructions",
     "reason", "caption", "bio", "answer", "search", "pattern", "regex", "replacement", "paragraph", "value", "data",
     "input", "output", "code", "source", "snippet", "patch", "diff", "messages", "context", "documentation",
     "expression"}
)  # fmt: skip
"""Prose, or the content of a file: what stands in it is written or looked for, not done."""
SQL = frozenset({"sql", "query", "queries", "statement", "statements", "stmt", "cypher", "gql", "graphql", "mutation"})
COMMAND = frozenset(
    {"command", "commands", "cmd", "script", "shell", "code", "args", "argv", "exec", "entrypoint", "run", "bash",
     "javascript", "python", "program", "executable", "expression", "function"}
)  # fmt: skip
HOST = frozenset(
    {"host", "hostname", "ip", "address", "endpoint", "server", "url", "uri", "domain", "target", "baseurl", "proxy",
     "webhook", "callback", "origin", "link", "href", "src"}
)  # fmt: skip
RECIPIENT = frozenset({"to", "recipient", "recipients", "cc", "bcc", "webhook", "callback", "replyto", "forwardto",
    "attendees",
                       "invitees", "guests", "participants", "signers"})  # fmt: skip
ADDRESSEE = frozenset({"email", "emails", "user", "users", "member", "members", "grantee", "phone", "address"})
MONEY = frozenset({"amount", "total", "price", "fee", "cost", "unitamount", "budget", "payout"})
ENVIRONMENT = frozenset({"env", "environment", "stage", "cluster", "namespace", "target", "context", "tier",
    "database", "db",
                         "workspace", "profile", "project"})  # fmt: skip
PLACE = frozenset({"path", "paths", "file", "files", "filename", "ref", "branch", "revision", "rev", "commit",
    "target", "url",
                   "repo", "repository", "host", "directory", "dir", "folder", "remote", "tag", "base", "head",
                   "package",
                   "source", "destination", "hash", "sha"})  # fmt: skip
SELECTION = frozenset(
    {"filter", "where", "query", "selector", "match", "condition", "criteria", "conditions", "filters"}
)
EXPOSURE = frozenset(
    {"visibility", "acl", "access", "scope", "share", "sharing", "privacy", "type", "role", "permission"}
)
FORCE = frozenset({"force", "permanent", "permanently", "hard", "purge", "overwrite", "cascade", "skiptrash",
    "notrash",
                   "nobackup", "irreversible", "forced", "recursive", "wipe"})  # fmt: skip
ALL = frozenset({"all", "everything", "everyone", "deleteall", "selectall", "allusers"})
SECRET = frozenset({"password", "passwd", "secret", "apikey", "credential", "credentials", "passphrase", "privatekey",
                    "clientsecret", "accesstoken", "authtoken", "bearer", "accesskey", "secretkey", "authorization",
                    "refreshtoken", "connectionstring", "cookie"})  # fmt: skip
SECRET_REFERENCES = frozenset({"id", "name", "path", "type", "length", "policy", "arn", "ref", "url"})
"""Behind a secret's name these mean that something else is given."""
SENSITIVE = frozenset({"ssn", "salary", "medical", "diagnosis", "passport", "cvv", "iban", "creditcard",
    "cardnumber", "dob",
                       "birthdate", "taxid", "nationalid"})  # fmt: skip
PROTECTION = frozenset({"sandbox", "verify", "verifyssl", "ssl", "tls", "secure", "verification",
    "checkcertificate", "safe",
                        "safemode", "readonly"})  # fmt: skip
"""Switching one of these off takes a protection away."""
DANGER = frozenset({"dangerous", "unsafe", "insecure", "nosandbox", "bypass", "noverify", "skipverification",
    "skipverify",
                    "trustall", "disablesecurity", "dangerously", "allowdangerous", "privileged"})  # fmt: skip
"""Switching one of these on does."""
AFTERWARDS = frozenset({"then", "on", "after", "afterwards", "finally"})
"""Names that begin so say what to do next: `on_match`, `then`."""
FLAG_LEADERS = frozenset({"and", "also", "do", "auto", "should", "is", "please", "with", "then"})
"""Before the verb of a switch: `and_delete`, `auto_publish`."""
OPERATORS: Mapping[str, EffectClass] = {
    "$out": EffectClass.DESTRUCTIVE,
    "$merge": EffectClass.WRITE,
    "$where": EffectClass.EXECUTE,
    "$function": EffectClass.EXECUTE,
    "$accumulator": EffectClass.EXECUTE,
}
"""Names of a query language for documents that do more than ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentName:
    """What an argument's name says of its value. `shown` is how evidence names it; `odd` names are read as values."""

    shown: str
    odd: bool = False
    text: bool = False
    sql: bool = False
    command: bool = False
    host: bool = False
    recipient: bool = False
    addressee: bool = False
    money: bool = False
    environment: bool = False
    branch: bool = False
    place: bool = False
    selection: bool = False
    exposure: bool = False
    force: bool = False
    all: bool = False
    private: bool = False
    public: bool = False
    secret: bool = False
    sensitive: bool = False
    protection: bool = False
    danger: bool = False
    selector: bool = False
    flag: EffectClass | None = None
    """What the argument does where it is true: `delete`, `publish_now`."""
    operator: EffectClass | None = None


def argument_name(name: str) -> ArgumentName:
    """Return what the name of an argument says."""
    return remembered_name(name if len(name) <= MAX_NAME_CHARS else name[:MAX_NAME_CHARS])


@lru_cache(maxsize=CACHED_NAMES)
def remembered_name(name: str) -> ArgumentName:
    """Return what a bounded name says: the cache must not hold an agent's megabytes."""
    words = words_of(name)
    ordered = split(name)
    plain = len(name) <= MAX_SHOWN_CHARS and name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()
    return ArgumentName(
        shown=name if plain else "?",
        odd=not plain,
        text=bool(words & TEXT),
        sql=bool(words & SQL),
        command=bool(words & COMMAND),
        host=bool(words & HOST),
        recipient=bool(words & RECIPIENT),
        addressee=bool(words & ADDRESSEE),
        money=bool(words & MONEY),
        environment=bool(words & ENVIRONMENT),
        branch="branch" in words,
        place=bool(words & PLACE),
        selection=bool(words & SELECTION),
        exposure=bool(words & EXPOSURE),
        force=bool(words & FORCE),
        all=bool(words & ALL),
        private="private" in words,
        public="public" in words,
        secret=bool(words & SECRET) and not (ordered and ordered[-1] in SECRET_REFERENCES),
        sensitive=bool(words & SENSITIVE),
        protection=bool(words & PROTECTION),
        danger=bool(words & DANGER),
        selector=bool(words & SELECTOR_WORDS) or (bool(ordered) and ordered[0] in AFTERWARDS),
        flag=next((STRONG_VERBS.get(word) for word in ordered if word not in FLAG_LEADERS), None),
        operator=OPERATORS.get(name),
    )
