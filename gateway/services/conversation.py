"""The handshake party: one agent session as the upstreams see it, with one session to each of them.

Owns version and capability negotiation on both hops. Session ids, streams and expiry towards the agent are
`downstream`; here is what outlives a single request on the other side.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import anyio

from gateway.core.call import Era
from gateway.core.capabilities import agent_capabilities, merge_capabilities, server_capabilities
from gateway.core.codes import INTERNAL_ERROR, INVALID_PARAMS
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.tokens import AUTHORITY_HEADER, with_authority
from gateway.core.versions import HANDSHAKE_VERSIONS
from gateway.core.wire import Inbound
from gateway.errors import (
    SessionLost,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.ports import Channel, Mount, Outbound, Relay, Upstream, UpstreamSession
from gateway.services.party import Interests, Reply, reply_error

__all__ = ["OPEN_TIMEOUT_S", "SERVER_INFO", "Conversation", "RelayFactory", "open_conversation", "side_by_side"]

RelayFactory = Callable[["Conversation", str, Channel], Relay]
"""Makes the relay of one upstream's messages to a channel of the agent."""

SERVER_INFO: JsonObject = {"name": "intended-mcp-gateway", "version": "1"}
"""Who answers for several upstreams at once; for a single one it is the upstream itself."""

OPEN_TIMEOUT_S = 50.0
"""For finding out what all upstreams speak and opening their sessions, side by side. Below the 60 s after which clients
give up; what is not there by then counts as down and is tried again when it is next needed."""

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
        offers: Mapping[str, JsonObject],
        channel: Channel,
        relays: RelayFactory,
    ) -> None:
        """`params` are the agent's own; `offers` are the capabilities that each upstream is told it has."""
        self.principal = principal
        self.mount = mount
        self.version: str = params["protocolVersion"]
        self.capabilities = agent_capabilities(params["capabilities"])
        self.offers = offers
        self.channel = channel
        self.initialized: JsonObject = {}
        self._params = params
        self._interests: dict[str, Interests] = {upstream: Interests() for upstream in mount.upstreams}
        self._upstreams = upstreams
        self._timeouts = timeouts
        self._relays = relays
        self._sessions: dict[str, UpstreamSession] = {}
        self._locks = {upstream: anyio.Lock() for upstream in mount.upstreams}
        self._closed = False

    async def line(self, upstream: str) -> "SessionLine":
        """Return the line to one upstream, opening its session where there is none. Raises UpstreamError."""
        return SessionLine(self, upstream, await self.session(upstream), self._timeouts[upstream])

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

    async def notify(self, upstream: str, method: str, params: JsonObject) -> None:
        """Send a notification in the open session with one upstream; without one, or where it fails, it is gone."""
        session = self._sessions.get(upstream)
        if session is None:
            return
        try:
            await session.notify(method, params)
        except SessionLost:
            await self.lose(upstream, session)
        except UpstreamError:
            return  # a notification has no answer in which to say so

    async def lose(self, upstream: str, session: UpstreamSession) -> None:
        """Forget a session that the upstream no longer knows; the next call opens a new one.

        What the agent had subscribed to in it is gone too. A newer session is left alone.
        """
        if self._sessions.get(upstream) is session:
            del self._sessions[upstream]
            self._interests[upstream].resources.clear()
            self._interests[upstream].elicitations.clear()
        await _close([session])

    async def aclose(self) -> None:
        """End every upstream session, bounded in time; never raises."""
        self._closed = True
        sessions, self._sessions = self._sessions, {}
        await _close(sessions.values())

    async def _open(self, upstream: str) -> UpstreamSession:
        """Initialise with one upstream, once at a time."""
        if upstream not in self._locks:
            msg = f"there is no upstream '{upstream}'"
            raise UpstreamUnreachable(msg, may_have_run=False)
        async with self._locks[upstream]:
            self._check_open()
            session = self._sessions.get(upstream)
            if session is not None:
                return session
            session = await self._upstreams[upstream].connect(
                version=self.version,
                params={**self._params, "capabilities": self.offers[upstream]},
                relay=self._relays(self, upstream, self.channel),
            )
            try:
                self._check_open()
                self._check_version(upstream, session)
            except UpstreamError:
                await _close([session])
                raise
            self._sessions[upstream] = session
            return session

    def _check_open(self) -> None:
        """Raise UpstreamUnreachable once the agent's session has ended, also while one was being opened for it."""
        if self._closed:
            msg = "the agent's session has ended"
            raise UpstreamUnreachable(msg, may_have_run=False)

    def _check_version(self, upstream: str, session: UpstreamSession) -> None:
        """Raise UpstreamBroken where a later session speaks another version than was agreed with the agent."""
        if self.initialized and session.initialized.get("protocolVersion") != self.version:
            msg = f"upstream {upstream}: the new session does not speak {self.version}, which was agreed before"
            raise UpstreamBroken(msg, may_have_run=False)


