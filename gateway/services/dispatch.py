"""The method table at work: one message of an agent, in either era, to its treatment.

Owns which use case answers which method. Reads no bytes and writes none (that is `downstream`); decides nothing
(that is `enforcement`).
"""

from dataclasses import dataclass

from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.wire import Inbound, Rejection
from gateway.ports import Caller, Channel, Mount

__all__ = ["Conversation", "Dispatch", "Reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one request: `{"result": …}` or `{"error": …}`, without envelope.

    `status` is the HTTP status where the answer is not streamed.
    """

    message: JsonObject
    status: int = 200


class Conversation:
    """One agent's handshake session as the upstreams see it: their sessions, its version and capabilities."""

    initialized: JsonObject
    """The `initialize` result for the agent."""
    version: str
    """The protocol version agreed with the agent; its `MCP-Protocol-Version` header must name it."""

    async def aclose(self) -> None:
        """End every upstream session, bounded in time; never raises."""


class Dispatch:
    """What the MCP front calls. No method raises for anything that an agent or upstream can cause."""

    async def initialize(
        self, principal: Principal, mount: Mount, inbound: Inbound, channel: Channel
    ) -> Conversation | Reply:
        """Open a handshake conversation; a Reply is the refusal. `channel` outlives the request (GET stream)."""
        raise NotImplementedError

    async def handle(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Reply:
        """Answer one request of a handshake conversation. Cancelling this is the agent's cancellation."""
        raise NotImplementedError

    async def notice(self, conversation: Conversation, inbound: Inbound) -> None:
        """Take one notification of a handshake conversation (`notifications/cancelled` is the face's business)."""
        raise NotImplementedError

    async def handle_modern(self, principal: Principal, mount: Mount, inbound: Inbound, caller: Caller) -> Reply:
        """Answer one stateless request, `subscriptions/listen` included (returns when the stream ends)."""
        raise NotImplementedError

    async def refused(self, principal: Principal | None, source: str, rejection: Rejection) -> None:
        """Record that a message was refused before any treatment; `source` is the peer's address."""
        raise NotImplementedError
