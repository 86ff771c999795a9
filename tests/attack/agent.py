"""An agent made of bytes: raw HTTP over kept connections, with every liberty that a library would not allow."""

import json
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.attack.spy import MODERN

BOTH = "application/json, text/event-stream"
META = "io.modelcontextprotocol/"
WAIT_S = 5.0
TRIES = 5
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    def messages(self) -> list[dict[str, Any]]:
        """The JSON-RPC messages in it, of a plain body or of an event stream."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            lines = [line[5:].strip() for line in self.body.split(b"\n") if line.startswith(b"data:")]
            return [json.loads(line) for line in lines if line]
        return [json.loads(self.body)] if self.body else []

    @property
    def message(self) -> dict[str, Any]:
        return self.messages()[-1]


class Agent:
    """One connection at a time to a gateway; it is opened again where the gateway closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.lingers = False
        self._socket: socket.socket | None = None
        self._data = b""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._data = None, b""

    def raw(self, request: bytes) -> Answer:
        """Send bytes and read one answer; a connection that the gateway has closed meanwhile is opened anew."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        found = self._answer()
        if found.headers.get("connection", "").lower() == "close" and not self.lingers:
            self.close()
        return found

    def post(self, body: Any, headers: Headers, path: str = "/mcp", *, length: bool = True) -> Answer:
        """Send one message; again where the disk was too slow to record it, since nothing was forwarded then."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        for _ in range(TRIES):
            found = self.raw(request(raw, headers, path, length=length))
            if b"audit-unavailable" not in found.body:
                break
        return found

    def idle_bytes(self) -> bool:
        """Tell whether more has come than the answer, or its end: the connection is then of no use."""
        if self._socket is None:
            return False
        readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable or self._data)

    def rest(self) -> bytes:
        """Return what else the gateway sends before it closes: nothing, for an honest one."""
        assert self._socket is not None
        found = self._data
        while piece := self._socket.recv(65536):
            found += piece
        self.close()
        return found

    def _fill(self) -> None:
        assert self._socket is not None
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionError("closed in the middle of an answer")
        self._data += piece

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._data:
            self._fill()
        found, _, self._data = self._data.partition(mark)
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self._data) < count:
            self._fill()
        found, self._data = self._data[:count], self._data[count:]
        return found

    def _answer(self) -> Answer:
        status, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size)
                self._until(b"\r\n")
            self._until(b"\r\n")
        else:
            body = self._exactly(int(headers.get("content-length", "0")))
        return Answer(status=int(status.split(" ")[1]), headers=headers, body=body)


def request(body: bytes, headers: Headers, path: str = "/mcp", *, verb: str = "POST", length: bool = True) -> bytes:
    """Return the bytes of one HTTP request."""
    lines = [f"{verb} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers)]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def plain_headers(media: str = "application/json") -> list[tuple[str, str]]:
    return [("Accept", BOTH), ("Content-Type", media)]


def modern_headers(method: str, name: str | None = None) -> list[tuple[str, str]]:
    """Return the headers that a modern request with this method and name has."""
    routing = [("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)]
    return [*plain_headers(), *routing, *([("Mcp-Name", name)] if name is not None else [])]


def meta(version: str = MODERN, **capabilities: Any) -> dict[str, Any]:
    return {f"{META}protocolVersion": version, f"{META}clientCapabilities": capabilities}


def call(method: str, params: dict[str, Any], identifier: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}


def tool(agent: Agent, name: str, arguments: dict[str, Any], path: str = "/mcp", **more: Any) -> Answer:
    """Make one modern tool call."""
    body = call("tools/call", {"name": name, "arguments": arguments, "_meta": meta(), **more})
    return agent.post(body, modern_headers("tools/call", name), path)


def open_session(agent: Agent, version: str, path: str = "/mcp", **capabilities: Any) -> list[tuple[str, str]]:
    """Initialise in the handshake era and return the headers of the session."""
    info = {"name": "attacker", "version": "1"}
    params = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": info}
    opened = agent.post(call("initialize", params), plain_headers(), path)
    assert opened.status == 200, opened
    named = [("Mcp-Session-Id", opened.headers["mcp-session-id"])]
    headers = [*plain_headers(), *named, ("MCP-Protocol-Version", version)]
    agent.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, headers, path)
    return headers
