"""The tools of every upstream, each pinned to the definition that was listed; every sight of a new one is recorded.

Owns pins and what is known of the last listing. How a list is fetched is the caller's (`Lister`), which list a
principal may see is `services/listing.py`. Pins belong to the gateway, not to a tenant: their entries are in the
chain of `_system`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

import anyio
import orjson

from gateway.core.audit.body import timestamp
from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.call import PinnedTool, Review
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import NAME_CHARS
from gateway.core.pinning import pin_tool
from gateway.core.principal import SYSTEM_TENANT
from gateway.errors import AuditUnavailable, CanonicalError, UpstreamBroken
from gateway.ports import AuditLog, Clock, Conflict, Ids, StateStore

__all__ = ["Catalog", "Lister"]

Lister = Callable[[], Awaitable[Sequence[JsonObject]]]
"""Fetches all tool definitions of one upstream. Raises UpstreamError."""

LISTING_AGE_S = 60.0
"""How long a listing is gone by without a word of change: a server that is restarted with other definitions says
nothing."""

RELIST_AFTER_S = 5.0
"""A name that is not in the list makes the gateway list again, but not more often than this, whoever asks."""

TOOLS_PER_UPSTREAM = 10_000
"""Names pinned of one upstream, those of earlier lists included; the largest real servers list some hundreds. Further
ones are withheld: each first sight is an entry, and an upstream that makes names up must not fill memory and disk."""

PINNED_BYTES = 64 * 1024 * 1024
"""Of all definitions of one upstream as they were last listed; the largest real ones come to some hundred KiB."""


class Catalog:
    """Pinned tools by upstream and name."""

    def __init__(self, *, audit: AuditLog, state: StateStore, clock: Clock, ids: Ids) -> None:
        self._audit = audit
        self._state = state
        self._clock = clock
        self._ids = ids
        self._pins: dict[str, dict[str, PinnedTool]] = {}
        self._raw: dict[tuple[str, str], bytes] = {}
        self._bytes: Counter[str] = Counter()
        self._listed: dict[str, dict[str, PinnedTool]] = {}
        self._listed_at: dict[str, float] = {}
        self._noted_at: dict[str, float] = {}
        self._lock = anyio.Lock()

    def known(self, upstream: str, name: str) -> PinnedTool | None:
        """Return a tool of the last listing without asking anybody; None too where that listing is too old to go by."""
        noted = self._noted_at.get(upstream)
        if noted is None or self._clock.monotonic() - noted > LISTING_AGE_S:
            return None
        return self._listed[upstream].get(name)

    def names(self, upstream: str) -> Iterable[str]:
        """Return the names of the last listing."""
        return self._listed.get(upstream, {})

    async def tool(self, upstream: str, name: str, lister: Lister) -> PinnedTool | None:
        """Return the tool as it is pinned now, listing first where it is not known; None where there is none.

        Raises:
            UpstreamError: the list could not be had; the call must be refused.
            StoreError: a new definition could not be recorded; the call must be refused.
        """
        tool = self.known(upstream, name)
        if tool is not None or self._fresh(upstream):
            return tool
        definitions = await lister()
        await self.note(upstream, definitions, whole=True)
        return self.known(upstream, name)

    async def note(self, upstream: str, definitions: Sequence[JsonObject], *, whole: bool) -> list[PinnedTool | None]:
        """Pin what was listed and return it in the same order; None for a definition that cannot be pinned.

        `whole` says that this is the complete list: what is not in it is no longer listed.
        Raises StoreError where a first sight or a change cannot be made durable: it is then not used.
        """
        pins = await self._load(upstream)
        if len(definitions) > TOOLS_PER_UPSTREAM:
            msg = f"more than {TOOLS_PER_UPSTREAM} tools listed"
            raise UpstreamBroken(msg, may_have_run=False)
        noted: list[PinnedTool | None] = []
        here: dict[str, PinnedTool] = {}
        for definition in definitions:
            # Of two definitions under one name the first stands; the other is withheld and pins nothing.
            twice = str(definition.get("name")) in here
            tool = None if twice else await self._pin(upstream, definition, pins)
            if tool is not None:
                here[tool.name] = tool
            noted.append(tool)
        # Looked up only now: another page, or the whole list, may have been noted while this one was being recorded.
        self._listed[upstream] = here if whole else {**self._listed.get(upstream, {}), **here}
        now = self._clock.monotonic()
        self._noted_at.setdefault(upstream, now)
        if whole:
            self._listed_at[upstream] = self._noted_at[upstream] = now
        return noted

    def forget_listing(self, upstream: str) -> None:
        """Drop the last listing, so that the next call lists anew (the upstream said that its list changed)."""
        self._listed.pop(upstream, None)
        self._listed_at.pop(upstream, None)
        self._noted_at.pop(upstream, None)

    def _fresh(self, upstream: str) -> bool:
        """Return True where a whole listing is so young that asking again would only serve a flood."""
        at = self._listed_at.get(upstream)
        return at is not None and self._clock.monotonic() - at < RELIST_AFTER_S

    async def _pin(self, upstream: str, definition: JsonObject, pins: dict[str, PinnedTool]) -> PinnedTool | None:
        """Return the pinned form of one definition, recording it where it is new or changed; None: it is withheld."""
        name = definition.get("name")
        raw = _bytes(definition)
        if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS or not raw:
            return None
        before = self._raw.get((upstream, name), b"")
        if before == raw:
            return pins[name]
        full = name not in pins and len(pins) >= TOOLS_PER_UPSTREAM
        if full or self._bytes[upstream] + len(raw) - len(before) > PINNED_BYTES:
            return None
        async with self._lock:
            known = pins.get(name)
            try:
                tool = pin_tool(upstream, definition, known=known)
            except CanonicalError:
                return None
            if tool is not known:
                await self._record(tool, known)
                pins[name] = tool
            self._bytes[upstream] += len(raw) - len(self._raw.get((upstream, name), b""))
            self._raw[upstream, name] = raw
        return tool

    async def _record(self, tool: PinnedTool, known: PinnedTool | None) -> None:
        """Make the first sight or the change durable, together with the row that outlives a restart."""
        key = _key(tool.upstream, tool.name)
        row = await self._state.get(SYSTEM_TENANT, key)
        kept = {"pin": tool.pin, "review": tool.review, "definition": tool.definition}
        draft = EntryDraft(
            tenant=SYSTEM_TENANT,
            id=self._ids.new("evt"),
            type=EntryType.TOOL_PINNED if known is None else EntryType.TOOL_CHANGED,
            time=timestamp(self._clock.now()),
            upstream=tool.upstream,
            tool=tool.name,
            body=orjson.dumps(kept | {"previousPin": known.pin if known else None, "problem": tool.schema_problem}),
            expects=(Expect(key=key, version=row.version if row else 0),),
            puts=(Put(key=key, value=orjson.dumps(kept)),),
        )
        if isinstance(await self._audit.append(draft), Conflict):
            msg = f"the pin of tool '{tool.name}' of upstream '{tool.upstream}' changed under another process"
            raise AuditUnavailable(msg)

    async def _load(self, upstream: str) -> dict[str, PinnedTool]:
        """Return what was pinned of the upstream before, from the store at first use."""
        pins = self._pins.get(upstream)
        if pins is None:
            rows = await self._state.scan(SYSTEM_TENANT, _key(upstream, ""))
            pins = self._pins.setdefault(upstream, {})
            for row in rows:
                tool = _from_row(upstream, orjson.loads(row.value))
                pins.setdefault(tool.name, tool)
        return pins


def _bytes(definition: JsonObject) -> bytes:
    """Return the definition as listed, to know it again cheaply; equality of dicts would take 1 for true."""
    try:
        return orjson.dumps(definition)
    except orjson.JSONEncodeError:
        return b""


def _key(upstream: str, name: str) -> str:
    """Return the state key of a pin; upstream ids have no colon, so that it says one thing only."""
    return f"pin:{upstream}:{name}"


def _from_row(upstream: str, row: JsonObject) -> PinnedTool:
    """Return a pinned tool as it was recorded. Its digest is computed anew, not believed."""
    first = pin_tool(upstream, row["definition"])
    if row["review"] == Review.CHANGED:
        known = PinnedTool(upstream=upstream, name=first.name, pin="", definition={})
        return pin_tool(upstream, row["definition"], known=known)
    return first
