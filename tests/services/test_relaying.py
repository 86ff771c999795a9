"""What upstreams say towards the agent: the rows "upstream→" of the method table, in both eras."""

import anyio
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.call import Era
from gateway.core.jsonvalue import JsonObject
from gateway.core.methods import BY_UPSTREAM
from gateway.core.principal import Principal, Role
from gateway.core.refusal import DECISION_META
from gateway.ports import Relay
from gateway.ports.silence import SilentRelay
from gateway.services import relaying as module
from gateway.services.conversation import Conversation
from gateway.services.relaying import declared
from tests.simulate.upstream import FakeUpstream, Received
from tests.simulate.world import ALLOW_ALL, FakeCaller, World, tool

ECHO = tool("echo")
FORM: JsonObject = {"message": "Name?", "requestedSchema": {"type": "object"}}
PAGE: JsonObject = {"message": "Log in", "mode": "url", "url": "https://ok.test/login", "elicitationId": "e-1"}
SAMPLE: JsonObject = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 5}
EVERYTHING: JsonObject = {"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}}
QUESTIONS = [("sampling/createMessage", SAMPLE), ("elicitation/create", FORM), ("roots/list", {})]
ONLY_TOOLS = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: tools, effect: allow, reason: fine}
  - {id: never-asked, effect: escalate, match: {methods: ["*"]}, when: "call.method != 'tools/call'", reason: a human}
"""
LOG = ("notifications/message", {"level": "info", "data": "working"})
PROGRESS = ("notifications/progress", {"progressToken": "t", "progress": 1})
LISTS = [f"notifications/{kind}/list_changed" for kind in ("tools", "prompts", "resources")]


async def session(
    policy: str = ALLOW_ALL, capabilities: JsonObject | None = None, answer: JsonObject | None = None
) -> tuple[World, Conversation, FakeCaller, Relay]:
    """Return a handshake session: its world, conversation, the agent's GET stream, and the upstream's."""
    world, channel = World(upstreams=[FakeUpstream(tools=[ECHO])], policy=policy), FakeCaller(answer)
    conversation = await world.conversation(
        capabilities=EVERYTHING if capabilities is None else capabilities, channel=channel
    )
    return world, conversation, channel, world.upstream().sessions[0].relay


async def said_in_mid_call(era: Era, method: str, params: JsonObject, **meta: object) -> list[tuple[str, JsonObject]]:
    """Let the upstream say something while it answers a call; return what the agent heard."""

    async def speak(received: Received, relay: Relay) -> JsonObject:
        await relay.notification(method, params)
        return {"content": [], **({"resultType": "complete"} if received.modern else {})}

    world, caller = World(upstreams=[FakeUpstream(tools=[ECHO], handlers={"echo": speak})]), FakeCaller()
    if era is Era.MODERN:
        await world.call("echo", {}, caller=caller, meta=dict(meta))
    else:
        await world.handle(await world.conversation(), "tools/call", {"name": "echo", "arguments": {}}, caller)
    assert len(world.upstream().calls()) == 1
    return caller.told


# --- notifications ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", list(Era))
async def test_progress_passes_in_both_eras(era: Era) -> None:
    """The adapter has found the request that it belongs to and put the agent's own token back."""
    assert await said_in_mid_call(era, *PROGRESS) == [PROGRESS]


async def test_log_messages_pass_in_the_handshake_era() -> None:
    """The level is the session's, set with `logging/setLevel`."""
    assert await said_in_mid_call(Era.HANDSHAKE, *LOG) == [LOG]


@pytest.mark.parametrize(("meta", "heard"), [({}, []), ({"io.modelcontextprotocol/logLevel": "info"}, [LOG])])
async def test_log_messages_pass_in_the_modern_era_only_where_the_request_named_a_level(
    meta: JsonObject, heard: list[tuple[str, JsonObject]]
) -> None:
    """A server must not send what was not asked for."""
    assert await said_in_mid_call(Era.MODERN, *LOG, **meta) == heard


@pytest.mark.parametrize("method", LISTS)
async def test_changed_lists_are_told_to_a_session_and_not_to_a_stateless_request(method: str) -> None:
    """In the modern era they belong on a listen stream that asked for them."""
    assert await said_in_mid_call(Era.HANDSHAKE, method, {}) == [(method, {})]
    assert await said_in_mid_call(Era.MODERN, method, {}) == []


