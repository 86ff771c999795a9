"""The method table at work: one message of an agent, in either era, to its treatment.

Owns which use case answers which method (the table itself is `core/methods.py`). Reads no bytes and writes none (that
is `downstream`); decides nothing (that is `enforcement`).
"""

from collections.abc import Mapping, Sequence

from gateway.core.call import Call, Era
from gateway.core.capabilities import merge_capabilities, server_capabilities
from gateway.core.codes import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_VERSION, status_of
from gateway.core.decide import is_hidden
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Kind
from gateway.core.methods import Direction, Treatment, treatment
from gateway.core.principal import Principal
from gateway.core.versions import HANDSHAKE_VERSIONS, KNOWN_VERSIONS
from gateway.core.wire import Inbound, Rejection
from gateway.errors import UpstreamError
from gateway.ports import Caller, Channel, Mount, Upstream, UpstreamSupport
from gateway.services.catalog import Catalog
from gateway.services.conversation import Conversation, open_conversation
from gateway.services.enforcement import Enforcement
from gateway.services.facts import FactSource
from gateway.services.gating import Gating
from gateway.services.listening import Listening
from gateway.services.listing import LISTS, Listing
from gateway.services.modern import ModernParty
from gateway.services.owners import Owners
from gateway.services.party import Party, Reply, internal_error, reply_error
from gateway.services.refusals import Refusals
from gateway.services.relaying import CAPABILITY_OF, AgentRelay

__all__ = ["Conversation", "Dispatch", "Reply"]

TTL_MS = 5000
"""How long a `server/discover` answer may be kept; it depends on which upstreams are there."""

AGENT = Direction.FROM_AGENT


