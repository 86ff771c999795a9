"""`subscriptions/listen`: a stream must not tell of what may not be read, however it is asked for."""

import json
import socket
from pathlib import Path
from typing import Any

from tests.attack.agent import WAIT_S, call, meta, modern_headers, request
from tests.attack.guarded import guarded
from tests.attack.spy import MODERN, Spy, answer, spying

HIDDEN = "file:///hidden"
ASKED: list[dict[str, Any]] = [
    {"notifications": {"resourceSubscriptions": [HIDDEN]}},
    {"notifications": {"resourceSubscriptions": [HIDDEN, HIDDEN]}},
    {"notifications": {"resourceSubscriptions": ["FILE:///hidden"]}},
    {"notifications": {"resourceSubscriptions": ["file:///%68idden"]}},
    {"notifications": {"resourceSubscriptions": ["file://localhost/hidden", "file:///x/../hidden"]}},
    {"notifications": {"ResourceSubscriptions": [HIDDEN]}},
    {"notifications": {"RESOURCESUBSCRIPTIONS": [HIDDEN], "resourceSubscriptions": []}},
    {"notifications": {"resource\u017fubscriptions": [HIDDEN]}},
    {"notifications": {"toolsListChanged": True, "uris": [HIDDEN], "resources": {"subscribe": [HIDDEN]}}},
    {"notifications": {"toolsListChanged": [HIDDEN]}},
    {"notifications": {}, "uri": HIDDEN, "resourceSubscriptions": [HIDDEN]},
    {"notifications": {"resourceSubscriptions": {"0": HIDDEN}}},
    {"notifications": [HIDDEN]},
    {"notifications": HIDDEN},
]


def first_bytes(port: int, raw: bytes) -> bytes:
    """Send a request and return the beginning of what comes; hanging up ends the stream."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as line:
        line.sendall(raw)
        found = b""
        while not found.partition(b"\r\n\r\n")[2]:
            piece = line.recv(65536)
            assert piece, found
            found += piece
        return found


def telling(spy: Spy) -> None:
    """Let the upstream tell of everything on any stream that it is asked for."""

    def tell(received):
        if received.method != "subscriptions/listen":
            return None
        told = [
            {
                "method": "notifications/subscriptions/acknowledged",
                "params": {"notifications": {"toolsListChanged": True, "resourceSubscriptions": [HIDDEN]}},
            },
            {"method": "notifications/resources/updated", "params": {"uri": HIDDEN, "text": "SECRET"}},
            {"method": "notifications/tools/list_changed", "params": {"tools": [{"name": "SECRET"}]}},
            {"method": "notifications/message", "params": {"level": "info", "data": "SECRET"}},
            {"id": received.rpc["id"], "result": {"resultType": "complete", "text": "SECRET"}},
        ]
        return answer(
            b"".join(b"data: " + json.dumps({"jsonrpc": "2.0", **one}).encode() + b"\n\n" for one in told),
            media="text/event-stream",
        )

    spy.lie = tell


def test_no_stream_tells_of_what_may_not_be_read(tmp_path: Path) -> None:
    """Each URI is gated as a read; members that nobody knows are not passed on."""
    with spying() as spy, guarded(tmp_path, spy.url) as served:
        telling(spy)
        for params in ASKED:
            body = json.dumps(call("subscriptions/listen", {**params, "_meta": meta()})).encode()
            found = first_bytes(served.port, request(body, modern_headers("subscriptions/listen")))
            assert b"SECRET" not in found, params
            assert b"hidden" not in found, params
            assert found.split(b" ")[1] in (b"200", b"400"), found
        asked = [one.rpc["params"] for one in spy.received if one.method == "subscriptions/listen"]
        assert "hidden" not in json.dumps([{**one, "_meta": None} for one in asked])


def test_a_get_without_a_session_hears_nothing(tmp_path: Path) -> None:
    """The GET stream belongs to a session."""
    named = (("Last-Event-ID", "x_1"), ("Mcp-Session-Id", "x"), ("MCP-Protocol-Version", MODERN), ("X-Nothing", ""))
    with spying() as spy, guarded(tmp_path, spy.url) as served:
        agent = served.agent()
        for header in named:
            for path in ("/mcp", "/mcp/default"):
                found = agent.raw(request(b"", [("Accept", "text/event-stream"), header], path, verb="GET"))
                assert found.status in (400, 404, 405)
        agent.close()
        assert "initialize" not in {one.method for one in spy.received}
