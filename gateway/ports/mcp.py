"""MCP on both sides: the servers behind the gateway, and the agent that waits for an answer."""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.jsonvalue import JsonObject
from gateway.core.value import value

__all__ = ["Caller", "Channel", "Mount", "Outbound", "Relay", "Upstream", "UpstreamSession", "UpstreamSupport"]


@value
class Outbound:
    """One JSON-RPC request for an upstream. The adapter gives it an id of its own and the headers of the transport.

    `params` is forwarded as it is, but for `_meta.progressToken`, which the adapter replaces by its own and maps back
    in the notifications. `headers` are `Mcp-Param-*` of the agent, passed on unchanged. `version` is the protocol
    version of the hop (modern: also in `params._meta`). `timeout_s` bounds the time to the complete answer.
    """

    method: str
    params: JsonObject
    version: str
    timeout_s: float
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSupport:
    """What an upstream was found to speak, oldest version first, and (modern) its last `server/discover` result.

    `refused` is the HTTP status by which it declined to say whether it is modern; 0 where it did not, or has no HTTP.
    """

    handshake: tuple[str, ...]
    modern: tuple[str, ...]
    discovered: JsonObject = field(default_factory=dict)
    refused: int = 0


class Relay(Protocol):
    """Where an upstream's messages go that are not the answer to the request at hand."""

    async def notification(self, method: str, params: JsonObject) -> None:
        """Take one notification, in the order of arrival. Progress tokens are the agent's own again."""
        ...

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Answer one request of the upstream with `{"result": …}` or `{"error": …}`; the adapter adds the id."""
        ...

    async def paused(self) -> None:
        """Take note that the upstream ended the request's stream in mid-call and will go on with it (SEP-1699)."""
        ...


class UpstreamSession(Protocol):
    """One handshake-era session with one upstream, for one agent session."""

    @property
    def initialized(self) -> JsonObject:
        """The upstream's whole `initialize` result."""
        ...

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Send one request, return the answer: an object with `result` or `error`, whole and without envelope.

        `relay` gets what arrives on this request's own stream; the session's relay gets the rest. Exactly one request
        is sent, never a second try. Cancelling tells the upstream (`notifications/cancelled`) and returns.

        Raises:
            UpstreamError: no usable answer; `may_have_run` says whether the call may have been executed.
        """
        ...

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send one notification. Raises UpstreamError."""
        ...

    async def aclose(self) -> None:
        """End the session on both sides, bounded in time; never raises."""
        ...


class Upstream(Protocol):
    """One MCP server behind the gateway."""

    @property
    def id(self) -> str:
        """Its name in the configuration."""
        ...

    async def support(self, *, refresh: bool = False, handshake: bool = True) -> UpstreamSupport:
        """Return which eras and versions it speaks, asked once and kept. Raises UpstreamError.

        Without `handshake` only the modern era is asked for and `handshake` may be empty: a modern server that hears
        no `initialize` but from agents is then not sent one by us.
        """
        ...

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Modern era: one stateless request, as `UpstreamSession.request`. Cancelling closes its stream."""
        ...

    async def connect(self, *, version: str, params: JsonObject, relay: Relay) -> UpstreamSession:
        """Handshake era: initialise with `params` (capabilities and clientInfo of the agent, already filtered).

        Returns after `notifications/initialized` was accepted and the upstream's GET stream was answered (200 or
        405) or two seconds have passed (`research/protocol.md` 1.5). Raises UpstreamError.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection and process, bounded in time; never raises."""
        ...


class Channel(Protocol):
    """A way to the agent that outlives one request: its session's GET stream (handshake era)."""

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send a notification, buffered while nobody listens."""
        ...

    async def ask(self, method: str, params: JsonObject) -> JsonObject:
        """Send a request and return the agent's answer, `{"result": …}` or `{"error": …}`."""
        ...

    async def pause(self) -> None:
        """End this answer's stream in mid-call where the agent can resume it; else do nothing."""
        ...


class Caller(Channel, Protocol):
    """The agent that waits for one answer: messages go on this answer's own stream, before it."""

    @property
    def prefer(self) -> str:
        """How long it would wait, in the words of its `Prefer` header (RFC 7240); empty where it does not say."""
        ...

    def gone(self) -> bool:
        """Return True once nobody can receive the answer any more (modern era: the stream was closed)."""
        ...

    def connected(self) -> bool:
        """Return True while the answer would go out at once; who may come back for it later is not connected now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Which upstreams one path serves: all (`/mcp`) or one (`/mcp/{upstream}`), by id in order of configuration."""

    upstreams: tuple[str, ...]
    prefixed: bool
