"""`subscriptions/listen` (modern era): one stream to the agent, fed by one stream from each upstream of the path.

Owns the acknowledgement and the filter: each resource URI is gated as a read, nothing outside of what was acknowledged
is passed, and every message carries the agent's own request id as its subscription id.
"""

from collections.abc import Mapping
from math import inf

import anyio

from gateway.core.audit.canonical import digest
from gateway.core.call import Call
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import listen_uris
from gateway.core.wire import Inbound, Rejection
from gateway.errors import UpstreamError
from gateway.ports import Caller
from gateway.services.catalog import Catalog
from gateway.services.enforcement import Enforcement, OutcomeKind
from gateway.services.owners import Owners
from gateway.services.party import META, Party, Reply, internal_error, reply_error

__all__ = ["Listening"]

SUBSCRIPTION_META = "io.modelcontextprotocol/subscriptionId"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
UPDATED = "notifications/resources/updated"

FLAG_OF = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}
"""Which member of the filter asks for which notification."""

ACKNOWLEDGE_TIMEOUT_S = 10.0
"""How long the agent's acknowledgement waits for all upstreams; one that is slower is left out of the stream."""


class Listening:
    """Answers `subscriptions/listen`."""

    def __init__(self, *, catalog: Catalog, enforcement: Enforcement, owners: Owners) -> None:
        self._catalog = catalog
        self._enforcement = enforcement
        self._owners = owners

    async def handle(self, party: Party, inbound: Inbound, caller: Caller) -> Reply:
        """Relay until every upstream's stream has ended or the agent closes its own (which cancels this)."""
        uris = listen_uris(inbound.params)
        if isinstance(uris, Rejection):
            return reply_error(uris.code, uris.message)
        asked: JsonObject = inbound.params["notifications"]
        wanted = {flag: True for flag in FLAG_OF.values() if asked.get(flag) is True}
        shares = await self._shares(party, uris, caller)
        stream = _Stream(inbound.id, caller, expected=len(party.mount.upstreams))
        failures: list[UpstreamError] = []

        async def listen(upstream: str) -> None:
            share: JsonObject = dict(wanted)
            if shares[upstream]:
                share["resourceSubscriptions"] = list(shares[upstream])
            try:
                await self._listen(party, upstream, share, stream)
            except UpstreamError as error:
                failures.append(error)
                await stream.acknowledge(upstream, {})

        async with anyio.create_task_group() as group:
            for upstream in party.mount.upstreams:
                group.start_soon(listen, upstream)
            with anyio.move_on_after(ACKNOWLEDGE_TIMEOUT_S):
                await stream.complete.wait()
            await stream.open()
        if len(failures) == len(party.mount.upstreams) and not stream.granted:
            return internal_error(f"The upstream's stream could not be had: {failures[0]}")
        meta = {SUBSCRIPTION_META: inbound.id}
        return Reply(message={"result": {"resultType": "complete", META: meta}})

    async def _shares(self, party: Party, uris: tuple[str, ...], caller: Caller) -> Mapping[str, list[str]]:
        """Return which of the URIs each upstream is asked about: those that the principal may read."""
        shares: dict[str, list[str]] = {upstream: [] for upstream in party.mount.upstreams}
        for uri in uris:
            owner = await self._owners.of_uri(party, uri) if party.mount.prefixed else party.mount.upstreams[0]
            if not owner:
                continue
            call = Call(
                method="resources/subscribe",
                upstream=owner,
                name="",
                uri=uri,
                arguments={},
                arguments_digest=digest({}),
            )
            outcome = await self._enforcement.call(party.principal, call, _on_stream, caller)
            if outcome.kind is OutcomeKind.ANSWERED:
                shares[owner].append(uri)
        return shares

    async def _listen(self, party: Party, upstream: str, share: JsonObject, stream: "_Stream") -> None:
        """Hold one upstream's stream. Raises UpstreamError."""
        line = await party.line(upstream)
        relay = _ListenRelay(upstream, share, stream, self._catalog)
        message = await line.request("subscriptions/listen", line.own({"notifications": share}), relay, timeout_s=inf)
        if "error" in message:
            await stream.acknowledge(upstream, {})


class _Stream:
    """The agent's side of one listen request: acknowledged once, then fed in order."""

    def __init__(self, request_id: object, caller: Caller, *, expected: int) -> None:
        self.granted: JsonObject = {}
        self.complete = anyio.Event()
        self._id = request_id
        self._caller = caller
        self._expected = expected
        self._answered: set[str] = set()
        self._opened = anyio.Event()

    async def acknowledge(self, upstream: str, granted: JsonObject) -> None:
        """Take one upstream's acknowledgement; the last one completes the agent's."""
        for flag, value in granted.items():
            self.granted[flag] = self.granted.get(flag, []) + value if isinstance(value, list) else True
        self._answered.add(upstream)
        if len(self._answered) >= self._expected:
            self.complete.set()

    async def open(self) -> None:
        """Tell the agent what it will hear of; only then does anything else pass."""
        await self._send(ACKNOWLEDGED, {"notifications": self.granted})
        self._opened.set()

    async def pass_on(self, method: str, params: JsonObject) -> None:
        """Send one notification, after the acknowledgement."""
        await self._opened.wait()
        await self._send(method, params)

    async def _send(self, method: str, params: JsonObject) -> None:
        meta = {**(params.get(META) or {}), SUBSCRIPTION_META: self._id}
        await self._caller.notify(method, {**params, META: meta})


class _ListenRelay:
    """What one upstream says on its listen stream."""

    def __init__(self, upstream: str, share: JsonObject, stream: _Stream, catalog: Catalog) -> None:
        self._upstream = upstream
        self._share = share
        self._stream = stream
        self._catalog = catalog

    async def notification(self, method: str, params: JsonObject) -> None:
        """Pass what was asked for and acknowledged, drop the rest."""
        if method == ACKNOWLEDGED:
            await self._stream.acknowledge(self._upstream, self._granted(params.get("notifications")))
            return
        if method == "notifications/tools/list_changed":
            self._catalog.forget_listing(self._upstream)
        if self._wanted(method, params):
            await self._stream.pass_on(method, params)

    async def paused(self) -> None:
        """Do nothing: streams of this era cannot be resumed."""

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Refuse: a modern upstream may not send requests."""
        return {"error": {"code": -32601, "message": "Method not found"}}

    def _granted(self, granted: object) -> JsonObject:
        """Return what the upstream grants of what it was asked for, never more."""
        if not isinstance(granted, dict):
            return {}
        kept: JsonObject = {
            flag: True for flag in FLAG_OF.values() if granted.get(flag) is True and flag in self._share
        }
        uris = granted.get("resourceSubscriptions")
        asked = self._share.get("resourceSubscriptions", [])
        if isinstance(uris, list) and asked:
            kept["resourceSubscriptions"] = [uri for uri in uris if uri in asked]
        return kept

    def _wanted(self, method: str, params: JsonObject) -> bool:
        if method == UPDATED:
            return params.get("uri") in self._stream.granted.get("resourceSubscriptions", [])
        flag = FLAG_OF.get(method)
        return flag is not None and flag in self._share and flag in self._stream.granted


async def _on_stream() -> JsonObject:
    """Stand for the forwarding of one URI's subscription: all of them travel in one request."""
    return {"result": {}}
