"""What the gateway asks an agent in the handshake era, and the answers to it."""

from dataclasses import replace

import anyio
import pytest

from tests.downstream.front import (
    LIMITS,
    call,
    eventually,
    modern,
    notice,
    world,
)


async def test_an_agent_is_asked_on_the_stream_of_its_call():
    """The question carries our id; the answer comes by POST and is 202."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("elicit", 1), session=session)
        _, question = await answer.events(2)
        assert question.data["method"] == "elicitation/create"
        reply = {"jsonrpc": "2.0", "id": question.data["id"], "result": {"action": "accept", "content": {"name": "x"}}}
        foreign = await w.open_session(key="bob-key")
        assert (await w.ask(body=reply, session=foreign, key="bob-key")).status == 400
        taken = await w.ask(body=reply, session=session)
        assert (taken.status, taken.body) == (202, b"")
        await answer.finished()
        text = answer.seen()[-1].data["result"]["content"][0]["text"]
        assert text == '{"result": {"action": "accept", "content": {"name": "x"}}}'
        assert (await w.ask(body=reply, session=session)).status == 400


async def test_an_agent_is_asked_on_its_get_stream():
    """Buffered until somebody listens; an error is an answer as well."""
    async with world() as w:
        session = await w.open_session()
        answers = []

        async def ask() -> None:
            answers.append(await w.dispatch.channels[0].ask("roots/list", {}))

        w.tasks.start_soon(ask)
        stream = w.send("GET", session=session)
        _, question = await stream.events(2)
        error = {"code": -32601, "message": "no roots"}
        await w.ask(body={"jsonrpc": "2.0", "id": question.data["id"], "error": error}, session=session)
        await eventually(lambda: answers)
        assert answers == [{"error": error}]


@pytest.mark.parametrize("reply_id", ["intended-1", "x", 1])
async def test_an_answer_to_no_question_is_refused(reply_id):
    """Nobody may answer what was not asked in this session."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body={"jsonrpc": "2.0", "id": reply_id, "result": {}}, session=session)
        assert (answer.status, answer.error["code"]) == (400, -32600)


async def test_a_question_that_is_not_answered_in_time_is_withdrawn():
    """The one who asks gets an error, the agent a cancellation."""
    async with world(replace(LIMITS, ask_timeout_s=0.02)) as w:
        session = await w.open_session()
        answer = await w.ask(body=call("elicit"), session=session)
        _, question, withdrawn, last = answer.seen()
        assert withdrawn.data["method"] == "notifications/cancelled"
        assert withdrawn.data["params"] == {"requestId": question.data["id"]}
        assert "did not answer" in last.data["result"]["content"][0]["text"]


async def test_a_question_ends_with_its_call_and_with_its_session():
    """Nothing waits for an answer that cannot come."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("elicit", 1), session=session)
        await answer.events(2)
        await w.ask(body=notice("notifications/cancelled", requestId=1), session=session)
        await answer.finished()
        assert [event.data.get("method") for event in answer.seen()[1:]] == [
            "elicitation/create",
            "notifications/cancelled",
            None,
        ]
        answers = []

        async def ask() -> None:
            answers.append(await w.dispatch.channels[0].ask("roots/list", {}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            stream = w.send("GET", session=session)
            await stream.events(2)
            await w.ask("DELETE", session=session)
        assert "error" in answers[0]
        assert "error" in await w.dispatch.channels[0].ask("roots/list", {})
        await w.dispatch.channels[0].notify("notifications/message", {})
        await stream.finished()


async def test_open_questions_are_bounded():
    """One session cannot make the gateway hold any number of them."""
    async with world(replace(LIMITS, questions_per_session=1)) as w:
        session = await w.open_session()
        first = w.send(body=call("elicit", 1), session=session)
        await first.events(2)
        second = await w.ask(body=call("elicit", 2), session=session)
        assert "takes no more questions" in second.json["result"]["content"][0]["text"]


async def test_how_long_an_agent_would_wait_reaches_whoever_holds_its_call():
    """`Prefer: wait=N`, in both eras; it is a word to the gateway and goes no further (RFC 7240)."""
    async with world() as w:
        await w.ask(body=modern(name="echo"), headers={"prefer": "wait=9"})
        session = await w.open_session()
        await w.ask(body=call("echo"), session=session, headers={"prefer": "wait=8"})
        await w.ask(body=call("echo"), session=session)
        assert [caller.prefer for caller in w.dispatch.callers] == ["wait=9", "wait=8", ""]
