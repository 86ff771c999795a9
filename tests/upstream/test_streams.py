"""Both streams of a session: what comes on them, and how they go on where they broke."""

from typing import Any

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamBroken, UpstreamTimeout
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import MODES, Misbehaving, Reply
from tests.upstream.sessions import call_of, note, session_with, sse


async def test_what_comes_on_the_get_stream_goes_to_the_session_in_order() -> None:
    """Change notifications belong to no request."""

    async def get(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(sse(*[note("notifications/resources/updated", uri=str(number)) for number in range(20)]))
        await reply.hang()

    relay = RecordingRelay()
    async with Misbehaving(get=get) as server, session_with(server, relay):
        await relay.until(lambda relay: len(relay.told) == 20)
    assert [params["uri"] for _, params in relay.told] == [str(number) for number in range(20)]


async def test_the_get_stream_is_opened_again_from_where_it_broke() -> None:
    """Resumability: nothing is lost, and `retry:` sets the pace."""
    answers = 0

    async def get(reply: Reply) -> None:
        nonlocal answers
        answers += 1
        reply.sse_head()
        reply.chunk(b"retry: 10\n" + sse(note("notifications/tools/list_changed"), event_id=f"ev-{answers}"))
        await reply.flush()
        if answers < 3:
            reply.reset()
        else:
            await reply.hang()

    relay = RecordingRelay()
    async with Misbehaving(get=get) as server, session_with(server, relay):
        await relay.until(lambda relay: len(relay.told) == 3)
        places = [request.headers.get("last-event-id") for request in server.requests if request.verb == "GET"]
    assert places == [None, "ev-1", "ev-2"]


async def test_a_refused_get_stream_is_not_asked_for_again() -> None:
    """405 says that the upstream offers none."""
    async with Misbehaving() as server, session_with(server) as session:
        await session.request(call_of("good"), RecordingRelay())
        assert [request.verb for request in server.requests].count("GET") == 1


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
        reply.chunk(sse({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": params}))
        await reply.hang()

    started = anyio.Event()

    async def later(method: str, params: JsonObject) -> JsonObject:
        await started.wait()
        return await answer(method, params)

    async with Misbehaving(get=get) as server, session_with(server, RecordingRelay(later)) as session:
        started.set()
        await server.until(lambda: bool(server.answers))
        sent = [request.body["params"] for request in server.seen("notifications/progress")]
    assert sent == [{"progressToken": 7, "progress": 1}]
    assert seen != [7]


@pytest.mark.parametrize("tool", ["resumable", "resumable_after_a_reset"])
async def test_a_stream_that_ends_early_is_resumed_and_the_call_is_not_sent_again(tool: str) -> None:
    """2025-11-25 resumability (sse-retry): GET with Last-Event-ID is no second request."""
    async with Misbehaving() as server, session_with(server) as session:
        answer = await session.request(call_of(tool), RecordingRelay())
        assert answer["result"]["content"][0]["text"] == "well"
        assert server.calls(tool) == 1
        assert [r.headers["last-event-id"] for r in server.requests if "last-event-id" in r.headers] == ["ev-1"]


async def test_a_stream_that_cannot_be_resumed_ends_the_call() -> None:
    """In doubt, and once."""
    async with Misbehaving() as server, session_with(server) as session:
        with pytest.raises(UpstreamBroken) as caught:
            await session.request(call_of("never_resumed"), RecordingRelay())
        assert caught.value.may_have_run
        assert server.calls("never_resumed") == 1


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
            reply.chunk(sse(note("notifications/tools/list_changed")))
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
    async with Misbehaving(get=get) as server, session_with(server, relay) as session:
        await relay.until(lambda relay: relay.methods() == ["notifications/tools/list_changed"])
        assert "result" in await session.request(call_of("good"), RecordingRelay())


async def test_a_stream_that_does_not_go_on_ends_the_call_at_its_deadline() -> None:
    """The upstream names a pause longer than the call may last."""

    async def pauses(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(b"id: ev-1\nretry: 60000\ndata:\n\n")
        reply.write(b"0\r\n\r\n")

    async with Misbehaving() as server, session_with(server) as session:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(MODES, "pauses", pauses)
            with pytest.raises(UpstreamTimeout) as caught:
                await session.request(call_of("pauses", timeout_s=0.1), RecordingRelay())
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

    async with Misbehaving(get=empty) as server, session_with(server) as session:
        with pytest.raises(UpstreamBroken) as caught:
            await session.request(call_of("never_resumed"), RecordingRelay())
        assert caught.value.may_have_run
        assert [r.headers.get("last-event-id") for r in server.requests if r.verb == "GET"] == [None, *["ev-1"] * 3]
