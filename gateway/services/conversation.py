"""The handshake party: one agent session as the upstreams see it, with one session to each of them.

Owns version and capability negotiation on both hops. Session ids, streams and expiry towards the agent are
`downstream`; here is what outlives a single request on the other side.
"""

from collections.abc import Awaitable, Callable, Mapping

import anyio

from gateway.core.call import Era
from gateway.core.capabilities import agent_capabilities, merge_capabilities, server_capabilities
from gateway.core.codes import INTERNAL_ERROR, INVALID_PARAMS
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.versions import HANDSHAKE_VERSIONS
from gateway.core.wire import Inbound
from gateway.errors import SessionLost, UpstreamError, UpstreamRefused, UpstreamUnreachable
from gateway.ports import Channel, Mount, Outbound, Relay, Upstream, UpstreamSession
from gateway.services.party import Interests, Reply, reply_error

__all__ = ["Conversation", "RelayFactory", "open_conversation"]

RelayFactory = Callable[["Conversation", str, Channel], Relay]
"""Makes the relay of one upstream's messages to a channel of the agent."""

CLOSE_TIMEOUT_S = 5.0
"""All upstream sessions of one conversation together; their processes are reaped by the adapter beyond that."""


class Conversation:
    """One agent's handshake session: its version, capabilities and upstream sessions."""

    era = Era.HANDSHAKE

    def __init__(
        self,
        principal: Principal,
        mount: Mount,
        *,
        upstreams: Mapping[str, Upstream],
        timeouts: Mapping[str, float],
        params: JsonObject,
        version: str,
        channel: Channel,
        relays: RelayFactory,
    ) -> None:
        self.principal = principal
        self.mount = mount
        self.version = version
        self.params = params
        self.capabilities: JsonObject = params["capabilities"]
        self.channel = channel
        self.initialized: JsonObject = {}
        self._interests: dict[str, Interests] = {upstream: Interests() for upstream in mount.upstreams}
        self._upstreams = upstreams
        self._timeouts = timeouts
        self._relays = relays
        self._sessions: dict[str, UpstreamSession] = {}
        self._locks = {upstream: anyio.Lock() for upstream in mount.upstreams}
        self._closed = False

    async def line(self, upstream: str) -> "SessionLine":
        """Return the line to one upstream, opening its session where there is none. Raises UpstreamError."""
        session = self._sessions.get(upstream)
        if session is None:
            session = await self._open(upstream)
        return SessionLine(self, upstream, session, self._timeouts[upstream])

    async def session(self, upstream: str) -> UpstreamSession:
        """Return the session with one upstream, opening it where there is none. Raises UpstreamError."""
        return self._sessions.get(upstream) or await self._open(upstream)

    def interests(self, upstream: str) -> Interests:
        """Return what the agent has asked to hear of from one upstream."""
        return self._interests[upstream]

    @property
    def sessions(self) -> Mapping[str, UpstreamSession]:
        """The sessions that are open now, by upstream in the order of the mount."""
        return {name: self._sessions[name] for name in self.mount.upstreams if name in self._sessions}

    def lose(self, upstream: str) -> None:
        """Forget a session that the upstream no longer knows; the next call opens a new one."""
        self._sessions.pop(upstream, None)

    async def aclose(self) -> None:
        """End every upstream session, bounded in time; never raises."""
        self._closed = True
        sessions, self._sessions = self._sessions, {}
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_TIMEOUT_S):
            async with anyio.create_task_group() as group:
                for session in sessions.values():
                    group.start_soon(session.aclose)

    async def _open(self, upstream: str) -> UpstreamSession:
        """Initialise with one upstream, once at a time."""
        if upstream not in self._locks:
            msg = f"there is no upstream '{upstream}'"
            raise UpstreamUnreachable(msg, may_have_run=False)
        async with self._locks[upstream]:
            session = self._sessions.get(upstream)
            if session is not None:
                return session
            relay = self._relays(self, upstream, self.channel)
            session = await self._upstreams[upstream].connect(version=self.version, params=self.params, relay=relay)
            if self._closed:
                await session.aclose()
                msg = "the agent's session has ended"
                raise UpstreamUnreachable(msg, may_have_run=False)
            self._sessions[upstream] = session
            return session


class SessionLine:
    """The line of a handshake party: one upstream's session."""

    __slots__ = ("_conversation", "_session", "_timeout_s", "_version", "upstream")

    def __init__(self, conversation: Conversation, upstream: str, session: UpstreamSession, timeout_s: float) -> None:
        self._conversation = conversation
        self._session = session
        self._timeout_s = timeout_s
        self._version = str(session.initialized.get("protocolVersion"))
        self.upstream = upstream

    async def request(
        self,
        method: str,
        params: JsonObject,
        relay: Relay,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        timeout_s: float | None = None,
    ) -> JsonObject:
        """Send one request in the session. A lost session is forgotten, never re-tried with. Raises UpstreamError."""
        try:
            return await self._session.request(
                Outbound(
                    method=method,
                    params=params,
                    version=self._version,
                    timeout_s=self._timeout_s if timeout_s is None else timeout_s,
                    headers=headers,
                ),
                relay,
            )
        except SessionLost:
            self._conversation.lose(self.upstream)
            raise

    def own(self, params: JsonObject) -> JsonObject:
        """Return `params`: the era demands nothing in them."""
        return params


