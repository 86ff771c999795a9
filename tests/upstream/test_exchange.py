"""What goes out in a request's head, and what can never get in."""

from contextlib import suppress

import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import ConfigurationError, UpstreamBroken, UpstreamUnreachable
from gateway.ports import Outbound
from gateway.upstream.http import HttpUpstream
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import Misbehaving, Request

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


async def _sent(
    method: str = "tools/call",
    params: JsonObject | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    configured: dict[str, str] | None = None,
) -> Request:
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url + "?a=b", configured)
        outbound = Outbound(
            method=method, params=params or {"name": "good"}, version="2026-07-28", timeout_s=5, headers=headers
        )
        with suppress(UpstreamBroken):  # this server answers tool calls only; here the request matters
            await upstream.request(outbound, RecordingRelay())
        await upstream.aclose()
        return server.requests[0]


async def test_a_stateless_request_has_the_headers_of_this_hop_and_no_others() -> None:
    """Everything is made anew from configuration and body; nothing of the agent's request is at hand here."""
    request = await _sent(configured={"Authorization": "Bearer ours", "X-Team": "a"})
    assert {name: value for name, value in request.headers.items() if name not in ("host", "content-length")} == {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "intended-mcp-gateway",
        "authorization": "Bearer ours",
        "x-team": "a",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "good",
    }
    assert request.raw_head.startswith(b"POST /mcp?a=b HTTP/1.1\r\n")


async def test_the_agents_parameter_headers_pass_unchanged() -> None:
    """2026-07-28: an intermediary MUST forward `Mcp-Param-*`."""
    request = await _sent(headers=(("Mcp-Param-Region", "=?base64?w6Q=?="), ("mcp-param-x", "a b")))
    assert b"Mcp-Param-Region: =?base64?w6Q=?=\r\nmcp-param-x: a b\r\n" in request.raw_head


async def test_the_authority_token_of_a_call_goes_out_as_a_header() -> None:
    """A proxy in front of the upstream can look at it without reading the body."""
    request = await _sent(headers=(("Intended-Authority", "a.b.c"),))
    assert b"\r\nIntended-Authority: a.b.c\r\n" in request.raw_head


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer agent"),
        ("Cookie", "a=b"),
        ("Mcp-Session-Id", "x"),
        ("Mcp-Param-A", "x\r\nAuthorization: y"),
        ("Mcp-Param-A", "x\ny"),
        ("Mcp-Param-A", "x\0"),
        ("Mcp-Param-A", "\u20ac"),
        ("Mcp-Param-A: x\r\nCookie", "y"),
        ("Mcp-Param-", "x y\x7f"),
    ],
)
async def test_no_other_header_of_the_agent_gets_out(header: tuple[str, str]) -> None:
    """Token passthrough and header injection: refused before anything is sent."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url)
        outbound = Outbound(
            method="tools/call", params={"name": "good"}, version="2026-07-28", timeout_s=5, headers=(header,)
        )
        with pytest.raises(UpstreamUnreachable) as caught:
            await upstream.request(outbound, RecordingRelay())
        assert not caught.value.may_have_run
        assert server.connections == 0
        await upstream.aclose()


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("tools/call", {"name": "good"}, "good"),
        ("prompts/get", {"name": "p"}, "p"),
        ("resources/read", {"uri": "file:///\u00e4"}, "=?base64?ZmlsZTovLy/DpA==?="),
        ("resources/read", {"uri": "a\r\nCookie: b"}, "=?base64?YQ0KQ29va2llOiBi?="),
        ("tools/list", {"name": "x"}, None),
        ("tasks/get", {"taskId": "t1"}, "t1"),
        ("prompts/get", {"name": 3}, None),
    ],
)
async def test_the_name_header_says_what_the_body_says(method: str, params: JsonObject, expected: str | None) -> None:
    """Recomputed from the body, encoded as the specification wants, so that no value can break out of its line."""
    request = await _sent(method, params)
    assert request.headers.get("mcp-name") == expected


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/mcp",
        "http:///mcp",
        "host:80/mcp",
        "http://user:secret@host/mcp",
        "http://host/mcp#part",
        "http://host/a b",
        "http://host/\r\nCookie: x",
        "http://host:99999/mcp",
        "http://host:0/mcp",
        "http://h\u00f6st/mcp",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_start_without_showing_it(url: str) -> None:
    """It may hold a credential."""
    with pytest.raises(ConfigurationError) as caught:
        HttpUpstream("files", url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Length", "3"),
        ("transfer-encoding", "chunked"),
        ("Accept", "x"),
        ("Mcp-Session-Id", "x"),
        ("intended-authority", "x"),
        ("Bad Name", "x"),
        ("", "x"),
        ("Authorization", "secret\r\nX: y"),
        ("Authorization", " secret"),
    ],
)
def test_a_configured_header_that_cannot_be_sent_is_refused_at_start_without_its_value(name: str, value: str) -> None:
    """Framing headers would break the exchange, and a value is a secret."""
    with pytest.raises(ConfigurationError) as caught:
        HttpUpstream("files", "http://127.0.0.1:1/mcp", {name: value})
    assert "secret" not in str(caught.value)
