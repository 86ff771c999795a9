"""Kill switches: from the answer to whoever threw one on, nothing that it stops is forwarded, in this process or the
next.
"""

from dataclasses import replace

import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.decision import Effect, Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal, Role, Scope
from gateway.core.submission import IntentStatus, Submission
from gateway.core.switches import SwitchKind
from gateway.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
)
from gateway.services.judged import OutcomeKind
from gateway.services.operator import operator
from tests.services.calling import ASK, READ, Other, take
from tests.services.switching import ADMIN, AGENT, EVERY, PROGRAM, TENANT, UPSTREAM, anew, changes, release, throw
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import LOCAL, FakeCaller, World, tool

# --- the next call ----------------------------------------------------------------------------------------------------


GATED: list[tuple[str, JsonObject]] = [
    ("tools/call", {"name": "pay", "arguments": {"amount": 5}}),
    ("prompts/get", {"name": "greet"}),
    ("resources/read", {"uri": "notes://1"}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "a", "value": "b"}}),
]


@pytest.mark.parametrize(("kind", "name"), EVERY)
@pytest.mark.parametrize(
    ("era", "method", "params"),
    [
        *(("modern", *one) for one in GATED),
        *(("handshake", *one) for one in GATED),
        ("handshake", "resources/subscribe", {"uri": "notes://1"}),
    ],
)
async def test_nothing_that_is_gated_passes_while_a_switch_is_thrown(
    era: str, method: str, params: JsonObject, kind: SwitchKind, name: str
) -> None:
    """From the next call on, in both eras, in sessions that were open before; and again once it is released."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])])
    conversation = await world.conversation()

    async def ask() -> JsonObject:
        if era == "modern":
            return (await world.modern(method, params)).message
        return (await world.handle(conversation, method, params)).message

    def reached() -> int:
        return sum(one.method == method for one in world.upstream().received)

    await ask()
    before = reached()
    assert before == 1
    await throw(world, kind, name)
    refused = str(await ask())
    assert ("runs amok" in refused, "switched-off" in refused, reached()) == (True, True, before)
    assert world.judged[-1].decision.reason is Reason.SWITCHED_OFF
    assert (world.judged[-1].decision.rung, world.judged[-1].decision.effect) == (13, Effect.DENY)
    await release(world, kind, name)
    await ask()
    assert reached() == before + 1


@pytest.mark.parametrize(("kind", "name"), EVERY)
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("sampling/createMessage", {"messages": [], "maxTokens": 1}),
        ("elicitation/create", {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}),
        ("roots/list", {}),
    ],
)
async def test_what_an_upstream_asks_of_a_stopped_agent_does_not_reach_it(
    method: str, params: JsonObject, kind: SwitchKind, name: str
) -> None:
    """Sampling is a call of the agent's own model, at its cost, in the upstream's words."""
    world = World(upstreams=[FakeUpstream(tools=[tool("pay")])])
    caller = FakeCaller()
    capabilities = {"sampling": {}, "elicitation": {}, "roots": {}}
    await world.conversation(capabilities=capabilities, channel=caller)
    session = world.upstream().sessions[0]
    await throw(world, kind, name)
    answer = await session.relay.request(method, params)
    assert "error" in answer or answer == {"result": {"action": "decline"}}
    assert caller.asked == []
    assert world.judged[-1].decision.reason is Reason.SWITCHED_OFF


async def test_a_switch_of_somebody_else_changes_nothing() -> None:
    """Another agent, another upstream."""
    world = World(upstreams=[FakeUpstream(), FakeUpstream("other")])
    await throw(world, AGENT, "somebody-else")
    await throw(world, UPSTREAM, "other")
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED


async def test_a_switch_does_not_reach_other_tenants() -> None:
    """Names are a tenant's own, and an upstream is stopped for the tenant that stops it."""
    world = World()
    acme = operator("acme")
    for kind, name in ((AGENT, "local"), (UPSTREAM, "default"), (TENANT, "acme")):
        await throw(world, kind, name, by=acme)
    assert (await take(world, Other(world))).kind is OutcomeKind.ANSWERED
    other = Other(world)
    stopped = await world.enforcement.call(replace(LOCAL, tenant="acme"), READ, other, FakeCaller())
    assert (stopped.reason, other.reached) == (Reason.SWITCHED_OFF, 0)
    assert world.switches.list(ADMIN) == ()
    assert len(world.switches.list(acme)) == 3


async def test_an_agent_may_be_stopped_before_it_was_ever_seen() -> None:
    """Its key is made already, and somebody knows better."""
    world = World()
    await throw(world, AGENT, "local")
    other = Other(world)
    assert ((await take(world, other)).reason, other.reached) == (Reason.SWITCHED_OFF, 0)


async def test_an_agent_that_is_a_key_is_stopped_by_the_keys_id() -> None:
    """`intended keys list` shows that, and the slug which it makes is nowhere to be read."""
    world = World()
    await throw(world, AGENT, "key_01JABC")
    assert [one.name for one in world.switches.list(ADMIN)] == ["key-01jabc"]


