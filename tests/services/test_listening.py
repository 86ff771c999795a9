"""One listen stream for the agent, fed by one of each upstream: acknowledged once, and nothing outside of that."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamBroken, UpstreamUnreachable
from gateway.ports import Relay
from gateway.services import listening as module
from gateway.services.dispatch import Reply
from tests.simulate.upstream import FakeUpstream, Received
from tests.simulate.world import ALLOW_ALL, FakeCaller, World, tool

LISTEN = "subscriptions/listen"
ACK = "notifications/subscriptions/acknowledged"
UPDATED = "notifications/resources/updated"
CHANGED = "notifications/tools/list_changed"
ID = "io.modelcontextprotocol/subscriptionId"
BROKEN = UpstreamBroken("ended its stream without an answer", may_have_run=True)
DONE: JsonObject = {"resultType": "complete", "_meta": {ID: 1}}
NOTES_ONLY = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: notes, effect: allow, match: {methods: [resources/subscribe], uris: ["notes://*"]}, reason: notes}
  - {id: others, effect: escalate, match: {methods: [resources/subscribe], uris: ["ask://*"]}, reason: a human}
"""


class Stream:
    """An upstream's side of a listen request: what a test lets it say, and when it ends."""

    def __init__(self, granted: object = None) -> None:
        self.granted = granted
        self.relay: Relay | None = None
        self.opened = anyio.Event()
        self.over = anyio.Event()
        self.failure: Exception | None = None

    async def __call__(self, received: Received, relay: Relay) -> JsonObject:
        self.relay = relay
        granted = received.params["notifications"] if self.granted is None else self.granted
        if granted != "nothing":
            meta = {"_meta": {ID: 77}}
            await relay.notification(ACK, {"notifications": granted, **meta})
        self.opened.set()
        await self.over.wait()
        if self.failure is not None:
            raise self.failure
        return {"resultType": "complete", "_meta": {ID: 77}}

    async def say(self, method: str, **params: object) -> None:
        with anyio.fail_after(5):
            await self.opened.wait()
            assert self.relay is not None
            await self.relay.notification(method, {**params, "_meta": {ID: 77, "com.acme/x": 1}})

    def end(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.over.set()


class Heard(FakeCaller):
    """An agent that listens: a test waits for what it hears."""

    async def until(self, count: int) -> list[tuple[str, JsonObject]]:
        with anyio.fail_after(5):
            while len(self.told) < count:
                await anyio.lowlevel.checkpoint()
        return self.told


def acknowledged(**granted: object) -> tuple[str, JsonObject]:
    return ACK, {"notifications": granted, "_meta": {ID: 1}}


def passed(method: str, **params: object) -> tuple[str, JsonObject]:
    return method, {**params, "_meta": {ID: 1, "com.acme/x": 1}}


class Listened:
    """One listen request in flight."""

    def __init__(self) -> None:
        self.caller = Heard()
        self.reply: Reply | None = None
        self.done = anyio.Event()

    async def answer(self) -> Reply:
        with anyio.fail_after(5):
            await self.done.wait()
        assert self.reply is not None
        return self.reply


@asynccontextmanager
async def listened(world: World, **wanted: object) -> AsyncIterator[Listened]:
    """Listen until the block ends, which closes the agent's stream."""
    state = Listened()

    async def run() -> None:
        state.reply = await world.modern(LISTEN, {"notifications": wanted}, caller=state.caller)
        state.done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        yield state
        group.cancel_scope.cancel()


def one(stream: Stream, policy: str = ALLOW_ALL) -> World:
    return World(upstreams=[FakeUpstream(tools=[tool("echo")], handlers={LISTEN: stream})], policy=policy)


def two(a: Stream, b: Stream) -> World:
    """Two upstreams of which `a` owns x://a… and `b` owns x://b…."""

    def owner(name: str, stream: Stream) -> FakeUpstream:
        async def templates(received: Received, relay: Relay) -> JsonObject:
            return {"resourceTemplates": [{"uriTemplate": f"x://{name}{{+rest}}"}], "resultType": "complete"}

        return FakeUpstream(name, handlers={LISTEN: stream, "resources/templates/list": templates})

    return World(upstreams=[owner("a", a), owner("b", b)])


def asked(world: World, name: str = "default") -> list[JsonObject]:
    return [received.params["notifications"] for received in world.upstream(name).requests(LISTEN)]


# --- one upstream -----------------------------------------------------------------------------------------------------


async def test_the_agent_hears_what_it_asked_for_under_its_own_id_until_the_upstream_ends() -> None:
    """Acknowledgement first, then everything in order, then the result."""
    stream = Stream()
    async with listened(one(stream), toolsListChanged=True, resourceSubscriptions=["notes://1"]) as agent:
        await stream.say(CHANGED)
        await stream.say(UPDATED, uri="notes://1", title=None)
        stream.end()
        assert await agent.answer() == Reply(message={"result": DONE})
        assert agent.caller.told == [
            acknowledged(toolsListChanged=True, resourceSubscriptions=["notes://1"]),
            passed(CHANGED),
            passed(UPDATED, uri="notes://1", title=None),
        ]


async def test_what_was_not_asked_for_or_not_acknowledged_is_dropped() -> None:
    """The upstream may say what it likes."""
    stream = Stream({"toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": ["notes://1"]})
    world = one(stream)
    wanted = {
        "toolsListChanged": True,
        "resourcesListChanged": True,
        "resourceSubscriptions": ["notes://1", "notes://2"],
    }
    async with listened(world, **wanted) as agent:
        for method in ("notifications/prompts/list_changed", "notifications/resources/list_changed"):
            await stream.say(method)
        for uri in ("notes://2", "notes://3", 7, None, ["notes://1"], "no uri"):
            await stream.say(UPDATED, uri=uri)
        await stream.say("notifications/message", level="info")
        await stream.say("notifications/progress", progressToken=1)
        await stream.say("notifications/made-up")
        await stream.say(UPDATED, uri="notes://1")
        heard = await agent.caller.until(2)
    assert heard == [
        acknowledged(toolsListChanged=True, resourceSubscriptions=["notes://1"]),
        passed(UPDATED, uri="notes://1"),
    ]


async def test_the_upstream_gets_the_uri_as_the_agent_wrote_it_once() -> None:
    """What is decided on is the normal form: two spellings of one resource are one."""
    stream = Stream()
    world = one(stream)
    async with listened(world, resourceSubscriptions=["notes://h/a%20b", "Notes://h/a%20b"]) as agent:
        await stream.say(UPDATED, uri="NOTES://h/a%20b")
        heard = await agent.caller.until(2)
    assert asked(world) == [{"resourceSubscriptions": ["Notes://h/a%20b"]}]
    assert heard[1] == passed(UPDATED, uri="NOTES://h/a%20b")
    assert len(world.entries(EntryType.CALL_DECIDED)) == 1


async def test_unknown_members_of_the_filter_are_not_passed_on() -> None:
    """What nobody taught the gateway could subscribe to anything."""
    stream = Stream()
    world = one(stream)
    async with listened(world, toolsListChanged=True, promptsListChanged="yes", taskIds=["t"]):
        with anyio.fail_after(5):
            await stream.opened.wait()
    assert asked(world) == [{"toolsListChanged": True}]


@pytest.mark.parametrize("granted", [7, {}, {"resourceSubscriptions": "notes://1"}, {"resourceSubscriptions": []}])
async def test_an_acknowledgement_that_grants_nothing_is_told_as_such(granted: object) -> None:
    """And nothing follows it."""
    stream = Stream(granted)
    async with listened(one(stream), resourceSubscriptions=["notes://1"]) as agent:
        await stream.say(UPDATED, uri="notes://1")
        await agent.caller.until(1)
        stream.end()
        await agent.answer()
        assert agent.caller.told == [acknowledged()]


async def test_a_second_acknowledgement_grants_no_more() -> None:
    """The agent was told what it will hear of."""
    stream = Stream({})
    async with listened(one(stream), toolsListChanged=True) as agent:
        await agent.caller.until(1)
        await stream.say(ACK, notifications={"toolsListChanged": True})
        await stream.say(CHANGED)
        stream.end()
        await agent.answer()
        assert agent.caller.told == [acknowledged()]


async def test_a_changed_list_is_listed_anew_even_where_nobody_is_told() -> None:
    """The next call must be judged by the new definition."""
    stream = Stream({})
    world = one(stream)
    await world.call("echo", {})
    async with listened(world, toolsListChanged=True):
        await stream.say(CHANGED)
    await world.call("echo", {})
    assert len(world.upstream().requests("tools/list")) == 2


async def test_meta_that_is_none_is_replaced() -> None:
    """A lying upstream must not break the stream."""
    stream = Stream()
    async with listened(one(stream), toolsListChanged=True) as agent:
        with anyio.fail_after(5):
            await stream.opened.wait()
        assert stream.relay is not None
        await stream.relay.notification(CHANGED, {"_meta": 7})
        heard = await agent.caller.until(2)
    assert heard[1] == (CHANGED, {"_meta": {ID: 1}})


async def test_a_modern_upstream_asks_nothing_on_its_stream() -> None:
    """Requests of servers have no place in this era."""
    stream = Stream()
    async with listened(one(stream), toolsListChanged=True) as agent:
        with anyio.fail_after(5):
            await stream.opened.wait()
        assert stream.relay is not None
        await stream.relay.paused()
        answer = await stream.relay.request("roots/list", {})
        assert agent.caller.asked == []
    assert answer == {"error": {"code": -32601, "message": "Method not found"}}


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_resources_that_the_principal_may_not_read_are_left_out() -> None:
    """Each is a decision of its own; the stream goes on with the others."""
    stream = Stream()
    world = one(stream, NOTES_ONLY)
    uris = ["files://1", "notes://1", "ask://1"]
    async with listened(world, resourceSubscriptions=uris) as agent:
        heard = await agent.caller.until(1)
    assert asked(world) == [{"resourceSubscriptions": ["notes://1"]}]
    assert heard == [acknowledged(resourceSubscriptions=["notes://1"])]
    assert [entry.effect for entry in world.entries(EntryType.CALL_DECIDED)] == [
        Effect.DENY,
        Effect.ALLOW,
        Effect.ESCALATE,
    ]


async def test_nothing_reaches_the_upstream_when_everything_is_denied() -> None:
    """The stream is there and silent: an end would only make the agent ask again."""
    world = one(Stream(), NOTES_ONLY)
    async with listened(world, resourceSubscriptions=["files://1"]) as agent:
        assert await agent.caller.until(1) == [acknowledged()]
        assert not agent.done.is_set()
    assert world.upstream().received == []


async def test_nothing_reaches_the_upstream_when_no_decision_can_be_recorded() -> None:
    """No record, no subscription."""
    world = one(Stream())
    world.store.down = "full"
    async with listened(world, resourceSubscriptions=["notes://1"]) as agent:
        await agent.caller.until(1)
    assert world.upstream().received == []


@pytest.mark.parametrize("wanted", [None, [], {"resourceSubscriptions": 7}, {"resourceSubscriptions": ["no uri"]}])
async def test_a_filter_that_is_none_reaches_nobody(wanted: object) -> None:
    """What cannot be gated is not passed on."""
    world = one(Stream())
    reply = await world.modern(LISTEN, {"notifications": wanted})
    assert (reply.message["error"]["code"], reply.status) == (-32602, 400)
    assert world.upstream().received == []


async def test_the_resources_of_one_stream_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs a decision and its entries."""
    monkeypatch.setattr(module, "URIS_PER_STREAM", 1)
    world = one(Stream())
    reply = await world.modern(LISTEN, {"notifications": {"resourceSubscriptions": ["x://1", "x://2"]}})
    assert reply.message == {"error": {"code": -32602, "message": "At most 1 resources per stream"}}
    assert (world.upstream().received, world.entries()) == ([], [])


# --- ends and failures ------------------------------------------------------------------------------------------------


async def test_closing_the_agents_stream_cancels_the_upstreams() -> None:
    """In this era closing is the cancel; nothing must go on for nobody."""
    world = two(Stream(), Stream())
    async with listened(world, toolsListChanged=True) as agent:
        await agent.caller.until(1)
    assert [len(upstream.cancelled) for upstream in world.upstreams.values()] == [1, 1]


async def test_an_upstream_that_knows_no_such_stream_answers_for_itself() -> None:
    """Its own error, and no acknowledgement of anything."""
    world = one(Stream())
    error = {"error": {"code": -32601, "message": "Method not found"}}
    world.upstream().lie(error, LISTEN)
    async with listened(world, toolsListChanged=True) as agent:
        assert await agent.answer() == Reply(message=error, status=404)
        assert agent.caller.told == []


async def test_an_upstream_that_is_down_is_an_error() -> None:
    """The agent tries again; an empty stream would let it wait for ever."""
    world = one(Stream())
    world.upstream().fail(UpstreamUnreachable("down", may_have_run=False), LISTEN)
    async with listened(world, toolsListChanged=True) as agent:
        reply = await agent.answer()
        assert reply.message["error"]["message"] == "The upstream's stream could not be had: down"
        assert agent.caller.told == []


async def test_a_stream_that_breaks_is_an_error_and_no_orderly_end() -> None:
    """The agent must know that it may have missed something."""
    stream = Stream()
    async with listened(one(stream), toolsListChanged=True) as agent:
        await agent.caller.until(1)
        stream.end(BROKEN)
        assert (await agent.answer()).message["error"]["code"] == -32603


async def test_an_answer_without_an_acknowledgement_is_an_error() -> None:
    """A stream that was never opened has not ended in order."""
    stream = Stream("nothing")
    stream.end()
    async with listened(one(stream), toolsListChanged=True) as agent:
        reply = await agent.answer()
        assert reply.message["error"]["message"] == "The upstream did not acknowledge the stream in time."
        assert agent.caller.told == []


async def test_an_upstream_that_does_not_acknowledge_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's acknowledgement has a deadline, and an empty one would be a lie."""
    monkeypatch.setattr(module, "ACKNOWLEDGE_TIMEOUT_S", 0.0)
    world = one(Stream("nothing"))
    async with listened(world, toolsListChanged=True) as agent:
        reply = await agent.answer()
        assert reply.message["error"]["message"] == "The upstream did not acknowledge the stream in time."
    assert len(world.upstream().cancelled) == 1


# --- several upstreams ------------------------------------------------------------------------------------------------


async def test_several_upstreams_are_acknowledged_together_and_each_hears_of_its_own() -> None:
    """A URI goes to its owner alone; what nobody owns is asked of nobody."""
    a, b = Stream(), Stream()
    world = two(a, b)
    uris = ["x://a1", "x://b1", "y://1", "x://a2"]
    async with listened(world, toolsListChanged=True, resourceSubscriptions=uris) as agent:
        await agent.caller.until(1)
        await a.say(UPDATED, uri="x://b1")
        await b.say(UPDATED, uri="x://b1")
        await a.say(CHANGED)
        heard = await agent.caller.until(3)
    assert asked(world, "a") == [{"toolsListChanged": True, "resourceSubscriptions": ["x://a1", "x://a2"]}]
    assert asked(world, "b") == [{"toolsListChanged": True, "resourceSubscriptions": ["x://b1"]}]
    (method, params), *others = heard
    assert (method, params["notifications"]["toolsListChanged"]) == (ACK, True)
    assert sorted(params["notifications"]["resourceSubscriptions"]) == ["x://a1", "x://a2", "x://b1"]
    assert others == [passed(UPDATED, uri="x://b1"), passed(CHANGED)]


async def test_an_upstream_of_which_nothing_is_wanted_is_not_asked() -> None:
    """It has nothing to say, and its silence must not keep the stream open."""
    a, b = Stream(), Stream()
    world = two(a, b)
    async with listened(world, resourceSubscriptions=["x://a1"]) as agent:
        await agent.caller.until(1)
        a.end()
        assert (await agent.answer()).message == {"result": DONE}
    assert asked(world, "b") == []


async def test_nothing_is_passed_before_every_upstream_has_been_waited_for() -> None:
    """The acknowledgement comes first, however early another upstream speaks."""
    a, b = Stream(), Stream("nothing")
    async with listened(two(a, b), toolsListChanged=True) as agent:
        async with anyio.create_task_group() as group:
            group.start_soon(a.say, CHANGED)
            with anyio.fail_after(5):
                await b.opened.wait()
            await anyio.lowlevel.checkpoint()
            assert agent.caller.told == []
            await b.say(ACK, notifications={"toolsListChanged": True})
        assert agent.caller.told == [acknowledged(toolsListChanged=True), passed(CHANGED)]


async def test_an_upstream_that_fails_is_left_out_and_the_others_go_on() -> None:
    """One of several without support, or down, takes nothing away from the rest."""
    a, b = Stream(), Stream()
    world = two(a, b)
    world.upstream("a").fail(UpstreamUnreachable("down", may_have_run=False), LISTEN)
    async with listened(world, toolsListChanged=True) as agent:
        await agent.caller.until(1)
        await b.say(CHANGED)
        await agent.caller.until(2)
        b.end()
        assert (await agent.answer()).message == {"result": DONE}


async def test_an_upstream_that_acknowledges_late_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not in the agent's acknowledgement is outside of it for good."""
    monkeypatch.setattr(module, "ACKNOWLEDGE_TIMEOUT_S", 0.05)
    a, b = Stream(), Stream("nothing")
    async with listened(two(a, b), toolsListChanged=True) as agent:
        await agent.caller.until(1)
        await b.say(ACK, notifications={"toolsListChanged": True})
        await b.say(CHANGED)
        await a.say(CHANGED)
        heard = await agent.caller.until(2)
    assert heard == [acknowledged(toolsListChanged=True), passed(CHANGED)]
