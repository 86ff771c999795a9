"""The stateless party of the modern era (2026-07-28): every request carries its own version and capabilities."""

from collections.abc import Callable, Mapping

from gateway.core.call import Era
from gateway.core.capabilities import agent_capabilities
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.tokens import AUTHORITY_HEADER, with_authority
from gateway.core.wire import Inbound
from gateway.errors import UpstreamUnreachable
from gateway.ports import Mount, Outbound, Relay, Upstream
from gateway.services.party import META, Interests

__all__ = ["ModernLine", "ModernParty"]

CAPABILITIES_META = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL_META = "io.modelcontextprotocol/logLevel"
OF_THE_REQUEST = frozenset({"progressToken", LOG_LEVEL_META})
"""Asks for messages on the request's own stream; nobody hears those of what the gateway asks for itself."""


class ModernLine:
    """A stateless hop to one upstream, in the name of one request."""

    __slots__ = ("_meta", "_own_meta", "_timeout_s", "_upstream", "_version")

    def __init__(self, upstream: Upstream, *, meta: JsonObject, version: str, timeout_s: float) -> None:
        self._upstream = upstream
        self._meta = meta
        self._own_meta: JsonObject | None = None
        self._version = version
        self._timeout_s = timeout_s

    @property
    def upstream(self) -> str:
        """The upstream's id."""
        return self._upstream.id

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
        """Send one request with this hop's `_meta`, whatever is in `params`. Raises UpstreamError."""
        meta = params.get(META)
        if meta is not self._meta and (meta is None or meta is not self._own_meta):
            params = {**params, META: self._meta}
        if authority:
            params, headers = with_authority(params, authority), (*headers, (AUTHORITY_HEADER, authority))
        return await self._upstream.request(
            Outbound(
                method=method,
                params=params,
                version=self._version,
                timeout_s=self._timeout_s if timeout_s is None else timeout_s,
                headers=headers,
            ),
            relay,
        )

    def own(self, params: JsonObject) -> JsonObject:
        """Return `params` with the request's `_meta` less what is the agent's own request's alone."""
        if self._own_meta is None:
            self._own_meta = {name: value for name, value in self._meta.items() if name not in OF_THE_REQUEST}
        return {**params, META: self._own_meta}


class ModernParty:
    """The agent behind one modern request."""

    __slots__ = ("_meta", "_refused", "_timeouts", "_upstreams", "_version", "capabilities", "mount", "principal")

    era = Era.MODERN

    def __init__(
        self,
        principal: Principal,
        mount: Mount,
        inbound: Inbound,
        *,
        upstreams: Mapping[str, Upstream],
        timeouts: Mapping[str, float],
        refused: Callable[[str], frozenset[str]],
    ) -> None:
        """`refused` tells which of the agent's capabilities policy would never let an upstream use."""
        self.principal = principal
        self.mount = mount
        self._upstreams = upstreams
        self._timeouts = timeouts
        self._refused = refused
        self._version = inbound.version
        self._meta: JsonObject = inbound.params[META]
        self.capabilities = agent_capabilities(self._meta[CAPABILITIES_META])

    async def line(self, upstream: str) -> ModernLine:
        """Return the hop to one upstream. Raises UpstreamUnreachable where the mount has no such upstream."""
        target = self._upstreams.get(upstream)
        if target is None:
            msg = f"there is no upstream '{upstream}'"
            raise UpstreamUnreachable(msg, may_have_run=False)
        return ModernLine(
            target, meta=self._meta_for(upstream), version=self._version, timeout_s=self._timeouts[upstream]
        )

    def _meta_for(self, upstream: str) -> JsonObject:
        """Return the request's `_meta` with the capabilities that this upstream may know of; the very one if all."""
        told = self.capabilities
        if told:
            told = agent_capabilities(told, refused=self._refused(upstream))
        return self._meta if told == self._meta[CAPABILITIES_META] else {**self._meta, CAPABILITIES_META: told}

    def interests(self, upstream: str) -> Interests:
        """Return what this one request asked to hear of: log messages only if it named a level."""
        return Interests(logs=LOG_LEVEL_META in self._meta, list_changes=False)
