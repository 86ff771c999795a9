"""One side of the table: an agent in one era, with its lines to the upstreams of its mount.

Owns the seam between the eras: everything above works on `Party` and `Line` and need not know which era it serves.
`services/conversation.py` is the handshake party, `services/modern.py` the stateless one.
"""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.core.call import Era
from gateway.core.codes import INTERNAL_ERROR
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.value import value
from gateway.ports import Mount, Relay

__all__ = ["META", "Interests", "Line", "Party", "Reply", "for_one_principal", "internal_error", "reply_error"]

META = "_meta"

TTL_MS = 5000
"""Longest time that a filtered answer may be kept: it depends on the principal, its tier, the policy in force, and on
which upstreams are there."""


@value
class Reply:
    """The answer to one request: `{"result": …}` or `{"error": …}`, without envelope.

    `status` is the HTTP status where the answer is not streamed.
    """

    message: JsonObject
    status: int = 200


@dataclass(slots=True)
class Interests:
    """What an agent has asked to hear of from one upstream, beyond answers.

    `resources` holds subscribed URIs in normal form. `questions` holds the progress tokens of what the upstream is
    asking the agent now. `logs` is False where the request did not name a level (modern era): its log messages are
    then dropped.
    """

    resources: set[str] = field(default_factory=set)
    elicitations: dict[str, None] = field(default_factory=dict)
    questions: set[str | int] = field(default_factory=set)
    logs: bool = True
    list_changes: bool = True


class Line(Protocol):
    """A way to one upstream for one agent: a session of the handshake era, or a stateless hop."""

    @property
    def upstream(self) -> str:
        """The upstream's id."""
        ...

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
        """Send one request, once; return `{"result": …}` or `{"error": …}`. Raises UpstreamError.

        `authority` is the token that goes with it, in `_meta` and as a header. `timeout_s` overrides the upstream's
        own bound.
        """
        ...

    def own(self, params: JsonObject) -> JsonObject:
        """Return params of the gateway's own making with what the era demands in them."""
        ...


class Party(Protocol):
    """The agent at hand."""

    @property
    def principal(self) -> Principal:
        """Who it is."""
        ...

    @property
    def era(self) -> Era:
        """The era it speaks."""
        ...

    @property
    def mount(self) -> Mount:
        """What its path serves."""
        ...

    @property
    def capabilities(self) -> JsonObject:
        """What it declared, as far as this gateway knows it."""
        ...

    async def line(self, upstream: str) -> Line:
        """Return the line to one upstream of the mount. Raises UpstreamError where there is none."""
        ...

    def interests(self, upstream: str) -> Interests:
        """Return what it has asked to hear of from one upstream of the mount; changing it changes what is passed."""
        ...


def reply_error(code: int, message: str, *, data: JsonObject | None = None) -> Reply:
    """Return a JSON-RPC error as a Reply."""
    error: JsonObject = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return Reply(message={"error": error})


def for_one_principal(result: JsonObject) -> JsonObject:
    """Return a modern result marked as this principal's own and short-lived (protocol research, 1.2)."""
    ttl = result.get("ttlMs")
    # `type` and not `isinstance`: true is an int in Python.
    short = min(ttl, TTL_MS) if type(ttl) is int and ttl >= 0 else TTL_MS
    return {**result, "ttlMs": short, "cacheScope": "private"}


def internal_error(message: str) -> Reply:
    """Return the answer where an upstream or the gateway failed outside a gated call."""
    return reply_error(INTERNAL_ERROR, message)
