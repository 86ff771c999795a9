"""Escalated calls that wait: in legs, in one request, or on a page."""

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.holds import HoldTerms
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.core.refusal import DECISION_META
from gateway.core.tokens import AUTHORITY_HEADER, AUTHORITY_META
from gateway.services.links import Links
from tests.services.gated import ECHO, ONLY_SAFE, text_of
from tests.services.remotely import ALLOWED, FakeAuthority
from tests.services.remotely import WAITS as REMOTELY
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import FakeCaller, World

OPERATOR = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)


def holding(policy: str = ONLY_SAFE) -> World:
    upstream = FakeUpstream(tools=[ECHO])
    return World(upstreams=[upstream], policy=policy, holds=HoldTerms(leg_s=0.01, hold_s=0.01))


async def answer_to(world: World, *, approve: bool) -> None:
    (one,) = (await world.list_approvals(OPERATOR, page=1, page_size=10)).items
    await world.approvals.resolve(OPERATOR, approval_id=one.id, approve=approve)


async def test_an_escalated_call_of_the_modern_era_waits_in_legs_and_goes_on() -> None:
    """The retry is the same call: what its upstream gets is what was sent first."""
    world = holding()
    first = (await world.call("echo", {"text": "big"})).message["result"]
    assert (first["resultType"], first["_meta"][DECISION_META]["outcome"]) == ("input_required", "pending")
    await answer_to(world, approve=True)
    params = {"name": "echo", "arguments": {"text": "big"}, "requestState": first["requestState"]}
    assert text_of((await world.modern("tools/call", params)).message) == "echo ran"
    assert "requestState" not in world.upstream().calls()[0].params


async def test_a_state_that_is_not_this_calls_own_is_refused_on_record() -> None:
    """Altered, or of other arguments."""
    world = holding()
    state = (await world.call("echo", {"text": "big"})).message["result"]["requestState"]
    await answer_to(world, approve=True)
    for changed in ({"requestState": state + "A"}, {"requestState": state, "arguments": {"text": "hi"}}):
        params = {"name": "echo", "arguments": {"text": "big"}, **changed}
        assert (await world.modern("tools/call", params)).message["error"]["code"] == -32602
    assert len(world.entries(EntryType.REQUEST_REFUSED)) == 2
    assert world.upstream().calls() == []


async def test_an_escalated_call_of_the_handshake_era_waits_once_and_is_pending() -> None:
    """Its client knows no legs."""
    world = holding()
    conversation = await world.conversation()
    reply = await world.handle(conversation, "tools/call", {"name": "echo", "arguments": {"text": "big"}})
    assert text_of(reply.message).startswith("Waiting for a human")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"result": {"resultType": "complete", "content": [{"type": "text", "text": "once"}]}}, "once"),
        ({"result": {"resultType": "input_required", "requestState": "theirs"}}, "Done already"),
    ],
)
async def test_the_outcome_of_an_earlier_call_is_told_in_the_era_that_asks(answer: JsonObject, told: str) -> None:
    """Its agent may come back by another client."""
    world = holding()
    world.upstream().lie(answer, "echo")
    state = (await world.call("echo", {"text": "big"})).message["result"]["requestState"]
    await answer_to(world, approve=True)

    class Leaving(FakeCaller):
        seen = 0

        def connected(self) -> bool:
            self.seen += 1
            return self.seen == 1

    params = {"name": "echo", "arguments": {"text": "big"}}
    await world.modern("tools/call", {**params, "requestState": state}, caller=Leaving())
    conversation = await world.conversation()
    reply = await world.handle(conversation, "tools/call", params)
    assert text_of(reply.message).startswith(told)
    assert len(world.upstream().calls()) == 1


async def test_an_escalated_call_carries_its_token_once_it_goes_on() -> None:
    """The token is for the decision that allows it."""
    upstream = FakeUpstream(tools=[ECHO])
    terms = HoldTerms(leg_s=0.01)
    world = World(upstreams=[upstream], policy=ONLY_SAFE, holds=terms, audiences={"default": "notes"})
    state = (await world.call("echo", {"text": "big"})).message["result"]["requestState"]
    await answer_to(world, approve=True)
    params = {"name": "echo", "arguments": {"text": "big"}, "requestState": state}
    await world.modern("tools/call", params)
    [sent] = world.upstream().calls()
    assert sent.headers == ((AUTHORITY_HEADER, sent.params["_meta"][AUTHORITY_META]),)


