"""Which upstream a resource URI or prompt belongs to, on a path that serves several.

Owns what earlier lists told; it is a routing aid, never a permission: whatever it answers is decided on afterwards.
URIs are kept and looked for in their normal form, as decisions see them.
Of equal URIs the first upstream in configuration order wins (design, section 4, "Upstreams and names").
"""

from collections.abc import Iterable
from math import inf

import anyio

from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import NAME_CHARS, normalise_uri
from gateway.core.uris import URI_CHARS
from gateway.errors import UpstreamError
from gateway.ports.silence import SilentRelay
from gateway.services.party import Line, Party

__all__ = ["Owners"]

NAMES_KEPT = 10_000
"""URIs, template stems and prompt names remembered per upstream, each; a list beyond that is remembered in part."""

PAGES_ASKED = 20
"""Pages of one upstream's resource lists that are fetched to find an owner."""

RELIST_AFTER_S = 5.0
"""A URI that nobody listed makes the gateway list again, but not more often than this, whoever asks."""


class Owners:
    """Remembers what each upstream listed."""

    def __init__(self) -> None:
        self._uris: dict[str, dict[str, None]] = {}
        self._stems: dict[str, dict[str, None]] = {}
        self._prompts: dict[str, dict[str, None]] = {}
        self._asked_at: dict[str, float] = {}
        self._unasked: set[str] = set()
        """Upstreams that were down when they were asked last."""

    def note(self, upstream: str, method: str, items: Iterable[JsonObject]) -> None:
        """Remember the items of one page of `resources/list`, `resources/templates/list` or `prompts/list`."""
        kept, member = {
            "resources/list": (self._uris, "uri"),
            "resources/templates/list": (self._stems, "uriTemplate"),
            "prompts/list": (self._prompts, "name"),
        }[method]
        names = kept.setdefault(upstream, {})
        for item in items:
            value = item.get(member)
            if isinstance(value, str) and len(names) < NAMES_KEPT:
                names.update(dict.fromkeys(_kept_of(member, value)))

    def forget(self, upstream: str) -> None:
        """Drop what the upstream listed: it says that a list has changed."""
        for kept in (self._uris, self._stems, self._prompts):
            kept.pop(upstream, None)
        self._asked_at.pop(upstream, None)

    def lists(self, upstream: str, uri: str) -> bool:
        """Return whether the upstream listed a resource under `uri` (in normal form)."""
        return uri in self._uris.get(upstream, {})

    def prompts(self, upstream: str) -> Iterable[str]:
        """Return the prompt names that the upstream listed."""
        return self._prompts.get(upstream, {})

    async def of_uri(self, party: Party, uri: str) -> str:
        """Return the id of the upstream that owns `uri`, listing where it is not known; empty where none does."""
        owner = self._find(party, uri)
        if owner:
            return owner
        for upstream in party.mount.upstreams:
            if anyio.current_time() - self._asked_at.get(upstream, -inf) >= RELIST_AFTER_S:
                await self._ask_both(party, upstream)
        return self._find(party, uri)

    def may_be_away(self, party: Party) -> bool:
        """Return whether what has no owner may have one that could not be asked."""
        return not self._unasked.isdisjoint(party.mount.upstreams)

    def _find(self, party: Party, uri: str) -> str:
        for upstream in party.mount.upstreams:
            if self.lists(upstream, uri):
                return upstream
        for upstream in party.mount.upstreams:
            if any(uri.startswith(stem) for stem in self._stems.get(upstream, {})):
                return upstream
        return ""

    async def _ask_both(self, party: Party, upstream: str) -> None:
        try:
            line = await party.line(upstream)
            await self._ask(line, "resources/list", "resources")
            await self._ask(line, "resources/templates/list", "resourceTemplates")
            self._unasked.discard(upstream)
        except UpstreamError:
            self._unasked.add(upstream)  # it owns nothing at the moment
        self._asked_at[upstream] = anyio.current_time()

    async def _ask(self, line: Line, method: str, member: str) -> None:
        """Remember one upstream's list; an upstream without the capability answers with an error and owns nothing."""
        params: JsonObject = {}
        for _ in range(PAGES_ASKED):
            message = await line.request(method, line.own(params), SilentRelay())
            result = message.get("result")
            if not isinstance(result, dict) or not isinstance(result.get(member), list):
                return
            self.note(line.upstream, method, [item for item in result[member] if isinstance(item, dict)])
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str):
                return
            params = {"cursor": cursor}


def _kept_of(member: str, value: str) -> list[str]:
    """Return what is remembered of one listed name, URI or template; nothing of what is no URI or cannot be asked for.

    What is longer than any message may name it would only fill the memory.
    """
    if member == "name":
        return [value] if len(value) <= NAME_CHARS else []
    if member == "uri":
        uri = normalise_uri(value)
        return [] if uri is None else [uri]
    # A template is asked for as it is written (`completion/complete`), and read with its expressions filled in.
    stem = value.partition("{")[0]
    if len(stem) > URI_CHARS:
        return []
    return [kept for kept in (stem, normalise_uri(stem)) if kept]