@pytest.mark.parametrize("name", ["ID", "Local", "local"])
async def test_an_agent_is_stopped_by_whatever_names_it(name: str) -> None:
    """Lists show id and slug, people know the name; a switch under one that is not in calls would stop nobody."""
    world = World()
    agent = await world.agents.register(ADMIN, name="local")
    await throw(world, AGENT, name.replace("ID", agent.id))
    assert [one.name for one in world.switches.list(ADMIN)] == ["local"]
    assert (await take(world, Other(world))).reason == Reason.SWITCHED_OFF
    await release(world, AGENT, name.replace("ID", agent.id))
    assert world.switches.list(ADMIN) == ()


# --- submitted intents ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), [(AGENT, "ci"), (UPSTREAM, "default"), (TENANT, "default")])
@pytest.mark.parametrize("domain", ["", "billing"])
async def test_a_submitted_intent_is_denied_and_gets_no_token(kind: SwitchKind, name: str, domain: str) -> None:
    """A token is what a program acts with."""
    world = World()
    await world.agents.register(ADMIN, name="ci")
    await throw(world, kind, name)
    submission = Submission(
        agent="ci",
        action="billing.apply_credit",
        declared_type="billing.apply_credit" if domain else "",
        domain=domain,
        system="default",
    )
    made = await world.intents.submit(PROGRAM, submission)
    assert (made.record.effect, made.record.reason, made.token) == (Effect.DENY, "switched-off", "")
    assert made.record.status is IntentStatus.REJECTED


async def test_a_yes_of_before_gives_no_token_under_a_switch_nor_after_it() -> None:
    """Neither a yes that was not used when the switch was thrown, nor one that comes too late."""
    world = World(policy=ASK.replace("resources/read", "intent"))
    submission = Submission(agent="ci", action="pay the invoice")
    made = await world.intents.submit(PROGRAM, submission)
    await world.approvals.resolve(ADMIN, approval_id=made.record.approval_id, approve=True)
    await throw(world, AGENT, "ci")
    shown = await world.intents.show(PROGRAM, made.record.id)
    assert (shown.token, shown.record.status) == ("", IntentStatus.REJECTED)
    await release(world, AGENT, "ci")
    assert (await world.intents.show(PROGRAM, made.record.id)).token == ""
    state = (await world.approvals.show(ADMIN, made.record.approval_id)).state
    assert state is ApprovalState.CANCELLED


# --- who may, and what is no switch -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "by",
    [
        replace(ADMIN, bound=True, agent="local"),
        replace(ADMIN, scopes=frozenset({Scope.MCP_CALL}), role=None),
        LOCAL,
    ],
)
async def test_whoever_may_not_stop_does_not(by: Principal) -> None:
    """Also an admin's key that is an agent's own."""
    world = World()
    with pytest.raises(Forbidden):
        await throw(world, AGENT, "other", by=by)
    await throw(world, AGENT, "other")
    with pytest.raises(Forbidden):
        await world.switches.release(by, AGENT, "other", reason="let me")
    assert len(changes(world)) == 1


async def test_only_an_admin_lets_go() -> None:
    """To stop is safe; to let go is a decision."""
    world = World()
    human = Principal(
        tenant="default", agent="usr-1", credential="ps_1", scopes=frozenset(Scope), role=Role.OPERATOR, human="usr_1"
    )
    await throw(world, by=human)
    with pytest.raises(Forbidden, match="only an admin"):
        await world.switches.release(human, AGENT, "local", reason="seems fine")
    await release(world)


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        (TENANT, "acme", Forbidden),
        (UPSTREAM, "nope", NotFound),
        (AGENT, "?", InvalidRequest),
        (AGENT, "", InvalidRequest),
    ],
)
async def test_what_is_no_switch_is_refused(kind: SwitchKind, name: str, error: type[Exception]) -> None:
    """It would stop nobody."""
    world = World()
    with pytest.raises(error):
        await throw(world, kind, name)
    assert changes(world) == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 257, "\ud800"])
async def test_a_switch_without_a_reason_is_refused(reason: str) -> None:
    """Thrown and released alike."""
    world = World()
    with pytest.raises(InvalidRequest):
        await world.switches.throw(ADMIN, AGENT, "local", reason=reason)
    await throw(world)
    with pytest.raises(InvalidRequest):
        await world.switches.release(ADMIN, AGENT, "local", reason=reason)
    assert len(changes(world)) == 1


async def test_an_upstream_that_is_configured_no_more_can_still_be_released() -> None:
    """Its switch would else stand for ever."""
    world = World()
    await throw(world, UPSTREAM, "default")
    switches = anew(world)
    switches._upstreams = frozenset()
    await switches.load(["default"])
    await switches.release(ADMIN, UPSTREAM, "default", reason="gone")
    assert switches.list(ADMIN) == ()
