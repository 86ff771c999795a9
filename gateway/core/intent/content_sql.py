"""SQL in text: which effect its statements have, and which of them destroy or escape.

Owns a reading of SQL that errs on the grave side. It is no parser: comments are taken away, statements split at every
semicolon (also inside literals, because a fragment may begin inside one), and words looked at. What it cannot read as
a plain query is at least a write.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.intent.model import EffectClass
from gateway.core.intent.risk import EFFECT_POINTS

__all__ = ["SQL_MARKS", "SqlReading", "injected_condition", "read_sql"]

MAX_STATEMENTS = 200
"""Statements of one text that are read; more of them count as destructive."""

SQL_MARKS = (
    "drop", "truncate", "delete", "update", "alter", "grant", "revoke", "insert", "replace", "merge", "create",
    "outfile",
    "dumpfile", "copy", "exec", "call", "xp_", "sp_", "pg_", "load_", "attach", "pragma", "lo_", "shutdown", "vacuum",
    "select", "with", "flush", "backup", "restore", "kill", "sleep", "benchmark", "dblink", "match", "set", "do ",
    "rename", "load", "explain", "reindex", "comment", "lock", "declare", "begin", "import", "refresh", "purge",
    "union", "clear", "waitfor", "reset", "handler", "install", "export", "notify", "listen", "security", "discard",
    "cluster", "analyze", "checkpoint", "getenv", "u&'",
)  # fmt: skip
"""A text without any of these holds no statement that matters."""

OBJECTS = frozenset(
    {"table", "database", "schema", "index", "view", "user", "role", "column", "function", "procedure", "trigger",
     "sequence", "extension", "type", "tablespace", "keyspace", "collection", "login", "constraint", "materialized",
     "policy", "owned", "all", "if", "temporary", "foreign", "server", "graph", "label", "system", "domain",
     "package"}
)  # fmt: skip

ESCAPES = (
    "outfile", "dumpfile", "xp_cmdshell", "xp_regread", "xp_dirtree", "sp_oacreate", "sp_configure", "pg_read_file",
    "pg_read_binary_file", "pg_ls_dir", "pg_write_file", "pg_execute_server_program", "pg_terminate_backend",
    "pg_reload_conf", "lo_import", "lo_export", "load_file", "load_extension", "dblink", "utl_http", "utl_file",
    "dbms_scheduler", "sys_exec", "sys_eval", "writefile", "readfile", "pg_sleep", "benchmark", "fsdir",
    "opendatasource",
    "openrowset", "sleep(", "sleep (", "waitfor delay", "query_to_xml", "read_text", "httpfs",
    "getenv(", "writable_schema", "u&'", 'u&"',
)  # fmt: skip
"""Words that leave the database for the machine or the network, or hold it up, wherever they stand."""

READING = frozenset(
    {"select", "show", "describe", "desc", "explain", "values", "with", "match", "help", "from", "table"}
)
IGNORED = frozenset({"begin", "commit", "start", "end", "use", "rollback", "savepoint", "release"})
WRITING = frozenset(
    {"insert", "replace", "merge", "upsert", "update", "create", "alter", "rename", "set", "vacuum", "reindex",
        "comment",
     "refresh", "import", "detach", "lock", "unlock", "analyze", "optimize", "pragma", "copy", "load",
     "put", "reset", "handler", "install", "export", "notify", "listen", "unlisten", "security", "discard", "cluster",
     "flush", "checkpoint"}
)  # fmt: skip
WRITING_CALLS = frozenset({"into", "nextval", "setval", "set_config", "pg_notify", "pg_advisory_lock"})
"""Inside a SELECT these change something."""
RUNNING = frozenset({"exec", "execute", "call", "do", "declare", "prepare", "attach"})
"""Run what is given, or open another database file, which may be any."""
RIGHTS = frozenset({"grant", "revoke", "deny", "reassign"})
GONE = frozenset({"drop", "truncate", "clear", "shutdown", "flushall", "flushdb", "kill", "purge", "restore"})
EVERYTHING = frozenset({"true", "1", "not"})
ALWAYS = ("1=1", "0=0", "x=x", "1<>0", "1<2", "ortrue", "or1")
"""A WHERE that begins so, or holds this, may restrict nothing."""
NEARLY_ALWAYS = (">0", ">=0", ">-1", "isnotnull", "!=0", "!=-1", "<>0")
"""A WHERE that holds this restricts next to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlReading:
    """What the statements do. `effect` is None where the text is no SQL; `danger` says what is wrong, or is empty."""

    effect: EffectClass | None = None
    danger: str = ""


