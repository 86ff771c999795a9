"""What upstreams say towards the agent while they are asked: filtered, gated, then passed on.

Owns the rows "upstream→" of the method table (research/protocol.md 1.2). A request of an upstream (sampling,
elicitation, roots) is a call of its own through the one decision point; a refusal is told to the upstream in the form
that its method has.
"""

from collections.abc import Awaitable, Callable

from gateway.core.audit.canonical import digest
from gateway.core.call import Call, Era
from gateway.core.codes import GATEWAY_REFUSED, INVALID_PARAMS, METHOD_NOT_FOUND
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Rejection
from gateway.core.methods import subject
from gateway.core.refusal import DECISION_META
from gateway.errors import CanonicalError
from gateway.ports import Channel
from gateway.services.catalog import Catalog
from gateway.services.enforcement import Enforcement, OutcomeKind
from gateway.services.party import Party

__all__ = ["CAPABILITY_OF", "AgentRelay", "SilentRelay", "requested_call"]

CAPABILITY_OF = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""The three requests that an upstream may make, and what an agent must have declared to get them."""

LIST_CHANGED = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
    }
)

ELICITATIONS_KEPT = 1000
"""Elicitation ids remembered per conversation, oldest dropped."""


class AgentRelay:
    """Implements `ports.Relay` for one agent and one upstream; `channel` is where its messages go."""

    __slots__ = ("_catalog", "_channel", "_enforcement", "_interests", "_party", "_upstream")

    def __init__(
        self,
        party: Party,
        upstream: str,
        channel: Channel,
        *,
        catalog: Catalog,
        enforcement: Enforcement,
    ) -> None:
        self._party = party
        self._upstream = upstream
        self._channel = channel
        self._interests = party.interests(upstream)
        self._catalog = catalog
        self._enforcement = enforcement

    async def notification(self, method: str, params: JsonObject) -> None:
        """Pass what the agent may hear, drop the rest."""
        if method == "notifications/tools/list_changed":
            self._catalog.forget_listing(self._upstream)
        if self._wanted(method, params):
            await self._channel.notify(method, params)

    async def paused(self) -> None:
        """Pause the agent's stream as the upstream paused its own."""
        await self._channel.pause()

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Answer an upstream's request: `ping` here, the three of `CAPABILITY_OF` by the agent if allowed."""
        if method == "ping":
            return {"result": {}}
        if method not in CAPABILITY_OF or self._party.era is Era.MODERN:
            return _error(METHOD_NOT_FOUND, "Method not found")
        if CAPABILITY_OF[method] not in self._party.capabilities:
            return _error(METHOD_NOT_FOUND, f"The client did not declare the capability for {method}")
        call = requested_call(self._upstream, method, params)
        if call is None:
            return _error(INVALID_PARAMS, "Invalid params")

        async def ask() -> JsonObject:
            self._expect_elicitation(params)
            return await self._channel.ask(method, params)

        return await self._gated(call, ask)

    async def _gated(self, call: Call, ask: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
        outcome = await self._enforcement.call(self._party.principal, call, ask, _Listening())
        if outcome.kind is OutcomeKind.ANSWERED:
            return outcome.message
        if call.method == "elicitation/create":
            return {"result": {"action": "decline"}}
        record = {"outcome": outcome.kind.value, "id": outcome.intent_id, "reason": outcome.reason}
        return {
            "error": {
                "code": GATEWAY_REFUSED,
                "message": f"Refused: {outcome.explanation}",
                "data": {DECISION_META: record},
            }
        }

    def _wanted(self, method: str, params: JsonObject) -> bool:
        """The pass rows for notifications; whatever is not named here is dropped."""
        if method == "notifications/progress":
            return True
        if method == "notifications/message":
            return self._interests.logs
        if method in LIST_CHANGED:
            return self._interests.list_changes
        if method == "notifications/resources/updated":
            return params.get("uri") in self._interests.resources
        if method == "notifications/elicitation/complete":
            return params.get("elicitationId") in self._interests.elicitations
        return False

    def _expect_elicitation(self, params: JsonObject) -> None:
        """Remember a URL elicitation that is being relayed, so that its completion may be told."""
        elicitation = params.get("elicitationId")
        if isinstance(elicitation, str):
            known = self._interests.elicitations
            known[elicitation] = None
            if len(known) > ELICITATIONS_KEPT:
                del known[next(iter(known))]


class _Listening:
    """Presence towards an upstream: its own connection tells it when nobody listens."""

    def gone(self) -> bool:
        return False


def requested_call(upstream: str, method: str, params: JsonObject) -> Call | None:
    """Return what an upstream asks of the agent as a call, or None where its params do not fit the method.

    A URL elicitation is judged by the URL that it would open.
    """
    asked = subject(method, params)
    if isinstance(asked, Rejection):
        return None
    try:
        arguments_digest = digest(asked.arguments)
    except CanonicalError:
        return None
    return Call(
        method=method,
        upstream=upstream,
        name=asked.name,
        uri=asked.uri,
        arguments=asked.arguments,
        arguments_digest=arguments_digest,
    )


def _error(code: int, message: str) -> JsonObject:
    return {"error": {"code": code, "message": message}}


class SilentRelay:
    """A relay for what the gateway asks on its own: nobody is there to be notified or asked."""

    async def notification(self, method: str, params: JsonObject) -> None:
        """Drop it."""

    async def paused(self) -> None:
        """Do nothing."""

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Answer that nobody is there, but for `ping`."""
        return {"result": {}} if method == "ping" else _error(METHOD_NOT_FOUND, "Method not found")
