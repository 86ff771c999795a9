"""Runs an ASGI application on a socket until it is told to stop: bind, serve, drain.

Owns uvicorn and its life. Speaks to it in asyncio's terms because uvicorn is asyncio; everything else waits on anyio.
Signals are not caught here: who serves decides what ends it.
"""

import contextlib
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

import anyio
import uvicorn

from gateway.errors import ConfigurationError, Problem

__all__ = ["Serving", "address", "listen"]

BACKLOG = 2048
"""Connections that may wait for their accept; uvicorn's default."""


def listen(host: str, port: int, *, any_port: bool = False) -> socket.socket:
    """Bind `host:port`; where it is taken and `any_port` is set, a free port instead.

    Bound before anything is started, so that a taken port is a sentence and not a half-started gateway.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _unbound(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
    except OSError as error:
        listener.close()
        if any_port and port:
            return listen(host, 0)
        raise _unbound(host, port, error) from error
    listener.setblocking(False)
    return listener


def address(listener: socket.socket, *, tls: bool = False, host: str = "") -> str:
    """Return the URL of a bound socket, without a path. An unspecified address is shown as loopback: that reaches it."""
    bound, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, host or bound)
    return f"{'https' if tls else 'http'}://{f'[{shown}]' if ':' in shown else shown}:{port}"


class Serving:
    """One application on one socket."""

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        *,
        protocol: Any = "httptools",
        lifespan: Literal["on", "off"] = "off",
        drain_s: float = 5.0,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        self._server = _Server(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan=lifespan,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=max(1, round(drain_s)),
                ssl_certfile=certificate,
                ssl_keyfile=key,
            )
        )
        self._listener = listener

    async def run(self) -> None:
        """Serve until `stop`; return once calls in flight have ended or `drain_s` is over."""
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            self._server.ready.set()  # nobody may wait for a server that failed to start
            self._listener.close()

    async def started(self) -> None:
        """Wait until connections are accepted."""
        await self._server.ready.wait()

    def stop(self) -> None:
        """Accept nothing more and let `run` return."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, and with an event for having started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _unbound(host: str, port: int, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        Problem(
            source="settings",
            field="host" if isinstance(error, socket.gaierror) else "port",
            message=f"{host}:{port} cannot be bound: {error.strerror or error}",
            remedy="stop what listens there, or choose another with --port (0 picks a free one) or --host",
        )
    )
