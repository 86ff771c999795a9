"""The relay for what the gateway asks on its own behalf: lists for pins and owners, probes.

The one implementation that lies beside its port: services and adapters both ask for themselves, and nobody is there to
be notified or asked in either case. What is said to an agent is `services/relaying.py`.
"""

from gateway.core.codes import METHOD_NOT_FOUND
from gateway.core.jsonvalue import JsonObject

__all__ = ["SilentRelay"]


class SilentRelay:
    """Implements `Relay` for nobody."""

    async def notification(self, method: str, params: JsonObject) -> None:
        """Drop it."""

    async def paused(self) -> None:
        """Do nothing."""

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Answer that nobody is there, but for `ping`."""
        if method == "ping":
            return {"result": {}}
        return {"error": {"code": METHOD_NOT_FOUND, "message": "Method not found"}}
