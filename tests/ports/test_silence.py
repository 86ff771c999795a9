"""What the gateway asks on its own behalf is told to nobody and asked of nobody."""

from gateway.core.jsonvalue import JsonObject
from gateway.ports.silence import SilentRelay
from tests.simulate.upstream import FakeUpstream, Received
from tests.simulate.world import World, tool


async def test_an_upstream_that_speaks_while_the_gateway_lists_for_itself_is_heard_by_nobody() -> None:
    """A list for pins is no request of the agent's: what comes along with it is not the agent's either."""
    answers: list[JsonObject] = []

    async def chatty(received: Received, relay: SilentRelay) -> JsonObject:
        await relay.notification("notifications/message", {"level": "info", "data": "listing"})
        await relay.paused()
        answers.append(await relay.request("ping", {}))
        answers.append(await relay.request("sampling/createMessage", {"messages": []}))
        return {"tools": [tool("echo")], "resultType": "complete"}

    upstream = FakeUpstream(tools=[tool("echo")], handlers={"tools/list": chatty})  # type: ignore[dict-item]
    world = World(upstreams=[upstream])
    reply = await world.call("echo", {})
    assert reply.message["result"]["content"] == [{"type": "text", "text": "echo ran"}]
    assert answers == [{"result": {}}, {"error": {"code": -32601, "message": "Method not found"}}]
