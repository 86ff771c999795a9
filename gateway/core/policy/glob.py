"""Globs over names: case-sensitive, only `*` (any characters, also none) and `?` (exactly one) are special.

No regular expressions: patterns are an operator's, texts an agent's or an upstream's, and no text may make a match
slow. Everything between two stars is found once, leftmost, so that the work is bounded by text times pattern.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Globs", "is_literal", "matches"]


def is_literal(pattern: str) -> bool:
    """Return True where the pattern matches exactly its own text."""
    return "*" not in pattern and "?" not in pattern


def matches(pattern: str, text: str) -> bool:
    """Return True where the whole text matches the pattern."""
    first, *others = pattern.split("*")
    if not others:
        return len(text) == len(first) and _fits(first, text, 0)
    last = others.pop()
    end = len(text) - len(last)
    if end < len(first) or not _fits(first, text, 0) or not _fits(last, text, end):
        return False
    at = len(first)
    for piece in others:
        found = _find(piece, text, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _fits(piece: str, text: str, at: int) -> bool:
    """Does the star-free piece match the text at this very place? The caller has seen that it is long enough."""
    if "?" not in piece:
        return text.startswith(piece, at)
    return all(wanted in ("?", text[at + i]) for i, wanted in enumerate(piece))


def _find(piece: str, text: str, start: int, end: int) -> int:
    """The leftmost place where the star-free piece matches within `text[start:end]`, or -1."""
    if "?" not in piece:
        return text.find(piece, start, end)
    return next((at for at in range(start, end - len(piece) + 1) if _fits(piece, text, at)), -1)


@dataclass(frozen=True, slots=True)
class Globs:
    """Several patterns of which one must match; names without wildcards cost one look-up."""

    literals: frozenset[str]
    patterns: tuple[str, ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "Globs":
        """Sort the patterns into plain names and real globs."""
        every = tuple(patterns)
        return cls(frozenset(filter(is_literal, every)), tuple(p for p in every if not is_literal(p)))

    def match(self, text: str) -> bool:
        """Return True where any of them matches."""
        return text in self.literals or any(matches(pattern, text) for pattern in self.patterns)
