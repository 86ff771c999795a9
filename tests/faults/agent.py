"""An agent on a raw connection, in either era, that makes calls of known effect and tells what became of them.

Raw, because a test of faults needs to know what was sent and to cut it off where it likes; what real clients make of
the answers is `tests/clients`'.
"""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

__all__ = ["EFFECTS", "Agent", "Answer", "arguments"]

EFFECTS = {"ALLOW": "search_notes", "DENY": "read_file", "ESCALATE": "delete_note"}
"""The tool of the journal whose call ends so under the default policy at T0."""

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "1"},
}
ANSWER_S = 20.0
"""Longest wait for an answer; what must come sooner is measured by the test."""


def arguments(effect: str, call: str, wait_ms: int = 0) -> dict[str, Any]:
    """Return arguments for the tool of `EFFECTS` that identify the call as `call`."""
    subject = {"ALLOW": ("query", "invoice"), "DENY": ("path", "/etc/passwd"), "ESCALATE": ("note", "n1")}[effect]
    return dict([subject], call=call, wait=wait_ms)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and after how many seconds."""

    status: int
    message: dict[str, Any]
    took_s: float

    @property
    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = self.message.get("result", {})
        return found

    @property
    def text(self) -> str:
        """The text of a tool result, or the message of an error."""
        if "error" in self.message:
            return str(self.message["error"].get("message", ""))
        return "".join(str(block.get("text", "")) for block in self.result.get("content", ()))

    @property
    def decision(self) -> dict[str, Any]:
        found: dict[str, Any] = self.result.get("_meta", {}).get("so.intended/decision", {})
        return found

    @property
    def effect(self) -> str:
        """`ALLOW`, `DENY`, `ESCALATE`, or `ERROR` for everything that is none of them."""
        if self.status == 200 and self.text.startswith("done ") and not self.result.get("isError"):
            return "ALLOW"
        told = self.decision.get("outcome")
        return {"deny": "DENY", "pending": "ESCALATE"}.get(str(told), "ERROR")


class Agent:
    """One keep-alive connection to a gateway. `era` is "modern" or "handshake"."""

    def __init__(self, url: str, era: str, path: str = "/mcp", prefer: str = "") -> None:
        split = urlsplit(url)
        self.path = path
        self.host, self.port = split.hostname or "", split.port or 0
        self.era = era
        self.numbers: Iterator[int] = iter(range(1, 1_000_000))
        self.session = ""
        self.prefer = prefer

    async def __aenter__(self) -> "Agent":
        await self.connect()
        try:
            if self.era == "handshake":
                await self._initialize()
        except BaseException:
            self.writer.close()
            raise
        return self

    async def _initialize(self) -> None:
        info = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": META[list(META)[2]]}
        answer = await self.request("initialize", info)
        if answer.status != 200:
            raise ConnectionError(f"no session: {answer}")

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)

    def cut(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def call(self, tool: str, given: dict[str, Any]) -> Answer:
        """Make one tool call. Raises OSError or EOFError where the connection breaks before the answer is whole."""
        return await self.request("tools/call", {"name": tool, "arguments": given})

    async def effect(self, effect: str, call: str, wait_ms: int = 0) -> Answer:
        """Make a call that ends in `effect`."""
        return await self.call(EFFECTS[effect], arguments(effect, call, wait_ms))

    async def request(self, method: str, params: dict[str, Any]) -> Answer:
        start = time.monotonic()
        async with asyncio.timeout(ANSWER_S):
            self.writer.write(self.written(method, params))
            status, body = await self._read()
        return Answer(status, json.loads(body) if body.startswith(b"{") else {}, time.monotonic() - start)

    def written(self, method: str, params: dict[str, Any]) -> bytes:
        """Return the whole HTTP request."""
        headers = {
            "Host": f"{self.host}:{self.port}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if self.prefer:
            headers["Prefer"] = self.prefer
        if self.era == "modern":
            params = {**params, "_meta": META | params.get("_meta", {})}
            headers |= {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        elif self.session:
            headers |= {"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": self.session}
        message = {"jsonrpc": "2.0", "id": next(self.numbers), "method": method, "params": params}
        body = json.dumps(message).encode()
        headers["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body

    async def _read(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        self.session = fields.get("mcp-session-id", self.session)
        if "transfer-encoding" in fields:
            body = await self._chunks()
        else:
            body = await self.reader.readexactly(int(fields["content-length"]))
        if fields.get("content-type", "").startswith("text/event-stream"):
            events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
            body = events[-1] if events else b""
        return int(first.split()[1]), body

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body
