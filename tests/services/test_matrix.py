"""Whatever the method: what policy does not allow reaches an upstream zero times."""

from itertools import product

import anyio
import anyio.lowlevel
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.call import Era
from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Kind
from gateway.core.methods import TABLE, Direction, Treatment
from gateway.services.dispatch import Reply
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import FakeCaller, World, tool

DENY_ALL = """
apiVersion: intended/v1
policySet: nothing
rules:
  - {id: unused, effect: allow, match: {upstreams: [nobody]}, reason: matches nothing here}
"""
INVENTED = ["tools/uninstall", "made/up", "TOOLS/CALL", "tools/call ", "rpc.discover", "notifications/cancelled", ""]
METHODS = sorted({row.method for row in TABLE}) + INVENTED
FREE = {"initialize", "notifications/initialized", "server/discover"} | {
    row.method for row in TABLE if row.treatment is Treatment.FILTER and row.method.endswith("/list")
}
"""What may reach an upstream undecided: the handshake, discovery, and lists, which are filtered on their way back."""

EVERYTHING: JsonObject = {"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}}
MODERN = {"io.modelcontextprotocol/clientCapabilities": EVERYTHING}


def params_for(*, prefixed: bool) -> JsonObject:
    """Return params that fit every method at once, so that none is refused for what it lacks."""
    name = "one__echo" if prefixed else "echo"
    return {
        "name": name,
        "arguments": {},
        "uri": "notes://1",
        "ref": {"type": "ref/prompt", "name": name},
        "argument": {"name": "a", "value": "b"},
        "notifications": {"resourceSubscriptions": ["notes://1"]},
        "taskId": "1",
        "messages": [],
        "message": "m",
        "requestedSchema": {},
        "progressToken": "one/1",
        "requestId": 1,
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t"},
    }


def world_of(*, prefixed: bool) -> World:
    """Return upstreams that log nothing, so that a log level has no upstream to go to, and own every resource."""
    names = ["one", "two"] if prefixed else ["default"]
    capabilities: JsonObject = {"tools": {}, "prompts": {}, "resources": {"subscribe": True}, "completions": {}}

    async def templates(received: object, relay: object) -> JsonObject:
        return {"resourceTemplates": [{"uriTemplate": "notes://{id}"}], "resultType": "complete"}

    return World(
        upstreams=[
            FakeUpstream(
                name,
                tools=[tool("echo")],
                capabilities=capabilities,
                handlers={"resources/templates/list": templates},
            )
            for name in names
        ],
        policy=DENY_ALL,
    )


async def send(world: World, era: Era, method: str, params: JsonObject) -> Reply | None:
    """Send one request; None for a stream that stays open, which is then closed."""
    if era is Era.HANDSHAKE:
        conversation = await world.conversation(capabilities=EVERYTHING)
        return await world.handle(conversation, method, {name: params[name] for name in params if name != "_meta"})
    caller, reply = FakeCaller(), None

    async def run() -> None:
        nonlocal reply
        reply = await world.modern(method, params, caller=caller, meta=MODERN)
        group.cancel_scope.cancel()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            if method == "subscriptions/listen":
                while not caller.told:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
    return reply


def gated(method: str, era: Era) -> bool:
    return any(
        row.method == method
        and era in row.eras
        and (row.direction, row.kind, row.treatment) == (Direction.FROM_AGENT, Kind.REQUEST, Treatment.GATE)
        for row in TABLE
    )


@pytest.mark.parametrize(("method", "era", "prefixed"), list(product(METHODS, Era, [False, True])))
async def test_a_denied_request_reaches_no_upstream_whatever_its_method(method: str, era: Era, prefixed: bool) -> None:
    """Deny by default holds for every method of the table and for those that nobody ever heard of."""
    world = world_of(prefixed=prefixed)
    reply = await send(world, era, method, params_for(prefixed=prefixed))
    reached = {received.method for upstream in world.upstreams.values() for received in upstream.received}
    assert reached <= FREE
    decided = world.entries(EntryType.CALL_DECIDED)
    assert {entry.effect for entry in decided} <= {Effect.DENY}
    if gated(method, era):
        assert len(decided) == 1
        assert reply is not None
        assert "error" in reply.message or reply.message["result"]["isError"]


@pytest.mark.parametrize(("method", "prefixed"), list(product(METHODS, [False, True])))
async def test_a_notification_reaches_no_upstream_whatever_its_method(method: str, prefixed: bool) -> None:
    """Nothing is asked of the agent, so there is nothing to report on; policy leaves no upstream its roots."""
    world = world_of(prefixed=prefixed)
    conversation = await world.conversation(capabilities=EVERYTHING)
    await world.notice(conversation, method, params_for(prefixed=prefixed))
    reached = {received.method for upstream in world.upstreams.values() for received in upstream.received}
    assert reached == {"initialize", "notifications/initialized"}


@pytest.mark.parametrize(("method", "prefixed"), list(product(METHODS, [False, True])))
async def test_a_request_of_an_upstream_reaches_no_agent_whatever_its_method(method: str, prefixed: bool) -> None:
    """The other direction is denied by default too."""
    world, channel = world_of(prefixed=prefixed), FakeCaller()
    await world.conversation(capabilities=EVERYTHING, channel=channel)
    relay = world.upstream("one" if prefixed else "default").sessions[0].relay
    await relay.request(method, params_for(prefixed=prefixed))
    assert channel.asked == []


@pytest.mark.parametrize("prefixed", [False, True])
@pytest.mark.parametrize("method", sorted(FREE - {"initialize", "notifications/initialized", "server/discover"}))
async def test_a_list_that_reached_the_upstream_shows_nothing_of_what_is_denied(method: str, prefixed: bool) -> None:
    """What is filtered on its way back is empty here."""
    world = world_of(prefixed=prefixed)
    reply = await send(world, Era.MODERN, method, {})
    assert reply is not None
    member = {"resources/templates/list": "resourceTemplates"}.get(method, method.partition("/")[0])
    assert reply.message["result"][member] == []
