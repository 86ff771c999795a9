"""Event streams of a handshake session that can break and be taken up again (2025-11-25, resumability).

Owns the place to resume from and the pace of attempts. Resuming asks for what was missed (GET with `Last-Event-ID`); it
is no second request and never sends one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.upstream.connection import Connection
from gateway.upstream.exchange import Exchange
from gateway.upstream.messages import Shape, read_message, shape_of
from gateway.upstream.reading import Take, read_stream
from gateway.upstream.sse import SseParser

__all__ = ["follow", "listen"]

FIRST_DELAY_S: Final = 1.0
LEAST_DELAY_S: Final = 0.1
LONGEST_DELAY_S: Final = 30.0
"""Between two attempts at a stream, where the upstream names no time of its own."""
MAX_FRUITLESS: Final = 10
"""Attempts to resume a request's stream that bring nothing new, one after the other."""

HeadersFrom = Callable[[str], bytes]
"""The session's headers with this `Last-Event-ID`; empty for none."""


class _Place:
    """Where a stream was left, and how long to wait before it is opened again."""

    def __init__(self) -> None:
        self.last_id = ""
        self.fruitless = 0
        self._retry_ms: int | None = None

    def note(self, sse: SseParser | None) -> None:
        """Take what an ended stream said; None for an attempt that brought no stream."""
        self.fruitless += 1
        if sse is None:
            return
        if sse.last_id and sse.last_id != self.last_id:
            self.last_id, self.fruitless = sse.last_id, 1
        if sse.retry_ms is not None:
            self._retry_ms = sse.retry_ms

    def delay_s(self) -> float:
        """Return the upstream's own time, and longer ones the longer nothing new came."""
        first = FIRST_DELAY_S if self._retry_ms is None else self._retry_ms / 1000
        if self.fruitless <= 1:
            return first
        grown = max(first, LEAST_DELAY_S) * float(2 ** min(self.fruitless - 1, 10))
        return max(first, min(grown, LONGEST_DELAY_S))


# --- the stream of one request ----------------------------------------------------------------------------------------


async def follow(
    exchange: Exchange,
    connection: Connection,
    headers: HeadersFrom,
    request_id: int,
    label: str,
    take: Take,
    paused: Callable[[], Awaitable[None]],
    deadline: float,
) -> JsonObject:
    """Read a request's stream up to the answer, over as many connections as it takes. Raises UpstreamError.

    `paused` is told each time the stream has to be opened again.
    """
    place = _Place()
    current: Connection | None = connection
    while True:
        if current is not None:
            answer = await _read_one(current, request_id, label, take, deadline)
            if answer is not None:
                return answer
        place.note(None if current is None else current.sse)
        if not place.last_id or place.fruitless > MAX_FRUITLESS:
            raise UpstreamBroken(f"{label} ended its stream without an answer", may_have_run=True)
        await paused()
        await _pause(place.delay_s(), label, deadline)
        current = await _resume(exchange, headers(place.last_id), label, deadline)


async def _read_one(
    connection: Connection, request_id: int, label: str, take: Take, deadline: float
) -> JsonObject | None:
    """Return the answer, or None where the stream ended or was cut before it and can be resumed."""
    try:
        answer = await read_stream(connection, request_id, label, take, deadline)
    except BaseException as error:
        connection.abort()
        if isinstance(error, UpstreamBroken) and connection.cut:
            return None
        raise
    if answer is None:
        connection.abort()  # and not kept: its parser holds the place to resume from
    else:
        connection.done()
    return answer


async def _pause(delay_s: float, label: str, deadline: float) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(max(0.0, min(delay_s, deadline - loop.time())))
    if loop.time() >= deadline:
        msg = f"{label} ended its stream and did not go on within the time allowed"
        raise UpstreamTimeout(msg, may_have_run=True)


async def _resume(exchange: Exchange, headers: bytes, label: str, deadline: float) -> Connection | None:
    """Open the stream anew; None where there is no connection now."""
    try:
        connection = await exchange.stream(headers, deadline)
    except UpstreamTimeout as error:
        raise UpstreamTimeout(str(error), may_have_run=True) from error
    except UpstreamError:
        return None
    if connection.sse is None:
        status = connection.head.status
        connection.abort()
        msg = f"{label} ended its stream without an answer and does not resume it (HTTP {status})"
        raise UpstreamBroken(msg, may_have_run=True)
    return connection


# --- the stream of a session ------------------------------------------------------------------------------------------


async def listen(
    exchange: Exchange, headers: HeadersFrom, label: str, take: Take, answered: Callable[[], None]
) -> None:
    """Read the session's own stream until cancelled, or until the upstream says that there is none (405).

    `answered` is called with the first answer or failure, whichever it is.
    """
    place = _Place()
    while True:
        connection = await _open(exchange, headers(place.last_id))
        answered()
        if connection is not None and connection.sse is None and connection.head.status < 500:
            connection.abort()
            return  # no other refusal will change by asking again either
        if connection is not None and connection.sse is not None:
            await _read_session_stream(connection, label, take)
        place.note(None if connection is None else connection.sse)
        await asyncio.sleep(place.delay_s())


async def _open(exchange: Exchange, headers: bytes) -> Connection | None:
    try:
        return await exchange.stream(headers, inf)
    except UpstreamError:
        return None


async def _read_session_stream(connection: Connection, label: str, take: Take) -> None:
    try:
        while (event := await connection.event()) is not None:
            if event.name or not event.data:
                continue
            message = read_message(event.data, label)
            shape = shape_of(message)
            if shape is not Shape.RESPONSE:  # a response has no place here and answers nobody
                await take(shape, message)
            await asyncio.sleep(0)  # one a turn: a flood must not hold up other calls
    except UpstreamError:
        return  # cut or garbage: the stream is opened anew
    finally:
        connection.abort()
