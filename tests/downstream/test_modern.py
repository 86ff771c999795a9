"""The agent of one stateless request."""

from gateway.downstream.answer import Answer
from gateway.downstream.modern import ModernCaller
from tests.downstream.test_answer import Server


async def test_an_agent_without_streams_is_sent_the_answer_only():
    """Nobody is sent what it does not take, however long it waits."""
    server = Server()
    caller = ModernCaller(server.answer(), stream=False)
    await caller.notify("notifications/message", {"level": "info", "data": 1})
    await caller.keep_alive()
    await caller.finish(404, b"{}")
    assert (server.sent[0]["status"], server.bodies()) == (404, [b"{}"])


async def test_a_message_and_a_comment_open_the_stream_once():
    """The answer is its last event."""
    server = Server()
    caller = ModernCaller(server.answer(), stream=True)
    await caller.keep_alive()
    await caller.notify("notifications/message", {"data": 1})
    await caller.finish(404, b"{}")
    assert server.sent[0]["status"] == 200
    assert server.bodies() == [
        b": ping\n\n",
        b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}\n\n',
        b"event: message\ndata: {}\n\n",
    ]


async def test_leaving_cancels_unless_the_answer_is_complete():
    """Servers report a disconnect after the last byte as well."""
    server = Server()
    early = ModernCaller(Answer(server.receive, server.send), stream=True)
    early.lost()
    assert early.scope.cancel_called
    late = ModernCaller(Answer(server.receive, server.send), stream=True)
    await late.finish(200, b"{}")
    late.lost()
    assert not late.scope.cancel_called


async def test_an_agent_is_connected_until_it_leaves():
    """A stream of this era cannot be resumed."""
    server = Server()
    caller = ModernCaller(server.answer(), stream=True, prefer="wait=9")
    assert (caller.connected(), caller.prefer) == (True, "wait=9")
    server.left.set()
    assert not caller.connected()