@pytest.mark.parametrize("era", list(Era))
@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("notifications/resources/updated", {"uri": "notes://1"}),
        ("notifications/resources/updated", {"uri": "no uri"}),
        ("notifications/resources/updated", {"uri": ["notes://1"]}),
        ("notifications/resources/updated", {}),
        ("notifications/elicitation/complete", {"elicitationId": "e-1"}),
        ("notifications/elicitation/complete", {"elicitationId": {}}),
        ("notifications/subscriptions/acknowledged", {"notifications": {}}),
        ("notifications/cancelled", {"requestId": 1}),
        ("notifications/tasks/status", {"taskId": "1"}),
        ("notifications/tasks", {"taskId": "1"}),
        ("notifications/initialized", {}),
        ("notifications/made-up", {"x": 1}),
        ("tools/call", {"name": "echo"}),
    ],
)
async def test_what_nobody_asked_for_or_nobody_knows_is_dropped(era: Era, method: str, params: JsonObject) -> None:
    """A notification that nobody taught the gateway does not reach the agent."""
    assert await said_in_mid_call(era, method, params) == []


async def test_a_changed_tool_list_is_listed_anew_before_the_next_call() -> None:
    """The tool may have been redefined: its next call must be judged by the new definition."""
    world, conversation, _, relay = await session()
    await world.handle(conversation, "tools/call", {"name": "echo", "arguments": {}})
    world.upstream().tools = [ECHO | {"description": "Sends it to everybody."}]
    await relay.notification("notifications/tools/list_changed", {})
    await world.handle(conversation, "tools/call", {"name": "echo", "arguments": {}})
    assert len(world.upstream().requests("tools/list")) == 2
    assert len(world.entries(EntryType.TOOL_CHANGED)) == 1


@pytest.mark.parametrize("kind", ["prompts", "resources"])
async def test_other_changed_lists_drop_what_was_kept_of_them(kind: str) -> None:
    """A resource that moved to another upstream must not be asked of the old one."""
    world, _, _, relay = await session()
    world.dispatch._owners.note("default", "resources/list", [{"uri": "notes://1"}])
    await relay.notification(f"notifications/{kind}/list_changed", {})
    assert not world.dispatch._owners.lists("default", "notes://1")


# --- requests that pass -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "params"), QUESTIONS)
@pytest.mark.parametrize("answer", [{"result": {"x": [1.0]}}, {"error": {"code": -1, "message": "the user said no"}}])
async def test_what_is_allowed_is_asked_of_the_agent_and_its_answer_is_the_upstreams(
    method: str, params: JsonObject, answer: JsonObject
) -> None:
    """Whole and unchanged in both directions, after a decision and with an end on record."""
    world, _, channel, relay = await session(answer=answer)
    assert await relay.request(method, params) == answer
    assert channel.asked == [(method, params)]
    assert [body["call"]["method"] for body in world.bodies(EntryType.CALL_DECIDED)] == [method]
    assert len(world.entries(EntryType.CALL_COMPLETED)) == 1


async def test_a_ping_is_answered_here() -> None:
    """It asks whether we are there, and is no business of the agent's."""
    world, _, channel, relay = await session()
    assert await relay.request("ping", {}) == {"result": {}}
    assert (channel.asked, world.entries()) == ([], [])


async def test_a_question_in_mid_call_is_asked_on_the_calls_own_stream() -> None:
    """The agent must know which call wants to know; the session's other stream may not be open at all."""
    answers: list[JsonObject] = []

    async def ask(received: Received, relay: Relay) -> JsonObject:
        await relay.paused()
        answers.append(await relay.request("elicitation/create", FORM))
        return {"content": []}

    world, channel = World(upstreams=[FakeUpstream(tools=[ECHO], handlers={"echo": ask})]), FakeCaller()
    conversation = await world.conversation(capabilities=EVERYTHING, channel=channel)
    caller = FakeCaller({"result": {"action": "accept", "content": {"name": "Ada"}}})
    await world.handle(conversation, "tools/call", {"name": "echo", "arguments": {}}, caller)
    assert (caller.asked, channel.asked) == ([("elicitation/create", FORM)], [])
    assert (caller.pauses, answers) == (1, [caller.answer])