STARTERS = frozenset(
    {"drop", "alter", "create", "truncate", "delete", "update", "insert", "replace", "merge", "grant", "revoke", "copy",
     "select", "with", "match", "attach", "exec", "execute", "declare", "flushall", "flushdb", "load", "call", "clear"}
)  # fmt: skip
"""Words that begin a statement where none is expected."""

NO_SQL = SqlReading()


def read_sql(text: str, *, expected: bool) -> SqlReading:
    """Read folded text as SQL. Where the argument is meant for SQL (`expected`) less proof is needed."""
    if not expected and not begins_plausibly(text):
        return NO_SQL
    if expected and CLIENT_COMMAND.match(text):
        return SqlReading(effect=EffectClass.DESTRUCTIVE, danger="a command of the database's client")
    if not any(mark in text for mark in SQL_MARKS):
        return NO_SQL
    statements = statements_of(text)
    if len(statements) > MAX_STATEMENTS:
        return (
            SqlReading(effect=EffectClass.DESTRUCTIVE, danger="more statements than are read") if expected else NO_SQL
        )
    readings = [read_statement(statement, expected=expected) for statement in statements]
    escape = next((word for word in ESCAPES if word in text), "")
    known = [reading for reading in readings if reading.effect is not None]
    if escape and (expected or known):
        return SqlReading(effect=EffectClass.DESTRUCTIVE, danger=f"'{escape}' leaves the database")
    if not known:
        return NO_SQL
    return worst(known)


def statements_of(text: str) -> list[str]:
    """Return the statements; also those that stand behind a comment's beginning inside of a literal: `';--'`."""
    statements = without_comments(text).split(";")
    if ("--" in text or "/*" in text) and ("'" in text or '"' in text):
        statements += without_comments(LITERAL.sub("x", text)).split(";")[1:]
    return statements


def injected_condition(text: str) -> bool:
    """Return True where a value ends the quotes it is put into and goes on with a condition: `1' or '1'='1`."""
    return "'" in text and INJECTED.search(text) is not None


def begins_plausibly(text: str) -> bool:
    """Return True where a text may hold a statement that is not expected: at its start, or behind a separator."""
    if ";" in text or "--" in text or "/*" in text or "union" in text:
        return True
    head = text[:80].translate(SIGNS).split(None, 1)
    return bool(head) and head[0] in STARTERS


def worst(readings: Sequence[SqlReading]) -> SqlReading:
    """Return the gravest reading; a write behind another statement is itself a danger."""
    gravest = max(readings, key=lambda reading: (bool(reading.danger), weight(reading)))
    if gravest.danger or weight(gravest) <= EFFECT_POINTS[EffectClass.READ] or len(readings) == 1:
        return gravest
    if any(weight(reading) > EFFECT_POINTS[EffectClass.READ] for reading in readings[1:]):
        return SqlReading(effect=gravest.effect, danger="several statements, a later one changes something")
    return gravest


def weight(reading: SqlReading) -> int:
    """Return the points of a reading's effect."""
    return EFFECT_POINTS[reading.effect] if reading.effect is not None else 0


