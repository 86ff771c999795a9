"""How an upstream is asked what it speaks, and what its answers mean; the same for every transport.

The gateway asks in its own name: no agent is involved yet. Owns no connection. An asyncio lock, as in the
adapters that use it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.core.jsonvalue import JsonObject
from gateway.core.versions import HANDSHAKE_VERSIONS, MODERN_VERSIONS
from gateway.errors import UpstreamBroken, UpstreamError, UpstreamUnreachable
from gateway.ports import Outbound, UpstreamSupport

__all__ = [
    "Probe",
    "agreed_version",
    "discover",
    "handshake_versions",
    "initialize_params",
    "modern_versions",
]

CLIENT_INFO: Final = {"name": "intended-mcp-gateway", "version": "0"}
UNSUPPORTED_VERSION: Final = -32022
META: Final = "io.modelcontextprotocol/"


def initialize_params() -> JsonObject:
    """Return what the gateway offers when it asks for the handshake era: no capability at all."""
    return {"capabilities": {}, "clientInfo": dict(CLIENT_INFO)}


def discover(timeout_s: float) -> Outbound:
    """Return the request that only the modern era answers."""
    version = MODERN_VERSIONS[-1]
    meta = {
        f"{META}protocolVersion": version,
        f"{META}clientCapabilities": {},
        f"{META}clientInfo": dict(CLIENT_INFO),
    }
    return Outbound(method="server/discover", params={"_meta": meta}, version=version, timeout_s=timeout_s)


def modern_versions(answer: JsonObject) -> tuple[str, ...]:
    """Return the modern versions that the answer to `discover` names and the gateway knows, oldest first."""
    if "result" in answer:
        named = answer["result"].get("supportedVersions")
    elif answer["error"]["code"] == UNSUPPORTED_VERSION and isinstance(answer["error"].get("data"), dict):
        named = answer["error"]["data"].get("supported")
    else:
        named = None
    return tuple(version for version in MODERN_VERSIONS if isinstance(named, list) and version in named)


def agreed_version(answer: JsonObject, label: str) -> str:
    """Return the version in the answer to `initialize`. Raises UpstreamBroken where there is none that we know."""
    if "error" in answer:
        code = answer["error"]["code"]
        raise UpstreamBroken(f"{label} refused to initialise (JSON-RPC error {code})", may_have_run=True)
    version = answer["result"].get("protocolVersion")
    if version not in HANDSHAKE_VERSIONS:
        msg = f"{label} answered initialize with a protocol version that is not known here"
        raise UpstreamBroken(msg, may_have_run=True)
    return str(version)


def handshake_versions(agreed: str) -> tuple[str, ...]:
    """Return what an upstream is taken to speak that agreed to `agreed` when asked for the newest.

    The protocol has no way to ask for the older ones; servers speak them in practice, and each `connect` finds out.
    """
    return HANDSHAKE_VERSIONS[: HANDSHAKE_VERSIONS.index(agreed) + 1]


class Probe:
    """What one upstream speaks: asked once however many want to know, and kept once it is known.

    A failure is told to all who were waiting for that answer, and not kept: whoever comes later asks anew. Were it told
    to the one who asked alone, a hundred calls to a hung server would wait for a hundred time-outs in a row.
    """

    def __init__(self, ask: Callable[[], Awaitable[UpstreamSupport]]) -> None:
        self._ask = ask
        self._answer: UpstreamSupport | UpstreamError = UpstreamUnreachable("it was never asked", may_have_run=False)
        self._answers = 0
        self._asking = asyncio.Lock()

    async def support(self, *, refresh: bool = False) -> UpstreamSupport:
        """As `ports.Upstream.support`."""
        answer = self._answer
        if refresh or isinstance(answer, UpstreamError):
            answers = self._answers
            async with self._asking:
                if self._answers == answers:
                    self._answer = await self._asked()
                    self._answers += 1
                answer = self._answer
        if isinstance(answer, UpstreamError):
            raise answer.with_traceback(None)
        return answer

    async def _asked(self) -> UpstreamSupport | UpstreamError:
        try:
            return await self._ask()
        except UpstreamError as error:
            return error
