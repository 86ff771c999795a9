"""A blocking HTTP transport whose whole request has one deadline, however slowly its bytes come.

httpx bounds each read. A server that sends one byte of its headers every few seconds would hold a caller for days, so
that the streams below httpx look at the request's own deadline before they wait. (The awaiting client is cancelled.)
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

__all__ = ["DeadlineTransport"]

_SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]


class _Deadline(threading.local):
    """The deadline of the request that this thread is waiting for."""

    at: float | None = None


class _Clock:
    """What is left of the current request's time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._deadline = _Deadline()

    @contextmanager
    def until(self, at: float | None) -> Iterator[None]:
        before, self._deadline.at = self._deadline.at, at
        try:
            yield
        finally:
            self._deadline.at = before

    def bounded(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
        """Return how long this wait may take. Raises `late` where nothing is left."""
        if self._deadline.at is None:
            return timeout
        left = self._deadline.at - self._now()
        if left <= 0:
            raise late("the request's time is over")
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection that waits no longer than its request may."""

    def __init__(self, inner: httpcore.NetworkStream, clock: _Clock) -> None:
        self._inner = inner
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes."""
        return self._inner.read(max_bytes, self._clock.bounded(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes."""
        self._inner.write(buffer, self._clock.bounded(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Speak TLS from here on."""
        bounded = self._clock.bounded(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, bounded), self._clock)

    def get_extra_info(self, info: str) -> Any:
        """Tell what the inner stream knows."""
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Makes connections that know their request's deadline."""

    def __init__(self, inner: httpcore.NetworkBackend, clock: _Clock) -> None:
        self._inner = inner
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Connect."""
        bounded = self._clock.bounded(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, bounded, local_address, socket_options), self._clock)

    def sleep(self, seconds: float) -> None:
        """Never used: connections are not retried here."""
        self._inner.sleep(seconds)


class _Body(httpx.SyncByteStream):
    """The answer's body, read under the same deadline."""

    def __init__(self, response: httpcore.Response, clock: _Clock, at: float | None) -> None:
        self._response = response
        self._clock = clock
        self._at = at

    def __iter__(self) -> Iterator[bytes]:
        chunks = iter(self._response.iter_stream())
        while True:
            with self._clock.until(self._at), _translated():
                chunk = next(chunks, None)
            if chunk is None:
                return
            yield chunk

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()


class DeadlineTransport(httpx.BaseTransport):
    """httpx over httpcore's pool. `request.extensions["deadline"]` is when the request's time ends, by `now`."""

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | None,
        limits: httpx.Limits,
        now: Callable[[], float] = time.monotonic,
        backend: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._clock = _Clock(now)
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(backend or httpcore.SyncBackend(), self._clock),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        at: float | None = request.extensions.get("deadline")
        extensions = {name: value for name, value in request.extensions.items() if name != "deadline"}
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with self._clock.until(at), _translated():
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.read(),
                    extensions=extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, self._clock, at),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn httpcore's errors into httpx's, so that callers know one family."""
    try:
        yield
    except httpcore.ConnectTimeout as error:
        raise httpx.ConnectTimeout(str(error)) from error
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error)) from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
        raise httpx.TransportError(f"{type(error).__name__}: {error}") from error