def without_comments(text: str) -> str:
    """Return SQL with each comment turned into a space; what MySQL runs inside `/*! */` stays.

    A comment that is never closed hides nothing: its text is read as code.
    """
    if "--" not in text and "/*" not in text:
        return text
    pieces: list[str] = []
    at, closing = 0, text.rfind("*/")
    block, line = place(text, "/*", 0), place(text, "--", 0)
    while min(block, line) < len(text):
        if line < block:
            pieces.append(text[at:line])
            at = place(text, "\n", line)
        elif block + 2 <= closing:
            end = text.find("*/", block + 2)
            pieces.extend((text[at:block], run_anyway(text[block + 2 : end])))
            at = end + 2
        else:
            pieces.append(text[at:block])
            at = block + 2
        block = place(text, "/*", at) if block < at else block
        line = place(text, "--", at) if line < at else line
    pieces.append(text[at:])
    return " ".join(pieces)


def place(text: str, part: str, at: int) -> int:
    """Return where `part` stands next, or the end of the text."""
    found = text.find(part, at)
    return len(text) if found < 0 else found


def run_anyway(comment: str) -> str:
    """Return what some databases run inside a comment: `/*!50000 drop */`."""
    return comment.lstrip("m!+0123456789") if comment.startswith(("!", "m!", "+")) else ""


def words_in(statement: str) -> list[str]:
    """Return the words of a statement, with signs taken for spaces."""
    return statement.translate(SIGNS).split()


SIGNS = {ord(sign): " " for sign in "()[]{},\"'`\t\r\n"}


def read_statement(statement: str, *, expected: bool) -> SqlReading:
    """Return what one statement does."""
    words = words_in(statement)
    if len(words) > 1 and words[0] in ("begin", "declare") and words[1] in RUNNING:
        words = words[1:]
    if not words or words[0] in IGNORED:
        return NO_SQL
    first, second = words[0], words[1] if len(words) > 1 else ""
    if not (expected or plausible(first, second, words)):
        return NO_SQL
    if expected and DESTROYING_CALL.search(statement):
        return SqlReading(effect=EffectClass.DESTRUCTIVE)
    inner = inner_danger(words, statement) or (first_danger(first, second) if expected else "")
    if inner:
        return SqlReading(effect=EffectClass.DESTRUCTIVE, danger=inner)
    return SqlReading(effect=plain_effect(first, second, words))


def plausible(first: str, second: str, words: Sequence[str]) -> bool:
    """Return True where words that also occur in prose really begin a statement."""
    tests = {
        "drop": second in OBJECTS,
        "alter": second in OBJECTS,
        "create": second in OBJECTS or second in ("or", "unique"),
        "truncate": second == "table" or len(words) == 2,
        "delete": "from" in words[1:4],
        "update": "set" in words,
        "insert": second in ("into", "ignore", "overwrite"),
        "replace": second == "into",
        "merge": second == "into",
        "grant": "to" in words and "on" in words,
        "revoke": "from" in words and "on" in words,
        "copy": "from" in words or "to" in words,
        "select": "from" in words or len(words) <= 3 or "(" in "".join(words[:3]),
        "with": "as" in words[:4] and "select" in words,
        "union": second in ("select", "all"),
        "match": "return" in words or "delete" in words or "set" in words,
        "attach": second == "database",
        "exec": second.startswith(("xp_", "sp_", "master")),
        "execute": second == "immediate",
        "declare": second.startswith("@"),
        "flushall": True,
        "flushdb": True,
        "load": second == "data",
        "call": "." in second,
        "clear": second in ("graph", "default", "named", "all", "silent"),
    }
    return tests.get(first, False)


def first_danger(first: str, second: str) -> str:
    """Say what is wrong with a statement because of how it begins."""
    return f"'{first}' takes away what is there" if first in GONE and second != "query" else ""


def inner_danger(words: Sequence[str], statement: str) -> str:
    """Say what is wrong anywhere inside a statement: MSSQL needs no semicolon, and CTEs can delete."""
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else ""
        if word == "drop" and following in OBJECTS:
            return "'drop' takes away what is there"
        if word == "truncate" and (following == "table" or position == 0):
            return "'truncate' takes away what is there"
        if word in ("flushall", "flushdb") and position == 0:
            return "takes away what is there"
        if word == "detach" and following == "delete":
            return "deletes with everything attached"
        if word == "program" and "copy" in words[:position]:
            return "'copy program' runs a command"
        if word in ("delete", "update") and unrestricted(word, following, words[position:], statement):
            return f"'{word}' without a restriction"
    return ""


