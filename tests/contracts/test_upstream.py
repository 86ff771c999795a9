"""What every `ports.Upstream` promises; run against HTTP, stdio and the fake, so that the fake is true."""

import copy
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import SessionLost, UpstreamError, UpstreamTimeout
from gateway.ports import Outbound, Relay, Upstream, UpstreamSession
from gateway.upstream.http import HttpUpstream
from gateway.upstream.stdio import StdioUpstream
from tests.simulate.relay import RecordingRelay
from tests.simulate.upstream import FakeUpstream, Received
from tests.upstream.misbehaving import Misbehaving

PUPPET = str(Path(__file__).parents[1] / "upstream" / "puppet.py")
PARAMS: JsonObject = {"capabilities": {"roots": {}}, "clientInfo": {"name": "agent", "version": "1"}}
META: JsonObject = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An upstream and what has reached the server behind it, as (method, params) in order."""

    upstream: Upstream
    reached: Callable[[], list[tuple[str, JsonObject]]]

    def calls(self, tool: str) -> list[JsonObject]:
        return [params for method, params in self.reached() if method == "tools/call" and params["name"] == tool]


@asynccontextmanager
async def _fake(tmp_path: Path) -> AsyncIterator[World]:
    async def echo(received: Received, relay: Relay) -> JsonObject:
        return {"content": [{"type": "text", "text": json.dumps(received.params["arguments"])}]}

    async def progress(received: Received, relay: Relay) -> JsonObject:
        token = received.params["_meta"]["progressToken"]
        for step in (1, 2):
            await relay.notification("notifications/progress", {"progressToken": token, "progress": step})
        return {"content": []}

    async def ask(received: Received, relay: Relay) -> JsonObject:
        await relay.request("roots/list", {})
        return {"content": []}

    names = ("good", "hang", "echo", "progress", "asks_in_the_stream", "fail")
    handlers = {"echo": echo, "progress": progress, "asks_in_the_stream": ask}
    fake = FakeUpstream("files", tools=[{"name": name} for name in names], handlers=handlers)
    fake.hang("hang")
    fake.lie({"error": {"code": 7, "message": "no", "data": [1.0, None]}}, "fail")
    yield World(upstream=fake, reached=lambda: [(one.method, one.params) for one in fake.received])


@asynccontextmanager
async def _http(tmp_path: Path) -> AsyncIterator[World]:
    async with Misbehaving() as server:

        def reached() -> list[tuple[str, JsonObject]]:
            return [(request.method, request.body.get("params", {})) for request in server.requests if request.method]

        yield World(upstream=HttpUpstream("files", server.url), reached=reached)


@asynccontextmanager
async def _stdio(tmp_path: Path) -> AsyncIterator[World]:
    journal = tmp_path / "journal"
    journal.touch()
    env = {"PUPPET_JOURNAL": str(journal)}

    def reached() -> list[tuple[str, JsonObject]]:
        messages = [json.loads(line) for line in journal.read_text().splitlines()]
        return [(message["method"], message.get("params", {})) for message in messages if "method" in message]

    yield World(upstream=StdioUpstream("files", sys.executable, ["-IS", PUPPET], env), reached=reached)


Make = Callable[[Path], AbstractAsyncContextManager[World]]


@pytest.fixture(params=[_fake, _http, _stdio], ids=["fake", "http", "stdio"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    make: Make = request.param
    async with make(tmp_path) as made:
        yield made
        await made.upstream.aclose()


@pytest.fixture(params=["modern", "handshake"])
async def asked(request: pytest.FixtureRequest, world: World) -> Upstream | UpstreamSession:
    """Whatever takes requests: the upstream in the modern era, a session in the other."""
    return world.upstream if request.param == "modern" else await _connect(world)


async def _connect(world: World, relay: RecordingRelay | None = None) -> UpstreamSession:
    with anyio.fail_after(5):
        return await world.upstream.connect(version="2025-11-25", params=PARAMS, relay=relay or RecordingRelay())


def _call(tool: str, *, timeout_s: float = 5.0, arguments: JsonObject | None = None, **meta: Any) -> Outbound:
    params: JsonObject = {"name": tool, "arguments": arguments or {}, "_meta": {**META, **meta}}
    return Outbound(method="tools/call", params=params, version="2026-07-28", timeout_s=timeout_s)


async def test_an_upstream_knows_its_name(world: World) -> None:
    """Policy, audit and approvals use it."""
    assert world.upstream.id == "files"


async def test_what_an_upstream_speaks_is_asked_once_and_kept(world: World) -> None:
    """Both eras, oldest version first; the modern one with what it told about itself."""
    with anyio.fail_after(5):
        found = await world.upstream.support()
    reached = len(world.reached())
    assert found.handshake == ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
    assert found.modern == ("2026-07-28",)
    assert found.discovered["supportedVersions"] == ["2026-07-28"]
    assert await world.upstream.support() == found
    assert len(world.reached()) == reached


async def test_an_answer_comes_without_its_envelope(world: World, asked: Upstream | UpstreamSession) -> None:
    """`{"result": …}` and nothing else, however the transport wrapped it."""
    answer = await asked.request(_call("good"), RecordingRelay())
    assert list(answer) == ["result"]
    assert answer["result"]["content"][0]["type"] == "text"
    assert len(world.calls("good")) == 1


async def test_a_json_rpc_error_is_an_answer(world: World, asked: Upstream | UpstreamSession) -> None:
    """Passed on whole; only an upstream that gave no usable answer is an exception."""
    answer = await asked.request(_call("fail"), RecordingRelay())
    assert answer == {"error": {"code": 7, "message": "no", "data": [1.0, None]}}
    assert len(world.calls("fail")) == 1


ARGUMENTS: JsonObject = {
    "text": '\u00e4 \u2028 \U0001f600 "quoted" \\ \n',
    "float": 1.0,
    "tiny": 5e-324,
    "large": 9007199254740991,
    "null": None,
    "nested": [{"b": [], "a": {}}, [[-0.0]]],
    "": "",
}


async def test_what_is_handed_over_is_what_arrives(world: World, asked: Upstream | UpstreamSession) -> None:
    """Promise 3: what was decided is what is sent, unknown fields, order and spelling of values included."""
    outbound = _call("echo", arguments=copy.deepcopy(ARGUMENTS), **{"vendor/field": {"x": [None]}})
    before = copy.deepcopy(outbound)
    answer = await asked.request(outbound, RecordingRelay())
    assert answer["result"]["content"][0]["text"] == json.dumps(ARGUMENTS)
    (reached,) = world.calls("echo")
    assert json.dumps(reached) == json.dumps(before.params)
    assert outbound == before


async def test_progress_comes_in_order_under_the_agents_own_token(
    world: World, asked: Upstream | UpstreamSession
) -> None:
    """Tokens are per hop; the agent must recognise its own, before the answer is there."""
    relay = RecordingRelay()
    outbound = _call("progress", progressToken="my token")
    before = copy.deepcopy(outbound)
    await asked.request(outbound, relay)
    progress = [params for method, params in relay.told if method == "notifications/progress"]
    assert progress == [{"progressToken": "my token", "progress": step} for step in (1, 2)]
    assert outbound == before


async def test_requests_at_the_same_time_get_their_own_answers(world: World, asked: Upstream | UpstreamSession) -> None:
    """Ids are the adapter's own and never mixed up."""
    answers: dict[int, str] = {}

    async def ask(number: int) -> None:
        answer = await asked.request(_call("echo", arguments={"n": number}), RecordingRelay())
        answers[number] = answer["result"]["content"][0]["text"]

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(ask, number)
    assert answers == {number: json.dumps({"n": number}) for number in range(30)}
    assert len(world.calls("echo")) == 30


