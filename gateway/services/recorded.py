"""What decisions of the past rested on, from the gateway's own chain: policies by digest, tool definitions by pin.

Owns the search. The newest entries are looked at first, and no more than a bounded number of them: what lies further
back is for `intended audit recompute`, which reads everything.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import orjson

from gateway.core.audit.entry import EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.bundle import Bundle
from gateway.core.principal import SYSTEM_TENANT
from gateway.ports import EntryFilter, PolicySource, RecordIndex

__all__ = ["Compile", "Recorded"]

PAGE_ENTRIES: Final = 20
PAGES: Final = 25
"""Of each kind: 500 starts and reloads, or 500 sights of an upstream's tools."""
KEPT: Final = 8
"""Compiled policies of the past that are kept, and definitions: the decisions of one intent rest on the same few, and
there may be thousands of them, each with a search through up to 1,000 entries."""

Compile = Callable[[Sequence[JsonObject]], Awaitable[Bundle | None]]


class Recorded:
    """Looks things up by their digest."""

    def __init__(self, *, index: RecordIndex, policies: PolicySource, compiled: Compile) -> None:
        self._index = index
        self._policies = policies
        self._compiled = compiled
        self._bundles: dict[str, Bundle | None] = {}
        self._definitions: dict[tuple[str, str], JsonObject | None] = {}

    async def bundle(self, digest: str) -> Bundle | None:
        """Return the policies of that digest; None where they are not on record. Raises StoreError."""
        now = self._policies.current()
        if now.digest == digest:
            return now
        if digest not in self._bundles:
            if len(self._bundles) >= KEPT:
                self._bundles.clear()
            found = await self._find(
                EntryFilter(type=EntryType.POLICY_LOADED),
                lambda entry, body: body["files"] if entry["policyDigest"] == digest else None,
            )
            self._bundles[digest] = None if found is None else await self._compiled(found)
        return self._bundles[digest]

    async def definition(self, upstream: str, pin: str) -> JsonObject | None:
        """Return the tool definition of that pin; None where it is not on record. Raises StoreError."""
        place = (upstream, pin)
        if place not in self._definitions:
            if len(self._definitions) >= KEPT:
                self._definitions.clear()
            self._definitions[place] = await self._defined(upstream, pin)
        return self._definitions[place]

    async def _defined(self, upstream: str, pin: str) -> JsonObject | None:
        for kind in (EntryType.TOOL_PINNED, EntryType.TOOL_CHANGED):
            found = await self._find(
                EntryFilter(type=kind, upstream=upstream),
                lambda entry, body: body["definition"] if body.get("pin") == pin else None,
            )
            if found is not None:
                return dict(found)
        return None

    async def _find(self, wanted: EntryFilter, look: Callable[[JsonObject, JsonObject], Any]) -> Any:
        """Return the first thing that `look` finds in an entry and its body, newest first."""
        for page in range(1, PAGES + 1):
            found = await self._index.entries(SYSTEM_TENANT, wanted, page=page, page_size=PAGE_ENTRIES)
            for entry in found.items:
                seen = look(orjson.loads(entry.content), orjson.loads(entry.body))
                if seen is not None:
                    return seen
            if page * PAGE_ENTRIES >= found.total:
                return None
        return None
