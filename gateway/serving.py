"""The HTTP servers around a gateway: uvicorn with bounds of our own, TLS where configured, a bounded drain.

One listens on the port, for everybody; one on the unix socket in the data folder, for the operator; and, where that is
set, one on a loopback port for metrics. Owns the sockets and the signals. What is served is `app.py`'s. Waits for
uvicorn's own tasks in asyncio's terms.
"""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import uvicorn

from gateway.admin.address import bind
from gateway.admin.protocol import guarded
from gateway.app import Gateway
from gateway.downstream.limits import protocol_class
from gateway.errors import ConfigurationError, Problem
from gateway.parts import data_folder, public_url
from gateway.settings import Settings

__all__ = ["Serving", "serve", "serving"]

KEEP_ALIVE_S = 75
"""An idle connection of an agent; longer than the minute after which many clients call again."""

GC_ALLOCATIONS = 20_000
"""Net allocations between looks for cyclic garbage: dozens of calls' worth; Python's own 700 is less than one."""

BACKLOG = 2048

LOOK_S = 0.1
"""Between two looks whether somebody has asked for an end at once; uvicorn's own interval."""

CUT_S = 5.0
"""For a call that is cut off to write its entry; an append takes less than a second or fails."""


class Serving:
    """A gateway that listens. `url` is its base, with the port that was really bound; `metrics_url` is for metrics."""

    def __init__(self, settings: Settings, port: int, servers: Sequence[uvicorn.Server], gateway: Gateway) -> None:
        scheme = "http" if settings.tls_certificate is None else "https"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"{scheme}://{host}:{port}"
        self.metrics_url = ""
        self._servers = servers
        self._gateway = gateway

    def stop(self) -> None:
        """Begin to stop: readiness goes false, streams that only wait end, calls in flight may finish."""
        self._gateway.drain()
        for server in self._servers:
            server.should_exit = True

    def cut(self) -> None:
        """Wait no longer for what is in flight: it is cancelled, and still writes its entry."""
        for server in self._servers:
            server.force_exit = True


class _Server(uvicorn.Server):
    """uvicorn with an event for having started, and an end that waits for what it cancels."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End as uvicorn does; then give the calls that were cut off their moment to be recorded as such."""
        await super().shutdown(sockets)
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CUT_S)

    async def _wait_tasks_to_complete(self) -> None:
        """Wait as uvicorn does, but no longer than that: asyncio's listener waits for its connections (Python 3.12)."""
        waiting = asyncio.ensure_future(super()._wait_tasks_to_complete())
        try:
            while not waiting.done() and not self.force_exit:
                await asyncio.wait({waiting}, timeout=LOOK_S)
        finally:
            waiting.cancel()


@asynccontextmanager
async def serving(gateway: Gateway, settings: Settings) -> AsyncIterator[Serving]:
    """Listen while the context is open; on the way out drain for at most `drain_s`.

    Raises:
        ConfigurationError: the address or the admin socket cannot be bound, or the certificate cannot be used.
    """
    public = _Server(_config(gateway, settings))
    admin = _Server(_admin_config(gateway, settings))
    with ExitStack() as sockets:
        listener = sockets.enter_context(_bind(settings.host, settings.port, "port"))
        unix = bind(data_folder(settings))
        sockets.callback(unix.close)
        servers, listeners = [public, admin], [listener, unix.listener]
        served = Serving(settings, listener.getsockname()[1], servers, gateway)
        if settings.metrics.port is not None:
            monitored = sockets.enter_context(_bind(settings.metrics.host, settings.metrics.port, "metrics.port"))
            servers.append(_Server(_metrics_config(gateway, settings)))
            listeners.append(monitored)
            host, port = monitored.getsockname()[:2]
            served.metrics_url = f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
        gateway.known.links.serve(public_url(settings.model_copy(update={"port": listener.getsockname()[1]})))
        async with anyio.create_task_group() as group:
            # Without uvicorn's own signal handling: `serve` owns that.
            for server, one in zip(servers, listeners, strict=True):
                group.start_soon(server._serve, [one])
            try:
                for server in servers:
                    await server.ready.wait()
                yield served
            finally:
                served.stop()


async def serve(gateway: Gateway, settings: Settings, *, started: Callable[[Serving], None]) -> None:
    """Serve until SIGINT or SIGTERM. `started` is called once, when the port answers.

    A second signal cuts off what is still in flight.
    """
    _settle_memory()
    # Around everything: a signal that comes between the start and the drain must neither be lost nor kill the process.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as impatience:
            async with serving(gateway, settings) as served:
                started(served)
                await anext(signals)
                impatience.start_soon(_cut_on_signal, signals, served)
            impatience.cancel_scope.cancel()


def _settle_memory() -> None:
    """Take what the start made out of the garbage collector's sight, and let it run less often.

    Modules, policies and compiled conditions live as long as the process; going through them again and again was a
    fifteenth of a call's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 20)


async def _cut_on_signal(signals: AsyncIterator[signal.Signals], served: Serving) -> None:
    await anext(signals)
    served.cut()


def _config(gateway: Gateway, settings: Settings) -> uvicorn.Config:
    config = _bounded(
        gateway.asgi,
        settings,
        http=_protocol(settings),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except OSError as error:
        raise _problem("tls_certificate", f"the certificate or its key cannot be used: {error}") from error
    return config


def _admin_config(gateway: Gateway, settings: Settings) -> uvicorn.Config:
    """Return how the admin socket is served: within the same bounds, to the gateway's own user."""
    config = _bounded(gateway.operator, settings, http=guarded(_protocol(settings)))
    config.load()
    return config


def _metrics_config(gateway: Gateway, settings: Settings) -> uvicorn.Config:
    """Return how the port for metrics is served: within the same bounds, in the clear, since it is loopback."""
    config = _bounded(gateway.monitored, settings, http=_protocol(settings))
    config.load()
    return config


def _bounded(app: Any, settings: Settings, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.drain_s),
        backlog=BACKLOG,
        **more,
    )


def _protocol(settings: Settings) -> type[asyncio.Protocol]:
    limits = settings.limits
    return protocol_class(
        header_bytes=limits.header_bytes,
        header_count=limits.header_count,
        header_timeout_s=limits.header_timeout_s,
        body_timeout_s=limits.body_timeout_s,
        connections_per_address=limits.connections_per_address,
    )


def _bind(host: str, port: int, field: str) -> socket.socket:
    """Bind one address of the gateway, so that a taken port is a clear error before anything is served."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _problem(field, f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def _problem(field: str, message: str) -> ConfigurationError:
    remedy = {
        "port": "choose another with --port (0 picks a free one)",
        "metrics.port": "choose another (0 picks a free one)",
    }.get(field, "name a PEM file that fits")
    return ConfigurationError(Problem(source="settings", field=field, message=message, remedy=remedy))