async def test_a_request_ends_at_its_deadline_in_doubt(world: World, asked: Upstream | UpstreamSession) -> None:
    """The call may have run; it is not sent again, and the next one works."""
    await asked.request(_call("good"), RecordingRelay())
    with pytest.raises(UpstreamTimeout) as caught:
        await asked.request(_call("hang", timeout_s=0.1), RecordingRelay())
    assert caught.value.may_have_run
    assert "result" in await asked.request(_call("good"), RecordingRelay())
    assert len(world.calls("hang")) == 1


async def test_a_request_that_is_cancelled_ends_at_once(world: World, asked: Upstream | UpstreamSession) -> None:
    """The caller is gone; others are served."""
    await asked.request(_call("good"), RecordingRelay())
    with anyio.fail_after(3):
        with anyio.move_on_after(0.1) as scope:
            await asked.request(_call("hang"), RecordingRelay())
        assert scope.cancelled_caught
        assert "result" in await asked.request(_call("good"), RecordingRelay())
    assert len(world.calls("hang")) == 1


async def test_a_session_begins_with_the_agents_own_words(world: World) -> None:
    """Capabilities and clientInfo as given, the version that was agreed in the result."""
    session = await _connect(world)
    assert session.initialized["protocolVersion"] == "2025-11-25"
    assert session.initialized["serverInfo"]["version"] == "1"
    await session.request(_call("good"), RecordingRelay())
    methods = [method for method, _ in world.reached()]
    assert methods == ["initialize", "notifications/initialized", "tools/call"]
    offered = world.reached()[0][1]
    assert {name: offered[name] for name in PARAMS} == PARAMS


async def test_a_question_of_the_upstream_goes_to_the_relay_of_its_call(world: World) -> None:
    """Handshake era: the call goes on once the agent has answered."""
    relay = RecordingRelay({"result": {"roots": []}})
    session = await _connect(world)
    with anyio.fail_after(5):
        answer = await session.request(_call("asks_in_the_stream"), relay)
    assert "result" in answer
    assert relay.asked == [("roots/list", {})]


async def test_notifications_of_the_agent_reach_the_upstream(world: World) -> None:
    """In the order in which they were given."""
    session = await _connect(world)
    await session.notify("notifications/roots/list_changed", {})
    await session.request(_call("good"), RecordingRelay())
    assert [method for method, _ in world.reached()][2:] == ["notifications/roots/list_changed", "tools/call"]


async def test_a_closed_session_sends_nothing_more(world: World) -> None:
    """Refused with the truth that nothing ran; closing again does nothing."""
    session = await _connect(world)
    await session.aclose()
    await session.aclose()
    for attempt in (session.request(_call("good"), RecordingRelay()), session.notify("notifications/x", {})):
        with pytest.raises(SessionLost) as caught:
            await attempt
        assert not caught.value.may_have_run
    assert world.calls("good") == []
    other = await _connect(world)
    assert "result" in await other.request(_call("good"), RecordingRelay())


async def test_a_closed_upstream_sends_nothing_more(world: World) -> None:
    """Whatever was open is closed with it, and whoever still asks is told that nothing ran."""
    session = await _connect(world)
    await world.upstream.aclose()
    await world.upstream.aclose()
    for attempt in (
        world.upstream.request(_call("good"), RecordingRelay()),
        session.request(_call("good"), RecordingRelay()),
    ):
        with pytest.raises(UpstreamError) as caught:
            await attempt
        assert not caught.value.may_have_run
    assert world.calls("good") == []
