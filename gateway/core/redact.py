"""What of a call's arguments may be stored in an entry's body, shown and exported: everything but secrets, and bounded.

Owns the names and shapes by which a secret is known. A value under a telling key goes as a whole, a secret within a
text takes the text's place from its beginning to its end; what is left is cut to a bound. The digest of the whole
arguments is in the entry, so a cut is visible and provable. Redaction is for people who read records; it is no defence
of the upstream, and an unknown shape of secret in an innocent field stays readable.
"""

import re
import unicodedata
from functools import lru_cache

from gateway.core.jsonvalue import JsonObject, JsonValue

__all__ = ["REMOVED", "redact", "redact_line"]

REMOVED = "[removed]"
MAX_TEXT = 256
"""Characters of one text that are shown."""
MAX_ITEMS = 20
"""Items of one list, and members of one object, that are shown."""
MAX_KEY = 64
MAX_DEPTH = 8
MAX_TOTAL = 4096
"""Characters of keys and texts that are shown of all arguments together (the body's bound, 4 KiB, for ASCII)."""
_WINDOW = 1024
"""Characters of one text that are searched: four times what is shown of it."""
_EDGE = 64
_SHORTEST = 7
"""The shortest text with a shape is `pwd=abc`, or `//u:p@h`."""
_TOKEN_CHARS = 13
_RUN_CHARS = 32
_SCHEME_CHARS = 8
_SCALAR_COST = 8

