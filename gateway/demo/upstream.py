"""The demo's MCP server, on the official SDK: notes, files and payments, all of them made up and in memory.

Keeps its own record of what it was asked to do. The demo compares that with what the gateway decided: a denied call
must not be in it.
"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer

__all__ = ["DemoUpstream", "on_loopback", "running"]

NOTES = (
    "Invoice 1041 to ACME is due on Friday.",
    "Ask Mara about the invoice template.",
    "Invoice 1043: second reminder sent.",
    "Water the plants.",
)

FILES = {
    "/workspace/readme.txt": "This workspace belongs to the demo.",
    "/workspace/report.txt": "Revenue went up, and so did the number of invoices.",
}

START_S = 10.0
"""A server in memory starts in milliseconds."""


@dataclass(slots=True)
class DemoUpstream:
    """The server and its own record: the names of the tools that really ran, in order."""

    record: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=lambda: list(NOTES))
    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    refunds: list[dict[str, Any]] = field(default_factory=list)

    def server(self) -> MCPServer:
        """Return the server with its tools."""
        server = MCPServer("intended-demo", instructions="Notes, files and payments for trying the gateway.")
        for name, tool in (
            ("notes.search", self.notes_search),
            ("notes.add", self.notes_add),
            ("files.read", self.files_read),
            ("files.delete", self.files_delete),
            ("payments.refund", self.payments_refund),
        ):
            server.add_tool(tool, name=name)
        return server

    def notes_search(self, q: str) -> list[str]:
        """Return the notes that contain the text `q`."""
        self.record.append("notes.search")
        return [note for note in self.notes if q.lower() in note.lower()]

    def notes_add(self, text: str) -> str:
        """Add a note."""
        self.record.append("notes.add")
        self.notes.append(text)
        return f"Added note {len(self.notes)}."

    def files_read(self, path: str) -> str:
        """Return the content of a file in the workspace."""
        self.record.append("files.read")
        return self.files.get(path, f"There is no file {path}.")

    def files_delete(self, path: str) -> str:
        """Delete a file for good."""
        self.record.append("files.delete")
        return f"Deleted {path}." if self.files.pop(path, None) is not None else f"There is no file {path}."

    def payments_refund(self, amount: float, to: str) -> str:
        """Refund an amount in EUR to a customer."""
        self.record.append("payments.refund")
        self.refunds.append({"amount": amount, "to": to})
        return f"Refunded {amount:.2f} EUR to {to}."


class _Server(uvicorn.Server):
    """uvicorn with an event for having started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def running(upstream: DemoUpstream) -> AsyncIterator[str]:
    """Serve `upstream` on a free loopback port while the context is open; yields its URL."""
    async with on_loopback(upstream.server().streamable_http_app()) as address:
        yield f"{address}/mcp"


@asynccontextmanager
async def on_loopback(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application on a free loopback port while the context is open; yields its address."""
    config = uvicorn.Config(app, ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = _Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with anyio.create_task_group() as tasks:
            # `_serve` is uvicorn without its signal handlers: whoever runs the demo owns the signals.
            tasks.start_soon(server._serve, [listener])
            with anyio.fail_after(START_S):
                await server.ready.wait()
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
