"""A bounded pool of connections to one upstream.

Owns how many there are, who waits for one, and how a new one is opened. A connection that was closed by the other
side while idle is never handed out, so that the commonest failure of kept connections costs nothing; a request is
never sent a second time.

asyncio and not anyio: see `connection.py`.
"""

import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from math import inf
from typing import Final

from gateway.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.connection import Connection, Outbox

__all__ = ["Address", "Pool"]

IDLE_S: Final = 4.0
"""A connection idle for longer is not used again. Common servers close after 5 s (uvicorn, Node), and a request that
crosses with their closing is lost in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to connect. `tls` is None for plain HTTP; it verifies, and `host` is the name that is verified."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Pool:
    """At most `size` connections, the most recently used first. `outbox` may be shared with other pools."""

    def __init__(
        self, label: str, address: Address, *, size: int, connect_timeout_s: float, outbox: Outbox | None = None
    ) -> None:
        self._label = label
        self._address = address
        self._size = size
        self._connect_timeout_s = connect_timeout_s
        self._outbox = outbox or Outbox()
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def open(self) -> int:
        """How many connections there are, those in use and those being opened included."""
        return len(self._all) + self._opening

    async def acquire(self, deadline: float) -> Connection:
        """Return an idle or new connection. Raises UpstreamError with `may_have_run=False`."""
        waited = False
        while True:
            if self._closed:
                raise self._unreachable("is closed")
            if waited or not self._waiters:
                connection = self._take_idle()
                if connection is not None:
                    return connection
                if self.open < self._size:
                    return await self._connect(deadline)
            await self._wait_for_place(deadline, first=waited)
            waited = True

    def close(self) -> None:
        """Close every connection; whoever waits is told."""
        self._closed = True
        for connection in tuple(self._all):
            connection.abort()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_s <= IDLE_S and connection.fresh:
                return connection
            connection.abort()
        return None

    def _keep(self, connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        self._idle.append(connection)
        self._wake_one()

    def _made(self, connection: Connection) -> None:
        self._all.add(connection)

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _wait_for_place(self, deadline: float, *, first: bool) -> None:
        """Queue up; `first` for one who was woken for a place that somebody else had taken by then."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if first:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        try:
            async with asyncio.timeout_at(None if deadline == inf else deadline):
                await waiter
        except TimeoutError as error:
            text = f"{self._label}: all {self._size} connections were in use until the deadline; it was not asked"
            raise UpstreamTimeout(text, may_have_run=False) from error
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake_one()  # the place was given to one who is gone: hand it on
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    async def _connect(self, deadline: float) -> Connection:
        loop = asyncio.get_running_loop()
        limit = loop.time() + self._connect_timeout_s
        connection = Connection(self._label, self._made, self._keep, self._lost, self._outbox)
        self._opening += 1
        try:
            async with asyncio.timeout_at(min(limit, deadline)):
                await self._open(loop, connection)
            if self._closed or not connection.fresh:
                raise self._unreachable("closed the connection at once")
        except BaseException as error:
            connection.abort()
            if isinstance(error, TimeoutError) and deadline < limit:
                text = f"{self._label}: no connection within the time allowed; it was not asked"
                raise UpstreamTimeout(text, may_have_run=False) from error
            if isinstance(error, (OSError, UnicodeError)):  # TimeoutError and SSLError are among these
                raise self._unreachable(self._reason(error), _tls_detail(error)) from error
            raise
        finally:
            self._opening -= 1
            self._wake_one()
        return connection

    async def _open(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        address = self._address
        await loop.create_connection(
            lambda: connection,
            address.host,
            address.port,
            ssl=address.tls,
            server_hostname=address.host if address.tls is not None else None,
        )

    def _reason(self, error: OSError | UnicodeError) -> str:
        """Say in a few words why there is no connection, without the library's own dressing."""
        if isinstance(error, TimeoutError):
            return f"gave no connection within {self._connect_timeout_s:g} s"
        if isinstance(error, ssl.SSLError):
            return "gave no trusted TLS connection"
        if isinstance(error, (socket.gaierror, UnicodeError)):
            return "cannot be connected to: its name does not resolve"
        if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
            return "cannot be connected to: connection refused (is it running?)"
        return f"cannot be connected to: {error.strerror or type(error).__name__}"

    def _unreachable(self, what: str, detail: str = "") -> UpstreamError:
        error = UpstreamUnreachable(f"{self._label} {what}", may_have_run=False)
        error.add_note(f"its address is {self._address.host}:{self._address.port}")
        if detail:
            error.add_note(detail)
        return error


def _tls_detail(error: OSError | UnicodeError) -> str:
    """Say why there is no trust; such a text names hosts."""
    if not isinstance(error, ssl.SSLError):
        return ""
    return getattr(error, "verify_message", "") or error.reason or "the handshake failed"
