"""What an upstream asks of the agent: answered under its own id, bounded, and taken back."""

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamError
from tests.simulate.relay import RecordingRelay
from tests.upstream.misbehaving import Misbehaving, Reply
from tests.upstream.sessions import call_of, note, session_with, sse


@pytest.mark.parametrize("where", ["call", "get"])
async def test_a_question_of_the_upstream_is_answered_under_its_own_id(where: str) -> None:
    """Server requests come on either stream; the answer is posted back."""

    async def get(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(sse({"jsonrpc": "2.0", "id": "q", "method": "roots/list"}))
        await reply.hang()

    session_relay = RecordingRelay({"result": {"roots": ["session"]}})
    call_relay = RecordingRelay({"result": {"roots": ["call"]}})
    async with (
        Misbehaving(get=get if where == "get" else None) as server,
        session_with(server, session_relay) as session,
    ):
        tool = "asks_in_the_stream" if where == "call" else "good"
        assert "result" in await session.request(call_of(tool), call_relay)
        await server.until(lambda: bool(server.answers))
    assert server.answers == [
        {"jsonrpc": "2.0", "id": "q", "result": {"roots": [where if where == "call" else "session"]}}
    ]
    asked = call_relay if where == "call" else session_relay
    assert asked.asked == [("roots/list", {})]


async def test_an_agent_that_cannot_be_asked_gives_the_upstream_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """The upstream waits for an answer, whatever is wrong on our side; the log says of which kind that was."""

    async def fail(method: str, params: JsonObject) -> JsonObject:
        raise RuntimeError("words")

    async with Misbehaving() as server, session_with(server) as session:
        await session.request(call_of("asks_in_the_stream"), RecordingRelay(fail))
    assert server.answers[0]["error"]["code"] == -32603
    assert "could not be passed on (RuntimeError)" in caplog.text
    assert "words" not in caplog.text


async def test_pings_of_the_upstream_are_answered_without_the_agent() -> None:
    """Method table: ping is local in both directions."""

    async def get(reply: Reply) -> None:
        reply.sse_head()
        reply.chunk(sse({"jsonrpc": "2.0", "id": 4, "method": "ping"}))
        await reply.hang()

    relay = RecordingRelay()
    async with Misbehaving(get=get) as server, session_with(server, relay):
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
        reply.chunk(sse({"jsonrpc": "2.0", "id": 9, "method": "sampling/createMessage", "params": {}}))
        await asked.wait()
        reply.chunk(sse(note("notifications/cancelled", requestId=9)))
        await reply.hang()

    relay = RecordingRelay(answer)
    async with Misbehaving(get=get) as server, session_with(server, relay):
        with anyio.fail_after(5):
            await ended.wait()
    assert relay.told == []
    assert server.answers == []


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
            reply.chunk(sse({"jsonrpc": "2.0", "id": number, "method": "roots/list"}))
        await reply.hang()

    relay = RecordingRelay(answer)
    async with Misbehaving(get=get) as server, session_with(server, relay):
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

    async with Misbehaving() as server, session_with(server) as session:
        await session.request(call_of("asks_in_the_stream"), RecordingRelay(never))
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

    async with Misbehaving() as server, session_with(server) as session:
        with pytest.raises(UpstreamError):
            await session.request(call_of("asks_in_the_stream", timeout_s=0.1), RecordingRelay(never))
        with anyio.fail_after(5):
            await ended.wait()
    assert server.answers == []


async def test_a_request_at_the_wrong_place_and_time_is_answered_once_per_event() -> None:
    """A reply that the upstream refuses to take harms neither the session nor the call."""

    async def refuse(reply: Reply) -> None:
        reply.http(b"", status="500 Internal Server Error")
        reply.server.answered.set()

    async with Misbehaving() as server, session_with(server) as session:
        server.special = {"": refuse}
        assert "result" in await session.request(call_of("asks_in_the_stream"), RecordingRelay())
