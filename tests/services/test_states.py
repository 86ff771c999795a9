"""The state of an upstream comes back from the agent, and for the request, that it was handed out to; no other does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.ports import Relay
from gateway.services.states import PREFIX
from tests.services.gated import ECHO, ONLY_SAFE, text_of
from tests.simulate.upstream import FakeUpstream, Received
from tests.simulate.world import ALLOW_ALL, LOCAL, World, tool

OPERATOR = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)
STATE = 'step 2 of "ünïcode"\n'
READ: JsonObject = {"uri": "notes://1"}
GREET: JsonObject = {"name": "greet", "arguments": {"who": "me"}}
SAY: JsonObject = {"name": "echo", "arguments": {"text": "hi", "n": 1.0}}


def world_of(method: str, holds: HoldTerms | None = None, *, policy: str = ALLOW_ALL) -> World:
    """Return a world whose upstream has a second round for each request of that method, and then is done."""
    upstream = FakeUpstream(tools=[ECHO, tool("other")])

    async def rounds(received: Received, relay: Relay) -> JsonObject:
        if "requestState" in received.params:
            return {"content": [{"type": "text", "text": "done"}], "contents": [], "resultType": "complete"}
        return {"resultType": "input_required", "requestState": STATE}

    upstream.handlers[method] = rounds
    return World(upstreams=[upstream], holds=holds, policy=policy)


async def first(world: World, method: str, params: JsonObject) -> str:
    """Make the first round; return the state that the agent is handed."""
    result = (await world.modern(method, params)).message["result"]
    assert result["resultType"] == "input_required"
    world.upstream().received.clear()
    return str(result["requestState"])


def refused(world: World, method: str, message: JsonObject) -> None:
    assert message["error"]["code"] == -32602
    assert "requestState" in message["error"]["message"]
    assert world.upstream().requests(method) == []
    assert len(world.entries(EntryType.REQUEST_REFUSED)) == 1


@pytest.mark.parametrize("holds", [None, HoldTerms()])
@pytest.mark.parametrize(("method", "params"), [("tools/call", SAY), ("prompts/get", GREET), ("resources/read", READ)])
async def test_an_upstream_gets_its_own_state_back_byte_for_byte(
    method: str, params: JsonObject, holds: HoldTerms | None
) -> None:
    """What the agent holds says nothing; its arguments may be written in another order."""
    world = world_of(method, holds)
    state = await first(world, method, params)
    assert STATE not in state
    again: dict[str, Any] = {**params, "requestState": state}
    if "arguments" in params:
        again["arguments"] = dict(reversed(params["arguments"].items()))
    assert (await world.modern(method, again)).message["result"]["resultType"] == "complete"
    (sent,) = world.upstream().requests(method)
    assert sent.params["requestState"] == STATE


OTHERS: list[tuple[str, JsonObject]] = [
    ("tools/call", {**SAY, "arguments": {"text": "ho", "n": 1.0}}),
    ("tools/call", {**SAY, "name": "other"}),
    ("prompts/get", {**SAY, "arguments": {"text": "hi"}}),
    ("resources/read", READ),
]


@pytest.mark.parametrize(("method", "params"), OTHERS)
async def test_a_state_is_not_taken_for_another_request(method: str, params: JsonObject) -> None:
    """Other arguments, another tool, another method: what it stands for was said to somebody else's question."""
    world = world_of("tools/call")
    state = await first(world, "tools/call", SAY)
    refused(world, method, (await world.modern(method, {**params, "requestState": state})).message)


@pytest.mark.parametrize("other", [{"agent": "eve"}, {"tenant": "acme"}])
async def test_a_state_is_not_taken_from_another_agent(other: dict[str, str]) -> None:
    """The upstream sees one caller for all agents: it could not tell."""
    world = world_of("tools/call")
    state = await first(world, "tools/call", SAY)
    reply = await world.modern("tools/call", {**SAY, "requestState": state}, principal=replace(LOCAL, **other))
    refused(world, "tools/call", reply.message)


@pytest.mark.parametrize(
    "forge",
    [
        lambda state: STATE,
        lambda state: "",
        lambda state: 5,
        lambda state: [state],
        lambda state: PREFIX,
        lambda state: PREFIX + "not base64!",
        lambda state: state + "A",
        lambda state: state[:-4],
        lambda state: state.replace(PREFIX, "intended-hold."),
    ],
)
async def test_a_state_that_was_not_handed_out_here_is_refused(forge: Callable[[str], object]) -> None:
    """Made up, cut, changed, or no text at all."""
    world = world_of("tools/call", HoldTerms())
    state = await first(world, "tools/call", SAY)
    refused(world, "tools/call", (await world.modern("tools/call", {**SAY, "requestState": forge(state)})).message)


async def test_a_round_that_waits_for_its_human_keeps_the_state_of_its_upstream() -> None:
    """It comes back with the state of its hold, in which that of its upstream lies."""
    world = world_of("tools/call", HoldTerms(leg_s=0.01), policy=ONLY_SAFE)
    params: JsonObject = {"name": "echo", "arguments": {"text": "big"}}
    for _ in range(2):  # each round is a call of its own, which a human must allow
        waits = (await world.modern("tools/call", params)).message["result"]
        (one,) = (await world.list_approvals(OPERATOR, page=1, page_size=10)).items
        await world.approvals.resolve(OPERATOR, approval_id=one.id, approve=True)
        reply = await world.modern("tools/call", {**params, "requestState": waits["requestState"]})
        params["requestState"] = reply.message["result"].get("requestState")
    assert text_of(reply.message) == "done"
    assert [call.params.get("requestState") for call in world.upstream().calls()] == [None, STATE]


async def test_null_is_no_state() -> None:
    """Some clients write down what they have not."""
    world = world_of("tools/call")
    await world.modern("tools/call", {**SAY, "requestState": None})
    (sent,) = world.upstream().calls()
    assert sent.params["requestState"] is None


async def test_a_member_of_that_name_elsewhere_is_no_state() -> None:
    """Only three methods have rounds; elsewhere it is an unknown member, which passes."""
    world = World(holds=HoldTerms())
    params = {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "a", "value": "b"}}
    await world.modern("completion/complete", {**params, "requestState": "x"})
    (sent,) = world.upstream().requests("completion/complete")
    assert sent.params["requestState"] == "x"
