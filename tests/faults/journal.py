"""An MCP upstream that durably writes down each tool call before it answers, for tests that count what was executed.

    python -m tests.faults.journal FILE [--store AUDIT_DB]

Prints its URL. Serves both eras. A line of FILE is one executed call: its `call` argument, the tool, monotonic and wall
time, and with `--store` whether at that moment the gateway's store already held a durable ALLOW for it, as seen from
this process. A `wait` argument (milliseconds) delays the answer, not the execution. `GET /` returns how many lines
there are, once all that came before has been executed.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

TENANT = "default"


def _tool(name: str, description: str, argument: str) -> dict[str, Any]:
    properties = {argument: {"type": "string"}, "call": {"type": "string"}, "wait": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": [argument, "call"]}
    return {"name": name, "description": description, "inputSchema": schema}


TOOLS = [
    _tool("search_notes", "Search the notes for a text.", "query"),
    _tool("read_file", "Read a file.", "path"),
    _tool("delete_note", "Delete a note for good.", "note"),
]
MODERN = {"resultType": "complete"}
CACHE = {"ttlMs": 0, "cacheScope": "public"}


class Allowed:
    """Which calls the gateway's store holds a durable ALLOW for, read afresh from its file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = 0
        self._calls: set[str] = set()

    def __contains__(self, call: str) -> bool:
        query = "SELECT n, content, body FROM entries WHERE tenant = ? AND n > ? ORDER BY n"
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=2)) as store:
            for number, content, body in store.execute(query, (TENANT, self._last)):
                self._last = number
                if b'"effect":"ALLOW"' in content and b'"type":"call.decided"' in content:
                    self._calls.add(json.loads(body)["call"].get("arguments", {}).get("call", ""))
        return call in self._calls


@dataclass(slots=True)
class Journal:
    """The file of executed calls."""

    handle: int
    allowed: Allowed | None
    lines: int = 0

    def write(self, tool: str, arguments: dict[str, Any]) -> None:
        """Execute a call: make it durable that it was."""
        call = arguments["call"]
        line = {"call": call, "tool": tool, "monotonic": time.monotonic(), "wall": time.time()}
        if self.allowed is not None:
            line["allowed"] = call in self.allowed
        os.write(self.handle, json.dumps(line).encode() + b"\n")
        os.fsync(self.handle)
        self.lines += 1


def answer(message: dict[str, Any], journal: Journal) -> tuple[bytes, float]:
    """Return the answer to one request, and after how many seconds to give it."""
    method, params = message["method"], message.get("params", {})
    modern = "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {})
    wait = 0.0
    result: dict[str, Any] = {}
    if method == "tools/call":
        journal.write(params["name"], params["arguments"])
        wait = params["arguments"].get("wait", 0) / 1000
        result = {"content": [{"type": "text", "text": f"done {params['arguments']['call']}"}]}
    elif method == "tools/list":
        result = {"tools": TOOLS} | (CACHE if modern else {})
    elif method == "initialize":
        info = {"name": "journal", "version": "1"}
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    elif method == "server/discover":
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **CACHE}
    result |= MODERN if modern else {}
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode(), wait


class Protocol(asyncio.Protocol):
    """HTTP/1.1 with Content-Length and keep-alive, one request at a time, as far as the gateway needs it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 : (head + b"\r\n").index(b"\r\n", at)]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.respond(head, body)

    def respond(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get / "):
            self.reply(b"200 OK", str(self.journal.lines).encode())
        elif not head.startswith(b"post"):
            self.reply(b"405 Method Not Allowed", b"")
        elif "id" not in (message := json.loads(body)):
            self.reply(b"202 Accepted", b"")
        else:
            session = b"Mcp-Session-Id: journal\r\n" if message["method"] == "initialize" else b""
            payload, wait = answer(message, self.journal)
            asyncio.get_running_loop().call_later(wait, self.reply, b"200 OK", payload, session)

    def reply(self, status: bytes, payload: bytes, more: bytes = b"") -> None:
        if self.transport.is_closing():
            return
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
        self.transport.write(head % (status, more, len(payload)) + payload)


async def main(path: Path, store: Path | None) -> None:
    journal = Journal(
        handle=os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
        allowed=None if store is None else Allowed(store),
    )
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(journal), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    uvloop.run(main(given.file, given.store))
