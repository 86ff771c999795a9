"""`subscriptions/listen` (modern era): one stream to the agent, fed by one stream from each upstream of the path.

Owns the acknowledgement and the filter: each resource URI is gated as a read, nothing outside of what was acknowledged
is passed, and every message carries the agent's own request id as its subscription id. An upstream of which nothing is
left to ask is not asked.
"""

from collections.abc import Mapping
from math import inf

import anyio

from gateway.core.answers import without_lists
from gateway.core.audit.canonical import digest
from gateway.core.call import Call
from gateway.core.codes import INVALID_PARAMS, METHOD_NOT_FOUND
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import listen_uris, normalise_uri
from gateway.core.wire import Inbound, Rejection
from gateway.errors import UpstreamError
from gateway.ports import Caller
from gateway.services.catalog import Catalog
from gateway.services.enforcement import Enforcement, OutcomeKind
from gateway.services.owners import Owners
from gateway.services.party import META, Party, Reply, internal_error, reply_error
from gateway.services.relaying import forget_lists

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

URIS_PER_STREAM = 1000
"""Resources that one stream may ask about: each is a decision of its own, with its entries."""


class Listening:
    """Answers `subscriptions/listen`."""

    def __init__(self, *, catalog: Catalog, enforcement: Enforcement, owners: Owners) -> None:
        self._catalog = catalog
        self._enforcement = enforcement
        self._owners = owners

    async def handle(self, party: Party, inbound: Inbound, caller: Caller) -> Reply:
        """Relay until every upstream's stream has ended or the agent closes its own (which cancels this)."""
        normal = listen_uris(inbound.params)
        if isinstance(normal, Rejection):
            return reply_error(normal.code, normal.message)
        if len(normal) > URIS_PER_STREAM:
            return reply_error(INVALID_PARAMS, f"At most {URIS_PER_STREAM} resources per stream")
        asked: JsonObject = inbound.params["notifications"]
        uris = dict(zip(normal, asked.get("resourceSubscriptions", []), strict=True))
        flags: JsonObject = {flag: True for flag in FLAG_OF.values() if asked.get(flag) is True}
        shares = {
            upstream: flags | ({"resourceSubscriptions": allowed} if allowed else {})
            for upstream, allowed in (await self._allowed(party, uris, caller)).items()
        }
        stream = _Stream(inbound.id, caller, {upstream: share for upstream, share in shares.items() if share})
        return await self._relay(party, stream)

    async def _allowed(self, party: Party, uris: Mapping[str, str], caller: Caller) -> dict[str, list[str]]:
        """Return the URIs that each upstream is asked about, as the agent wrote them: those that it may read."""
        allowed: dict[str, list[str]] = {upstream: [] for upstream in party.mount.upstreams}
        for uri, written in uris.items():
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
                allowed[owner].append(written)
        return allowed

    async def _relay(self, party: Party, stream: "_Stream") -> Reply:
        async with anyio.create_task_group() as group:
            for upstream in stream.shares:
                group.start_soon(self._listen, party, upstream, stream)
            with anyio.move_on_after(ACKNOWLEDGE_TIMEOUT_S):
                await stream.settled.wait()
            if stream.granted or not stream.shares:
                await stream.open()
            else:
                group.cancel_scope.cancel()
            if not stream.shares:
                await anyio.sleep_forever()  # nothing will ever come; an end would make the agent ask again
        if stream.ended:
            return Reply(message={"result": {"resultType": "complete", META: {SUBSCRIPTION_META: stream.id}}})
        return stream.failure or internal_error("The upstream did not acknowledge the stream in time.")

    async def _listen(self, party: Party, upstream: str, stream: "_Stream") -> None:
        """Hold one upstream's stream to its end; how it ended is the stream's to remember."""
        relay = _ListenRelay(upstream, stream, self._catalog, self._owners)
        try:
            line = await party.line(upstream)
            params = line.own({"notifications": stream.shares[upstream]})
            message = await line.request("subscriptions/listen", params, relay, timeout_s=inf)
        except UpstreamError as error:
            stream.end(upstream, internal_error(f"The upstream's stream could not be had: {error}"))
        else:
            stream.end(upstream, Reply(message=message) if "error" in message else None)


