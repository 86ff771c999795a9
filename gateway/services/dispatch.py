"""The method table at work: one message of an agent, in either era, to its treatment.

Owns which use case answers which method (the table itself is `core/methods.py`). Reads no bytes and writes none (that
is `downstream`); decides nothing (that is `enforcement`).
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

import anyio

from gateway.core.answers import CAPABILITY_OF, check_result
from gateway.core.call import Call, Era
from gateway.core.capabilities import merge_capabilities, server_capabilities
from gateway.core.codes import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_VERSION, status_of
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.message import Kind
from gateway.core.methods import Direction, Treatment, normalise_uri, treatment
from gateway.core.principal import Principal
from gateway.core.versions import KNOWN_VERSIONS
from gateway.core.wire import Inbound, Rejection
from gateway.errors import UpstreamError
from gateway.ports import Caller, Channel, Mount, Upstream, UpstreamSupport
from gateway.services.authority import Authority
from gateway.services.catalog import Catalog
from gateway.services.conversation import OPEN_TIMEOUT_S, SERVER_INFO, Conversation, open_conversation, side_by_side
from gateway.services.enforcement import Enforcement
from gateway.services.facts import FactSource
from gateway.services.gating import Gating
from gateway.services.holding import Holds
from gateway.services.links import Links
from gateway.services.listening import Listening
from gateway.services.listing import LISTS, Listing
from gateway.services.modern import ModernParty
from gateway.services.owners import Owners
from gateway.services.party import Party, Reply, for_one_principal, internal_error, reply_error
from gateway.services.refusals import Refusals
from gateway.services.relaying import AgentRelay
from gateway.services.states import States

__all__ = ["Conversation", "Dispatch", "Reply"]

AGENT = Direction.FROM_AGENT
_HANDSHAKE: Final = Era.HANDSHAKE
_MODERN: Final = Era.MODERN
_REQUEST: Final = Kind.REQUEST
_GATE: Final = Treatment.GATE
_REJECT: Final = Treatment.REJECT


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
        states: States,
        authority: Authority | None = None,
        holds: Holds | None = None,
        links: Links | None = None,
    ) -> None:
        """Without `authority` no call carries a token; without `holds` none waits for its human."""
        self._owners = owners = Owners()
        self._upstreams = upstreams
        self._timeouts = timeouts
        self._enforcement = enforcement
        self._catalog = catalog
        self._facts = facts
        self._refusals = refusals
        self._gating = Gating(
            enforcement=enforcement,
            catalog=catalog,
            owners=owners,
            refusals=refusals,
            states=states,
            authority=authority,
            holds=holds,
            links=links,
        )
        self._listing = Listing(catalog=catalog, facts=facts, owners=owners, enforcement=enforcement)
        self._listening = Listening(catalog=catalog, enforcement=enforcement, owners=owners)

    # --- handshake era ------------------------------------------------------------------------------------------------

    async def initialize(
        self, principal: Principal, mount: Mount, inbound: Inbound, channel: Channel
    ) -> Conversation | Reply:
        """Open a handshake conversation; a Reply is the refusal. `channel` outlives the request (GET stream)."""
        return await open_conversation(
            principal,
            mount,
            inbound,
            channel,
            upstreams=self._upstreams,
            timeouts=self._timeouts,
            refused=lambda upstream: self._barred(principal, upstream),
            relays=self._relay,
        )

    def handle(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Awaitable[Reply]:
        """Answer one request of a handshake conversation. Cancelling this is the agent's cancellation.

        Not a coroutine itself, as `_common` is none.
        """
        if inbound.method == "ping":
            return _alive()
        if inbound.method == "logging/setLevel":
            return self._set_level(conversation, inbound, caller)
        if inbound.method == "resources/unsubscribe":
            return self._unsubscribe(conversation, inbound, caller)
        treated = treatment(inbound.method, _HANDSHAKE, AGENT, _REQUEST)
        return self._common(conversation, inbound, caller, treated)

    async def notice(self, conversation: Conversation, inbound: Inbound) -> None:
        """Take one notification of a handshake conversation; what the method table does not pass ends here.

        `notifications/cancelled` is the face's business: it cancels `handle`, and that tells the upstream.
        """
        method, params = inbound.method, inbound.params
        for upstream in conversation.mount.upstreams:
            if method == "notifications/progress":
                token = params.get("progressToken")
                wanted = isinstance(token, str | int) and token in conversation.interests(upstream).questions
            else:
                wanted = method == "notifications/roots/list_changed" and "roots" in conversation.offers[upstream]
            if wanted:
                await conversation.notify(upstream, method, params)

    # --- modern era ---------------------------------------------------------------------------------------------------

    async def handle_modern(self, principal: Principal, mount: Mount, inbound: Inbound, caller: Caller) -> Reply:
        """Answer one stateless request, `subscriptions/listen` included (returns when the stream ends)."""
        treated = treatment(inbound.method, _MODERN, AGENT, _REQUEST)
        if treated is _REJECT:
            return _with_status(_unknown_method())
        party = ModernParty(
            principal,
            mount,
            inbound,
            upstreams=self._upstreams,
            timeouts=self._timeouts,
            refused=lambda upstream: self._barred(principal, upstream),
        )
        refused = await self._unspoken(party, inbound, treated)
        if refused is not None:
            return _with_status(refused)
        if inbound.method == "server/discover":
            reply = await self._discover(party, inbound, caller)
        elif inbound.method == "subscriptions/listen":
            reply = await self._listening.handle(party, inbound, caller)
        else:
            reply = await self._common(party, inbound, caller, treated)
        return _with_status(reply)

    async def _unspoken(self, party: ModernParty, inbound: Inbound, treated: Treatment) -> Reply | None:
        """Return the refusal where an upstream of the mount does not speak the request's version, or none is there."""
        mount = party.mount
        try:
            if all(inbound.version in support.modern for support in await self._spoken(mount)):
                return None
            return _unsupported(await self._spoken(mount, handshake=True), inbound.version)
        except UpstreamError as error:
            if treated is Treatment.GATE:
                return await self._gating.unreachable(party, inbound, error)
            return internal_error(f"The gateway cannot reach its upstream: {error}")

    async def _spoken(self, mount: Mount, *, handshake: bool = False) -> list[UpstreamSupport]:
        """Return what the reachable upstreams of the mount speak. Raises UpstreamError where none can be reached.

        With `handshake` they are asked for that era too, which a modern call has no need to know.

        Several are asked at once: one that hangs must not hold up the others for longer than it takes itself.
        """
        if len(mount.upstreams) == 1:
            return [await self._upstreams[mount.upstreams[0]].support(handshake=handshake)]
        spoken: list[UpstreamSupport] = []

        async def ask(upstream: str) -> None:
            spoken.append(await self._upstreams[upstream].support(handshake=handshake))

        failures = await side_by_side(mount.upstreams, ask, anyio.current_time() + OPEN_TIMEOUT_S)
        if not spoken:
            raise next(iter(failures.values()))
        return spoken

    async def _discover(self, party: ModernParty, inbound: Inbound, caller: Caller) -> Reply:
        """Ask every upstream anew and return what they have in common (versions) and together (capabilities)."""
        results: list[JsonObject] = []
        message: JsonObject = {"error": {"code": INTERNAL_ERROR, "message": "The gateway cannot reach its upstream."}}
        for upstream in party.mount.upstreams:
            answer = await self._passed(party, upstream, inbound, caller)
            if "error" in answer:
                message = answer
            else:
                results.append(answer["result"])
        if not results:
            return Reply(message=message)
        return Reply(message={"result": for_one_principal(_discovered(results))})

    # --- what only the handshake era has -----------------------------------------------------------------------------

    async def _set_level(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Reply:
        """Pass the level to every upstream that logs."""
        answer: JsonObject = {"error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}
        for upstream, session in conversation.sessions.items():
            if "logging" in server_capabilities(session.initialized.get("capabilities")):
                answer = await self._passed(conversation, upstream, inbound, caller)
        return Reply(message=answer)

    async def _unsubscribe(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Reply:
        """Pass it to the upstream with which this session subscribed; what was never subscribed ends here."""
        asked = inbound.params.get("uri")
        uri = normalise_uri(asked) if isinstance(asked, str) else None
        for upstream in conversation.mount.upstreams:
            subscribed = conversation.interests(upstream).resources
            if uri in subscribed:
                answer = await self._passed(conversation, upstream, inbound, caller)
                if "result" in answer:
                    subscribed.discard(uri)
                return Reply(message=answer)
        return reply_error(INVALID_PARAMS, "This session has not subscribed to that URI")

    # --- both eras ----------------------------------------------------------------------------------------------------

    def _common(self, party: Party, inbound: Inbound, caller: Caller, treated: Treatment) -> Awaitable[Reply]:
        """Answer what both eras have: the four lists and the gated requests.

        Not a coroutine itself: each one that a call lies in costs it a step whenever it waits.
        """
        if inbound.method in LISTS:
            return self._listing.handle(party, inbound, caller)
        if treated is _GATE:
            return self._gating.handle(party, inbound, caller)
        return _not_treated()

    async def _passed(self, party: Party, upstream: str, inbound: Inbound, caller: Caller) -> JsonObject:
        """Send one ungated request to one upstream and return its answer, or an error where it has none to give."""
        try:
            line = await party.line(upstream)
            message = await line.request(inbound.method, inbound.params, self._relay(party, upstream, caller))
        except UpstreamError as error:
            return internal_error(f"The upstream gave no answer: {error}").message
        problem = check_result(inbound.method, party.era, message["result"]) if "result" in message else ""
        return internal_error(f"The upstream's answer was refused: {problem}").message if problem else message

    def _relay(self, party: Party, upstream: str, channel: Channel) -> AgentRelay:
        return AgentRelay(
            party, upstream, channel, catalog=self._catalog, owners=self._owners, enforcement=self._enforcement
        )

    def _barred(self, principal: Principal, upstream: str) -> frozenset[str]:
        """Return the agent's capabilities that policy would never let this upstream use."""
        probes = {
            capability: Call(method=method, upstream=upstream, name="", uri="", arguments={}, arguments_digest="")
            for method, capability in CAPABILITY_OF.items()
        }
        # An elicitation may be allowed by the URL that it opens, so that none is asked about here.
        return frozenset(name for name, probe in probes.items() if self._facts.hides(principal, probe, any_uri=True))

    async def refused(self, principal: Principal | None, source: str, rejection: Rejection) -> None:
        """Record that a message was refused before any treatment; `source` is the peer's address."""
        await self._refusals.record(principal, source, rejection)


async def _alive() -> Reply:
    return Reply(message={"result": {}})


def _unknown_method() -> Reply:
    return reply_error(METHOD_NOT_FOUND, "Method not found")


async def _not_treated() -> Reply:
    return _unknown_method()


def _with_status(reply: Reply) -> Reply:
    """Return the reply with the HTTP status that its error has in the modern era."""
    error = reply.message.get("error")
    return reply if error is None else Reply(message=reply.message, status=status_of(error["code"]))


def _unsupported(spoken: Sequence[UpstreamSupport], requested: str) -> Reply:
    """Return the answer that makes clients of both eras fall back to the handshake (protocol.md 1.4)."""
    common = _common_versions([(*support.handshake, *support.modern) for support in spoken])
    data: JsonObject = {"supported": common, "requested": requested}
    return reply_error(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def _discovered(results: Sequence[JsonObject]) -> JsonObject:
    """Return one `server/discover` result of several; of a single one all that we do not cut passes untouched."""
    cut: JsonObject = {
        "supportedVersions": _common_versions([result.get("supportedVersions") for result in results]),
        "capabilities": merge_capabilities([server_capabilities(result.get("capabilities")) for result in results]),
    }
    if len(results) == 1:
        return results[0] | cut
    merged: JsonObject = {"resultType": "complete", **cut, "serverInfo": SERVER_INFO}
    texts = [text for result in results if isinstance(text := result.get("instructions"), str) and text]
    return merged | ({"instructions": "\n\n".join(texts)} if texts else {})


def _common_versions(several: Sequence[JsonValue | tuple[str, ...]]) -> list[JsonValue]:
    """Return the versions that we know and all name, oldest first; what is no list names none."""
    named = [versions if isinstance(versions, list | tuple) else () for versions in several]
    return [version for version in KNOWN_VERSIONS if all(version in versions for versions in named)]
