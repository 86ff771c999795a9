"""Lists for an agent: what it may use, in the upstream's order, page by page.

Owns filtering, and on a path that serves several upstreams the merging: their lists follow each other in the order of
configuration, an upstream that is down is left out. They share a page as far as it goes: a client that never asks for a
second page would else know the first upstream alone. Nothing here is a permission; calling is decided on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from gateway.core.answers import check_result, without_lists
from gateway.core.call import Call, Era
from gateway.core.codes import INVALID_PARAMS
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.methods import normalise_uri
from gateway.core.naming import exposed_name
from gateway.core.wire import Inbound, invalid_x_mcp_header
from gateway.errors import StoreError, UpstreamError
from gateway.ports import Caller
from gateway.services.catalog import Catalog
from gateway.services.enforcement import Enforcement
from gateway.services.facts import FactSource
from gateway.services.owners import Owners
from gateway.services.party import Party, Reply, for_one_principal, internal_error, reply_error
from gateway.services.relaying import AgentRelay

__all__ = ["LISTS", "Listing"]

JOIN_S = 10.0
"""For each further upstream to join a page that already has something; a slower one gets a page of its own."""

JOIN_ITEMS = 1_000
"""A page with so many items takes in no further upstream."""


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
        relay = AgentRelay(
            party, upstream, caller, catalog=self._catalog, owners=self._owners, enforcement=self._enforcement
        )
        message = await line.request(inbound.method, params, relay)
        member = LISTS[inbound.method].member
        result = message.get("result")
        if result is None:
            return Reply(message=message)
        problem = check_result(inbound.method, party.era, result) or _list_problem(result.get(member), member)
        if problem:
            return internal_error(f"The upstream's answer to {inbound.method} was refused: {problem}.")
        kept = await self._kept(party, inbound.method, upstream, result[member])
        return Reply(message={"result": _private({**without_lists(result), member: kept}, party.era)})

    async def _kept(self, party: Party, method: str, upstream: str, items: Sequence[JsonObject]) -> list[JsonObject]:
        """Return the items that the principal could be allowed, under the names it calls them by."""
        if method == "tools/list":
            calls = await self._tool_calls(party, upstream, items)
        else:
            calls = self._probes(party, method, upstream, items)
        named = LISTS[method].named_by == "name" and party.mount.prefixed
        any_uri = method == "resources/templates/list"
        return [
            {**item, "name": exposed_name(upstream, call.name)} if named else item
            for item, call in zip(items, calls, strict=True)
            if call is not None and not self._facts.hides(party.principal, call, any_uri=any_uri)
        ]

    def _probes(self, party: Party, method: str, upstream: str, items: Sequence[JsonObject]) -> list[Call | None]:
        """Return the call that using each prompt, resource or template would be; None for what nobody can use."""
        self._owners.note(upstream, method, items)
        earlier = party.mount.upstreams[: party.mount.upstreams.index(upstream)]
        seen: set[str] = set()
        calls: list[Call | None] = []
        for item in items:
            key = str(item.get(LISTS[method].named_by))
            call = _probe(method, upstream, item)
            # Of two under one name the first stands, here and among upstreams: the second could not be had.
            if key in seen or (call is not None and any(self._owners.lists(other, call.uri) for other in earlier)):
                call = None
            seen.add(key)
            calls.append(call)
        return calls

    async def _tool_calls(self, party: Party, upstream: str, items: Sequence[JsonObject]) -> list[Call | None]:
        """Pin the tools of a page; None for those that are withheld from everybody.

        A tool whose `x-mcp-header` marks are invalid is withheld in the modern era alone (2026-07-28, "Custom
        Headers"): before, the keyword means nothing, and no header is read or sent.
        """
        tools = await self._catalog.note(upstream, items, whole=False)
        return [
            None
            if tool is None or (party.era is Era.MODERN and invalid_x_mcp_header(item))
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
        """Return the next page of the upstreams' lists in their order; the cursor says whose turn it is.

        The page ends where an upstream's own page does, where it is long, or where the next upstream is slow.
        """
        upstreams = party.mount.upstreams
        place = _read_cursor(inbound.params.get("cursor"), upstreams)
        if place is None:
            return reply_error(INVALID_PARAMS, "Invalid cursor")
        first, cursor = place
        down: list[UpstreamError] = []
        page: JsonObject = {}
        for upstream in upstreams[first:]:
            reply = await self._joining(party, inbound, upstream, cursor, caller, page)
            if reply is None:
                return _until(page, upstream)
            if isinstance(reply, UpstreamError):
                down.append(reply)
            elif "result" in reply.message:
                page = _joined(page, reply.message["result"], LISTS[inbound.method].member)
                own = reply.message["result"].get("nextCursor")
                if isinstance(own, str):
                    return _until(page, f"{upstream}:{own}")
            elif cursor is not None:
                return reply  # the upstream does not know its own cursor: passing over it would cut its list short
            cursor = None
        if len(down) == len(upstreams):
            raise down[0]
        return Reply(message={"result": page or _empty(inbound, party.era)})

    async def _joining(
        self, party: Party, inbound: Inbound, upstream: str, cursor: str | None, caller: Caller, page: JsonObject
    ) -> Reply | UpstreamError | None:
        """Return what an upstream adds to a page, why it is down, or None where the page ends before it."""
        if len(page.get(LISTS[inbound.method].member, ())) >= JOIN_ITEMS:
            return None
        with anyio.move_on_after(JOIN_S if page else None):
            try:
                return await self._page(party, inbound, upstream, _with_cursor(inbound.params, cursor), caller)
            except UpstreamError as error:
                return error
        return None


def _list_problem(items: JsonValue, member: str) -> str:
    """Say why a page cannot be filtered; nothing of such a page is passed."""
    if not isinstance(items, list):
        return f"it holds no list `{member}`"
    return "" if all(isinstance(item, dict) for item in items) else f"an item of `{member}` is no object"


def _probe(method: str, upstream: str, item: JsonObject) -> Call | None:
    """Return the call that using an item would be; None where there is no such call: its name or URI is none."""
    listed = LISTS[method]
    value = item.get(listed.named_by)
    if not isinstance(value, str) or not value:
        return None
    uri = normalise_uri(value) if listed.named_by == "uri" else ""
    if uri is None:
        return None
    return Call(
        method=listed.used_by,
        upstream=upstream,
        name=value if listed.named_by == "name" else "",
        uri=uri,
        arguments={},
        arguments_digest="",
    )


def _private(result: JsonObject, era: Era) -> JsonObject:
    """Mark a modern list as this principal's own and short-lived; the handshake era has no caching."""
    return for_one_principal(result) if era is Era.MODERN else result


def _empty(inbound: Inbound, era: Era) -> JsonObject:
    result: JsonObject = {LISTS[inbound.method].member: []}
    if era is Era.MODERN:
        result["resultType"] = "complete"
    return _private(result, era)


def _read_cursor(cursor: object, upstreams: Sequence[str]) -> tuple[int, str | None] | None:
    """Return whose page is asked for and its own cursor (None: its first page); None for a cursor that is not ours.

    Ours are `UPSTREAM` and `UPSTREAM:CURSOR`; an upstream's id has no colon, and its cursor may be empty.
    """
    if cursor is None:
        return 0, None
    upstream, separator, rest = cursor.partition(":") if isinstance(cursor, str) else ("", "", "")
    if upstream not in upstreams:
        return None
    return upstreams.index(upstream), rest if separator else None


def _with_cursor(params: JsonObject, cursor: str | None) -> JsonObject:
    """Return the params with an upstream's own cursor in place of ours."""
    rest = {name: value for name, value in params.items() if name != "cursor"}
    return rest if cursor is None else {**rest, "cursor": cursor}


def _joined(page: JsonObject, result: JsonObject, member: str) -> JsonObject:
    """Add an upstream's items to a page; of other members the first upstream's stand."""
    rest = {name: value for name, value in result.items() if name != "nextCursor"}
    return {**rest, **page, member: [*page.get(member, ()), *result[member]]}


def _until(page: JsonObject, cursor: str) -> Reply:
    """Return a page and the cursor of what follows it."""
    return Reply(message={"result": {**page, "nextCursor": cursor}})
