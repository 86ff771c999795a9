"""From an HTTP answer to the JSON-RPC answer of one request, whole or from a stream, with what else the stream brings.

Owns which statuses and media types are an answer, and that there is exactly one. The first response ends the call; a
second one makes it broken where it has already been received. What comes later is never read: the connection is closed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

from gateway.core.jsonvalue import JsonObject
from gateway.errors import SessionLost, UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamTimeout
from gateway.upstream.connection import Connection, Head
from gateway.upstream.messages import Shape, answer_of, read_message, shape_of

__all__ = ["Take", "read_reply", "read_stream", "refusal"]

JSON: Final = "application/json"
_RESPONSE: Final = Shape.RESPONSE
Take = Callable[[Shape, JsonObject], Awaitable[None]]
"""Takes a request or notification of the upstream, in order of arrival."""


async def read_reply(connection: Connection, request_id: int, label: str, *, session: bool) -> JsonObject:
    """Return the answer of an exchange that is no event stream. Raises UpstreamError."""
    head = connection.head
    if head.status == 200 and head.media_type == JSON:
        return _whole_answer(await connection.body(), request_id, label)
    if head.status >= 400 and head.media_type == JSON and not _refuses(head.status, session=session):
        error = _error_answer(await connection.body(), request_id, label)
        if error is not None:
            return error
    raise refusal(head, label, session=session)


async def read_stream(
    connection: Connection, request_id: int, label: str, take: Take, deadline: float
) -> JsonObject | None:
    """Read an event stream up to the answer; None where it ended without. Raises UpstreamError."""
    while (event := await connection.event()) is not None:
        if event.name or not event.data:
            continue
        message = read_message(event.data, label)
        shape = shape_of(message)
        if shape is Shape.RESPONSE:
            answer = answer_of(message, request_id, label)
            await _refuse_second(connection, label)
            return answer
        try:
            async with asyncio.timeout_at(None if deadline == inf else deadline):
                await take(shape, message)
                await asyncio.sleep(0)  # one a turn: what is dropped or taken at once must not hold up other calls
        except TimeoutError as error:
            text = f"{label}: what it sent before its answer could not be delivered within the time allowed"
            raise UpstreamTimeout(text, may_have_run=True) from error
    return None


def refusal(head: Head, label: str, *, session: bool) -> UpstreamError:
    """Return the error for an answer's head that is no answer to the request, in an operator's words."""
    status = head.status
    if 300 <= status < 400:
        text = f"{label} answered with a redirect (HTTP {status}); configure the URL it redirects to"
        return UpstreamBroken(text, may_have_run=True)
    if status == 404 and session:
        return SessionLost(f"{label} no longer knows the session (HTTP 404)", may_have_run=True)
    if status in (401, 403):
        text = f"{label} refused the gateway's own credential (HTTP {status}); check this upstream's `headers`"
        return UpstreamRefused(text, may_have_run=True, status=status)
    if status == 200:
        shown = head.media_type[:64] or "no media type"
        text = f"{label} answered with {shown!r}; application/json or text/event-stream was expected"
        return UpstreamBroken(text, may_have_run=True)
    if status < 300:
        return UpstreamBroken(f"{label} answered HTTP {status} without an answer", may_have_run=True)
    return UpstreamRefused(f"{label} answered HTTP {status}", may_have_run=True, status=status)


def _refuses(status: int, *, session: bool) -> bool:
    """Tell statuses whose body does not matter: about our credential or session, not about the request."""
    return status in (401, 403) or (status == 404 and session)


def _whole_answer(body: bytes, request_id: int, label: str) -> JsonObject:
    if not body:
        raise UpstreamBroken(f"{label} sent an empty answer", may_have_run=True)
    message = read_message(body, label)
    if shape_of(message) is not _RESPONSE:
        msg = f"{label} sent a request or notification where the answer was expected"
        raise UpstreamBroken(msg, may_have_run=True)
    return answer_of(message, request_id, label)


def _error_answer(body: bytes, request_id: int, label: str) -> JsonObject | None:
    """Return the JSON-RPC error that came with an HTTP error status, None where there is none for this request.

    The modern era answers unknown methods with 404 and malformed requests with 400, the error in the body.
    """
    try:
        answer = _whole_answer(body, request_id, label)
    except UpstreamBroken:
        return None
    return answer if "error" in answer else None


async def _refuse_second(connection: Connection, label: str) -> None:
    while connection.events_waiting:
        event = await connection.event()
        if event is None or event.name or not event.data:
            continue
        if shape_of(read_message(event.data, label)) is Shape.RESPONSE:
            raise UpstreamBroken(f"{label} sent two answers to one request", may_have_run=True)
