"""The order of ASGI messages, whatever happens beside."""

import anyio
import anyio.lowlevel

from gateway.downstream.answer import Answer


class Server:
    """Collects what an answer sends; slow or closed where told."""

    def __init__(self):
        self.sent = []
        self.left = anyio.Event()
        self.drained = anyio.Event()
        self.drained.set()
        self.closed = False
        self.extra = []

    async def receive(self):
        if self.extra:
            return self.extra.pop()
        if not self.left.is_set():
            await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if self.closed:
            raise BrokenPipeError
        await self.drained.wait()
        self.sent.append(message)

    def answer(self) -> Answer:
        return Answer(self.receive, self.send)

    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent if message["type"] == "http.response.body"]


async def test_a_plain_answer_names_type_and_length():
    """An empty one has no type."""
    server = Server()
    await server.answer().plain(200, b"{}", ((b"x", b"y"),))
    await server.answer().plain(202, b"")
    assert [message.get("headers") for message in server.sent[::2]] == [
        [(b"content-type", b"application/json"), (b"content-length", b"2"), (b"x", b"y")],
        [(b"content-length", b"0")],
    ]


async def test_there_is_only_one_answer():
    """What comes second is dropped, never sent into the middle of the first."""
    server = Server()
    answer = server.answer()
    await answer.write(b"too early")
    await answer.plain(200, b"{}")
    await answer.plain(500, b"{}")
    await answer.open()
    await answer.write(b"too late")
    await answer.end()
    assert len(server.sent) == 2
    assert answer.complete
    assert not answer.streaming


async def test_a_stream_ends_once():
    """Nothing follows the last frame."""
    server = Server()
    answer = server.answer()
    await answer.open(b"first")
    await answer.open(b"again")
    await answer.write(b"middle")
    await answer.write(b"last", last=True)
    await answer.write(b"late")
    await answer.end()
    await answer.plain(200, b"{}")
    assert server.bodies() == [b"first", b"middle", b"last"]
    assert [message.get("more_body") for message in server.sent[1:]] == [True, True, False]


async def test_frames_keep_their_order_while_the_agent_reads_slowly():
    """Whoever writes first is sent first, the first frame above all."""
    server = Server()
    answer = server.answer()
    server.drained = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer.open, b"0")
        for number in (b"1", b"2", b"3"):
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(answer.write, number)
        await anyio.lowlevel.checkpoint()
        assert server.sent == []
        server.drained.set()
    assert server.bodies() == [b"0", b"1", b"2", b"3"]


async def test_whether_the_agent_is_there_is_seen_without_waiting():
    """And the question leaves nothing behind."""
    server = Server()
    answer = server.answer()
    tasks = len(anyio.get_running_tasks())
    assert not answer.gone()
    assert not answer.gone()
    server.left.set()
    assert answer.gone()
    assert answer.gone()
    assert len(anyio.get_running_tasks()) == tasks


async def test_watching_returns_when_the_agent_leaves():
    """What else may come before is not it; while somebody watches, the question asks nothing itself."""
    server = Server()
    server.extra = [{"type": "http.request"}]
    answer = server.answer()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer.watch)
        await anyio.lowlevel.checkpoint()
        assert not answer.gone()
        server.left.set()
    assert answer.gone()
    await answer.watch()


async def test_a_message_that_is_there_already_is_no_disconnect():
    """Only the disconnect is."""
    server = Server()
    server.extra = [{"type": "http.request"}]
    assert not server.answer().gone()


async def test_a_send_into_nothing_is_no_fault():
    """ASGI 2.4 servers raise OSError once the agent has left."""
    server = Server()
    server.closed = True
    answer = server.answer()
    await answer.plain(200, b"{}")
    assert answer.gone()