async def test_the_completion_of_a_page_is_told_once_it_was_relayed() -> None:
    """An upstream must not make the agent believe that something was done which it never was shown."""
    _, _, channel, relay = await session()
    done = ("notifications/elicitation/complete", {"elicitationId": "e-1"})
    await relay.notification(*done)
    assert channel.told == []
    await relay.request("elicitation/create", PAGE)
    await relay.notification(*done)
    assert channel.told == [done]


async def test_elicitations_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first."""
    monkeypatch.setattr(module, "ELICITATIONS_KEPT", 2)
    _, conversation, _, relay = await session()
    for number in range(3):
        await relay.request("elicitation/create", {**PAGE, "elicitationId": f"e-{number}"})
    assert list(conversation.interests("default").elicitations) == ["e-1", "e-2"]


# --- requests that do not ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "params"), QUESTIONS)
async def test_what_policy_does_not_allow_is_never_asked_of_the_agent(method: str, params: JsonObject) -> None:
    """A refusal has the form of its method: an elicitation is declined, everything else is an error."""
    world, _, channel, relay = await session(ONLY_TOOLS)
    reply = await relay.request(method, params)
    assert channel.asked == []
    (entry,) = world.entries(EntryType.CALL_DECIDED)
    if method == "elicitation/create":
        assert reply == {"result": {"action": "decline"}}
    else:
        record = {"outcome": "escalated", "id": entry.intent_id, "reason": "policy-escalate"}
        assert reply["error"]["code"] == 40301
        assert reply["error"]["message"].startswith("Refused: Rule '")
        assert reply["error"]["data"] == {DECISION_META: record}


@pytest.mark.parametrize(("method", "params"), QUESTIONS)
async def test_nothing_is_asked_of_the_agent_when_the_decision_cannot_be_recorded(
    method: str, params: JsonObject
) -> None:
    """No record, no action: also towards the agent."""
    world, _, channel, relay = await session()
    world.store.down = "full"
    reply = await relay.request(method, params)
    assert channel.asked == []
    assert reply.get("result") == ({"action": "decline"} if method == "elicitation/create" else None)


@pytest.mark.parametrize(("method", "params"), QUESTIONS)
async def test_what_the_agent_did_not_declare_is_never_asked_of_it(method: str, params: JsonObject) -> None:
    """A client without the capability breaks on it, or hangs."""
    world, _, channel, relay = await session(capabilities={})
    reply = await relay.request(method, params)
    assert reply == {
        "error": {"code": -32601, "message": f"The client did not declare the capability for {method}"},
    }
    assert (channel.asked, world.entries()) == ([], [])


async def test_a_mode_of_elicitation_that_the_agent_did_not_declare_is_never_asked_of_it() -> None:
    """2025-11-25, elicitation: no mode declared means forms."""
    _, _, channel, relay = await session(capabilities={"elicitation": {}})
    reply = await relay.request("elicitation/create", PAGE)
    assert reply == {"error": {"code": -32602, "message": "The client did not declare this mode of elicitation"}}
    assert channel.asked == []


@pytest.mark.parametrize(
    ("mode", "modes", "expected"),
    [
        ({}, {}, True),
        ({}, {"form": {}}, True),
        ({}, {"url": {}}, False),
        ({"mode": "form"}, None, True),
        ({"mode": "url"}, {}, False),
        ({"mode": "url"}, {"url": {}}, True),
        ({"mode": "url"}, {"form": {}}, False),
        ({"mode": ["url"]}, {"url": {}}, False),
    ],
)
def test_modes_are_declared_one_by_one(mode: JsonObject, modes: JsonObject | None, expected: bool) -> None:
    """What is not declared is not there."""
    assert declared("elicitation/create", mode, {"elicitation": modes}) is expected
    assert declared("roots/list", mode, {})


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("elicitation/create", {"message": 7}),
        ("elicitation/create", {**PAGE, "url": "no url"}),
        ("sampling/createMessage", {"n": 2**60}),
    ],
)
async def test_params_that_cannot_be_decided_on_reach_nobody(method: str, params: JsonObject) -> None:
    """Neither what does not fit the method nor what has no digest."""
    world, _, channel, relay = await session()
    assert await relay.request(method, params) == {"error": {"code": -32602, "message": "Invalid params"}}
    assert (channel.asked, world.entries()) == ([], [])


@pytest.mark.parametrize("method", ["tasks/get", "tasks/list", "tools/call", "made/up", "notifications/progress"])
async def test_a_request_of_an_unknown_method_reaches_nobody(method: str) -> None:
    """What nobody taught the gateway is refused in this direction too."""
    world, _, channel, relay = await session()
    assert await relay.request(method, {}) == {"error": {"code": -32601, "message": "Method not found"}}
    assert (channel.asked, world.entries()) == ([], [])


@pytest.mark.parametrize("method", ["ping", "sampling/createMessage", "elicitation/create", "roots/list"])
async def test_a_modern_upstream_asks_nothing_on_the_way(method: str) -> None:
    """In this era it asks by its result, where every question is gated."""
    answers: list[JsonObject] = []

    async def ask(received: Received, relay: Relay) -> JsonObject:
        answers.append(await relay.request(method, FORM))
        return {"content": [], "resultType": "complete"}

    world, caller = World(upstreams=[FakeUpstream(tools=[ECHO], handlers={"echo": ask})]), FakeCaller()
    meta = {"io.modelcontextprotocol/clientCapabilities": EVERYTHING}
    await world.call("echo", {}, caller=caller, meta=meta)
    assert (answers, caller.asked) == ([{"error": {"code": -32601, "message": "Method not found"}}], [])


# --- progress of the agent on a question ------------------------------------------------------------------------------


async def test_the_agents_progress_is_awaited_only_while_it_is_asked() -> None:
    """A token of nothing that is in flight is nobody's, and a question that fails does not leave one behind."""
    _, conversation, channel, relay = await session()
    asked: list[set[str | int]] = []
    questions = conversation.interests("default").questions

    async def answer(method: str, params: JsonObject) -> JsonObject:
        asked.append(set(questions))
        if len(asked) == 2:
            raise ZeroDivisionError
        return {"result": {}}

    channel.ask = answer  # type: ignore[method-assign]
    sample = {**SAMPLE, "_meta": {"progressToken": "a/1"}}
    await relay.request("sampling/createMessage", sample)
    with pytest.raises(ZeroDivisionError):
        await relay.request("sampling/createMessage", sample)
    await relay.request("sampling/createMessage", {**SAMPLE, "_meta": {"progressToken": None}})
    assert (asked, questions) == ([{"a/1"}, {"a/1"}, set()], set())


