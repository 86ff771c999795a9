"""What a person sees of a text or a JSON value that somebody else chose: exactly what it is, and nothing hides in it.

Owns which characters are written out, the warnings about them, and where a long value is cut. Every escape is JSON's
own and a backslash is always doubled, so that what looks like an escape is one. What is cut says how long it is, with
the SHA-256 of the whole. How a page or a terminal quotes the result is the faces' business.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from gateway.core.audit.canonical import digest
from gateway.core.jsonvalue import JsonValue
from gateway.errors import CanonicalError

__all__ = ["compact", "pretty", "quoted", "visible", "warnings"]

MAX_TEXT: Final = 2000
"""Characters of one text that are shown: more than a screen."""
MAX_NODES: Final = 1000
"""Members and items that are shown of one value, all together."""
MAX_COMPACT: Final = 160
"""Characters of a value that stands within a line."""
MAX_SEARCHED: Final = 200_000
"""Characters that are looked through for warnings, some 50 ms; each one shown is written out all the same."""
MAX_WARNINGS: Final = 30
MAX_DEPTH: Final = 64
"""Nesting that is shown; messages have at most so much (`settings.limits.depth`)."""

_HIDING: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
"""Unicode categories that act, hide or are no character: controls, formats (bidi, zero width, tags), separators."""
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Characters of other categories that show nothing: fillers, joiners, the empty Braille cell."""
_SELECTORS: Final = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
"""Variation selectors: they carry bytes unseen behind any character."""
_ORDINARY: Final = frozenset("\n\t\r")
"""Written out like the others, but no reason to warn: any longer text has them."""
_SHORT: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}

_ALPHABETS: Final = frozenset(
    {"LATIN", "CYRILLIC", "GREEK", "COPTIC", "ARMENIAN", "GEORGIAN", "CHEROKEE", "LISU", "DESERET", "OSAGE"}
    | {"FULLWIDTH", "MATHEMATICAL"}
)
"""Scripts with letters that look like those of another one; by the first word of a character's name."""
_WORD: Final = re.compile(r"[^\W\d_]+")


def visible(text: str) -> str:
    """Return the text on one line, with each character that acts or hides written out."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(_SHORT.get(char) or (_escape(char) if _hides(char) else char) for char in text)


def quoted(text: str, limit: int = MAX_TEXT) -> str:
    """Return the text as a JSON string that hides nothing; above `limit` characters cut, with length and digest."""
    shown = visible(text[:limit]).replace('"', '\\"')
    if len(text) <= limit:
        return f'"{shown}"'
    whole = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f'"{shown}"… (cut: {len(text)} characters in all, SHA-256 {whole})'


def pretty(value: JsonValue) -> str:
    """Return the value as indented JSON, cut where it is long."""
    return _shown(value, "\n", [MAX_NODES], MAX_DEPTH)


def compact(value: JsonValue, limit: int = MAX_COMPACT) -> str:
    """Return the value within one line, cut where it is long."""
    if isinstance(value, str):
        return quoted(value, limit)
    text = _shown(value, " ", [MAX_NODES], MAX_DEPTH)
    return text if len(text) <= limit else f"{text[:limit]}… (cut: {_stamp(value)})"


def warnings(value: JsonValue) -> tuple[str, ...]:
    """Return what a reader may be misled by in the names and texts of a value, each with its place."""
    found: list[str] = []
    left = MAX_SEARCHED
    for path, text in _texts(value, ""):
        if left <= 0:
            found.append(f"Only the first {MAX_SEARCHED} characters were looked through for hidden ones.")
            break
        found.extend(_misleading(path, text[:left]))
        left -= len(text)
    more = len(found) - MAX_WARNINGS
    return tuple(found) if more <= 0 else (*found[:MAX_WARNINGS], f"… and {more} more warnings.")


# --- characters -------------------------------------------------------------------------------------------------------


def _hides(char: str) -> bool:
    if char == " ":
        return False
    if unicodedata.category(char) in _HIDING or char in _BLANK:
        return True
    return any(first <= ord(char) <= last for first, last in _SELECTORS)


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 0x7E else f"\\u{ord(char):04x}"


def _misleading(path: str, text: str) -> Iterator[str]:
    if text.isascii() and text.isprintable():
        return
    place = visible(path) or "the value"
    hidden = Counter(char for char in text if char not in _ORDINARY and _hides(char))
    if hidden:
        named = ", ".join(f"U+{ord(char):04X} {unicodedata.name(char, 'control')}" for char in list(hidden)[:4])
        more = ", …" if len(hidden) > 4 else ""
        yield f"{place}: {hidden.total()} hidden or unusual characters ({named}{more})"
    for word in dict.fromkeys(_WORD.findall(text)):
        scripts = set() if word.isascii() else {_script(char) for char in word} & _ALPHABETS
        if len(scripts) > 1:
            named = " and ".join(sorted(one.capitalize() for one in scripts))
            yield f"{place}: the word {quoted(word, 64)} mixes letters that look alike ({named})"


def _script(char: str) -> str:
    return "LATIN" if char.isascii() else unicodedata.name(char, "").partition(" ")[0]


# --- values -----------------------------------------------------------------------------------------------------------


def _texts(value: JsonValue, path: str) -> Iterator[tuple[str, str]]:
    """Yield every name and text of a value with its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, one in value.items():
            place = f"{path}.{key}" if path else key
            yield f"the name {place}", key
            yield from _texts(one, place)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _texts(one, f"{path}[{number}]")


def _shown(value: JsonValue, line: str, left: list[int], depth: int) -> str:
    """Return a value as JSON. `left` is the one budget of the whole value, so it is counted down in place."""
    left[0] -= 1
    if isinstance(value, str):
        return quoted(value)
    if not isinstance(value, dict | list):
        return json.dumps(value)
    start, end = "{}" if isinstance(value, dict) else "[]"
    if not value:
        return start + end
    inner = f"{line}  " if line != " " else line
    parts: list[str] = []
    pairs = value.items() if isinstance(value, dict) else ((None, one) for one in value)
    for key, one in pairs:
        if left[0] <= 0 or depth <= 0:
            kind = "members" if isinstance(value, dict) else "items"
            parts.append(f"… (cut: {len(value)} {kind} in all, {_stamp(value)})")
            break
        shown = _shown(one, inner, left, depth - 1)
        parts.append(shown if key is None else f"{quoted(key, 256)}: {shown}")
    between = f",{inner}"
    edge = line if line != " " else ""
    return f"{start}{inner if edge else ''}{between.join(parts)}{edge}{end}"


def _stamp(value: JsonValue) -> str:
    """Return what a cut value can be compared by. What the wire would not have let in has no canonical form."""
    try:
        return f"SHA-256 {digest(value)}"
    except CanonicalError:
        return "no canonical form"
