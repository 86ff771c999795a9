"""The words of effect: which verbs and nouns of a tool's name speak for which effect class. A table, no logic.

General English and the vocabulary of interfaces, never the names of products or tools. How the words are read is
`definition.py`.
"""

from collections.abc import Mapping

from gateway.core.intent.model import EffectClass

__all__ = [
    "ADMIN_NOUNS",
    "AGENT_NOUNS",
    "CHOSEN_NOUNS",
    "CONNECTORS",
    "CREDENTIAL_NOUNS",
    "DRAFT_WORDS",
    "FINAL_WORDS",
    "IMPLICIT_READ_NOUNS",
    "LIGHT_NOUNS",
    "MONEY_NOUNS",
    "MONEY_VERBS",
    "NEUTRAL_VERBS",
    "OPENED_RECORDS",
    "OUTBOUND_NOUNS",
    "RUNNABLE_NOUNS",
    "SENSITIVE_WORDS",
    "STRONG_VERBS",
    "TELLING_VERBS",
    "WEAK_VERBS",
]


def table(rows: Mapping[EffectClass, str]) -> Mapping[str, EffectClass]:
    """Turn lines of words into a lookup."""
    return {word: effect for effect, words in rows.items() for word in words.split()}


STRONG_VERBS: Mapping[str, EffectClass] = table(
    {
        EffectClass.READ: (
            "get list read search find fetch query show view describe lookup check count explain analyze "
            "analyse compare "
            "inspect preview validate verify browse retrieve select summarize summarise calculate convert "
            "translate parse "
            "extract detect resolve scan ls cat grep glob tree stat peek poll wait monitor watch observe "
            "discover explore "
            "identify estimate suggest recommend measure ping trace lint audit review whoami "
            "print echo "
            "compute solve classify categorize predict forecast decode hash download scrape crawl navigate "
            "hover crossref "
            "geocode recall introspect enumerate examine diagnose load think ask answer head tail traverse "
            "determine research learn filter aggregate take hear listen goto"
        ),
        EffectClass.WRITE: (
            "create new add update edit set write put insert upsert save modify rename move copy append assign "
            "tag untag "
            "unstar import sync commit apply configure enable disable restore register initialize init "
            "attach link "
            " store remember duplicate generate transform organize organise unarchive "
            "replace "
            "toggle increment decrement prepend annotate pin unpin mark unmark mute unmute follow unfollow subscribe "
            "unsubscribe resize crop render compose draft type press drag fill "
            "scroll click "
            "tap swipe upgrade downgrade downsize migrate alter refactor merge rebase cherry squash push "
            "complete reopen close start stop pause resume enqueue schedule reschedule book reserve make "
            "reorder bookmark favorite favourite vote like unlike react switch activate deactivate "
            "unassign repair quarantine rebuild reindex hide unhide "
            " adopt accept decline reject cache setup bind unbind connect disconnect group "
            "ungroup ingest embed scaffold normalize bump"
        ),
        EffectClass.DESTRUCTIVE: (
            "delete remove drop truncate purge destroy erase wipe clear reset terminate kill uninstall unlink "
            "rm rmdir "
            "prune evict cancel discard deprovision rollback revert overwrite trash flush obliterate forget "
            "expunge del "
            "eliminar borrar supprimer effacer loeschen löschen entfernen excluir apagar remover cancellare eliminare "
            "verwijderen udalit shanchu sakujo "
            "nuke dismantle teardown shred shutdown reboot detach empty decommission undeploy abort"
        ),
        EffectClass.EXECUTE: (
            "run execute interact exec eval evaluate invoke launch spawn deploy trigger dispatch install compile ssh "
            "sudo redeploy "
            "promote rerun restart automate bash powershell terminal interpret "
            " npx"
        ),
        EffectClass.SEND: (
            "send upload publish notify broadcast tweet retweet announce dm submit forward reply respond"
        ),
        EffectClass.PAYMENT: "pay refund purchase buy withdraw deposit donate payout trade sell swap bid reimburse",
        EffectClass.CREDENTIAL: "impersonate sign authenticate login logon reauthenticate",
        EffectClass.ACCESS: (
            "grant revoke invite permit authorize authorise provision unshare share approve ban unban block unblock "
            "deny lock unlock protect unprotect elevate allowlist whitelist"
        ),
    }
)
"""Words that are verbs wherever they stand. The first of them in a name leads."""

WEAK_VERBS: Mapping[str, EffectClass] = table(
    {
        EffectClass.READ: (
            "open map status info diff log logs history blame test tests screenshot snapshot export report "
            "stats details "
            "metadata statistics help version versions health contents schema"
        ),
        EffectClass.WRITE: (
            "place transition sort fix autofix amend "
            "comment label branch checkout fork star stash patch clone change emulate archive record track plan "
            "process "
            "format note file index stage unstage backup order design model escalate route input upvote"
        ),
        EffectClass.SEND: "post message email mail sms call fax remind alert chat webhook contact",
        EffectClass.PAYMENT: "charge transfer invoice payment capture exercise liquidate",
        EffectClass.EXECUTE: "build shell command script console repl",
        EffectClass.DESTRUCTIVE: "deletion removal",
        EffectClass.ACCESS: "permission invitation",
        EffectClass.CREDENTIAL: "rotation",
    }
)
"""Words that are as often nouns. They lead only where no strong verb does."""

NEUTRAL_VERBS = frozenset(
    {"manage", "handle", "control", "perform", "do", "use", "process", "operate", "admin", "call"}
)
"""Verbs that say nothing about the effect: an argument decides it."""

CONNECTORS = frozenset({"and", "or", "then"})
"""Behind these a second verb is a verb, not part of a noun."""

