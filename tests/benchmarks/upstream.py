"""A bare MCP upstream for benchmarks: asyncio, one tool, both eras, ids echoed, nothing else.

python -m tests.benchmarks.upstream PORT
"""

import asyncio
import sys

import orjson
import uvloop

TOOL = {
    "name": "search_notes",
    "description": "Search the notes for a text.",
    "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}
CAPABILITIES = {"tools": {}}
INFO = {"name": "bench", "version": "1"}
CALL = {"content": [{"type": "text", "text": "3 notes found"}]}
MODERN = {"resultType": "complete"}
CACHE = {"ttlMs": 0, "cacheScope": "public"}


def answer(message: dict) -> bytes:
    """Return the JSON-RPC answer to one request."""
    method, params = message["method"], message.get("params", {})
    modern = "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {})
    if method == "tools/call":
        result = CALL | (MODERN if modern else {})
    elif method == "tools/list":
        result = {"tools": [TOOL]} | (MODERN | CACHE if modern else {})
    elif method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES, "serverInfo": INFO}
    elif method == "server/discover":
        result = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, **MODERN, **CACHE}
    else:
        result = {}
    return orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})


class Protocol(asyncio.Protocol):
    """HTTP/1.1 with Content-Length and keep-alive, as far as a benchmark needs it."""

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
            self.transport.write(self.respond(head, body))

    def respond(self, head: bytes, body: bytes) -> bytes:
        if not head.startswith(b"post"):
            return b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"
        message = orjson.loads(body)
        if "id" not in message:
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        session = b"Mcp-Session-Id: bench\r\n" if message["method"] == "initialize" else b""
        payload = answer(message)
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
            % (session, len(payload))
            + payload
        )


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