URL_ELICITS = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}}


async def test_a_client_that_opens_pages_is_sent_to_the_approvals_and_goes_on() -> None:
    """First the page, then the legs; what its client says of the page is no answer of a human."""
    world = holding()
    world.dispatch._gating._links = Links("https://gate.test", fixed=True)
    params = {"name": "echo", "arguments": {"text": "big"}}
    first = (await world.modern("tools/call", params, meta=URL_ELICITS)).message["result"]
    ((name, asked),) = first["inputRequests"].items()
    assert asked["params"]["url"] == f"https://gate.test/approve/{asked['params']['elicitationId']}"
    answers = {name: {"action": "accept"}}
    back = {**params, "requestState": first["requestState"], "inputResponses": answers}
    second = (await world.modern("tools/call", back, meta=URL_ELICITS)).message["result"]
    assert (second["resultType"], "inputRequests" in second, world.upstream().calls()) == ("input_required", False, [])
    await answer_to(world, approve=True)
    back["requestState"] = second["requestState"]
    assert text_of((await world.modern("tools/call", back, meta=URL_ELICITS)).message) == "echo ran"
    assert "inputResponses" not in world.upstream().calls()[0].params


@pytest.mark.parametrize(
    ("base", "capabilities"),
    [
        ("", {"elicitation": {"url": {}}}),
        ("https://gate.test", {"elicitation": {"form": {}}}),
        ("https://gate.test", {}),
    ],
)
async def test_nobody_is_sent_to_a_page_that_is_not_there_or_that_its_client_cannot_open(
    base: str, capabilities: JsonObject
) -> None:
    """A client without a handler raises, and its model learns nothing (protocol.md 3.1)."""
    world = holding()
    world.dispatch._gating._links = Links(base, fixed=bool(base))
    meta = {"io.modelcontextprotocol/clientCapabilities": capabilities}
    reply = await world.modern("tools/call", {"name": "echo", "arguments": {"text": "big"}}, meta=meta)
    assert "inputRequests" not in reply.message["result"]


async def test_a_handshake_client_opens_the_page_while_its_call_waits() -> None:
    """The question is a notification: declining it is no answer of a human, and the wait goes on."""
    world = holding()
    world.dispatch._gating._links = Links("https://gate.test", fixed=True)
    conversation = await world.conversation(capabilities={"elicitation": {"url": {}}})
    caller = FakeCaller({"result": {"action": "decline"}})
    params = {"name": "echo", "arguments": {"text": "big"}}
    reply = await world.handle(conversation, "tools/call", params, caller)
    ((method, asked),) = caller.asked
    assert (method, asked["mode"]) == ("elicitation/create", "url")
    assert asked["url"] == f"https://gate.test/approve/{asked['elicitationId']}"
    assert text_of(reply.message).startswith("Waiting for a human")


@pytest.mark.parametrize("mode", ["modern", "handshake"])
async def test_a_held_call_whose_yes_is_not_enough_is_told_whom_it_waits_for_now(mode: str) -> None:
    """A remote authority asks for its own human; here there is nothing more to hold it for."""
    authority = FakeAuthority(REMOTELY)
    world = World(
        upstreams=[FakeUpstream(tools=[ECHO])],
        policy=ONLY_SAFE,
        holds=HoldTerms(leg_s=0.01, hold_s=0.01),
        remote=authority,
    )
    params: JsonObject = {"name": "echo", "arguments": {"text": "big"}}
    conversation = await world.conversation() if mode == "handshake" else None

    async def call() -> JsonObject:
        if conversation is not None:
            return (await world.handle(conversation, "tools/call", params)).message
        return (await world.modern("tools/call", params)).message

    first = (await call())["result"]
    if "requestState" in first:
        params["requestState"] = first["requestState"]
    await answer_to(world, approve=True)
    told = (await call())["result"]
    assert (told["_meta"][DECISION_META]["outcome"], "requestState" in told) == ("pending", False)
    assert "apr_there" in text_of({"result": told})
    params.pop("requestState", None)
    authority.stands = ALLOWED
    assert text_of(await call()) == "echo ran"
    assert len(world.upstream().calls()) == 1
