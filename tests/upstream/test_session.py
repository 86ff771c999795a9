"""A handshake session: its order of opening, the ids and tokens of its hop, and its end."""

import json

import anyio
import pytest

from gateway.errors import SessionLost, UpstreamError, UpstreamRefused
from gateway.ports import UpstreamSession
from gateway.upstream.http import HttpUpstream
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import MODES, Misbehaving, Reply
from tests.upstream.sessions import PARAMS, call_of, note, session_with


async def test_opening_goes_in_the_order_that_the_protocol_names() -> None:
    """Research 1.1: initialize without version or session header, everything after with both."""
    async with Misbehaving() as server, session_with(server) as session:
        assert session.initialized["serverInfo"] == {"name": "misbehaving", "version": "1"}
        await session.request(call_of("good"), RecordingRelay())
        first, second, third, fourth = server.requests[:4]
        assert first.body["params"] == {**PARAMS, "protocolVersion": "2025-11-25"}
        assert "mcp-session-id" not in first.headers
        assert "mcp-protocol-version" not in first.headers
        assert (second.method, third.verb, fourth.method) == ("notifications/initialized", "GET", "tools/call")
        for request in (second, third, fourth):
            assert request.headers["mcp-session-id"] == "session-1"
            assert request.headers["mcp-protocol-version"] == "2025-11-25"
        assert third.headers["accept"] == "text/event-stream"


async def test_opening_waits_for_the_get_stream_to_be_answered() -> None:
    """Research 1.5: a call that overtakes the GET stream can lose the upstream's question for ever."""
    arrived = anyio.Event()
    go_on = anyio.Event()

    async def slow_get(reply: Reply) -> None:
        arrived.set()
        await go_on.wait()
        reply.http(b"", status="405 Method Not Allowed")

    async with Misbehaving(get=slow_get) as server:
        upstream = HttpUpstream("files", server.url)
        opened: list[UpstreamSession] = []

        async def open_it() -> None:
            opened.append(await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay()))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(open_it)
                await arrived.wait()
                assert not opened
                go_on.set()
        assert opened
        await upstream.aclose()


async def test_a_get_stream_that_is_never_answered_delays_opening_by_two_seconds_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wait is bounded: some servers send no headers before the first event."""
    monkeypatch.setattr("gateway.upstream.session.STREAM_WAIT_S", 0.05)

    async def silent_get(reply: Reply) -> None:
        await reply.hang()

    async with Misbehaving(get=silent_get) as server, session_with(server) as session:
        assert "result" in await session.request(call_of("good"), RecordingRelay())


async def test_progress_tokens_are_ours_upstream_and_the_agents_own_again_below() -> None:
    """Tokens are unique per sender: two agents may use the same one. The recorded params stay as they are."""
    relay = RecordingRelay()
    outbound = call_of("progresses", progressToken="agent's own")

    async def progresses(reply: Reply) -> None:
        token = reply.request.body["params"]["_meta"]["progressToken"]
        assert token == reply.request.body["id"]
        stranger = note("notifications/progress", progressToken=token + 1, progress=1)
        mine = note("notifications/progress", progressToken=token, progress=2)
        reply.sse(json.dumps(stranger).encode(), json.dumps(mine).encode(), reply.message())

    async with Misbehaving() as server, session_with(server) as session:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(MODES, "progresses", progresses)
            await session.request(outbound, relay)
    assert relay.told == [("notifications/progress", {"progressToken": "agent's own", "progress": 2})]
    assert outbound.params["_meta"] == {"progressToken": "agent's own"}


async def test_cancelling_a_request_tells_the_upstream_by_our_id() -> None:
    """A disconnect is no cancellation in this era."""
    async with Misbehaving() as server, session_with(server) as session:
        with anyio.move_on_after(0.1):
            await session.request(call_of("hang"), RecordingRelay())
        (told,) = server.seen("notifications/cancelled")
        assert told.body["params"]["requestId"] == server.seen("tools/call")[0].body["id"]
        assert "result" in await session.request(call_of("good"), RecordingRelay())


async def test_a_session_that_the_upstream_forgot_is_lost_and_nothing_more_is_sent() -> None:
    """404 ends the session; the next call opens a new one."""
    async with Misbehaving() as server, session_with(server) as session:
        server.known = False
        with pytest.raises(SessionLost):
            await session.request(call_of("good"), RecordingRelay())
        before = len(server.requests)
        with pytest.raises(SessionLost) as caught:
            await session.request(call_of("good"), RecordingRelay())
        with pytest.raises(SessionLost):
            await session.notify("notifications/roots/list_changed", {})
        assert not caught.value.may_have_run
        assert len(server.requests) == before
        await session.aclose()
        assert [request.verb for request in server.requests].count("DELETE") == 0


async def test_closing_ends_the_session_on_both_sides_once() -> None:
    """DELETE with the session's id; a second close does nothing."""
    async with Misbehaving() as server, session_with(server) as session:
        await session.aclose()
        await session.aclose()
        (ended,) = [request for request in server.requests if request.verb == "DELETE"]
        assert ended.headers["mcp-session-id"] == "session-1"
        with pytest.raises(SessionLost):
            await session.request(call_of("good"), RecordingRelay())
        assert server.calls("good") == 0


@pytest.mark.parametrize("session_id", ["two words", "t\u00fcr"])
async def test_a_session_id_that_no_header_may_hold_is_refused(session_id: str) -> None:
    """It would be sent back with every request."""
    async with Misbehaving() as server:
        server.session_id = session_id
        upstream = HttpUpstream("files", server.url)
        with pytest.raises(UpstreamError):
            await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
        await upstream.aclose()
        assert server.seen("notifications/initialized") == []


async def test_cancellations_by_foreign_ids_are_not_passed_on() -> None:
    """Ids are per hop: the agent's id could be that of somebody else's request upstream."""
    async with Misbehaving() as server, session_with(server) as session:
        await session.notify("notifications/cancelled", {"requestId": 1})
        await session.notify("notifications/roots/list_changed", {})
        assert server.seen("notifications/cancelled") == []
        assert len(server.seen("notifications/roots/list_changed")) == 1


async def test_calls_that_hold_every_connection_cannot_keep_an_answer_from_the_upstream() -> None:
    """Else a call would wait for an answer that waits for the call's connection."""
    async with Misbehaving() as server:
        upstream = HttpUpstream("files", server.url, max_connections=1)
        with anyio.fail_after(5):
            session = await upstream.connect(version="2025-11-25", params=PARAMS, relay=RecordingRelay())
            assert "result" in await session.request(call_of("asks_in_the_stream"), RecordingRelay())
        await upstream.aclose()


async def test_a_notification_that_is_refused_says_so() -> None:
    """The caller must know that it did not arrive."""

    async def refuse(reply: Reply) -> None:
        reply.http(b"", status="500 Internal Server Error")

    async with Misbehaving() as server, session_with(server) as session:
        server.special = {"notifications/roots/list_changed": refuse}
        with pytest.raises(UpstreamRefused) as caught:
            await session.notify("notifications/roots/list_changed", {})
        assert caught.value.status == 500
