"""Entries as JSON Lines for whoever collects logs: which of them, from where on, each as one line in some words.

Owns the selection and the line. In which words an entry is told is given: as it is shown, or as `core/ocsf.py` says.
Reads only, one entry at a time. A damaged entry is told of and passed over: to stop there would blind the collector to
everything behind it, and what is wrong is the verifier's to say.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import orjson

from gateway.core.jsonvalue import JsonObject
from gateway.errors import StoreError
from gateway.ports import AuditReader
from gateway.services.audit_query import shown

__all__ = ["Line", "Selection", "lines"]

Words = Callable[[JsonObject], JsonObject | None]
"""Tells an entry as `audit_query.shown` has it, or nothing where it has no place among what is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries; what is empty asks for all. Times are RFC 3339 as entries have them, inclusive and exclusive."""

    since: str = ""
    until: str = ""
    types: frozenset[str] = frozenset()

    def has(self, entry: JsonObject) -> bool:
        """Return True for an entry that is asked for."""
        in_time = self.since <= entry["time"] and (not self.until or entry["time"] < self.until)
        return in_time and (not self.types or entry["type"] in self.types)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What became of the entry at `seq`: its line with the newline, or empty; `damaged` where it could not be read."""

    seq: int
    text: bytes = b""
    damaged: bool = False


async def lines(
    reader: AuditReader, tenant: str, wanted: Selection, words: Words, *, after: int = 0
) -> AsyncIterator[Line]:
    """Yield every entry with `seq > after` as a line of ASCII, in order, streaming. Raises StoreError."""
    async for entry in reader.read(tenant, after=after, inputs=False):
        try:
            told = shown(entry)
            chosen = words(told) if wanted.has(told) else None
        except (StoreError, KeyError, TypeError, ValueError):
            yield Line(seq=entry.seq, damaged=True)
        else:
            yield Line(seq=entry.seq, text=b"" if chosen is None else _line(chosen))


def _line(told: JsonObject) -> bytes:
    """Return one line; a collector may take U+2028 and C1 controls in a name for ends of lines, so all is ASCII."""
    raw = orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
    if raw.isascii():
        return raw
    return "".join(one if one < "\x7f" else _escaped(one) for one in raw.decode()).encode()


def _escaped(one: str) -> str:
    """Return a character as JSON escapes it: beyond 16 bits as two."""
    units = one.encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
