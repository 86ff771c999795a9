"""One session: its streams and questions, where the HTTP conversations of `test_http.py` do not see them."""

import anyio
import anyio.lowlevel

from gateway.core.call import Era
from gateway.core.message import Inbound, Kind
from gateway.downstream.session import Session
from tests.downstream.front import ALICE, LIMITS, MOUNTS, FakeClock, FakeConversation, FakeIds, eventually
from tests.downstream.test_answer import Server


def session(version: str = "2025-11-25") -> Session:
    made = Session(
        session_id="s", principal=ALICE, mount=MOUNTS["/mcp"], limits=LIMITS, clock=FakeClock(), ids=FakeIds()
    )
    made.conversation = FakeConversation(version)
    return made


def message(kind: Kind, identifier: object, **answer: object) -> Inbound:
    return Inbound(
        kind=kind, era=Era.HANDSHAKE, version="", id=identifier, method="tools/call", params={}, message=answer
    )


async def test_a_request_is_in_flight_until_it_is_forgotten():
    """Its id is then free again, and a late forgetting harms no successor."""
    held = session()
    first = held.begin(message(Kind.REQUEST, 1), Server().answer())
    assert held.begin(message(Kind.REQUEST, 1), Server().answer()) is None
    assert held.begin(message(Kind.NOTIFICATION, None), Server().answer()) is None
    assert not held.idle
    held.forget(first)
    second = held.begin(message(Kind.REQUEST, 1), Server().answer())
    held.forget(first)
    assert not held.idle
    held.forget(second)
    assert held.idle


async def test_every_question_gets_its_own_answer():
    """Answers come in any order, each once."""
    held = session()
    answers = {}

    async def ask(name: str) -> None:
        answers[name] = await held.ask(name, {})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "first")
        await eventually(lambda: held.general.last == 1)
        tasks.start_soon(ask, "second")
        await eventually(lambda: held.general.last == 2)
        assert held.answered(message(Kind.RESPONSE, "intended-2", result={"n": 2}))
        assert not held.answered(message(Kind.RESPONSE, "intended-2", result={"n": 3}))
        assert held.answered(message(Kind.RESPONSE, "intended-1", error={"code": 1, "message": ""}))
    assert answers == {"second": {"result": {"n": 2}}, "first": {"error": {"code": 1, "message": ""}}}


async def test_an_answer_that_finds_its_session_ended_is_sent_but_not_kept():
    """There is nobody to resume."""
    held = session()
    server = Server()
    caller = held.begin(message(Kind.REQUEST, 1), server.answer())
    await caller.notify("notifications/message", {"data": 1})
    await held.end()
    assert caller.gone()
    await caller.notify("notifications/message", {"data": 2})
    await caller.finish(200, b"{}")
    assert len(server.bodies()) == 3
    assert server.bodies()[-1] == b"event: message\ndata: {}\n\n"
    assert held.log.held_bytes == 0


async def test_a_stream_without_any_event_id_cannot_be_resumed():
    """Before 2025-11-25 there is no empty first event: with only comments sent, who leaves is gone."""
    held = session("2025-06-18")
    server = Server()
    caller = held.begin(message(Kind.REQUEST, 1), server.answer())
    await caller.keep_alive()
    assert not caller.gone()
    server.left.set()
    assert caller.gone()
    await caller.notify("notifications/message", {"data": 1})
    assert not caller.gone()


async def test_an_agent_that_leaves_before_the_stream_is_opened_is_let_go():
    """There is no stream to detach."""
    held = session()
    server = Server()
    caller = held.begin(message(Kind.REQUEST, 1), server.answer())
    caller.lost()
    await caller.pause()
    assert server.sent == []


async def test_events_that_come_while_others_are_sent_are_sent_too():
    """The listener looks again before it waits."""
    held = session()
    server = Server()
    async with anyio.create_task_group() as tasks:

        async def listen() -> None:
            await held.listen(held.general, 0, server.answer(), prime=False)

        tasks.start_soon(listen)
        await eventually(lambda: server.sent)
        server.drained = anyio.Event()
        await held.notify("notifications/message", {"data": 1})
        await anyio.lowlevel.checkpoint()
        await held.notify("notifications/message", {"data": 2})
        server.drained.set()
        await eventually(lambda: held.general.delivered == 2)
        held.general.close()
    first, second, end = server.bodies()
    assert (b'"data":1' in first, b'"data":2' in second, end) == (True, True, b"")


async def test_an_agent_is_connected_while_somebody_takes_its_answer_now():
    """Who may come back for it later is not there: nothing is begun for him that he might ask for again."""
    held = session()
    server = Server()
    caller = held.begin(message(Kind.REQUEST, 1), server.answer())
    assert caller.connected()
    await caller.notify("notifications/message", {"data": 1})
    assert caller.connected()
    caller.lost()
    assert (caller.connected(), caller.gone()) == (False, False)


async def test_nobody_is_connected_once_the_session_has_ended():
    """The stream may be open still."""
    held = session()
    caller = held.begin(message(Kind.REQUEST, 1), Server().answer())
    await held.end()
    assert not caller.connected()
