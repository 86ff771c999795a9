"""The modern era: a request, its answer as JSON or as a stream, and an agent that leaves."""

from dataclasses import replace

import anyio

from tests.downstream.front import (
    LIMITS,
    eventually,
    modern,
    world,
)


async def test_a_modern_call_is_answered_as_json():
    """An answer that nothing precedes needs no stream (2026-07-28, Streamable HTTP)."""
    async with world() as w:
        answer = await w.ask(body=modern(name="echo", arguments={"a": 1}))
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        assert answer.json == {
            "jsonrpc": "2.0",
            "id": 1,
            "result": {"content": [{"type": "text", "text": '{"a": 1}'}], "resultType": "complete"},
        }


async def test_a_modern_request_ignores_and_never_gets_a_session():
    """The header means nothing in this era."""
    async with world() as w:
        answer = await w.ask(body=modern(name="echo"), session="whatever")
        assert answer.status == 200
        assert "mcp-session-id" not in answer.headers
        assert len(w.front.sessions) == 0


async def test_the_reply_says_the_status_of_a_plain_answer():
    """An unknown method is 404 in this era."""
    async with world() as w:
        answer = await w.ask(body=modern("nope"))
        assert (answer.status, answer.error["code"]) == (404, -32601)


async def test_messages_before_the_answer_make_it_a_stream():
    """Progress arrives when it is sent; the answer is the last event, and nothing has an id to resume from."""
    async with world() as w:
        answer = await w.ask(body=modern(name="progress"))
        assert answer.header("content-type") == "text/event-stream"
        *progress, last = answer.seen()
        assert [event.data["params"]["progress"] for event in progress] == [1, 2, 3]
        assert last.data["result"]["content"][0]["text"] == "done"
        assert {event.id for event in answer.seen()} == {""}
        assert answer.done


async def test_a_listen_stream_opens_at_once():
    """Its first message is the acknowledgement; the agent must see it before anything changes."""
    async with world() as w:
        answer = w.send(body=modern("subscriptions/listen", notifications={}))
        [acknowledged] = await answer.events(1)
        assert acknowledged.data["method"] == "notifications/subscriptions/acknowledged"
        w.dispatch.release.set()
        await answer.finished()
        assert answer.seen()[-1].data["result"] == {"resultType": "complete"}


async def test_a_long_silence_opens_the_stream_and_is_filled_with_comments():
    """Proxies cut what stays silent; the protocol wants a comment at least every 15 s."""
    async with world(replace(LIMITS, keep_alive_s=0.01)) as w:
        answer = w.send(body=modern(name="hang"))
        await answer.until(lambda: answer.body.count(b": ping\n\n") >= 2)
        assert answer.header("content-type") == "text/event-stream"
        w.dispatch.release.set()
        await answer.finished()
        assert answer.seen()[-1].data["result"]["content"]


async def test_a_modern_agent_that_leaves_cancels_its_call():
    """Closing the response stream is this era's cancellation; nothing of the call stays behind."""
    async with world() as w:
        tasks = len(anyio.get_running_tasks())
        for name in ("hang", "talk"):
            answer = w.send(body=modern(name=name))
            with anyio.fail_after(5):
                await w.dispatch.arrived.wait()
            answer.leave()
            await answer.finished()
        assert w.dispatch.ended == ["cancelled", "cancelled"]
        assert not answer.done
        await eventually(lambda: len(anyio.get_running_tasks()) == tasks)


async def test_the_dispatch_can_ask_at_any_moment_whether_the_agent_is_there():
    """Never forward once the caller is gone: checked last before the first byte (design, section 4)."""
    async with world(replace(LIMITS, attend_after_s=60)) as w:
        answer = w.send(body=modern(name="hang"))
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        [caller] = w.dispatch.callers
        assert not caller.gone()
        answer.leave()
        assert caller.gone()
        assert caller.gone()
        w.dispatch.release.set()
        await answer.finished()


async def test_a_modern_agent_cannot_be_asked_or_put_off():
    """There are no requests to the agent in this era, and no stream to resume."""
    async with world() as w:
        answer = await w.ask(body=modern(name="elicit"))
        assert "cannot be sent to an agent of this era" in answer.json["result"]["content"][0]["text"]
        w.dispatch.release.set()
        assert (await w.ask(body=modern(name="pause"))).done


async def test_modern_notifications_are_taken_and_dropped():
    """Honouring `notifications/cancelled` here would let one caller cancel another's work."""
    async with world() as w:
        body = {**modern("notifications/cancelled", requestId=1)}
        del body["id"]
        answer = await w.ask(body=body)
        assert (answer.status, answer.body) == (202, b"")
        assert (w.dispatch.reached, w.dispatch.notices) == ([], [])
