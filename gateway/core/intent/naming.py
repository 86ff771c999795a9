"""Names → words: camelCase, snake_case, kebab-case, dotted and prefixed names, and what is hidden in them.

Owns splitting and the notice of characters that a reader would not see or would take for others. What the words mean
is `words.py`.
"""

import unicodedata
from functools import lru_cache
from itertools import pairwise

__all__ = ["MAX_NAME_CHARS", "compatible", "hidden", "plain", "singular", "split", "words_of"]

MAX_NAME_CHARS = 256
"""Longer names are read up to here; MCP asks for at most 128."""

CACHED_NAMES = 8192
"""Distinct names whose words are remembered; argument names repeat from call to call."""

ALLOWED_JOINERS = frozenset("\u200c\u200d\ufe0f\ufe0e")
"""Joiners and variation selectors are part of scripts and emoji; between ASCII letters they hide something."""

PIECE_CHARS = 256
"""Texts are normalised in pieces: sorting the marks above and below one letter takes the square of their number."""

OWN_SINGULARS = frozenset({"cookies", "movies", "zombies", "pies", "ties"})
"""Words whose `ies` comes from no `y`."""

SLASHES = dict.fromkeys(map(ord, "\u2044\u2215\u29f8\u2571"), "/") | dict.fromkeys(
    map(ord, "\u2216\u29f5\u29f9\u2572"), "\\"
)
"""Signs that are drawn like slashes and have no compatibility form."""


def split(name: str) -> tuple[str, ...]:
    """Return the lower-case words of a name, in order: `getUserByID2` → get, user, by, id, 2."""
    words: list[str] = []
    current: list[str] = []
    text = plain(name[:MAX_NAME_CHARS])
    for position, char in enumerate(text):
        if not char.isalnum():
            flush(current, words)
            continue
        if current and starts_word(text, position):
            flush(current, words)
        current.append(char)
    flush(current, words)
    return tuple(words)


def starts_word(text: str, position: int) -> bool:
    """Return True where a capital begins a word: `aB`, and the last capital of `ABc`."""
    char, before = text[position], text[position - 1]
    if not char.isupper():
        return False
    after = text[position + 1 : position + 2]
    return before.islower() or before.isdigit() or (before.isupper() and after.islower())


def flush(current: list[str], words: list[str]) -> None:
    """Move what has been gathered to the words."""
    if current:
        words.append("".join(current).lower())
        current.clear()


def words_of(name: str) -> frozenset[str]:
    """Return the words of a name with their singulars and joined pairs, for membership tests."""
    return remembered_words(name[:MAX_NAME_CHARS])


@lru_cache(maxsize=CACHED_NAMES)
def remembered_words(name: str) -> frozenset[str]:
    """Return the words of a bounded name: the cache must not hold an agent's megabytes."""
    words = split(name)
    joined = (first + second for first, second in pairwise(words))
    return frozenset((*words, *map(singular, words), *joined))


def singular(word: str) -> str:
    """Return the likely singular of an English noun."""
    if word in OWN_SINGULARS:
        return word[:-1]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def plain(text: str) -> str:
    """Return compatibility forms folded to their plain letters, and without invisible characters."""
    if text.isascii():
        return text
    folded = compatible(text).translate(SLASHES)
    return "".join(char for char in folded if unicodedata.category(char) != "Cf")


def compatible(text: str) -> str:
    """Return text in its form NFKC. Where a piece ends, a letter and its mark may stay two: neither is hidden by it."""
    if len(text) <= PIECE_CHARS:
        return unicodedata.normalize("NFKC", text)
    pieces = (text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS))
    return "".join(unicodedata.normalize("NFKC", piece) for piece in pieces)


def hidden(text: str) -> bool:
    """Return True where text holds what a reader would not see or would misread.

    Format characters (bidirectional controls, tags, zero width), and words that mix Latin letters with Greek or
    Cyrillic ones. Joiners count only next to ASCII letters, where no script needs them.
    """
    return not text.isascii() and (any(map(invisible, *neighbours(text))) or mixed(text))


def neighbours(text: str) -> tuple[str, str, str]:
    """Return the text, and what stands before and behind each of its characters."""
    return " " + text[:-1], text, text[1:] + " "


def invisible(before: str, char: str, after: str) -> bool:
    """Return True for a format character that no script needs here."""
    if char.isascii() or unicodedata.category(char) != "Cf":
        return False
    return (
        char not in ALLOWED_JOINERS or (before.isascii() and before.isalnum()) or (after.isascii() and after.isalnum())
    )


def mixed(text: str) -> bool:
    """Return True where one word mixes Latin with Greek or Cyrillic letters."""
    latin = foreign = False
    for char in text:
        if not char.isalpha():
            latin = foreign = False
            continue
        latin = latin or char.isascii()
        foreign = foreign or "\u0370" <= char <= "\u052f"
        if latin and foreign:
            return True
    return False
