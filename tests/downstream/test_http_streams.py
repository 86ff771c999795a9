"""Streams of the handshake era: requests in flight, resumption and the GET stream."""

from dataclasses import replace

import anyio
import pytest

from tests.downstream.front import (
    LIMITS,
    Exchange,
    call,
    eventually,
    modern,
    notice,
    world,
)

# --- handshake era: requests ------------------------------------------------------------------------------------------


async def test_an_id_in_flight_is_not_taken_twice():
    """Two answers under one id could not be told apart; 1 and "1" are two ids."""
    async with world() as w:
        session = await w.open_session()
        first = w.send(body=call("hang", 1), session=session)
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        second = await w.ask(body=call("echo", 1), session=session)
        assert (second.status, second.error["code"], second.json["id"]) == (400, -32600, 1)
        assert (await w.ask(body=call("echo", "1"), session=session)).status == 200
        w.dispatch.release.set()
        await first.finished()
        assert (await w.ask(body=call("echo", 1), session=session)).status == 200
        assert w.dispatch.reached.count(("session", "tools/call")) == 3


async def test_cancelled_ends_the_request_of_that_session_only():
    """By the agent's own id; unknown ids and those of other sessions are ignored."""
    async with world() as w:
        session, other = await w.open_session(), await w.open_session(key="bob-key")
        hanging = w.send(body=call("hang", 7), session=session)
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        for request_id in (8, "7", None, True, [7]):
            notification = notice("notifications/cancelled", requestId=request_id)
            assert (await w.ask(body=notification, session=session)).status == 202
        await w.ask(body=notice("notifications/cancelled", requestId=7), session=other, key="bob-key")
        assert w.dispatch.ended == []
        await w.ask(body=notice("notifications/cancelled", requestId=7), session=session)
        await hanging.finished()
        assert w.dispatch.ended == ["cancelled"]
        assert w.dispatch.notices == []
        assert (hanging.status, hanging.json["id"], hanging.error["code"]) == (200, 7, -32800)


async def test_a_handshake_stream_can_be_resumed():
    """2025-11-25: an empty first event with `retry`, an id on every event, the answer last."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=call("progress"), session=session)
        priming, *events = answer.seen()
        assert (priming.data, priming.retry) == (None, "1000")
        assert [event.data.get("method", "answer") for event in events] == ["notifications/progress"] * 3 + ["answer"]
        assert len({event.id for event in answer.seen()}) == 5
        older = await w.open_session(version="2025-06-18")
        answer = await w.ask(body=call("progress"), session=older)
        assert [bool(event.id) for event in answer.seen()] == [True] * 4
        assert answer.seen()[0].data["method"] == "notifications/progress"


async def test_an_agent_that_names_streams_first_gets_one():
    """The conformance suite asks so, and wants concurrent streams (server-sse-multiple-streams)."""
    async with world() as w:
        session = await w.open_session()
        accept = {"accept": "text/event-stream, application/json"}
        answers = [w.send(body=call("echo", i), session=session, headers=accept) for i in range(3)]
        for answer in answers:
            await answer.finished()
            assert [event.data is None for event in answer.seen()] == [True, False]


async def test_a_silent_handshake_call_gets_a_stream_and_comments():
    """As in the modern era."""
    async with world(replace(LIMITS, keep_alive_s=0.01)) as w:
        session = await w.open_session()
        answer = w.send(body=call("hang"), session=session)
        await answer.until(lambda: answer.body.count(b": ping\n\n") >= 2)
        w.dispatch.release.set()
        await answer.finished()
        assert answer.seen()[0].data is None
        assert answer.seen()[-1].data["result"]


async def test_a_handshake_agent_that_leaves_does_not_cancel():
    """A broken connection is no cancellation in this era; the answer is kept for the one who resumes."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("talk"), session=session)
        priming, before = await answer.events(2)
        answer.leave()
        await eventually(lambda: not w.front.sessions._all[session].log._streams[priming.id.split("_")[0]].listener)
        assert not w.dispatch.callers[-1].gone()
        w.dispatch.release.set()
        await answer.finished()
        assert w.dispatch.ended == ["done"]
        assert len(answer.seen()) == 2
        resumed = await w.ask("GET", session=session, headers={"last-event-id": before.id})
        assert resumed.header("content-type") == "text/event-stream"
        after, last = resumed.seen()
        assert after.data["params"]["data"] == "after"
        assert last.data["result"]["content"][0]["text"] == "released, gone=False"
        assert resumed.done
        again = await w.ask("GET", session=session, headers={"last-event-id": priming.id})
        assert [event.id for event in again.seen()] == [before.id, after.id, last.id]