class _Stream:
    """The agent's side of one listen request: acknowledged once, then fed in order.

    `shares` is what each upstream is asked, `granted` what each has acknowledged of it.
    """

    def __init__(self, request_id: object, caller: Caller, shares: Mapping[str, JsonObject]) -> None:
        self.id = request_id
        self.shares = shares
        self.granted: dict[str, JsonObject] = {}
        self.settled = anyio.Event()
        self.ended = False
        self.failure: Reply | None = None
        self._caller = caller
        self._waiting = set(shares)
        self._opened = anyio.Event()
        if not shares:
            self.settled.set()

    def acknowledge(self, upstream: str, granted: JsonObject) -> None:
        """Take one upstream's acknowledgement. Later ones change nothing: the agent was told what it will hear."""
        if upstream in self._waiting and not self._opened.is_set():
            self.granted[upstream] = granted
        self._settle(upstream)

    def end(self, upstream: str, failure: Reply | None) -> None:
        """Take the end of one upstream's stream; one that was ended in order makes the agent's end in order."""
        if failure is None and upstream in self.granted:
            self.ended = True
        self.failure = self.failure or failure
        self._settle(upstream)

    async def open(self) -> None:
        """Tell the agent what it will hear of; only then does anything else pass."""
        merged: JsonObject = {}
        for granted in self.granted.values():
            for flag, value in granted.items():
                merged[flag] = merged.get(flag, []) + value if isinstance(value, list) else value
        await self._send(ACKNOWLEDGED, {"notifications": merged})
        self._opened.set()

    async def pass_on(self, method: str, params: JsonObject) -> None:
        """Send one notification, after the acknowledgement."""
        await self._opened.wait()
        await self._send(method, params)

    def _settle(self, upstream: str) -> None:
        self._waiting.discard(upstream)
        if not self._waiting:
            self.settled.set()

    async def _send(self, method: str, params: JsonObject) -> None:
        own = params.get(META)
        meta = {**(own if isinstance(own, dict) else {}), SUBSCRIPTION_META: self.id}
        await self._caller.notify(method, {**params, META: meta})


class _ListenRelay:
    """What one upstream says on its listen stream."""

    def __init__(self, upstream: str, stream: _Stream, catalog: Catalog, owners: Owners) -> None:
        self._upstream = upstream
        self._share = stream.shares[upstream]
        self._stream = stream
        self._catalog = catalog
        self._owners = owners

    async def notification(self, method: str, params: JsonObject) -> None:
        """Pass what was asked for and acknowledged, drop the rest."""
        if method == ACKNOWLEDGED:
            self._stream.acknowledge(self._upstream, self._granted(params.get("notifications")))
            return
        forget_lists(method, self._upstream, self._catalog, self._owners)
        if self._wanted(method, params):
            await self._stream.pass_on(method, params if method == UPDATED else without_lists(params))

    async def paused(self) -> None:
        """Do nothing: streams of this era cannot be resumed."""

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Refuse: a modern upstream may not send requests."""
        return {"error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}

    def _granted(self, granted: object) -> JsonObject:
        """Return what the upstream grants of what it was asked for, never more."""
        if not isinstance(granted, dict):
            return {}
        kept: JsonObject = {
            flag: True for flag in FLAG_OF.values() if granted.get(flag) is True and flag in self._share
        }
        uris = granted.get("resourceSubscriptions")
        if isinstance(uris, list):
            of_those = [uri for uri in self._share.get("resourceSubscriptions", []) if uri in uris]
            kept |= {"resourceSubscriptions": of_those} if of_those else {}
        return kept

    def _wanted(self, method: str, params: JsonObject) -> bool:
        granted = self._stream.granted.get(self._upstream, {})
        if method != UPDATED:
            return FLAG_OF.get(method) in granted
        uri = params.get("uri")
        normal = normalise_uri(uri) if isinstance(uri, str) else None
        return normal is not None and normal in map(normalise_uri, granted.get("resourceSubscriptions", []))


async def _on_stream() -> JsonObject:
    """Stand for the forwarding of one URI's subscription: all of them travel in one request."""
    return {"result": {}}
