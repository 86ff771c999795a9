"""What upstreams say towards the agent while they are asked: filtered, gated, then passed on.

Owns the rows "upstream→" of the method table (research/protocol.md 1.2). A request of an upstream (sampling,
elicitation, roots) is a call of its own through the one decision point; a refusal is told to the upstream in the form
that its method has.
"""

from collections.abc import Awaitable, Callable

from gateway.core.answers import CAPABILITY_OF, without_lists
from gateway.core.audit.canonical import digest
from gateway.core.call import Call
from gateway.core.codes import GATEWAY_REFUSED, INVALID_PARAMS, METHOD_NOT_FOUND
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Kind, Rejection
from gateway.core.methods import Direction, Treatment, normalise_uri, subject, treatment
from gateway.core.refusal import DECISION_META
from gateway.errors import CanonicalError
from gateway.ports import Channel
from gateway.services.catalog import Catalog
from gateway.services.enforcement import Enforcement, OutcomeKind
from gateway.services.owners import Owners
from gateway.services.party import META, Interests, Party

__all__ = ["AgentRelay", "declared", "forget_lists", "requested_call"]

TOOLS_CHANGED = "notifications/tools/list_changed"
LIST_CHANGED = frozenset(
    {TOOLS_CHANGED, "notifications/prompts/list_changed", "notifications/resources/list_changed"},
)

ELICITATIONS_KEPT = 1000
"""Elicitation ids remembered per conversation, oldest dropped."""

UPSTREAM = Direction.FROM_UPSTREAM


class AgentRelay:
    """Implements `ports.Relay` for one agent and one upstream; `channel` is where its messages go."""

    __slots__ = ("_catalog", "_channel", "_enforcement", "_known_interests", "_owners", "_party", "_upstream")

    def __init__(
        self,
        party: Party,
        upstream: str,
        channel: Channel,
        *,
        catalog: Catalog,
        owners: Owners,
        enforcement: Enforcement,
    ) -> None:
        self._party = party
        self._upstream = upstream
        self._channel = channel
        self._known_interests: Interests | None = None
        self._catalog = catalog
        self._owners = owners
        self._enforcement = enforcement

    @property
    def _interests(self) -> Interests:
        """What the agent wants to hear; looked up when there is something to tell, which is rare."""
        if self._known_interests is None:
            self._known_interests = self._party.interests(self._upstream)
        return self._known_interests

    async def notification(self, method: str, params: JsonObject) -> None:
        """Pass what the agent may hear, drop the rest."""
        forget_lists(method, self._upstream, self._catalog, self._owners)
        passes = treatment(method, self._party.era, UPSTREAM, Kind.NOTIFICATION) is Treatment.PASS
        if passes and self._wanted(method, params):
            await self._channel.notify(method, without_lists(params) if method in LIST_CHANGED else params)

    async def paused(self) -> None:
        """Pause the agent's stream as the upstream paused its own."""
        await self._channel.pause()

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Answer an upstream's request: `ping` here, the three of `CAPABILITY_OF` by the agent if allowed."""
        treated = treatment(method, self._party.era, UPSTREAM, Kind.REQUEST)
        if treated is Treatment.LOCAL:
            return {"result": {}}
        if treated is not Treatment.GATE:
            return _error(METHOD_NOT_FOUND, "Method not found")
        if CAPABILITY_OF[method] not in self._party.capabilities:
            return _error(METHOD_NOT_FOUND, f"The client did not declare the capability for {method}")
        if not declared(method, params, self._party.capabilities):
            return _error(INVALID_PARAMS, "The client did not declare this mode of elicitation")
        call = requested_call(self._upstream, method, params)
        if call is None:
            return _error(INVALID_PARAMS, "Invalid params")
        return await self._gated(call, lambda: self._ask(method, params))

    async def _ask(self, method: str, params: JsonObject) -> JsonObject:
        """Ask the agent; while it answers, its progress on this question may pass."""
        self._expect_elicitation(params)
        token = _progress_token(params)
        if token is None:
            return await self._channel.ask(method, params)
        self._interests.questions.add(token)
        try:
            return await self._channel.ask(method, params)
        finally:
            self._interests.questions.discard(token)

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
        """The conditions of the PASS rows; whatever is not named here is dropped."""
        if method == "notifications/progress":
            return True  # the adapter has found the request that it belongs to
        if method == "notifications/message":
            return self._interests.logs
        if method in LIST_CHANGED:
            return self._interests.list_changes
        if method == "notifications/resources/updated":
            uri = params.get("uri")
            return isinstance(uri, str) and normalise_uri(uri) in self._interests.resources
        if method == "notifications/elicitation/complete":
            elicitation = params.get("elicitationId")
            return isinstance(elicitation, str) and elicitation in self._interests.elicitations
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

    def connected(self) -> bool:
        return True


def forget_lists(method: str, upstream: str, catalog: Catalog, owners: Owners) -> None:
    """Drop what was kept of an upstream's lists where `method` says that they have changed."""
    if method == TOOLS_CHANGED:
        catalog.forget_listing(upstream)
    elif method in LIST_CHANGED:
        owners.forget(upstream)


def declared(method: str, params: JsonObject, capabilities: JsonObject) -> bool:
    """Return whether the agent declared the very mode of an elicitation: no mode declared means forms (2025-11-25)."""
    if method != "elicitation/create":
        return True
    mode = params.get("mode", "form")
    modes = capabilities.get("elicitation")
    if not isinstance(modes, dict) or not modes:
        return bool(mode == "form")
    return isinstance(mode, str) and mode in modes


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


def _progress_token(params: JsonObject) -> str | int | None:
    """Return the token under which the agent may report progress; the adapter has made it unique over upstreams."""
    meta = params.get(META)
    token = meta.get("progressToken") if isinstance(meta, dict) else None
    return token if isinstance(token, str | int) else None


def _error(code: int, message: str) -> JsonObject:
    return {"error": {"code": code, "message": message}}