async def _close(sessions: Iterable[UpstreamSession]) -> None:
    """End sessions side by side, shielded and bounded in time."""
    with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_TIMEOUT_S):
        async with anyio.create_task_group() as group:
            for session in sessions:
                group.start_soon(session.aclose)


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
        authority: str = "",
        timeout_s: float | None = None,
    ) -> JsonObject:
        """Send one request in the session. A lost session is forgotten, never re-tried with. Raises UpstreamError."""
        if authority:
            params, headers = with_authority(params, authority), (*headers, (AUTHORITY_HEADER, authority))
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
            await self._conversation.lose(self.upstream, self._session)
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
    refused: Callable[[str], frozenset[str]],
    relays: RelayFactory,
) -> Conversation | Reply:
    """Initialise with every upstream of the mount; a Reply is the refusal.

    `refused` tells which of the agent's capabilities policy would never let an upstream use. Of several upstreams
    those that are down are left out; a session with none is refused.
    """
    problem = _malformed(inbound.params)
    if problem:
        return reply_error(INVALID_PARAMS, problem)
    deadline = anyio.current_time() + OPEN_TIMEOUT_S
    version = await _version(mount, inbound.params["protocolVersion"], upstreams, deadline)
    if isinstance(version, Reply):
        return version
    asked = inbound.params["capabilities"]
    conversation = Conversation(
        principal,
        mount,
        upstreams=upstreams,
        timeouts=timeouts,
        params={**inbound.params, "protocolVersion": version},
        offers={upstream: agent_capabilities(asked, refused=refused(upstream)) for upstream in mount.upstreams},
        channel=channel,
        relays=relays,
    )
    try:
        failures = await side_by_side(mount.upstreams, conversation.session, deadline)
    except BaseException:
        # The agent gave up, or the gateway stops: what is open by now belongs to nobody.
        await conversation.aclose()
        raise
    if not conversation.sessions:
        await conversation.aclose()
        return _unreachable(failures)
    if not _settle(conversation):
        await conversation.aclose()
        return reply_error(INTERNAL_ERROR, "The upstreams of this path agreed on no common protocol version.")
    return conversation


async def side_by_side(
    upstreams: Sequence[str], ask: Callable[[str], Awaitable[object]], deadline: float
) -> dict[str, UpstreamError]:
    """Ask something of every upstream at once, until the deadline; return those that gave no answer, and why."""
    late = UpstreamTimeout("it was not ready in time", may_have_run=False)
    failures: dict[str, UpstreamError] = dict.fromkeys(upstreams, late)

    async def ask_one(upstream: str) -> None:
        try:
            await ask(upstream)
            del failures[upstream]
        except UpstreamError as error:
            failures[upstream] = error

    with anyio.CancelScope(deadline=deadline):
        async with anyio.create_task_group() as group:
            for upstream in upstreams:
                group.start_soon(ask_one, upstream)
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


async def _version(mount: Mount, asked: str, upstreams: Mapping[str, Upstream], deadline: float) -> str | Reply:
    """Return the version to offer: what the agent asks where all upstreams speak it, else the latest common one."""
    common = set(HANDSHAKE_VERSIONS)

    async def ask(upstream: str) -> None:
        common.intersection_update((await upstreams[upstream].support()).handshake)

    failures = await side_by_side(mount.upstreams, ask, deadline)
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


def _settle(conversation: Conversation) -> bool:
    """Fix the agreed version and the agent's `initialize` result; return False where there is no such version."""
    results = [session.initialized for session in conversation.sessions.values()]
    versions = {str(result.get("protocolVersion")) for result in results}
    if len(versions) != 1 or not versions <= set(HANDSHAKE_VERSIONS):
        return False
    conversation.version = versions.pop()
    capabilities = [server_capabilities(result.get("capabilities")) for result in results]
    if len(conversation.mount.upstreams) == 1:
        conversation.initialized = {**results[0], "capabilities": capabilities[0]}
    else:
        conversation.initialized = _merged(results, capabilities, conversation.version)
    return True


def _merged(results: list[JsonObject], capabilities: list[JsonObject], version: str) -> JsonObject:
    """Return one `initialize` result for several upstreams, in the gateway's own name."""
    merged: JsonObject = {
        "protocolVersion": version,
        "capabilities": merge_capabilities(capabilities),
        "serverInfo": SERVER_INFO,
    }
    instructions = [text for result in results if isinstance(text := result.get("instructions"), str) and text]
    if instructions:
        merged["instructions"] = "\n\n".join(instructions)
    return merged
