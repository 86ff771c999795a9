"""An MCP server behind standard input and output, in both eras, and the life of its processes.

Handshake era: the era belongs to the process once it was initialised, so each agent session has a process of its own.
Modern era: requests are stateless, so all share one process, which is started when first needed and again after it has
died, or left a call unanswered and then says nothing at all; the calls that were in flight fail and are not sent again.
How a process is started and ended is `process.py`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import anyio

from gateway.core.jsonvalue import JsonObject
from gateway.core.versions import HANDSHAKE_VERSIONS
from gateway.errors import SessionLost, UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Outbound, Relay, UpstreamSession, UpstreamSupport
from gateway.ports.silence import SilentRelay
from gateway.upstream.channel import Channel
from gateway.upstream.messages import CANCELLED
from gateway.upstream.probing import (
    Probe,
    agreed_version,
    discover,
    handshake_versions,
    initialize_params,
    modern_versions,
)
from gateway.upstream.process import Command

__all__ = ["StdioSession", "StdioUpstream"]

DISCOVER_S: Final = 10.0
"""For `server/discover`: some servers of the handshake era leave what they do not know unanswered."""
STUCK_S: Final = 2.0
"""For a shared process that left a call unanswered to show that it still answers, before the next call goes to it."""
MAX_BARREN: Final = 2
PAUSE_S: Final = 1.0
"""After so many shared processes in a row that ended without a single answer, before the next one is started."""


class StdioUpstream:
    """`ports.Upstream` over child processes, at most `max_processes` at once.

    `open_timeout_s` bounds the first answer of a process; it is long because `npx` and `uvx` install before they run.
    """

    def __init__(
        self,
        id: str,
        command: str,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        *,
        open_timeout_s: float = 60.0,
        max_line_bytes: int = 64 * 1024 * 1024,
        max_processes: int = 100,
    ) -> None:
        self._id = id
        self._label = f"upstream {id}"
        self._command = Command(program=command, args=tuple(args), env=dict(env or {}), cwd=cwd)
        self._open_timeout_s = open_timeout_s
        self._max_line_bytes = max_line_bytes
        self._max_processes = max_processes
        self._ids = count(1)
        self._channels: set[Channel] = set()
        self._shared: Channel | None = None
        self._barren = 0
        self._not_before = 0.0
        self._starting = asyncio.Lock()
        self._probe = Probe(self._find_support)
        self._tasks: set[asyncio.Task[None]] = set()
        self._noise = 0
        self._closed = False

    @property
    def id(self) -> str:
        """Its name in the configuration."""
        return self._id

    @property
    def noise(self) -> int:
        """How many lines its processes have written that are no message for anybody."""
        return self._noise + sum(channel.noise for channel in self._channels)

    def stderr_tail(self) -> str:
        """Return the end of what the shared process wrote to standard error, for an operator only."""
        return "" if self._shared is None else self._shared.stderr_tail()

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Modern era: send one stateless request, return its answer.

        A process is started first where there is none. `Mcp-Param-*` headers do not exist on this transport.
        """
        channel = await self._shared_channel()
        return await channel.request(outbound, relay)

    async def connect(self, *, version: str, params: JsonObject, relay: Relay) -> UpstreamSession:
        """Start a process for one agent session and initialise it. Raises UpstreamError."""
        return await self._open(version, params, relay)

    async def support(self, *, refresh: bool = False, handshake: bool = True) -> UpstreamSupport:
        """Return what it speaks; asked once however many want to know. A failure is not kept. Raises UpstreamError.

        A process of its own is asked for the handshake in any case, so `handshake` makes no difference.
        """
        return await self._probe.support(refresh=refresh)

    async def aclose(self) -> None:
        """End every process and wait until all are reaped."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for channel in tuple(self._channels):
                    group.start_soon(self.end, channel)
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def end(self, channel: Channel) -> None:
        """End one process, and forget it once it is reaped."""
        await channel.aclose()
        if channel in self._channels:
            self._channels.discard(channel)
            self._noise += channel.noise

    # --- processes ---

    async def _shared_channel(self) -> Channel:
        if self._shared is None or not self._shared.alive or self._shared.stuck:
            async with self._starting:
                if self._shared is not None and self._shared.alive and self._shared.stuck:
                    await self._replace_if_stuck(self._shared)
                if self._shared is None or not self._shared.alive:
                    self._shared = await self._start(None)
        return self._shared

    async def _replace_if_stuck(self, channel: Channel) -> None:
        """Forget a process that says nothing even when asked what every server answers; its calls in flight fail."""
        try:
            await channel.request(discover(STUCK_S), SilentRelay())
        except UpstreamError:
            if channel.stuck:
                self._shared = None
                self._reap(channel)

    async def _start(self, relay: Relay | None) -> Channel:
        if self._closed:
            raise UpstreamUnreachable(f"{self._label} is closed", may_have_run=False)
        if len(self._channels) >= self._max_processes:
            msg = f"{self._label}: all {self._max_processes} processes are in use; end a session or raise the bound"
            raise UpstreamUnreachable(msg, may_have_run=False)
        if relay is None and asyncio.get_running_loop().time() < self._not_before:
            msg = f"{self._label}: the process ended without any answer a moment ago; see its standard error"
            raise UpstreamUnreachable(msg, may_have_run=False)
        channel = Channel(self._id, self._ids, self._max_line_bytes, self._reap, relay)
        self._channels.add(channel)
        try:
            await channel.start(self._command)
        except BaseException:
            await self.end(channel)
            raise
        return channel

    def _reap(self, channel: Channel) -> None:
        """Clean up behind a process that ended by itself."""
        if channel is self._shared:
            self._barren = 0 if channel.answered else self._barren + 1
            if self._barren >= MAX_BARREN:
                self._not_before = asyncio.get_running_loop().time() + PAUSE_S
        task = asyncio.get_running_loop().create_task(self.end(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, version: str, params: JsonObject, relay: Relay) -> "StdioSession":
        channel = await self._start(relay)
        session = StdioSession(self._label, self, channel)
        try:
            await session.open(version, params, relay, self._open_timeout_s)
        except BaseException as error:
            await session.aclose()
            if isinstance(error, UpstreamUnreachable):
                text = f"{self._label}: the process {channel.how_it_ended()} at once; see its standard error"
                error = UpstreamUnreachable(text, may_have_run=False)
            if isinstance(error, UpstreamError):
                channel.explain(error)
            raise error
        return session

    # --- what it speaks ---

    async def _find_support(self) -> UpstreamSupport:
        """Ask one process for each era, the handshake first: it waits longest, since the first start may install."""
        handshake: tuple[str, ...] = ()
        refused: UpstreamError | None = None
        try:
            session = await self._open(HANDSHAKE_VERSIONS[-1], initialize_params(), SilentRelay())
            handshake = handshake_versions(session.initialized["protocolVersion"])
            await session.aclose()
        except UpstreamUnreachable:
            raise
        except UpstreamError as error:
            refused = error
        modern, discovered = await self._find_modern()
        if refused is not None and not modern:
            raise refused
        return UpstreamSupport(handshake=handshake, modern=modern, discovered=discovered)

    async def _find_modern(self) -> tuple[tuple[str, ...], JsonObject]:
        channel = await self._start(None)
        modern: tuple[str, ...] = ()
        try:
            answer = await channel.request(discover(min(DISCOVER_S, self._open_timeout_s)), SilentRelay())
            modern = modern_versions(answer)
        except (UpstreamBroken, UpstreamTimeout):
            return (), {}
        finally:
            if modern and self._shared is None and not self._closed:
                self._shared = channel  # it speaks the era that shares a process: keep it
            else:
                await self.end(channel)
        return modern, answer.get("result", {}) if modern else {}


class StdioSession:
    """`ports.UpstreamSession` on a process of its own."""

    def __init__(self, label: str, upstream: StdioUpstream, channel: Channel) -> None:
        self._label = label
        self._upstream = upstream
        self._channel = channel
        self._initialized: JsonObject = {}
        self._closed = False

    @property
    def initialized(self) -> JsonObject:
        """The upstream's whole `initialize` result."""
        return self._initialized

    async def open(self, version: str, params: JsonObject, relay: Relay, timeout_s: float) -> None:
        """Initialise and confirm. Raises UpstreamError."""
        offer = Outbound(
            method="initialize", params={**params, "protocolVersion": version}, version="", timeout_s=timeout_s
        )
        answer = await self._channel.request(offer, relay)
        agreed_version(answer, self._label)
        self._initialized = answer["result"]
        self._channel.notify("notifications/initialized", {})

    async def request(self, outbound: Outbound, relay: Relay) -> JsonObject:
        """Send one request, return its answer; see the port."""
        self._check_open()
        return await self._channel.request(outbound, relay)

    async def notify(self, method: str, params: JsonObject) -> None:
        """Send one notification; progress on nothing that was asked, and cancellations by foreign ids, end here."""
        self._check_open()
        if method != CANCELLED:
            self._channel.notify(method, params)

    async def aclose(self) -> None:
        """End the process."""
        self._closed = True
        await self._upstream.end(self._channel)

    def _check_open(self) -> None:
        if self._closed or not self._channel.alive:
            raise SessionLost(f"{self._label}: the session has ended; initialise again", may_have_run=False)
