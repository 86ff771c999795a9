"""Sessions of the handshake era: they begin once, belong to one agent and end with it or the front."""

import anyio
import pytest

from gateway.services.dispatch import Reply
from tests.downstream.front import (
    HANDSHAKE,
    call,
    eventually,
    initialize,
    modern,
    notice,
    world,
)


async def test_initialize_answers_with_a_session_id():
    """Visible ASCII, ours, and new each time; an old id that comes along means nothing."""
    async with world() as w:
        first = await w.ask(body=initialize())
        second = await w.ask(body=initialize(), session=first.header("mcp-session-id"))
        assert first.json["result"]["protocolVersion"] == HANDSHAKE
        assert first.header("mcp-session-id") != second.header("mcp-session-id")
        assert len(w.front.sessions) == 2


async def test_a_session_call_is_answered_as_json():
    """The handshake era's hot path."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=call(a=1), session=session, version=HANDSHAKE)
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        assert answer.json["result"]["content"][0]["text"] == '{"a": 1}'


async def test_a_refused_initialize_leaves_no_session():
    """The dispatch's refusal is the answer."""
    async with world() as w:
        w.dispatch.refuse_initialize = Reply(message={"error": {"code": -32602, "message": "no"}}, status=400)
        answer = await w.ask(body=initialize())
        assert (answer.status, answer.error["message"]) == (400, "no")
        assert "mcp-session-id" not in answer.headers
        assert len(w.front.sessions) == 0


async def test_an_agent_that_leaves_during_initialize_leaves_no_session():
    """Nobody would ever learn the id; its upstream sessions are ended."""
    async with world() as w:
        answer = w.send(body=initialize(hang=True))
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        answer.leave()
        w.dispatch.release.set()
        await answer.finished()
        assert len(w.front.sessions) == 0
        assert [c.closed for c in w.dispatch.conversations] == [1]


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_session_is_nobodys_but_its_own(method):
    """Session theft: unknown, ended and foreign ids get the same answer (protocol research, section 2)."""
    async with world() as w:
        session = await w.open_session()
        ended = await w.open_session()
        await w.ask("DELETE", session=ended)
        w.dispatch.reached.clear()
        body = call() if method == "POST" else b""
        answers = [
            await w.ask(method, body=body, session=session, key="bob-key"),
            await w.ask(method, body=body, session=session, key="alice-other-key"),
            await w.ask(method, body=body, session=session, path="/mcp/files"),
            await w.ask(method, body=body, session=ended),
            await w.ask(method, body=body, session="made-up"),
        ]
        assert {answer.status for answer in answers} == {404}
        assert len({answer.body for answer in answers}) == 1
        assert w.dispatch.reached == []
        assert (await w.ask(body=call(), session=session)).status == 200


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_session_is_named_once_and_with_its_version(method):
    """400 where the id is missing or doubled, or the version is not the agreed one."""
    async with world() as w:
        session = await w.open_session()
        w.dispatch.reached.clear()
        body = call() if method == "POST" else b""
        twice = [("mcp-session-id", session)]
        assert (await w.ask(method, body=body)).status == 400
        assert (await w.ask(method, body=body, session=session, more=twice)).status == 400
        assert (await w.ask(method, body=body, session=session, version="2025-06-18")).status == 400
        assert w.dispatch.reached == []


async def test_delete_ends_the_session():
    """Its conversation is closed, what was in flight is over, and the id is unknown from then on."""
    async with world() as w:
        session = await w.open_session()
        calls = [w.send(body=call("hang", 1), session=session), w.send(body=call("talk", 2), session=session)]
        stream = w.send("GET", session=session)
        await stream.started()
        await calls[1].events(2)
        answer = await w.ask("DELETE", session=session)
        assert (answer.status, answer.body) == (200, b"")
        for exchange in (*calls, stream):
            await exchange.finished()
        assert (calls[0].status, calls[0].error["message"]) == (404, "Session not found")
        assert calls[1].seen()[-1].data["error"]["message"] == "Session not found"
        assert stream.done
        assert w.dispatch.ended == ["cancelled", "cancelled"]
        assert [c.closed for c in w.dispatch.conversations] == [1]
        assert (await w.ask("DELETE", session=session)).status == 404
        assert (await w.ask(body=call(), session=session)).status == 404


async def test_other_notifications_go_to_the_dispatch():
    """202 without a body."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=notice("notifications/initialized"), session=session)
        assert (answer.status, answer.body) == (202, b"")
        assert w.dispatch.notices == ["notifications/initialized"]


async def test_all_sessions_end_with_the_front():
    """Upstream sessions are not left open at shutdown, and a stream that only waits does not hold it up."""
    async with world() as w:
        session = await w.open_session()
        other = await w.open_session()
        stream = w.send("GET", session=session)
        listening = w.send(body=modern("subscriptions/listen"))
        hanging = w.send(body=call("hang"), session=other)
        await stream.started()
        await listening.events(1)
        w.front.drain()
        await stream.finished()
        await listening.finished()
        assert stream.done
        assert listening.done
        assert (await w.ask(body=initialize())).status == 503
        await w.front.sessions.close()
        await hanging.finished()
        assert [c.closed for c in w.dispatch.conversations] == [1, 1]


async def test_a_session_that_opens_while_the_front_stops_is_closed_again():
    """Its upstream sessions came too late to be used."""
    async with world() as w:
        answer = w.send(body=initialize(hang=True))
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        await w.front.sessions.close()
        w.dispatch.release.set()
        await answer.finished()
        assert answer.status == 503
        assert [c.closed for c in w.dispatch.conversations] == [1]


async def test_a_listen_that_was_not_acknowledged_yet_is_told_when_the_front_stops():
    """No answer is left unstarted."""
    async with world() as w:
        w.dispatch._do = lambda *_: anyio.sleep_forever()
        answer = w.send(body=modern("subscriptions/listen"))
        await eventually(lambda: w.dispatch.reached)
        w.front.drain()
        await answer.finished()
        assert answer.status == 503