async def test_a_handshake_agent_that_leaves_without_an_event_id_is_gone():
    """It has nothing to resume from: the work goes on, but nothing new may be begun for it."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("hang"), session=session)
        with anyio.fail_after(5):
            await w.dispatch.arrived.wait()
        assert not w.dispatch.callers[-1].gone()
        answer.leave()
        assert w.dispatch.callers[-1].gone()
        await w.dispatch.callers[-1].notify("notifications/message", {})
        w.dispatch.release.set()
        await answer.finished()
        assert w.dispatch.ended == ["done"]
        assert answer.body == b""


async def test_a_stream_is_resumed_while_its_call_still_runs():
    """The agent reconnects before we notice that its connection broke: the newer one takes over."""
    async with world() as w:
        session = await w.open_session()
        first = w.send(body=call("talk"), session=session)
        priming, _ = await first.events(2)
        second = w.send("GET", session=session, headers={"last-event-id": priming.id})
        await second.events(1)
        third = w.send("GET", session=session, headers={"last-event-id": priming.id})
        await third.events(1)
        await second.finished()
        assert second.done
        w.dispatch.release.set()
        await first.finished()
        await third.finished()
        assert first.done
        assert len(first.seen()) == 2
        assert [event.data.get("method", "answer") for event in third.seen()] == [
            "notifications/message",
            "notifications/message",
            "answer",
        ]


async def test_a_stream_is_paused_and_resumed():
    """SEP-1699: the connection ends in the middle of a call, the agent comes back (server-sse-polling)."""
    async with world() as w:
        session = await w.open_session()
        answer = w.send(body=call("pause"), session=session)
        await answer.until(lambda: answer.done)
        assert not answer.over
        resumed = w.send("GET", session=session, headers={"last-event-id": answer.seen()[-1].id})
        await resumed.started()
        w.dispatch.release.set()
        await resumed.finished()
        assert [event.data["id"] for event in resumed.seen()] == [1]
        older = await w.open_session(version="2025-06-18")
        assert (await w.ask(body=call("pause"), session=older)).seen()[-1].data["result"]


@pytest.mark.parametrize("event_id", ["", "x", "x_1", "{token}_9", "{token}_x", "{token}_-1", "{token}_", "{other}_0"])
async def test_only_a_stream_of_this_session_is_resumed(event_id):
    """Event ids of another session, or made up, name nothing (protocol research, 1.2)."""
    async with world() as w:
        session, other = await w.open_session(), await w.open_session(key="bob-key")
        mine = await w.ask(body=call("progress"), session=session)
        foreign = await w.ask(body=call("progress"), session=other, key="bob-key")
        token = mine.seen()[0].id.rpartition("_")[0]
        event_id = event_id.format(token=token, other=foreign.seen()[0].id.rpartition("_")[0])
        answer = await w.ask("GET", session=session, more=[("last-event-id", event_id)])
        assert (answer.status, answer.error["code"]) == (400, -32600)
        twice = [("last-event-id", mine.seen()[0].id)] * 2
        assert (await w.ask("GET", session=session, more=twice)).status == 400


async def test_events_are_kept_for_a_while_only():
    """The buffer is bounded in seconds."""
    async with world() as w:
        session = await w.open_session()
        answer = await w.ask(body=call("progress"), session=session)
        w.clock.seconds += LIMITS.event_buffer_s + 1
        resumed = await w.ask("GET", session=session, headers={"last-event-id": answer.seen()[0].id})
        assert resumed.status == 400


async def test_an_answer_too_large_to_keep_says_so():
    """The buffer is bounded in bytes; whoever listens gets everything, whoever comes back gets an error."""
    async with world(replace(LIMITS, event_buffer_bytes=4000)) as w:
        session = await w.open_session()
        staying = w.send(body=call("big", 1), session=session)
        leaving = w.send(body=call("big", 2), session=session)
        await staying.events(2)
        await leaving.events(2)
        leaving.leave()
        await eventually(lambda: not w.front.sessions._all[session].log.find(leaving.seen()[0].id)[0].listener)
        w.dispatch.release.set()
        await staying.finished()
        await leaving.finished()
        assert len(staying.seen()[-1].data["result"]["content"][0]["text"]) == 5000
        resumed = await w.ask("GET", session=session, headers={"last-event-id": leaving.seen()[-1].id})
        assert resumed.seen()[-1].data["error"]["message"].startswith("The answer was too large to keep")


async def test_a_handler_that_the_server_cancels_leaves_nothing_behind():
    """As uvicorn does when a graceful stop takes too long: no attendant, no id in flight, no listener remains."""
    async with world() as w:
        session = await w.open_session()
        running = len(anyio.get_running_tasks())
        for name, key in (("hang", {}), ("talk", {}), ("hang", {"session": session}), ("talk", {"session": session})):
            body = call(name) if key else modern(name=name)
            async with anyio.create_task_group() as tasks:
                w.dispatch.arrived = anyio.Event()
                exchange = Exchange("POST", "/mcp", body=body, **key)
                tasks.start_soon(exchange.run, w.front)
                with anyio.fail_after(5):
                    await w.dispatch.arrived.wait()
                await eventually(lambda: w.front._usher._attended)
                tasks.cancel_scope.cancel()
        stream = Exchange("GET", "/mcp", session=session)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.run, w.front)
            await stream.started()
            tasks.cancel_scope.cancel()
        assert w.dispatch.ended == ["cancelled"] * 4
        await eventually(lambda: len(anyio.get_running_tasks()) == running)
        assert w.front.sessions._all[session].idle
        assert (await w.ask(body=call(), session=session)).status == 200


# --- handshake era: the GET stream ------------------------------------------------------------------------------------


async def test_the_get_stream_carries_what_belongs_to_no_request():
    """Kept in order while nobody listens, and sent once."""
    async with world() as w:
        session = await w.open_session()
        [channel] = w.dispatch.channels
        await channel.notify("notifications/tools/list_changed", {})
        stream = w.send("GET", session=session)
        priming, first = await stream.events(2)
        assert (priming.data, priming.retry) == (None, "1000")
        assert first.data == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        await channel.notify("notifications/message", {"level": "info", "data": 1})
        await stream.events(3)
        stream.leave()
        await stream.finished()
        await channel.notify("notifications/message", {"level": "info", "data": 2})
        again = w.send("GET", session=session)
        _, event = await again.events(2)
        assert event.data["params"]["data"] == 2
        resumed = w.send("GET", session=session, headers={"last-event-id": first.id})
        assert [event.data["params"]["data"] for event in await resumed.events(2)] == [1, 2]
        await again.finished()


async def test_there_is_one_get_stream():
    """As the SDK answers; another after the first has ended is fine."""
    async with world() as w:
        session = await w.open_session()
        first = w.send("GET", session=session)
        await first.started()
        second = await w.ask("GET", session=session)
        assert second.status == 409
        first.leave()
        await first.finished()
        third = w.send("GET", session=session)
        await third.started()
        assert third.status == 200


async def test_get_needs_an_agent_that_takes_streams():
    """406, and no stream is taken."""
    async with world() as w:
        session = await w.open_session()
        assert (await w.ask("GET", session=session, headers={"accept": "application/json"})).status == 406
        stream = w.send("GET", session=session)
        await stream.started()
        assert stream.status == 200


async def test_a_silent_get_stream_is_kept_alive():
    """Comments only."""
    async with world(replace(LIMITS, keep_alive_s=0.01)) as w:
        session = await w.open_session(version="2025-03-26")
        stream = w.send("GET", session=session)
        await stream.until(lambda: stream.body.count(b": ping\n\n") >= 2)
        assert stream.seen() == []
