"""What HTTP says of a request is noted for its span, and changes nothing."""

import pytest

from gateway.core.tracing import TraceContext
from gateway.downstream.arriving import noting_arrival
from gateway.services.tracing import ARRIVAL, Arrival

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HTTP = {"network.transport": "tcp", "network.protocol.name": "http"}


async def arrived(**scope: object) -> Arrival:
    seen: list[Arrival] = []

    async def front(scope: object, receive: object, send: object) -> None:
        seen.append(ARRIVAL.get())
        assert (scope, receive, send) == (given, "receive", "send")

    given = {"headers": [], "path": "/mcp"} | scope
    await noting_arrival(front)(given, "receive", "send")
    return seen[0]


async def test_the_trace_of_http_is_a_link_and_the_session_is_told() -> None:
    """One HTTP request is not one MCP request, so that its trace is beside and not above."""
    headers = [
        (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode()),
        (b"tracestate", b"a=1"),
        (b"mcp-session-id", b"abc"),
    ]
    assert await arrived(headers=headers, server=("127.0.0.1", 8787)) == Arrival(
        link=TraceContext(trace_id=TRACE, span_id=SPAN, flags=1, state="a=1"),
        attributes=HTTP | {"mcp.session.id": "abc", "server.address": "127.0.0.1", "server.port": 8787},
    )


@pytest.mark.parametrize("scope", [{}, {"server": None}, {"server": ("/run/x.sock", None)}])
async def test_what_is_not_there_is_not_told(scope: dict) -> None:
    """A server on a unix socket has no port."""
    assert await arrived(**scope) == Arrival(attributes=HTTP)


@pytest.mark.parametrize("value", [b"nonsense", b"\xff\xfe", b""])
async def test_a_header_that_is_no_context_is_no_link(value: bytes) -> None:
    """Strangers write headers."""
    assert (await arrived(headers=[(b"traceparent", value)])).link is None
