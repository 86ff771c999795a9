"""Lists for an agent: what it may use, in the upstream's order, page by page.

Owns filtering, and on a path that serves several upstreams the merging: their lists follow each other in the order of
configuration, an upstream that is down is left out. Nothing here is a permission; calling is decided on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.call import Call, Era
from gateway.core.codes import INVALID_PARAMS
from gateway.core.decide import is_hidden
from gateway.core.facts import Facts
from gateway.core.jsonvalue import JsonObject
from gateway.core.naming import exposed_name
from gateway.core.wire import Inbound, invalid_x_mcp_header
from gateway.errors import StoreError, UpstreamError
from gateway.ports import Caller
from gateway.services.catalog import Catalog
from gateway.services.enforcement import Enforcement
from gateway.services.facts import FactSource
from gateway.services.owners import Owners
from gateway.services.party import Party, Reply, internal_error, reply_error
from gateway.services.relaying import AgentRelay

__all__ = ["LISTS", "Listing"]

TTL_MS = 5000
"""Longest time that a filtered list may be kept: it depends on the principal, its tier and the policy in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One list method: the result's member, the method that uses an item, and the member that names one."""

    member: str
    used_by: str
    named_by: str


LISTS = {
    "tools/list": Listed(member="tools", used_by="tools/call", named_by="name"),
    "prompts/list": Listed(member="prompts", used_by="prompts/get", named_by="name"),
    "resources/list": Listed(member="resources", used_by="resources/read", named_by="uri"),
    "resources/templates/list": Listed(member="resourceTemplates", used_by="resources/read", named_by="uriTemplate"),
}


