"""What an HTTP upstream is found to speak, and the life of the upstream as a whole."""

import json
from collections.abc import Awaitable, Callable

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamError, UpstreamRefused, UpstreamUnreachable
from gateway.ports import Outbound
from gateway.upstream.http import HttpUpstream
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import Misbehaving, Reply

Answer = Callable[[Reply], Awaitable[None]]


async def _unsupported(reply: Reply) -> None:
    error = {"code": -32022, "message": "no", "data": {"supported": ["2026-07-28", "2031-01-01"], "requested": "x"}}
    body = {"jsonrpc": "2.0", "id": reply.request.body["id"], "error": error}
    reply.http(json.dumps(body).encode(), status="400 Bad Request")


async def _status(reply: Reply, status: str) -> None:
    reply.http(b"nothing", status=status, media="text/plain")


async def _bad_request(reply: Reply) -> None:
    await _status(reply, "400 Bad Request")


async def _unauthorized(reply: Reply) -> None:
    await _status(reply, "401 Unauthorized")


async def _page(reply: Reply) -> None:
    reply.http(b"<html>", media="text/html")


async def _refuses_to_initialise(reply: Reply) -> None:
    body = b'{"jsonrpc":"2.0","id":%d,"error":{"code":-32601,"message":"no"}}' % reply.request.body["id"]
    reply.http(body)


async def _unknown_version(reply: Reply) -> None:
    reply.http(reply.message(result={"protocolVersion": "1999-01-01", "capabilities": {}}))


async def _older_version(reply: Reply) -> None:
    reply.http(reply.message(result={"protocolVersion": "2025-03-26", "capabilities": {}}))


FOUR = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)


@pytest.mark.parametrize(
    ("discover", "initialize", "handshake", "modern"),
    [
        (None, None, FOUR, MODERN),
        (_unsupported, None, FOUR, MODERN),
        (_bad_request, None, FOUR, ()),
        (_page, None, FOUR, ()),
        (_bad_request, _older_version, FOUR[:2], ()),
        (None, _bad_request, (), MODERN),
        (None, _refuses_to_initialise, (), MODERN),
        (None, _unknown_version, (), MODERN),
    ],
)
async def test_both_eras_are_found_out(
    discover: Answer | None, initialize: Answer | None, handshake: tuple[str, ...], modern: tuple[str, ...]
) -> None:
    """Servers of one era answer the other's question in many ways; only a proper answer counts."""
    async with Misbehaving() as server:
        server.special = {"server/discover": discover, "initialize": initialize}
        upstream = HttpUpstream("files", server.url)
        with anyio.fail_after(5):
            found = await upstream.support()
        assert (found.handshake, found.modern) == (handshake, modern)
        verbs = [request.verb for request in server.requests]
        assert verbs.count("GET") == 0
        assert verbs.count("DELETE") == (1 if initialize is None else 0)
        await upstream.aclose()


@pytest.mark.parametrize("discover", [_unauthorized, _bad_request])
async def test_an_upstream_of_neither_era_is_refused_and_asked_again_later(discover: Answer) -> None:
    """A failure is not kept: the operator mends it and the next question finds out."""
    async with Misbehaving() as server:
        server.special = {"server/discover": discover, "initialize": _bad_request}
        upstream = HttpUpstream("files", server.url)
        with pytest.raises(UpstreamRefused) as caught:
            await upstream.support()
        assert caught.value.status == (401 if discover is _unauthorized else 400)
        server.special = {}
        assert (await upstream.support()).modern == MODERN
        await upstream.aclose()


async def test_a_modern_server_is_not_offered_the_handshake_before_an_agent_needs_it() -> None:
    """It would count an `initialize` that no agent of its sent (the suite's client scenarios do)."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url)
        known = await upstream.support(handshake=False)
        assert (known.handshake, known.modern) == ((), MODERN)
        assert await upstream.support(handshake=False) is known
        assert [len(server.seen(method)) for method in ("server/discover", "initialize")] == [1, 0]
        assert len((await upstream.support()).handshake) == 4
        await upstream.aclose()


async def test_many_who_ask_at_once_cost_one_question() -> None:
    """And a refresh asks anew."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url)
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(upstream.support)
        assert len(server.seen("server/discover")) == 1
        await upstream.support(refresh=True)
        assert len(server.seen("server/discover")) == 2
        await upstream.aclose()


async def test_a_lone_surrogate_is_never_sent_and_harms_nobody() -> None:
    """Security 0.1: in the SDK's client it ended the connection of every agent."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url)
        params: JsonObject = {"name": "good", "arguments": {"text": "\ud800"}}
        outbound = Outbound(method="tools/call", params=params, version="2026-07-28", timeout_s=5)
        with pytest.raises(UpstreamUnreachable) as caught:
            await upstream.request(outbound, RecordingRelay())
        assert not caught.value.may_have_run
        assert server.connections == 0
        await upstream.aclose()


async def test_closing_ends_every_session_upstream() -> None:
    """Shutdown leaves no session behind, and takes no more calls."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url)
        for _ in range(3):
            await upstream.connect(version="2025-11-25", params={"capabilities": {}}, relay=RecordingRelay())
        await upstream.aclose()
        assert [request.verb for request in server.requests].count("DELETE") == 3
        with pytest.raises(UpstreamError):
            await upstream.connect(version="2025-11-25", params={}, relay=RecordingRelay())
