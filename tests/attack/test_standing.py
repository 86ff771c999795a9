"""An upstream that wants to ruin, or to raise, the agent that uses it: what it asks says nothing of the agent."""

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role
from gateway.core.trust.evidence import evidence_of
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, FakeCaller, World, tool

QUESTIONS: list[tuple[str, JsonObject]] = [
    ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
    ("elicitation/create", {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}),
    ("elicitation/create", {"mode": "url", "message": "m", "url": "https://x.example/", "elicitationId": "1"}),
    ("roots/list", {}),
]
CAPABILITIES = {"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}}
HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)


@pytest.mark.parametrize(("method", "params"), QUESTIONS)
@pytest.mark.parametrize("effect", ["allow", "deny", "escalate"])
@pytest.mark.parametrize("answer", [{"result": {}}, {"error": {"code": -1, "message": "no"}}])
async def test_what_an_upstream_asks_is_no_evidence_of_its_agent(
    method: str, params: JsonObject, effect: str, answer: JsonObject
) -> None:
    """Twenty questions that policy denies opened the agent's circuit everywhere, and took its tier."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])], policy=ALLOW_ALL.replace("allow\n", f"{effect}\n"))
    await world.conversation(capabilities=CAPABILITIES, channel=FakeCaller(answer=answer))
    await world.upstream().sessions[0].relay.request(method, params)
    for approval in world.approvals.open("default"):
        await world.approvals.resolve(HUMAN, approval_id=approval, approve=False)
    told = [entry for entry in world.entries() if entry.agent]
    kinds = {entry.type for entry in told}
    assert EntryType.CALL_DECIDED in kinds
    assert (EntryType.CALL_COMPLETED in kinds, EntryType.APPROVAL_RESOLVED in kinds) == (
        effect == "allow",
        effect == "escalate",
    )
    assert [evidence_of(entry, 1) for entry in told] == [None] * len(told)


async def test_what_the_agent_asks_is_evidence_all_the_same() -> None:
    """The same policy, the agent's own call."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])], policy=ALLOW_ALL.replace("allow\n", "deny\n"))
    await world.call("pay", {})
    assert [evidence_of(entry, 1) is not None for entry in world.entries(EntryType.CALL_DECIDED)] == [True]