def unrestricted(word: str, following: str, rest: Sequence[str], statement: str) -> bool:
    """Return True for a DELETE or UPDATE that no WHERE restricts."""
    begins = (word == "delete" and "from" in rest[1:3]) or (word == "update" and "set" in rest and following != "set")
    return begins and not restricted(statement)


def restricted(statement: str) -> bool:
    """Return True where a WHERE outside every literal restricts the statement, however literals are read."""
    if "$$" in statement:
        return False
    return all(has_where(reading) for reading in (statement, statement.replace("\\'", "").replace('\\"', "")))


def has_where(statement: str) -> bool:
    """Return True where WHERE is followed by a condition that is not always true."""
    words = words_in(LITERAL.sub("x", statement))
    if "where" not in words:
        return False
    condition = words[words.index("where") + 1 :]
    joined = "".join(condition[:12])
    if not condition or condition[0] in EVERYTHING or any(each in joined for each in ALWAYS):
        return False
    left, equals, right = "".join(condition[:3]).partition("=")
    return not (equals and left == right)


LITERAL = re.compile(r"""'[^']*'?|"[^"]*"?|`[^`]*`?""")
"""A quoted text, to its end or that of the statement. Each sign is looked at once: no repetition inside another."""


CLIENT_COMMAND = re.compile(
    r"\s*(?:\\(?:!|copy|o|i|ir|w|g|gexec|setenv|lo_\w+)(?:\s|$)"
    r"|\.(?:shell|system|import|output|once|load|read|restore|save|open|excel|log|cd|backup|clone)(?:\s|$))"
)
"""What psql and sqlite3 do themselves, on the machine that they run on."""

INJECTED = re.compile(
    r"'\s{0,4}(?:or|and|\|\||&&)\s{0,4}(?:not\s{1,4})?['\d(][^'=<>]{0,40}'?\s{0,4}(?:=|<|>|like\b|is\b|in\b)"
)
"""The quote, the joining word, and a comparison of literals; every repetition is bounded, so the search is linear."""

DESTROYING_CALL = re.compile(
    r"\b(?:drop|delete|purge|destroy|wipe|truncate|kill|terminate|exec|execute|erase)_\w{1,60}\s{0,4}\("
)
"""A stored function whose name says that it destroys or runs something."""


def plain_effect(first: str, second: str, words: Sequence[str]) -> EffectClass:
    """Return the effect of a statement that is not itself a danger."""
    if first in RIGHTS or (first in ("create", "alter", "drop") and second in ("user", "role", "login", "system")):
        return EffectClass.ACCESS
    if first in RUNNING or "function" in words[:4] or "extension" in words[:4] or "procedure" in words[:4]:
        return EffectClass.EXECUTE
    if first in GONE or "delete" in words or "drop" in words or "remove" in words or sweeping(words):
        return EffectClass.DESTRUCTIVE
    if first in WRITING or writes_inside(first, words):
        return EffectClass.WRITE
    return EffectClass.READ if first in READING or first == "union" else EffectClass.UNKNOWN


def sweeping(words: Sequence[str]) -> bool:
    """Return True where a WHERE hardly restricts: `id > 0`, `id is not null`."""
    joined = "".join(words[words.index("where") + 1 :][:12]) if "where" in words else ""
    return words[0] == "update" and any(each in joined for each in NEARLY_ALWAYS)


def writes_inside(first: str, words: Sequence[str]) -> bool:
    """Return True where a query writes: `select … into`, a CTE that inserts, a graph query that sets."""
    inner = frozenset(words[1:])
    if first == "select":
        return not inner.isdisjoint(WRITING_CALLS) or ("for" in inner and "update" in inner)
    return first in READING and not inner.isdisjoint(("insert", "update", "merge", "create", "set", "replace"))