_KEY_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "sshkey",
    "authorization",
    "cookie",
    "credential",
    "connectionstring",
    "connstr",
    "sessionid",
    "bearer",
    "pincode",
)
_NOT_SECRET = frozenset(
    {
        "maxtokens",
        "mintokens",
        "tokens",
        "tokencount",
        "tokenlimit",
        "numtokens",
        "totaltokens",
        "prompttokens",
        "completiontokens",
        "pagetoken",
        "nextpagetoken",
        "continuationtoken",
        "progresstoken",
    }
)
"""Names that count or page and give no access."""
_SHORT_PARTS = frozenset({"cvv", "cvc", "otp", "jwt", "dsn", "auth", "pass", "pwd"})
_SHORT_WORDS = _SHORT_PARTS | {"key", "pin"}
"""Too short to be looked for inside other words (`adopt`): they count as a part of a name, or as the whole of it."""
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LABELS = ("name", "key", "header")
"""Members that tell what the member `value` beside them is, as in lists of headers and of environment variables."""
_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_TOKENS = re.compile(
    r"""
      (?<![A-Za-z0-9])(?:
      ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*                # JWT
    | (?:sk|pk|rk)[-_](?:[A-Za-z0-9]{1,20}[-_]){0,4}[A-Za-z0-9]{12,}                 # OpenAI, Anthropic, Stripe
    | gh[pousr]_[A-Za-z0-9]{16,} | github_pat_[A-Za-z0-9_]{16,}
    | gl(?:pat|ptt|dt|rt|soat)-[A-Za-z0-9_-]{16,}
    | (?:AKIA|ASIA)[A-Z0-9]{12,}
    | AIza[A-Za-z0-9_-]{30,} | ya29\.[A-Za-z0-9_-]{16,}
    | xox[abeoprs]-[A-Za-z0-9-]{8,} | xapp-[A-Za-z0-9-]{8,}
    | npm_[A-Za-z0-9]{16,} | pypi-[A-Za-z0-9_-]{16,} | hf_[A-Za-z0-9]{16,}
    | mrt_(?:live|test)_[A-Za-z0-9]{16,} | intendedops_[A-Za-z0-9_-]{1,63}_[A-Za-z0-9]{16,}       # ours
    | ps_[A-Za-z0-9]{20,}
    | whsec_[A-Za-z0-9+/=]{8,} | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}
    )
    """,
    re.VERBOSE,
)
_TOKEN_SIGNS = (
    *("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "ey", "gh", "gl", "AKIA", "ASIA", "AIza", "ya29.", "xox", "xapp-"),
    *("npm_", "pypi-", "hf_", "whsec_", "SG.", "mrt_", "intendedops_", "ps_"),
)
"""Every token above holds one of these; looking for them is ten times cheaper than the pattern."""
_SCHEMES = ("bearer", "basic", "token")
_SCHEME = re.compile(r"\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_USERINFO = re.compile(r"(?<=//)[^/\s?#@]*(?=@)")
_ASSIGNED = re.compile(
    r"""
    ((?:password|passwd|pwd|secret|token|api[-_]?key|access[-_]?key|account[-_]?key|private[-_]?key|sig
    |signature|authorization|cookie|credential)(?:\\{0,9}["'])?\s*[=:]\s*)
    (?:\\{1,9}"[^"\\]*(?:\\{1,9}"|\Z)?|"[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\s"'&;,]+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_COOKIES = re.compile(r"\b((?:set-)?cookie[ \t]*:[ \t]*)[^\r\n\"']+", re.IGNORECASE)
"""Each pair of the line, not only the first."""
_FLAGGED = re.compile(
    r"""
    (?<!\S)(--?[a-z0-9-]{0,40}?(?:password|passwd|passphrase|secret|token|api-?key|access-?key|private-?key)[ \t]+|
    (?:-u|--user)[ \t]+(?=["']?[^\s:"']{1,64}:))(?!-)(?:"[^"]*(?:"|\Z)|'[^']*(?:'|\Z)|[^\s"']+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""`--password hunter2`, `-password hunter2` and `-u me:hunter2` of a command line."""
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
"""Long enough for 128 bits in hexadecimal."""
_PIECE_CHARS = 16
_PIECE_KINDS = 10
"""A piece of a run between its separators that is so long and of so many characters, with digits, looks random."""
_SEPARATED = re.compile(r"[/_-]")


def redact(arguments: JsonObject) -> JsonObject:
    """Return what of `arguments` may be shown; the arguments themselves stay as they are."""
    left = [MAX_TOTAL]
    return _object(arguments, left, MAX_DEPTH)


def redact_line(text: str) -> str:
    """Return one line of a log without what has the shape of a secret; a long one is cut where it is searched to."""
    clean = _without_secrets(text)
    return clean if len(text) <= _WINDOW else f"{clean}… ({len(text)} characters)"


def _value(value: JsonValue, left: list[int], depth: int) -> JsonValue:
    kind = type(value)
    if kind is str:
        return _text(value, left)
    if kind is dict:
        return _object(value, left, depth - 1)
    if kind is list:
        return _list(value, left, depth - 1)
    left[0] -= _SCALAR_COST
    return value


def _object(members: JsonObject, left: list[int], depth: int) -> JsonObject:
    """Show the first members; `left` is the one budget of the whole call, so it is counted down in place."""
    if depth <= 0:
        return {"…": f"{len(members)} members"}
    shown: JsonObject = {}
    told = "value" in members and any(_names_secret(members.get(label)) for label in _LABELS)
    for number, (key, value) in enumerate(members.items()):
        if number == MAX_ITEMS or left[0] <= 0:
            shown["…"] = f"{len(members) - number} more members"
            break
        left[0] -= len(key)
        name = key if len(key) < _SHORTEST else _long_key(key)
        secret = (_is_secret_name(key[:MAX_KEY]) or (told and key == "value")) and not _is_harmless(value)
        shown[name] = REMOVED if secret else _value(value, left, depth)
    return shown


def _long_key(key: str) -> str:
    """Show a key that is long enough to hold a secret itself, as maps by token do."""
    clean = _without_secrets(key)
    return clean if len(clean) <= MAX_KEY and len(key) <= _WINDOW else f"{clean[:MAX_KEY]}… ({len(key)} characters)"


def _list(items: list[JsonValue], left: list[int], depth: int) -> list[JsonValue] | str:
    if depth <= 0:
        return f"… {len(items)} items"
    shown: list[JsonValue] = []
    for number, item in enumerate(items):
        if number == MAX_ITEMS or left[0] <= 0:
            shown.append(f"… {len(items) - number} more items")
            break
        secret = number > 0 and type(item) is str and _announces(items[number - 1], pair=len(items) == 2)
        shown.append(REMOVED if secret else _value(item, left, depth))
    return shown


def _announces(item: JsonValue, *, pair: bool) -> bool:
    """Say whether a secret comes next: after a flag of a command line, or the name of a header in a pair."""
    if type(item) is not str:
        return False
    return (item.startswith("-") and _names_secret(item) and "=" not in item) or (pair and item.lower() in _HEADERS)


def _names_secret(name: JsonValue) -> bool:
    return type(name) is str and _is_secret_name(name[:MAX_KEY])


def _text(text: str, left: list[int]) -> str:
    """Remove secrets first and cut afterwards: half a secret would no longer have its shape."""
    clean = text if len(text) < _SHORTEST else _without_secrets(text)
    bound = min(MAX_TEXT, max(left[0], 0))
    left[0] -= min(len(clean), bound) + 2
    if len(clean) <= bound and len(text) <= _WINDOW:
        return clean
    return f"{clean[:bound]}… ({len(text)} characters)"


def _without_secrets(text: str) -> str:
    """Remove what has the shape of a secret. Each pattern is tried only where its sign is in the text."""
    if len(text) < _TOKEN_CHARS and text.isalnum():
        return text  # one short word has no sign of any of them
    window = text[:_WINDOW]
    if "-----BEGIN" in window:
        window = _PRIVATE_KEY.sub(REMOVED, window)
    longest = max(map(len, window.split()), default=0)
    if longest >= _SCHEME_CHARS and " " in window:
        window = _schemes(window)
    if "=" in window or ":" in window:
        window = _assignments(window)
    if window.startswith("-") or "--" in window or " -" in window or "\n-" in window or "\t-" in window:
        window = _FLAGGED.sub(rf"\1{REMOVED}", window)
    if longest >= _TOKEN_CHARS:
        if any(sign in window for sign in _TOKEN_SIGNS):
            window = _TOKENS.sub(REMOVED, window)
        if longest >= _RUN_CHARS:
            window = _RUN.sub(_unless_readable, window)
    # Of a longer text the end of the window may hold the first signs of a secret, too few for its shape.
    return window if len(text) <= _WINDOW else window[:-_EDGE]


def _schemes(text: str) -> str:
    low = text.lower()
    return _SCHEME.sub(rf"\1 {REMOVED}", text) if any(word in low for word in _SCHEMES) else text


def _assignments(text: str) -> str:
    """Remove what stands behind a telling name and in the userinfo of an address."""
    if "@" in text and "//" in text:
        text = _USERINFO.sub(REMOVED, text)
    if "ookie" in text or "OOKIE" in text:
        text = _COOKIES.sub(rf"\1{REMOVED}", text)
    return _ASSIGNED.sub(rf"\1{REMOVED}", text)


def _unless_readable(run: re.Match[str]) -> str:
    """Return what to show of a long run of characters: nothing of it where a piece looks random."""
    text = run.group()
    return REMOVED if any(map(_looks_random, _SEPARATED.split(text))) else text


def _looks_random(piece: str) -> bool:
    return (
        len(piece) >= _PIECE_CHARS
        and len(set(piece)) >= _PIECE_KINDS
        and not piece.isdigit()
        and any(map(str.isdigit, piece))
    )


@lru_cache(maxsize=4096)
def _is_secret_name(key: str) -> bool:
    """Say whether what stands under `key` is to be taken for a secret. The same few keys come in every call."""
    folded = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", key).lower()))
    if folded in _NOT_SECRET:
        return False
    if folded in _SHORT_WORDS or any(word in folded for word in _KEY_WORDS):
        return True
    return any(part.lower() in _SHORT_PARTS for part in _PARTS.findall(key))


def _is_harmless(value: JsonValue) -> bool:
    """Say whether a value can be shown under a telling name: there is no secret in a switch or in nothing."""
    return value is None or type(value) is bool or value == ""