async def open_conversation(
    principal: Principal,
    mount: Mount,
    inbound: Inbound,
    channel: Channel,
    *,
    upstreams: Mapping[str, Upstream],
    timeouts: Mapping[str, float],
    refused: Callable[[str], Awaitable[frozenset[str]]],
    relays: RelayFactory,
) -> Conversation | Reply:
    """Initialise with every upstream of the mount; a Reply is the refusal.

    `refused` tells which of the agent's capabilities policy would never let an upstream use. Of several upstreams
    those that are down are left out; a session with none is refused.
    """
    problem = _malformed(inbound.params)
    if problem:
        return reply_error(INVALID_PARAMS, problem)
    version = await _version(mount, inbound.params["protocolVersion"], upstreams)
    if isinstance(version, Reply):
        return version
    barred = frozenset[str]().union(*[await refused(upstream) for upstream in mount.upstreams])
    params = {
        **inbound.params,
        "protocolVersion": version,
        "capabilities": agent_capabilities(inbound.params["capabilities"], refused=barred),
    }
    conversation = Conversation(
        principal,
        mount,
        upstreams=upstreams,
        timeouts=timeouts,
        params=params,
        version=version,
        channel=channel,
        relays=relays,
    )
    failures = await _open_all(conversation)
    if not conversation.sessions:
        await conversation.aclose()
        return _unreachable(failures)
    version = _settle(conversation)
    if not version:
        await conversation.aclose()
        return reply_error(INTERNAL_ERROR, "The upstreams of this path agreed on no common protocol version.")
    return conversation


async def _open_all(conversation: Conversation) -> dict[str, UpstreamError]:
    """Open the sessions of all upstreams side by side; return what failed."""
    failures: dict[str, UpstreamError] = {}

    async def open_one(upstream: str) -> None:
        try:
            await conversation.session(upstream)
        except UpstreamError as error:
            failures[upstream] = error

    async with anyio.create_task_group() as group:
        for upstream in conversation.mount.upstreams:
            group.start_soon(open_one, upstream)
    return failures


def _malformed(params: JsonObject) -> str:
    """Say what an `initialize` lacks, or nothing."""
    if not isinstance(params.get("protocolVersion"), str):
        return "initialize: `protocolVersion` must be a string"
    if not isinstance(params.get("capabilities"), dict):
        return "initialize: `capabilities` must be an object"
    if not isinstance(params.get("clientInfo"), dict):
        return "initialize: `clientInfo` must be an object"
    return ""


async def _version(mount: Mount, asked: str, upstreams: Mapping[str, Upstream]) -> str | Reply:
    """Return the version to offer: what the agent asks where all upstreams speak it, else the latest common one."""
    common = set(HANDSHAKE_VERSIONS)
    failures: dict[str, UpstreamError] = {}
    for upstream in mount.upstreams:
        try:
            spoken = (await upstreams[upstream].support()).handshake
        except UpstreamError as error:
            failures[upstream] = error
        else:
            common &= set(spoken)
    if len(failures) == len(mount.upstreams):
        return _unreachable(failures)
    if not common:
        return reply_error(
            INVALID_PARAMS,
            "Unsupported protocol version: an upstream of this path speaks 2026-07-28 only",
            data={"supported": ["2026-07-28"], "requested": asked},
        )
    return asked if asked in common else [version for version in HANDSHAKE_VERSIONS if version in common][-1]


def _unreachable(failures: Mapping[str, UpstreamError]) -> Reply:
    """Return the refusal where no upstream can be had; the operator's details stay out of it."""
    names = ", ".join(f"'{name}'{_hint(error)}" for name, error in failures.items())
    return reply_error(INTERNAL_ERROR, f"The gateway cannot reach its upstream {names}.")


def _hint(error: UpstreamError) -> str:
    return f" (HTTP {error.status})" if isinstance(error, UpstreamRefused) else ""


def _settle(conversation: Conversation) -> str:
    """Fix the agreed version and the agent's `initialize` result; return the version, empty where there is none."""
    results = [session.initialized for session in conversation.sessions.values()]
    versions = {str(result.get("protocolVersion")) for result in results}
    if len(versions) != 1 or not versions <= set(HANDSHAKE_VERSIONS):
        return ""
    conversation.version = versions.pop()
    capabilities = [server_capabilities(result.get("capabilities")) for result in results]
    if len(conversation.mount.upstreams) == 1:
        conversation.initialized = {**results[0], "capabilities": capabilities[0]}
    else:
        conversation.initialized = _merged(results, capabilities, conversation.version)
    return conversation.version


def _merged(results: list[JsonObject], capabilities: list[JsonObject], version: str) -> JsonObject:
    """Return one `initialize` result for several upstreams, in the gateway's own name."""
    merged: JsonObject = {
        "protocolVersion": version,
        "capabilities": merge_capabilities(capabilities),
        "serverInfo": {"name": "intended-mcp-gateway", "version": "1"},
    }
    instructions = [text for result in results if isinstance(text := result.get("instructions"), str) and text]
    if instructions:
        merged["instructions"] = "\n\n".join(instructions)
    return merged