class Dispatch:
    """What the MCP front calls. No method raises for anything that an agent or upstream can cause."""

    def __init__(
        self,
        *,
        upstreams: Mapping[str, Upstream],
        timeouts: Mapping[str, float],
        enforcement: Enforcement,
        catalog: Catalog,
        facts: FactSource,
        refusals: Refusals,
    ) -> None:
        owners = Owners()
        self._upstreams = upstreams
        self._timeouts = timeouts
        self._enforcement = enforcement
        self._catalog = catalog
        self._facts = facts
        self._refusals = refusals
        self._gating = Gating(enforcement=enforcement, catalog=catalog, owners=owners)
        self._listing = Listing(catalog=catalog, facts=facts, owners=owners, enforcement=enforcement)
        self._listening = Listening(catalog=catalog, enforcement=enforcement, owners=owners)

    # --- handshake era ------------------------------------------------------------------------------------------------

    async def initialize(
        self, principal: Principal, mount: Mount, inbound: Inbound, channel: Channel
    ) -> Conversation | Reply:
        """Open a handshake conversation; a Reply is the refusal. `channel` outlives the request (GET stream)."""

        async def refused(upstream: str) -> frozenset[str]:
            return await self._barred(principal, upstream)

        return await open_conversation(
            principal,
            mount,
            inbound,
            channel,
            upstreams=self._upstreams,
            timeouts=self._timeouts,
            refused=refused,
            relays=self._relay,
        )

    async def handle(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Reply:
        """Answer one request of a handshake conversation. Cancelling this is the agent's cancellation."""
        if inbound.method == "ping":
            return Reply(message={"result": {}})
        if inbound.method == "logging/setLevel":
            return await self._set_level(conversation, inbound, caller)
        if inbound.method == "resources/unsubscribe":
            return await self._unsubscribe(conversation, inbound, caller)
        return await self._common(conversation, inbound, caller)

    async def notice(self, conversation: Conversation, inbound: Inbound) -> None:
        """Take one notification of a handshake conversation (`notifications/cancelled` is the face's business)."""
        method = inbound.method
        if treatment(method, Era.HANDSHAKE, AGENT, Kind.NOTIFICATION) is not Treatment.PASS:
            return
        if method == "notifications/roots/list_changed" and "roots" not in conversation.capabilities:
            return
        for session in conversation.sessions.values():
            try:
                await session.notify(method, inbound.params)
            except UpstreamError:
                continue  # a notification has no answer in which to say so

    # --- modern era ---------------------------------------------------------------------------------------------------

    async def handle_modern(self, principal: Principal, mount: Mount, inbound: Inbound, caller: Caller) -> Reply:
        """Answer one stateless request, `subscriptions/listen` included (returns when the stream ends)."""
        reply = await self._modern(principal, mount, inbound, caller)
        error = reply.message.get("error")
        if error is None:
            return reply
        return Reply(message=reply.message, status=status_of(error["code"]))

    async def _modern(self, principal: Principal, mount: Mount, inbound: Inbound, caller: Caller) -> Reply:
        treated = treatment(inbound.method, Era.MODERN, AGENT, Kind.REQUEST)
        if treated is Treatment.REJECT:
            return _unknown_method()
        party = ModernParty(principal, mount, inbound, upstreams=self._upstreams, timeouts=self._timeouts)
        try:
            spoken = await self._spoken(mount)
        except UpstreamError as error:
            if treated is Treatment.GATE:
                return await self._gating.unreachable(party, inbound, error)
            return internal_error(f"The gateway cannot reach its upstream: {error}")
        if not all(support.modern for support in spoken):
            return _unsupported(spoken, inbound.version)
        if inbound.method == "server/discover":
            return await self._discover(party, inbound, caller)
        if inbound.method == "subscriptions/listen":
            return await self._listening.handle(party, inbound, caller)
        return await self._common(party, inbound, caller)

    async def _spoken(self, mount: Mount) -> list[UpstreamSupport]:
        """Return what the reachable upstreams of the mount speak. Raises UpstreamError where none can be reached."""
        spoken: list[UpstreamSupport] = []
        failure: UpstreamError | None = None
        for upstream in mount.upstreams:
            try:
                spoken.append(await self._upstreams[upstream].support())
            except UpstreamError as error:
                failure = error
        if failure is not None and not spoken:
            raise failure
        return spoken

    async def _discover(self, party: ModernParty, inbound: Inbound, caller: Caller) -> Reply:
        """Ask every upstream anew and return what they have in common (versions) and together (capabilities)."""
        results: list[JsonObject] = []
        message: JsonObject = {"error": {"code": INTERNAL_ERROR, "message": "The gateway cannot reach its upstream."}}
        for upstream in party.mount.upstreams:
            try:
                message = await (await party.line(upstream)).request(
                    inbound.method, inbound.params, self._relay(party, upstream, caller)
                )
            except UpstreamError:
                continue
            if isinstance(message.get("result"), dict):
                results.append(message["result"])
        if not results:
            return Reply(message=message)
        return Reply(message={"result": _discovered(results)})

    # --- what only the handshake era has -----------------------------------------------------------------------------

    async def _set_level(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Reply:
        """Pass the level to every upstream that logs."""
        answer: JsonObject = {"error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}
        for upstream, session in conversation.sessions.items():
            if "logging" in (session.initialized.get("capabilities") or {}):
                answer = await self._passed(conversation, upstream, inbound, caller)
        return Reply(message=answer)

    async def _unsubscribe(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Reply:
        """Pass it to the upstream with which this session subscribed; what was never subscribed ends here."""
        uri = inbound.params.get("uri")
        for upstream in conversation.mount.upstreams:
            subscribed = conversation.interests(upstream).resources
            if isinstance(uri, str) and uri in subscribed:
                subscribed.discard(uri)
                return Reply(message=await self._passed(conversation, upstream, inbound, caller))
        return reply_error(INVALID_PARAMS, "This session has not subscribed to that URI")

    async def _passed(self, conversation: Conversation, upstream: str, inbound: Inbound, caller: Caller) -> JsonObject:
        try:
            line = await conversation.line(upstream)
            return await line.request(inbound.method, inbound.params, self._relay(conversation, upstream, caller))
        except UpstreamError as error:
            return internal_error(f"The upstream gave no answer: {error}").message

    def _relay(self, party: Party, upstream: str, channel: Channel) -> AgentRelay:
        return AgentRelay(party, upstream, channel, catalog=self._catalog, enforcement=self._enforcement)

    async def _barred(self, principal: Principal, upstream: str) -> frozenset[str]:
        """Return the agent's capabilities that policy would never let this upstream use."""
        barred: set[str] = set()
        for method, capability in CAPABILITY_OF.items():
            probe = Call(method=method, upstream=upstream, name="", uri="", arguments={}, arguments_digest="")
            if is_hidden(probe, await self._facts.gather(principal, probe)):
                barred.add(capability)
        return frozenset(barred)

    # --- both eras ----------------------------------------------------------------------------------------------------

    async def _common(self, party: Party, inbound: Inbound, caller: Caller) -> Reply:
        """Answer what both eras have: the four lists and the gated requests."""
        if inbound.method in LISTS:
            return await self._listing.handle(party, inbound, caller)
        if treatment(inbound.method, party.era, AGENT, Kind.REQUEST) is Treatment.GATE:
            return await self._gating.handle(party, inbound, caller)
        return _unknown_method()

    async def refused(self, principal: Principal | None, source: str, rejection: Rejection) -> None:
        """Record that a message was refused before any treatment; `source` is the peer's address."""
        await self._refusals.record(principal, source, rejection)


def _unknown_method() -> Reply:
    return reply_error(METHOD_NOT_FOUND, "Method not found")


def _unsupported(spoken: Sequence[UpstreamSupport], requested: str) -> Reply:
    """Return the answer that makes clients of both eras fall back to the handshake (protocol.md 1.4)."""
    common = [version for version in HANDSHAKE_VERSIONS if all(version in support.handshake for support in spoken)]
    data: JsonObject = {"supported": common, "requested": requested}
    return reply_error(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def _discovered(results: Sequence[JsonObject]) -> JsonObject:
    """Return one `server/discover` result of several; of a single one all that we do not cut passes untouched."""
    versions = [
        version
        for version in KNOWN_VERSIONS
        if all(version in (result.get("supportedVersions") or ()) for result in results)
    ]
    capabilities = merge_capabilities([server_capabilities(result.get("capabilities")) for result in results])
    merged = {**results[0], "supportedVersions": versions, "capabilities": capabilities}
    if len(results) > 1:
        merged["serverInfo"] = {"name": "intended-mcp-gateway", "version": "1"}
        texts = [text for result in results if isinstance(text := result.get("instructions"), str) and text]
        merged["instructions"] = "\n\n".join(texts)
    ttl = merged.get("ttlMs")
    merged["ttlMs"] = min(ttl, TTL_MS) if isinstance(ttl, int) else TTL_MS
    merged["cacheScope"] = "private"
    return merged
