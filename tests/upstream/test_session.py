"""A handshake session: its order of opening, its two streams, what travels both ways on them, and its end."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import SessionLost, UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamTimeout
from gateway.ports import Outbound, UpstreamSession
from gateway.upstream.http import HttpUpstream
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import MODES, Misbehaving, Reply

PARAMS: JsonObject = {"capabilities": {"sampling": {}}, "clientInfo": {"name": "agent", "version": "1"}}


def _call(tool: str, *, timeout_s: float = 5.0, **meta: Any) -> Outbound:
    params: JsonObject = {"name": tool, "arguments": {}}
    if meta:
        params["_meta"] = meta
    return Outbound(method="tools/call", params=params, version="2025-11-25", timeout_s=timeout_s)


@asynccontextmanager
async def _session(server: Misbehaving, relay: RecordingRelay | None = None) -> AsyncIterator[UpstreamSession]:
    upstream = HttpUpstream("files", server.url)
    try:
        with anyio.fail_after(5):
            yield await upstream.connect(version="2025-11-25", params=PARAMS, relay=relay or RecordingRelay())
    finally:
        await upstream.aclose()


def _sse(*messages: JsonObject, event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return b"".join(f"{head}data: {json.dumps(message)}\n\n".encode() for message in messages)


def _note(method: str, **params: Any) -> JsonObject:
    return {"jsonrpc": "2.0", "method": method, "params": params}


async def test_opening_goes_in_the_order_that_the_protocol_names() -> None:
    """Research 1.1: initialize without version or session header, everything after with both."""
    async with Misbehaving() as server, _session(server) as session:
        assert session.initialized["serverInfo"] == {"name": "misbehaving", "version": "1"}
        await session.request(_call("good"), RecordingRelay())
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

    async with Misbehaving(get=silent_get) as server, _session(server) as session:
        assert "result" in await session.request(_call("good"), RecordingRelay())


async def test_what_comes_on_the_get_stream_goes_to_the_session_in_order() -> None:
    """Change notifications belong to no request."""

    async def get(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(_sse(*[_note("notifications/resources/updated", uri=str(number)) for number in range(20)]))
        await reply.hang()

    relay = RecordingRelay()
    async with Misbehaving(get=get) as server, _session(server, relay):
        await relay.until(lambda relay: len(relay.told) == 20)
    assert [params["uri"] for _, params in relay.told] == [str(number) for number in range(20)]


async def test_the_get_stream_is_opened_again_from_where_it_broke() -> None:
    """Resumability: nothing is lost, and `retry:` sets the pace."""
    answers = 0

    async def get(reply: Reply) -> None:
        nonlocal answers
        answers += 1
        reply.sse_head()
        reply.chunk(b"retry: 10\n" + _sse(_note("notifications/tools/list_changed"), event_id=f"ev-{answers}"))
        await reply.flush()
        if answers < 3:
            reply.reset()
        else:
            await reply.hang()

    relay = RecordingRelay()
    async with Misbehaving(get=get) as server, _session(server, relay):
        await relay.until(lambda relay: len(relay.told) == 3)
        places = [request.headers.get("last-event-id") for request in server.requests if request.verb == "GET"]
    assert places == [None, "ev-1", "ev-2"]


async def test_a_refused_get_stream_is_not_asked_for_again() -> None:
    """405 says that the upstream offers none."""
    async with Misbehaving() as server, _session(server) as session:
        await session.request(_call("good"), RecordingRelay())
        assert [request.verb for request in server.requests].count("GET") == 1


@pytest.mark.parametrize("where", ["call", "get"])
async def test_a_question_of_the_upstream_is_answered_under_its_own_id(where: str) -> None:
    """Server requests come on either stream; the answer is posted back."""

    async def get(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(_sse({"jsonrpc": "2.0", "id": "q", "method": "roots/list"}))
        await reply.hang()

    session_relay = RecordingRelay({"result": {"roots": ["session"]}})
    call_relay = RecordingRelay({"result": {"roots": ["call"]}})
    async with Misbehaving(get=get if where == "get" else None) as server, _session(server, session_relay) as session:
        tool = "asks_in_the_stream" if where == "call" else "good"
        assert "result" in await session.request(_call(tool), call_relay)
        await server.until(lambda: bool(server.answers))
    assert server.answers == [
        {"jsonrpc": "2.0", "id": "q", "result": {"roots": [where if where == "call" else "session"]}}
    ]
    asked = call_relay if where == "call" else session_relay
    assert asked.asked == [("roots/list", {})]


async def test_an_agent_that_cannot_be_asked_gives_the_upstream_an_error() -> None:
    """The upstream waits for an answer, whatever is wrong on our side."""

    async def fail(method: str, params: JsonObject) -> JsonObject:
        raise RuntimeError

    async with Misbehaving() as server, _session(server) as session:
        await session.request(_call("asks_in_the_stream"), RecordingRelay(fail))
    assert server.answers[0]["error"]["code"] == -32603


async def test_pings_of_the_upstream_are_answered_without_the_agent() -> None:
    """Method table: ping is local in both directions."""

    async def get(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(_sse({"jsonrpc": "2.0", "id": 4, "method": "ping"}))
        await reply.hang()

    relay = RecordingRelay()
    async with Misbehaving(get=get) as server, _session(server, relay):
        await server.until(lambda: bool(server.answers))
    assert server.answers == [{"jsonrpc": "2.0", "id": 4, "result": {}}]
    assert relay.asked == []


async def test_a_question_that_the_upstream_gives_up_is_taken_back_from_the_agent() -> None:
    """`notifications/cancelled` for its own request; its id means nothing to the agent and is not passed on."""
    asked = anyio.Event()
    ended = anyio.Event()

    async def answer(method: str, params: JsonObject) -> JsonObject:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async def get(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(_sse({"jsonrpc": "2.0", "id": 9, "method": "sampling/createMessage", "params": {}}))
        await asked.wait()
        reply.chunk(_sse(_note("notifications/cancelled", requestId=9)))
        await reply.hang()

    relay = RecordingRelay(answer)
    async with Misbehaving(get=get) as server, _session(server, relay):
        with anyio.fail_after(5):
            await ended.wait()
    assert relay.told == []
    assert server.answers == []


async def test_progress_tokens_are_ours_upstream_and_the_agents_own_again_below() -> None:
    """Tokens are unique per sender: two agents may use the same one. The recorded params stay as they are."""
    relay = RecordingRelay()
    outbound = _call("progresses", progressToken="agent's own")

    async def progresses(reply: Reply) -> None:
        token = reply.request.body["params"]["_meta"]["progressToken"]
        assert token == reply.request.body["id"]
        stranger = _note("notifications/progress", progressToken=token + 1, progress=1)
        mine = _note("notifications/progress", progressToken=token, progress=2)
        reply.sse(json.dumps(stranger).encode(), json.dumps(mine).encode(), reply.message())

    async with Misbehaving() as server, _session(server) as session:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(MODES, "progresses", progresses)
            await session.request(outbound, relay)
    assert relay.told == [("notifications/progress", {"progressToken": "agent's own", "progress": 2})]
    assert outbound.params["_meta"] == {"progressToken": "agent's own"}


async def test_progress_of_the_agent_reaches_only_the_upstream_that_asked() -> None:
    """The upstream's token is made unique for the agent and mapped back; unknown ones go nowhere."""
    seen: list[Any] = []
    answered = anyio.Event()

    async def answer(method: str, params: JsonObject) -> JsonObject:
        token = params["_meta"]["progressToken"]
        seen.append(token)
        await session.notify("notifications/progress", {"progressToken": token, "progress": 1})
        await session.notify("notifications/progress", {"progressToken": "of another", "progress": 1})
        answered.set()
        return {"result": {}}

    async def get(reply: Reply) -> None:
        reply.sse_head()
        params = {"_meta": {"progressToken": 7}}
        reply.chunk(_sse({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": params}))
        await reply.hang()

    started = anyio.Event()

    async def later(method: str, params: JsonObject) -> JsonObject:
        await started.wait()
        return await answer(method, params)

    async with Misbehaving(get=get) as server, _session(server, RecordingRelay(later)) as session:
        started.set()
        await server.until(lambda: bool(server.answers))
        sent = [request.body["params"] for request in server.seen("notifications/progress")]
    assert sent == [{"progressToken": 7, "progress": 1}]
    assert seen != [7]


@pytest.mark.parametrize("tool", ["resumable", "resumable_after_a_reset"])
async def test_a_stream_that_ends_early_is_resumed_and_the_call_is_not_sent_again(tool: str) -> None:
    """2025-11-25 resumability (sse-retry): GET with Last-Event-ID is no second request."""
    async with Misbehaving() as server, _session(server) as session:
        answer = await session.request(_call(tool), RecordingRelay())
        assert answer["result"]["content"][0]["text"] == "well"
        assert server.calls(tool) == 1
        assert [r.headers["last-event-id"] for r in server.requests if "last-event-id" in r.headers] == ["ev-1"]


async def test_a_stream_that_cannot_be_resumed_ends_the_call() -> None:
    """In doubt, and once."""
    async with Misbehaving() as server, _session(server) as session:
        with pytest.raises(UpstreamBroken) as caught:
            await session.request(_call("never_resumed"), RecordingRelay())
        assert caught.value.may_have_run
        assert server.calls("never_resumed") == 1


async def test_cancelling_a_request_tells_the_upstream_by_our_id() -> None:
    """A disconnect is no cancellation in this era."""
    async with Misbehaving() as server, _session(server) as session:
        with anyio.move_on_after(0.1):
            await session.request(_call("hang"), RecordingRelay())
        (told,) = server.seen("notifications/cancelled")
        assert told.body["params"]["requestId"] == server.seen("tools/call")[0].body["id"]
        assert "result" in await session.request(_call("good"), RecordingRelay())


async def test_a_session_that_the_upstream_forgot_is_lost_and_nothing_more_is_sent() -> None:
    """404 ends the session; the next call opens a new one."""
    async with Misbehaving() as server, _session(server) as session:
        server.known = False
        with pytest.raises(SessionLost):
            await session.request(_call("good"), RecordingRelay())
        before = len(server.requests)
        with pytest.raises(SessionLost) as caught:
            await session.request(_call("good"), RecordingRelay())
        with pytest.raises(SessionLost):
            await session.notify("notifications/roots/list_changed", {})
        assert not caught.value.may_have_run
        assert len(server.requests) == before
        await session.aclose()
        assert [request.verb for request in server.requests].count("DELETE") == 0


async def test_closing_ends_the_session_on_both_sides_once() -> None:
    """DELETE with the session's id; a second close does nothing."""
    async with Misbehaving() as server, _session(server) as session:
        await session.aclose()
        await session.aclose()
        (ended,) = [request for request in server.requests if request.verb == "DELETE"]
        assert ended.headers["mcp-session-id"] == "session-1"
        with pytest.raises(SessionLost):
            await session.request(_call("good"), RecordingRelay())
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
    async with Misbehaving() as server, _session(server) as session:
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
            assert "result" in await session.request(_call("asks_in_the_stream"), RecordingRelay())
        await upstream.aclose()


# --- what else can go wrong on either stream ---


async def test_questions_beyond_a_bound_are_refused_and_the_rest_still_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upstream must not fill the gateway with waiting questions."""
    monkeypatch.setattr("gateway.upstream.asking.MAX_ASKED", 2)
    go_on = anyio.Event()

    async def answer(method: str, params: JsonObject) -> JsonObject:
        await go_on.wait()
        return {"result": {}}

    async def get(reply: Reply) -> None:
        reply.sse_head()
        for number in (1, 2, 2, 3):
            reply.chunk(_sse({"jsonrpc": "2.0", "id": number, "method": "roots/list"}))
        await reply.hang()

    relay = RecordingRelay(answer)
    async with Misbehaving(get=get) as server, _session(server, relay):
        await server.until(lambda: len(server.answers) == 1)
        go_on.set()
        await server.until(lambda: len(server.answers) == 3)
    assert server.answers[0]["id"] == 3
    assert server.answers[0]["error"]["code"] == -32603
    assert sorted(answer["id"] for answer in server.answers[1:]) == [1, 2]
    assert len(relay.asked) == 2


async def test_a_question_that_nobody_answers_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait has a deadline, the one for a human too."""
    monkeypatch.setattr("gateway.upstream.asking.ANSWER_S", 0.05)

    async def never(method: str, params: JsonObject) -> JsonObject:
        await anyio.sleep_forever()
        return {}

    async with Misbehaving() as server, _session(server) as session:
        await session.request(_call("asks_in_the_stream"), RecordingRelay(never))
    assert server.answers[0]["error"]["code"] == -32603


async def test_a_call_that_ends_without_an_answer_takes_its_questions_back() -> None:
    """Nobody should be asked for what can no longer matter."""
    ended = anyio.Event()

    async def never(method: str, params: JsonObject) -> JsonObject:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return {}

    async with Misbehaving() as server, _session(server) as session:
        with pytest.raises(UpstreamError):
            await session.request(_call("asks_in_the_stream", timeout_s=0.1), RecordingRelay(never))
        with anyio.fail_after(5):
            await ended.wait()
    assert server.answers == []


@pytest.mark.parametrize("first", ["garbage", "500", "reset"])
async def test_a_get_stream_that_fails_is_opened_again_after_a_pause(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the upstream does to it, the session goes on and calls are not concerned."""
    monkeypatch.setattr("gateway.upstream.streams.FIRST_DELAY_S", 0.01)
    monkeypatch.setattr("gateway.upstream.streams.LEAST_DELAY_S", 0.01)
    answers = 0

    async def get(reply: Reply) -> None:
        nonlocal answers
        answers += 1
        if answers > 3:
            reply.sse_head()
            reply.chunk(_sse(_note("notifications/tools/list_changed")))
            await reply.hang()
        elif first == "500":
            reply.http(b"", status="500 Internal Server Error")
        elif first == "garbage":
            reply.sse_head()
            reply.chunk(b"data: {nonsense\n\n")
            await reply.hang()
        else:
            reply.reset()

    relay = RecordingRelay()
    async with Misbehaving(get=get) as server, _session(server, relay) as session:
        await relay.until(lambda relay: relay.methods() == ["notifications/tools/list_changed"])
        assert "result" in await session.request(_call("good"), RecordingRelay())


async def test_a_stream_that_does_not_go_on_ends_the_call_at_its_deadline() -> None:
    """The upstream names a pause longer than the call may last."""

    async def pauses(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(b"id: ev-1\nretry: 60000\ndata:\n\n")
        reply.write(b"0\r\n\r\n")

    async with Misbehaving() as server, _session(server) as session:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(MODES, "pauses", pauses)
            with pytest.raises(UpstreamTimeout) as caught:
                await session.request(_call("pauses", timeout_s=0.1), RecordingRelay())
        assert caught.value.may_have_run
        assert server.calls("pauses") == 1


async def test_a_stream_that_brings_nothing_new_is_not_resumed_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt ends as empty as the one before."""
    monkeypatch.setattr("gateway.upstream.streams.MAX_FRUITLESS", 3)
    monkeypatch.setattr("gateway.upstream.streams.LEAST_DELAY_S", 0.01)

    async def empty(reply: Reply) -> None:
        if "last-event-id" not in reply.request.headers:
            reply.http(b"", status="405 Method Not Allowed")
        elif len([r for r in reply.server.requests if "last-event-id" in r.headers]) == 2:
            reply.reset()
        else:
            reply.sse_head()
            reply.write(b"0\r\n\r\n")

    async with Misbehaving(get=empty) as server, _session(server) as session:
        with pytest.raises(UpstreamBroken) as caught:
            await session.request(_call("never_resumed"), RecordingRelay())
        assert caught.value.may_have_run
        assert [r.headers.get("last-event-id") for r in server.requests if r.verb == "GET"] == [None, *["ev-1"] * 3]


async def test_a_request_at_the_wrong_place_and_time_is_answered_once_per_event() -> None:
    """A reply that the upstream refuses to take harms neither the session nor the call."""

    async def refuse(reply: Reply) -> None:
        reply.http(b"", status="500 Internal Server Error")
        reply.server.answered.set()

    async with Misbehaving() as server, _session(server) as session:
        server.special = {"": refuse}
        assert "result" in await session.request(_call("asks_in_the_stream"), RecordingRelay())


async def test_a_notification_that_is_refused_says_so() -> None:
    """The caller must know that it did not arrive."""

    async def refuse(reply: Reply) -> None:
        reply.http(b"", status="500 Internal Server Error")

    async with Misbehaving() as server, _session(server) as session:
        server.special = {"notifications/roots/list_changed": refuse}
        with pytest.raises(UpstreamRefused) as caught:
            await session.notify("notifications/roots/list_changed", {})
        assert caught.value.status == 500