class Listing:
    """Answers the four list methods."""

    def __init__(self, *, catalog: Catalog, facts: FactSource, owners: Owners, enforcement: Enforcement) -> None:
        self._catalog = catalog
        self._facts = facts
        self._owners = owners
        self._enforcement = enforcement

    async def handle(self, party: Party, inbound: Inbound, caller: Caller) -> Reply:
        """Answer one page of one list."""
        try:
            if not party.mount.prefixed:
                return await self._page(party, inbound, party.mount.upstreams[0], inbound.params, caller)
            return await self._merged(party, inbound, caller)
        except UpstreamError as error:
            return internal_error(f"The upstream's list could not be had: {error}")
        except StoreError:
            return internal_error("The list is withheld: what it shows could not be recorded.")

    async def _page(self, party: Party, inbound: Inbound, upstream: str, params: JsonObject, caller: Caller) -> Reply:
        """Return one upstream's page, cut to what the principal may use."""
        line = await party.line(upstream)
        relay = AgentRelay(party, upstream, caller, catalog=self._catalog, enforcement=self._enforcement)
        message = await line.request(inbound.method, params, relay)
        listed = LISTS[inbound.method]
        result = message.get("result")
        if result is None:
            return Reply(message=message)
        items = result.get(listed.member) if isinstance(result, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return internal_error(f"The upstream's answer to {inbound.method} holds no `{listed.member}`.")
        kept = await self._kept(party, inbound.method, upstream, items)
        return Reply(message={"result": _private({**result, listed.member: kept}, party.era)})

    async def _kept(self, party: Party, method: str, upstream: str, items: Sequence[JsonObject]) -> list[JsonObject]:
        """Return the items that the principal could be allowed, under the names it calls them by."""
        if method == "tools/list":
            calls = await self._tool_calls(upstream, items)
        else:
            self._owners.note(upstream, method, items)
            calls = [_probe(method, upstream, item) for item in items]
        facts: Facts | None = None
        kept: list[JsonObject] = []
        for item, call in zip(items, calls, strict=True):
            if call is None:
                continue
            facts = facts or await self._facts.gather(party.principal, call)
            if not is_hidden(call, facts):
                kept.append(_exposed(item, upstream) if party.mount.prefixed else item)
        return kept

    async def _tool_calls(self, upstream: str, items: Sequence[JsonObject]) -> list[Call | None]:
        """Pin the tools of a page; None for those that are withheld from everybody."""
        tools = await self._catalog.note(upstream, items, whole=False)
        return [
            None
            if tool is None or invalid_x_mcp_header(item)
            else Call(
                method="tools/call",
                upstream=upstream,
                name=tool.name,
                uri="",
                arguments={},
                arguments_digest="",
                tool=tool,
            )
            for item, tool in zip(items, tools, strict=True)
        ]

    # --- several upstreams --------------------------------------------------------------------------------------------

    async def _merged(self, party: Party, inbound: Inbound, caller: Caller) -> Reply:
        """Return the next page of the upstreams' lists in their order; the cursor says whose turn it is."""
        place = _read_cursor(inbound.params.get("cursor"), party.mount.upstreams)
        if place is None:
            return reply_error(INVALID_PARAMS, "Invalid cursor")
        index, cursor = place
        upstreams = party.mount.upstreams
        while index < len(upstreams):
            reply = await self._try_page(party, inbound, upstreams[index], cursor, caller)
            result = reply.message.get("result")
            if result is not None:
                following = _next_cursor(upstreams, index, result.get("nextCursor"))
                merged = {name: value for name, value in result.items() if name != "nextCursor"}
                return Reply(message={"result": merged | ({"nextCursor": following} if following else {})})
            index, cursor = index + 1, None
        return Reply(message={"result": _empty(inbound, party.era)})

    async def _try_page(
        self, party: Party, inbound: Inbound, upstream: str, cursor: str | None, caller: Caller
    ) -> Reply:
        """Return one upstream's page; an upstream that fails gives an error, which the merge passes over."""
        params = {name: value for name, value in inbound.params.items() if name != "cursor"}
        if cursor is not None:
            params["cursor"] = cursor
        try:
            return await self._page(party, inbound, upstream, params, caller)
        except UpstreamError as error:
            return internal_error(str(error))


def _probe(method: str, upstream: str, item: JsonObject) -> Call | None:
    """Return the call that using an item would be, for asking whether it could be allowed at all."""
    listed = LISTS[method]
    value = item.get(listed.named_by)
    if not isinstance(value, str):
        return None
    return Call(
        method=listed.used_by,
        upstream=upstream,
        name=value if listed.named_by == "name" else "",
        uri=value if listed.named_by == "uri" else "",
        arguments={},
        arguments_digest="",
    )


def _exposed(item: JsonObject, upstream: str) -> JsonObject:
    """Return a tool or prompt under the name that agents call it by; resources keep their URIs."""
    name = item.get("name")
    if "uri" in item or "uriTemplate" in item or not isinstance(name, str):
        return item
    return {**item, "name": exposed_name(upstream, name)}


def _private(result: JsonObject, era: Era) -> JsonObject:
    """Mark a modern list as this principal's own and short-lived; the handshake era has no caching."""
    if era is Era.MODERN:
        ttl = result.get("ttlMs")
        result["ttlMs"] = min(ttl, TTL_MS) if isinstance(ttl, int) else TTL_MS
        result["cacheScope"] = "private"
    return result


def _empty(inbound: Inbound, era: Era) -> JsonObject:
    result: JsonObject = {LISTS[inbound.method].member: []}
    if era is Era.MODERN:
        result["resultType"] = "complete"
    return _private(result, era)


def _read_cursor(cursor: object, upstreams: Sequence[str]) -> tuple[int, str | None] | None:
    """Return whose page is asked for and its own cursor; None for a cursor that is none of ours."""
    if cursor is None:
        return 0, None
    if not isinstance(cursor, str):
        return None
    upstream, separator, rest = cursor.partition(":")
    if not separator or upstream not in upstreams:
        return None
    return upstreams.index(upstream), rest or None


def _next_cursor(upstreams: Sequence[str], index: int, own: object) -> str:
    """Return the cursor of the following page: the same upstream's, else the next upstream's first, else none."""
    if isinstance(own, str) and own:
        return f"{upstreams[index]}:{own}"
    return f"{upstreams[index + 1]}:" if index + 1 < len(upstreams) else ""
