"""Spans around what agents ask and what is asked of upstreams, composed around the parts only where tracing is on.

    the agent's CLIENT span → our SERVER span (`TracedDispatch`) → our CLIENT span (`TracedUpstream`) → the upstream's

The parent is read from `params._meta` of the agent's request, and the context of our CLIENT span is written into what
is forwarded. What HTTP says of traces is linked, not followed: one HTTP request is not one MCP request. Owns when spans
begin and end, and what is noted on them; what they are made of is behind `ports.Spans`, and names are
`core/tracing.py`'s. Without tracing none of this is there, and `_meta` passes untouched.

Nothing that a span does can harm a call: the adapter does not raise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

import anyio

from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal
from gateway.core.tracing import (
    Attributes,
    TraceContext,
    carried,
    context_of,
    decision_attributes,
    error_of,
    held_of,
    request_attributes,
    span_name,
)
from gateway.core.value import value
from gateway.core.wire import Inbound
from gateway.errors import UpstreamTimeout
from gateway.ports import (
    Caller,
    Channel,
    Mount,
    Outbound,
    Relay,
    Span,
    Spans,
    Upstream,
    UpstreamSession,
    UpstreamSupport,
)
from gateway.services.conversation import Conversation
from gateway.services.dispatch import Dispatch, Reply
from gateway.services.judged import Judged, Outcome
from gateway.services.traces import TRACE_ID

__all__ = ["ARRIVAL", "NOWHERE", "Arrival", "DecisionSpans", "TracedDispatch", "TracedUpstream"]

UNTRACED: Final = frozenset({"ping", "subscriptions/listen"})
"""Says nothing, or stays open for hours."""


@value
class Arrival:
    """How a request came, as far as its transport says: the trace of HTTP, the session, the address that was served."""

    link: TraceContext | None = None
    attributes: Attributes


NOWHERE = Arrival(attributes={})

ARRIVAL: ContextVar[Arrival] = ContextVar("arrival", default=NOWHERE)
"""Of the request that this task answers; the face sets it."""


class _Served:
    """The request of an agent that is being answered."""

    __slots__ = ("decided", "method", "span")

    def __init__(self, method: str, span: Span) -> None:
        self.method = method
        self.span = span
        self.decided = False

    def answered(self, message: JsonObject) -> None:
        """Note how it was answered. A call that was not decided just now was not forwarded: the answer is our own."""
        ours = self.method == "tools/call" and not self.decided
        self.span.note({**held_of(message), **error_of(message)} if ours else error_of(message))


_SERVED: ContextVar[_Served | None] = ContextVar("served", default=None)


class TracedDispatch(Dispatch):
    """The dispatch with a SERVER span around each request of an agent."""

    def __init__(self, *, spans: Spans, arguments: bool, **parts: Any) -> None:
        """`parts` are those of `Dispatch`. With `arguments` those of tool calls are told, redacted."""
        super().__init__(**parts)
        self._spans = spans
        self._arguments = arguments

    async def initialize(
        self, principal: Principal, mount: Mount, inbound: Inbound, channel: Channel
    ) -> Conversation | Reply:
        """As `Dispatch.initialize`."""
        asked = inbound.params.get("protocolVersion")
        with self._serving(principal, inbound, asked if isinstance(asked, str) else "") as served:
            opened = await super().initialize(principal, mount, inbound, channel)
            if isinstance(opened, Reply):
                served.answered(opened.message)
            else:
                served.span.note({"mcp.protocol.version": opened.version})
            return opened

    async def handle(self, conversation: Conversation, inbound: Inbound, caller: Caller) -> Reply:
        """As `Dispatch.handle`."""
        if inbound.method in UNTRACED:
            return await super().handle(conversation, inbound, caller)
        with self._serving(conversation.principal, inbound, conversation.version) as served:
            reply = await super().handle(conversation, inbound, caller)
            served.answered(reply.message)
            return reply

    async def handle_modern(self, principal: Principal, mount: Mount, inbound: Inbound, caller: Caller) -> Reply:
        """As `Dispatch.handle_modern`."""
        if inbound.method in UNTRACED:
            return await super().handle_modern(principal, mount, inbound, caller)
        with self._serving(principal, inbound, inbound.version) as served:
            reply = await super().handle_modern(principal, mount, inbound, caller)
            served.answered(reply.message)
            return reply

    @contextmanager
    def _serving(self, principal: Principal, inbound: Inbound, version: str) -> Iterator[_Served]:
        arrival = ARRIVAL.get()
        method, params = inbound.method, inbound.params
        attributes = {
            **request_attributes(method, params, version=version, arguments=self._arguments),
            **arrival.attributes,
            "jsonrpc.request.id": str(inbound.id),
            "intended.tenant": principal.tenant,
            "intended.agent": principal.agent,
        }
        span = self._spans.server(span_name(method, params), attributes, parent=context_of(params), link=arrival.link)
        context = span.context
        served = _Served(method, span)
        with _within(served, "" if context is None else context.trace_id), _ending(span):
            yield served


class DecisionSpans:
    """`observing.Observer`: notes the decision on the span of the request that it was made for.

    What an upstream asks of the agent in mid-call is decided too, but is not what the span is of.
    """

    def decided(self, judged: Judged, *, evaluated_s: float, recorded_s: float) -> None:
        """Note it. Of several decisions on one call (before and after a human's yes) the last stands."""
        served = _SERVED.get()
        if served is None or served.method != judged.call.method:
            return
        served.decided = True
        decision = judged.decision
        attributes = decision_attributes(
            effect=decision.effect.value,
            decision_id=judged.intent_id,
            reason=decision.reason,
            rule=decision.rule,
            tier=judged.facts.tier.name,
            approval_id=_approval(judged),
        )
        served.span.note({**attributes, "intended.risk": judged.intent.risk, "intended.upstream": judged.call.upstream})

    def ended(self, judged: Judged, outcome: Outcome, *, upstream_s: float | None) -> None:
        """Nothing to note: the upstream has a span of its own."""


def _approval(judged: Judged) -> str:
    """Return the approval that the call waits for, or goes on with."""
    return judged.approval_id or judged.continues or ("" if judged.use is None else judged.use.approval_id)


class TracedUpstream:
    """`ports.Upstream` with a CLIENT span around each request; `attributes` are those of the place it is at."""

    def __init__(self, inner: Upstream, spans: Spans, attributes: Attributes) -> None:
        self._inner = inner
        self._spans = spans
        self._attributes = {"intended.upstream": inner.id, **attributes}

    @property
    def id(self) -> str:
        """Its name in the configuration."""
        return self._inner.id

    async def support(self, *, refresh: bool = False, handshake: bool = True) -> UpstreamSupport:
        """As `ports.Upstream.support`: asked once for everybody, so that it is in nobody's trace."""
        return await self._inner.support(refresh=refresh, handshake=handshake)

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """As `ports.Upstream.request`."""
        with self.asking(outbound.method, outbound.params, outbound.version) as (span, params):
            answer = await self._inner.request(replace(outbound, params=params), relay)
            span.note(error_of(answer))
            return answer

    async def connect(self, *, version: str, params: JsonObject, relay: Relay) -> UpstreamSession:
        """As `ports.Upstream.connect`."""
        # What listens for the session outlives the request that opened it, and belongs to no request.
        with self.asking("initialize", params, version) as (_, traced), _within(None, ""):
            session = await self._inner.connect(version=version, params=traced, relay=relay)
        return _TracedSession(session, self)

    async def aclose(self) -> None:
        """As `ports.Upstream.aclose`."""
        await self._inner.aclose()

    @contextmanager
    def asking(self, method: str, params: JsonObject, version: str) -> Iterator[tuple[Span, JsonObject]]:
        """Open a span for one request; yield it with the params that carry its context.

        Arguments are told on the SERVER span alone: here they are the same.
        """
        served = _SERVED.get()
        attributes = {**request_attributes(method, params, version=version, arguments=False), **self._attributes}
        span = self._spans.client(span_name(method, params), attributes, parent=None if served is None else served.span)
        context = span.context
        with _ending(span):
            yield span, params if context is None else carried(params, context)


class _TracedSession:
    """`ports.UpstreamSession` of a traced upstream."""

    def __init__(self, inner: UpstreamSession, upstream: TracedUpstream) -> None:
        self._inner = inner
        self._upstream = upstream

    @property
    def initialized(self) -> JsonObject:
        """As `ports.UpstreamSession.initialized`."""
        return self._inner.initialized

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """As `ports.UpstreamSession.request`."""
        with self._upstream.asking(outbound.method, outbound.params, outbound.version) as (span, params):
            answer = await self._inner.request(replace(outbound, params=params), relay)
            span.note(error_of(answer))
            return answer

    async def notify(self, method: str, params: JsonObject) -> None:
        """As `ports.UpstreamSession.notify`: it has no answer to time, and carries what the agent put into it."""
        await self._inner.notify(method, params)

    async def aclose(self) -> None:
        """As `ports.UpstreamSession.aclose`."""
        await self._inner.aclose()


@contextmanager
def _within(served: _Served | None, trace_id: str) -> Iterator[None]:
    """Let what runs here, and what it starts, belong to a request, or to none."""
    before, before_id = _SERVED.set(served), TRACE_ID.set(trace_id)
    try:
        yield
    finally:
        TRACE_ID.reset(before_id)
        _SERVED.reset(before)


@contextmanager
def _ending(span: Span) -> Iterator[None]:
    """End the span with what is done; what is raised is told by its kind alone."""
    try:
        yield
    except BaseException as error:
        span.note({"error.type": _kind(error)})
        raise
    finally:
        span.end()


def _kind(error: BaseException) -> str:
    if isinstance(error, anyio.get_cancelled_exc_class()):
        return "cancelled"
    return "timeout" if isinstance(error, UpstreamTimeout) else type(error).__name__