AGENT_NOUNS: Mapping[str, str] = {
    "reader": "read", "fetcher": "fetch", "finder": "find", "getter": "get", "searcher": "search",
    "retriever": "retrieve",
    "writer": "write", "updater": "update", "creator": "create", "deleter": "delete", "remover": "remove",
    "sender": "send", "executor": "execute",
}  # fmt: skip
"""At the end of a name these stand for their verb: `project-services-reader`."""

TELLING_VERBS = frozenset({"return", "provide", "display", "give", "see", "look", "access", "report", "discover"})
"""Verbs that begin the description of a read, where in a name they may mean anything."""

LIGHT_NOUNS = frozenset({"label", "tag", "flag", "star", "reaction", "pin", "bookmark", "assignee", "filter",
    "favorite", "like",
                         "watch", "vote", "upvote", "highlight", "reminder"})  # fmt: skip
"""Taking these away takes nothing that matters: they can be put back."""

CHOSEN_NOUNS = frozenset({"option", "dropdown", "element", "tab", "checkbox", "radio", "item", "frame"})
"""Selecting these acts on a page, where selecting rows only reads."""

OPENED_RECORDS = frozenset(
    {
        "issue",
        "ticket",
        "pr",
        "pull",
        "account",
        "case",
        "position",
        "incident",
        "session",
        "shell",
        "terminal",
        "connection",
    }
)
"""Opening one of these creates it, or a way in."""

FINAL_WORDS = frozenset({"delete", "remove", "drop", "destroy", "purge", "wipe", "truncate", "erase", "overwrite",
    "del", "shred", "eliminar", "borrar", "supprimer", "effacer", "loeschen", "löschen", "entfernen", "excluir",
    "apagar", "remover", "cancellare", "eliminare", "verwijderen", "udalit", "shanchu", "sakujo"})  # fmt: skip
"""Destructive wherever they stand in a name, even behind a reading verb; in the languages that servers come in, too."""

CREDENTIAL_NOUNS = frozenset(
    {
        "secret", "password", "passphrase", "credential", "apikey", "keypair", "keychain", "mfa", "otp", "totp",
        "env", "envvar", "kubeconfig", "passwd", "sshkey", "privatekey", "cookie", "mnemonic", "seedphrase",
    }
)  # fmt: skip
"""Whatever is done with these is a use of credentials."""

MONEY_NOUNS = frozenset(
    {
        "payment", "refund", "charge", "payout", "transfer", "subscription", "order", "trade", "withdrawal",
        "deposit",
        "invoice", "dispute", "money", "fund", "coupon", "credit", "bank", "bill", "payslip", "payroll", "expense",
    }
)  # fmt: skip
"""Creating or changing these moves money, or binds to."""

MONEY_VERBS = frozenset(
    {
        "create", "make", "process", "place", "submit", "initiate", "send", "collect", "retry", "execute", "confirm",
        "capture", "issue", "finalize", "update", "renew", "cancel", "add", "approve", "apply",
        "replace", "modify", "amend", "close", "accept", "book",
    }
)  # fmt: skip
"""With these verbs they do."""

ADMIN_NOUNS = frozenset(
    {
        "role", "permission", "collaborator", "member", "membership", "acl", "access", "iam", "sharing", "privilege",
        "grant", "user", "invitation", "entitlement", "policy", "visibility", "owner", "ownership", "admin",
        "firewall", "restriction",
        "group",
    }
)  # fmt: skip
"""Changing these changes who may do what."""

OUTBOUND_NOUNS = frozenset(
    {"message", "email", "mail", "tweet", "sms", "reply", "dm", "notification", "newsletter", "campaign", "reminder",
     "broadcast", "announcement", "webhook"}
)  # fmt: skip
"""Creating these sends something to someone."""

RUNNABLE_NOUNS = frozenset(
    {"workflow", "pipeline", "job", "process", "command", "container", "script", "deployment", "build", "actor",
        "run",
     "lambda", "automation", "cron", "cronjob", "worker", "trigger", "pod"}
)  # fmt: skip
"""Starting these executes something."""

DRAFT_WORDS = frozenset({"draft", "template", "preview", "schedule", "rule", "filter", "label", "folder", "reaction",
                         "channel", "conversation", "thread", "settings", "list"})  # fmt: skip
"""Beside an outbound noun these mean that nothing leaves yet."""

IMPLICIT_READ_NOUNS = frozenset(
    {
        "weather", "forecast", "time", "date", "timezone", "info", "information", "details", "status", "history",
        "stats",
        "statistics", "summary", "overview", "docs", "documentation", "help", "version", "health", "schema",
        "metadata",
        "news", "trending", "trends", "quote", "quotes", "price", "prices", "rates", "elevation", "directions",
        "distance",
        "geocode", "lookup", "search", "diff", "log", "logs", "list", "tree", "snapshot", "screenshot", "blame",
        "results",
        "suggestions", "recommendations", "analysis", "calculator", "similarity", "neighbors", "dependencies",
        "references",
        "definition", "outline", "symbols", "diagnostics", "matrix", "usage", "balance", "about", "report",
        "sitemap", "messages",
        "requests",
    }
)  # fmt: skip
"""A name that ends in one of these and holds no verb is a question."""

SENSITIVE_WORDS = frozenset(
    {
        "ssn", "salary", "payroll", "medical", "patient", "diagnosis", "passport", "dob", "birthdate", "cvv", "iban",
        "biometric", "dsar", "pii", "gdpr", "hipaa", "prescription", "creditcard", "compensation", "ethnicity",
        "religion",
        "secret", "password", "credential", "env", "environment", "keylog", "clipboard", "keystroke", "webcam",
    }
)  # fmt: skip
"""Data that hurts people or the organisation when it is seen."""