async def test_the_gateways_own_requests_have_a_relay_that_answers_nothing() -> None:
    """Kept under this name for whoever relays to nobody (`ports/silence.py`)."""
    assert await SilentRelay().request("roots/list", {}) == {"error": {"code": -32601, "message": "Method not found"}}


async def test_a_question_that_the_upstream_gives_up_is_closed_on_record() -> None:
    """Cancelling must not leave a decided call without an end."""
    world, _, channel, relay = await session()
    reached = anyio.Event()

    async def wait(method: str, params: JsonObject) -> JsonObject:
        reached.set()
        await anyio.sleep_forever()
        raise AssertionError

    channel.ask = wait  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        group.start_soon(relay.request, "roots/list", {})
        with anyio.fail_after(5):
            await reached.wait()
        group.cancel_scope.cancel()
    assert [entry.reasons for entry in world.entries(EntryType.CALL_COMPLETED)] == [("cancelled", BY_UPSTREAM)]


async def test_a_question_that_a_human_has_approved_is_asked_once() -> None:
    """The upstream asks again, and its agent answers; for the next time a human is asked anew."""
    policy = ONLY_TOOLS.replace("effect: allow", "effect: allow, match: {methods: [tools/call]}")
    world, _, channel, relay = await session(policy, answer={"result": {"role": "assistant"}})
    assert "error" in await relay.request("sampling/createMessage", SAMPLE)
    operator = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)
    (one,) = (await world.list_approvals(operator, page=1, page_size=10)).items
    await world.approvals.resolve(operator, approval_id=one.id, approve=True)
    assert await relay.request("sampling/createMessage", SAMPLE) == {"result": {"role": "assistant"}}
    assert "error" in await relay.request("sampling/createMessage", SAMPLE)
    assert len(channel.asked) == 1
