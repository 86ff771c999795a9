"""Gated requests of agents, through the dispatch: what is decided is what the upstream gets, or nothing at all."""

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonObject
from gateway.core.naming import exposed_name
from gateway.core.refusal import DECISION_META
from gateway.core.tokens import AUTHORITY_HEADER, AUTHORITY_META
from gateway.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Relay
from gateway.services import gating as module
from gateway.services.gating import list_all
from tests.services.gated import ECHO, ONLY_SAFE, text_of
from tests.simulate.upstream import FakeUpstream, Received
from tests.simulate.world import ALLOW_ALL, FakeCaller, World, tool

NO_ELICITATION = ALLOW_ALL + "  - {id: ask-nobody, effect: deny, match: {methods: [elicitation/create]}, reason: no}\n"
FORM = {"method": "elicitation/create", "params": {"message": "Name?", "requestedSchema": {"type": "object"}}}
ELICITS = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


def world_with(*tools: JsonObject, policy: str = ALLOW_ALL) -> World:
    return World(upstreams=[FakeUpstream(tools=tools)], policy=policy)


def two_upstreams(policy: str = ALLOW_ALL) -> World:
    return World(upstreams=[FakeUpstream("notes", tools=[ECHO]), FakeUpstream("files", tools=[ECHO])], policy=policy)


async def test_an_allowed_call_reaches_the_upstream_once_as_it_was_sent() -> None:
    """Unknown members and vendor `_meta` pass untouched."""
    world = world_with(ECHO)
    params = {"name": "echo", "arguments": {"text": "hi", "n": 1.0}, "x-vendor": [None]}
    reply = await world.modern("tools/call", params, meta={"com.acme/trace": "1"})
    assert text_of(reply.message) == "echo ran"
    (call,) = world.upstream().calls()
    assert {name: value for name, value in call.params.items() if name != "_meta"} == params
    assert call.params["_meta"]["com.acme/trace"] == "1"
    assert call.timeout_s == 5.0


async def test_a_call_carries_a_token_where_its_upstream_asks_for_one() -> None:
    """What is in it is `test_authority.py`."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])], audiences={"default": "notes"})
    await world.call("echo", {})
    [sent] = world.upstream().calls()
    assert sent.headers == ((AUTHORITY_HEADER, sent.params["_meta"][AUTHORITY_META]),)


async def test_a_denied_call_never_reaches_the_upstream_and_reads_as_an_error_result() -> None:
    """The model learns which rule refused it."""
    world = world_with(ECHO, policy=ONLY_SAFE)
    reply = await world.call("echo", {"text": "no"})
    assert reply.message["result"]["isError"] is True
    assert reply.message["result"]["_meta"][DECISION_META]["reason"] == "no-rule"
    assert world.upstream().calls() == []


async def test_an_escalated_call_never_reaches_the_upstream_and_reads_as_pending() -> None:
    """A human has not said yes."""
    world = world_with(ECHO, policy=ONLY_SAFE)
    reply = await world.call("echo", {"text": "big"})
    assert text_of(reply.message).startswith("Waiting for a human")
    assert world.upstream().calls() == []


async def test_arguments_that_break_the_schema_never_reach_the_upstream() -> None:
    """The pinned definition is part of what is decided."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    world = world_with({"name": "count", "inputSchema": schema})
    reply = await world.call("count", {"n": "many"})
    assert "arguments.n" in text_of(reply.message)
    assert world.upstream().calls() == []


async def test_an_unknown_tool_is_denied_on_record_and_reads_like_any_unknown_tool() -> None:
    """Names are compared byte for byte with the pinned list."""
    world = world_with(ECHO)
    reply = await world.call("Echo")
    assert reply.message == {"error": {"code": -32602, "message": "Unknown tool: Echo"}}
    assert world.entries(EntryType.CALL_DECIDED)[0].effect == Effect.DENY
    assert world.upstream().calls() == []


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {}),
        ("tools/call", {"name": "echo", "arguments": []}),
        ("tools/call", {"name": 7}),
        ("prompts/get", {"name": ""}),
        ("resources/read", {"uri": "no uri"}),
        ("completion/complete", {"ref": {}, "argument": {"name": "a", "value": "b"}}),
    ],
)
async def test_params_that_do_not_fit_the_method_are_refused(method: str, params: JsonObject) -> None:
    """What cannot be decided on is not guessed at."""
    world = world_with(ECHO)
    reply = await world.modern(method, params)
    assert (reply.message["error"]["code"], reply.status) == (-32602, 400)
    assert world.upstream().received == []
    assert [entry.reasons for entry in world.entries()] == [("-32602",)], "whose refusal it is, is known: an entry each"


async def test_arguments_without_a_canonical_form_are_refused() -> None:
    """They would have no digest that an upstream could rebuild."""
    world = world_with(ECHO)
    reply = await world.call("echo", {"n": 2**60})
    assert reply.message["error"]["code"] == -32602
    assert world.upstream().received == []


async def test_a_list_that_cannot_be_had_refuses_the_call_on_record() -> None:
    """A call before any list makes the gateway list first; failing that is a refusal."""
    world = world_with(ECHO)
    world.upstream().fail(UpstreamTimeout("late", may_have_run=True), "tools/list")
    reply = await world.call("echo", {})
    assert text_of(reply.message).startswith("Failed: late.")
    assert reply.message["result"]["_meta"][DECISION_META]["mayHaveRun"] is False
    assert world.entries(EntryType.CALL_DECIDED)[0].reasons[0] == "facts-unavailable"
    assert world.upstream().calls() == []


async def test_a_new_tool_that_cannot_be_recorded_refuses_the_call() -> None:
    """No pin without an entry, no call without a pin."""
    world = world_with(ECHO)
    world.store.break_append(where=lambda draft: draft.type is EntryType.TOOL_PINNED)
    reply = await world.call("echo", {})
    assert text_of(reply.message).startswith("Failed: The tools of the upstream could not be listed.")
    assert world.upstream().calls() == []


@pytest.mark.parametrize("may_have_run", [True, False])
async def test_an_upstream_that_is_down_refuses_gated_requests_on_record(may_have_run: bool) -> None:
    """Also before it is known what it speaks."""
    world = world_with(ECHO)
    world.upstream().fail(UpstreamUnreachable("connection refused", may_have_run=may_have_run), "support")
    reply = await world.call("echo", {})
    assert text_of(reply.message).startswith("Failed: connection refused.")
    assert (await world.call("echo", {"n": 2**60})).message["error"]["code"] == -32602
    assert [draft.effect for draft in world.entries(EntryType.CALL_DECIDED)] == [Effect.DENY]


async def test_an_upstream_that_fails_in_mid_call_is_told_with_its_doubt() -> None:
    """The agent must know that it may have run."""
    world = world_with(ECHO)
    world.upstream().fail(UpstreamBroken("answer cut off", may_have_run=True), "echo")
    reply = await world.call("echo", {})
    assert "It is not known whether the call was executed" in text_of(reply.message)


async def test_a_result_of_an_unknown_kind_does_not_reach_the_agent() -> None:
    """Some clients show it as an empty success."""
    world = world_with(ECHO)
    world.upstream().lie({"result": {"resultType": "surprise"}}, "echo")
    reply = await world.call("echo", {})
    assert reply.message["result"]["isError"] is True
    assert world.bodies(EntryType.CALL_COMPLETED)[0]["completion"] == "upstream-failed"


async def test_an_upstreams_own_error_passes() -> None:
    """What is allowed is transparent."""
    world = world_with(ECHO)
    error = {"error": {"code": -32000, "message": "mine", "data": {"x": 1}}}
    world.upstream().lie(error, "echo")
    assert (await world.call("echo", {})).message == error


async def test_a_header_that_differs_from_the_body_is_refused_against_the_pinned_schema() -> None:
    """Intermediaries may route on it; fail closed (protocol.md 1.1)."""
    schema = {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}}
    world = world_with({"name": "weather", "inputSchema": schema})
    wrong = await world.call("weather", {"city": "Bonn"}, param_headers=(("mcp-param-city", "Rome"),))
    assert (wrong.message["error"]["code"], wrong.status) == (-32020, 400)
    assert world.upstream().calls() == []
    assert [entry.reasons for entry in world.entries(EntryType.REQUEST_REFUSED)] == [("-32020",)]
    right = await world.call("weather", {"city": "Bonn"}, param_headers=(("mcp-param-city", "Bonn"),))
    assert text_of(right.message) == "weather ran"
    assert world.upstream().calls()[0].headers == (("mcp-param-city", "Bonn"),)


@pytest.mark.parametrize(
    ("method", "params"), [("prompts/get", {"name": "greet"}), ("resources/read", {"uri": "notes://1"})]
)
async def test_a_parameter_header_on_what_has_no_parameters_goes_nowhere(method: str, params: JsonObject) -> None:
    """What was decided is what is sent: it would be text of the agent that nobody has judged."""
    world = world_with()
    await world.modern(method, params, param_headers=(("mcp-param-note", "the secret"),))
    (sent,) = world.upstream().requests(method)
    assert sent.headers == ()


async def test_the_task_field_is_struck_out() -> None:
    """Neither hop negotiates tasks, so no upstream may start one."""
    world = world_with(ECHO)
    conversation = await world.conversation()
    await world.handle(conversation, "tools/call", {"name": "echo", "arguments": {}, "task": {"ttl": 1}})
    assert world.upstream().calls()[0].params == {"name": "echo", "arguments": {}}


# --- prompts, resources, completion -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("prompts/get", {"name": "greet", "arguments": {"who": "you"}}),
        ("resources/read", {"uri": "notes://1"}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "who", "value": "y"}},
        ),
    ],
)
async def test_what_goes_to_or_comes_from_the_model_is_gated_like_a_call(method: str, params: JsonObject) -> None:
    """Every forwarded method passes the one decision point."""
    allowed = world_with()
    await allowed.modern(method, params)
    assert len(allowed.upstream().requests(method)) == 1
    assert len(allowed.entries(EntryType.CALL_COMPLETED)) == 1
    denied = world_with(policy=ONLY_SAFE)
    reply = await denied.modern(method, params)
    assert "error" in reply.message
    assert denied.upstream().requests(method) == []


async def test_a_subscription_lets_updates_of_that_resource_through() -> None:
    """And only of that one."""
    world = world_with()
    channel = FakeCaller()
    conversation = await world.conversation(channel=channel)
    await world.handle(conversation, "resources/subscribe", {"uri": "notes://1"})
    relay = world.upstream().sessions[0].relay
    await relay.notification("notifications/resources/updated", {"uri": "notes://1"})
    await relay.notification("notifications/resources/updated", {"uri": "notes://2"})
    assert channel.told == [("notifications/resources/updated", {"uri": "notes://1"})]


async def test_updates_are_told_in_whichever_spelling_the_upstream_has() -> None:
    """What is decided on is the normal form; the upstream keeps the one that the agent wrote."""
    world, channel = world_with(), FakeCaller()
    conversation = await world.conversation(channel=channel)
    await world.handle(conversation, "resources/subscribe", {"uri": "Notes://h/a%20b"})
    update = ("notifications/resources/updated", {"uri": "Notes://h/a%20b"})
    await world.upstream().sessions[0].relay.notification(*update)
    assert channel.told == [update]


async def test_a_subscription_that_the_upstream_refused_is_none() -> None:
    """But one that stands is not undone by asking for it again."""
    world, channel = world_with(), FakeCaller()
    conversation = await world.conversation(channel=channel)
    await world.handle(conversation, "resources/subscribe", {"uri": "notes://1"})
    world.upstream().lie({"error": {"code": -32602, "message": "no"}}, "resources/subscribe")
    await world.handle(conversation, "resources/subscribe", {"uri": "notes://1"})
    await world.handle(conversation, "resources/subscribe", {"uri": "notes://2"})
    assert conversation.interests("default").resources == {"notes://1"}


async def test_subscriptions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their URIs are kept, so that an agent must not have any number of them."""
    monkeypatch.setattr(module, "SUBSCRIPTIONS_KEPT", 1)
    world = world_with()
    conversation = await world.conversation()
    await world.handle(conversation, "resources/subscribe", {"uri": "notes://1"})
    reply = await world.handle(conversation, "resources/subscribe", {"uri": "notes://2"})
    assert reply.message["error"]["message"] == "At most 1 subscriptions per session"
    assert len(world.upstream().requests("resources/subscribe")) == 1


@pytest.mark.parametrize(("said", "told"), [("public", "private"), ("private", "private"), (None, None)])
async def test_a_read_is_nobody_elses_to_cache(said: str | None, told: str | None) -> None:
    """It was decided for one principal; a shared cache would give it to others undecided."""
    world = world_with()
    scope = {} if said is None else {"cacheScope": said}
    world.upstream().lie({"result": {"contents": [], "resultType": "complete", **scope}}, "resources/read")
    reply = await world.modern("resources/read", {"uri": "notes://1"})
    assert reply.message["result"].get("cacheScope") == told


# --- several upstreams ------------------------------------------------------------------------------------------------


async def test_a_prefixed_name_reaches_its_upstream_under_its_own_name() -> None:
    """Policy, audit and the upstream never see the prefix."""
    world = two_upstreams()
    await world.call("files__echo", {"text": "hi"})
    assert [one.params["name"] for one in world.upstream("files").calls()] == ["echo"]
    assert world.upstream("notes").calls() == []
    entry = world.entries(EntryType.CALL_DECIDED)[0]
    assert (entry.upstream, entry.tool) == ("files", "echo")


async def test_a_shortened_name_is_understood_before_any_list() -> None:
    """A call before any list makes the gateway list first, and only then can a digest be read back."""
    long = "x" * 80
    world = World(upstreams=[FakeUpstream("notes"), FakeUpstream("files", tools=[tool(long)])])
    reply = await world.call(exposed_name("files", long), {})
    assert text_of(reply.message) == f"{long} ran"
    assert [one.params["name"] for one in world.upstream("files").calls()] == [long]


async def test_an_unknown_tool_is_told_under_the_name_that_the_agent_used() -> None:
    """Told under the upstream's own name, it would say which upstreams are there."""
    world = two_upstreams()
    for name in ("files__nothing", "nowhere__nothing"):
        reply = await world.call(name, {})
        assert reply.message["error"]["message"] == f"Unknown tool: {name}"


@pytest.mark.parametrize("name", ["echo", "other__echo", "__echo", "files_echo"])
async def test_a_name_of_no_upstream_reaches_nobody(name: str) -> None:
    """It is denied on record and reads like an unknown tool."""
    world = two_upstreams()
    reply = await world.call(name, {"text": "hi"})
    assert reply.message["error"]["message"] == f"Unknown tool: {name}"
    assert world.upstream("files").calls() + world.upstream("notes").calls() == []
    assert len(world.entries(EntryType.CALL_DECIDED)) == 1


async def test_a_prompt_and_its_completion_find_their_upstream_by_prefix() -> None:
    """Prompts are prefixed like tools."""
    world = two_upstreams()
    await world.modern("prompts/get", {"name": "files__greet"})
    ref = {"type": "ref/prompt", "name": "files__greet"}
    await world.modern("completion/complete", {"ref": ref, "argument": {"name": "a", "value": ""}})
    assert world.upstream("files").requests("prompts/get")[0].params["name"] == "greet"
    assert world.upstream("files").requests("completion/complete")[0].params["ref"]["name"] == "greet"
    assert world.upstream("notes").received == []


async def test_a_resource_is_read_from_the_upstream_that_lists_it() -> None:
    """A URI carries no prefix."""
    world = two_upstreams()

    async def listing(received: Received, relay: Relay) -> JsonObject:
        return {"resources": [{"uri": "files://1", "name": "one"}], "resultType": "complete"}

    world.upstream("files").handlers["resources/list"] = listing
    await world.modern("resources/read", {"uri": "files://1"})
    assert len(world.upstream("files").requests("resources/read")) == 1
    missing = await world.modern("resources/read", {"uri": "nobody://1"})
    assert missing.message["error"]["message"] == "Resource not found"
    assert world.upstream("notes").requests("resources/read") == []


# --- input in mid-call (modern era) -----------------------------------------------------------------------------------


async def test_input_that_policy_allows_is_asked_of_the_agent() -> None:
    """The upstream's question passes with the answer it came in, after a decision of its own."""
    world = world_with(ECHO)
    asking = {"result": {"resultType": "input_required", "inputRequests": {"q": FORM}}}
    world.upstream().lie(asking, "echo")
    assert (await world.call("echo", {}, meta=ELICITS)).message == asking
    methods = [body["call"]["method"] for body in world.bodies(EntryType.CALL_DECIDED)]
    assert methods == ["tools/call", "elicitation/create"]


@pytest.mark.parametrize(
    ("form", "policy"), [(FORM, NO_ELICITATION), ({"method": "elicitation/create", "params": {}}, ALLOW_ALL)]
)
async def test_input_that_is_refused_ends_the_call(form: JsonObject, policy: str) -> None:
    """The call cannot go on, and the agent is told which input was refused."""
    world = world_with(ECHO, policy=policy)
    world.upstream().lie({"result": {"resultType": "input_required", "inputRequests": {"q": form}}}, "echo")
    reply = await world.call("echo", {}, meta=ELICITS)
    assert reply.message["result"]["isError"] is True
    assert "elicitation/create in mid-call, which is refused" in text_of(reply.message)


async def test_a_mode_of_input_that_the_agent_did_not_declare_is_refused() -> None:
    """An agent that can show forms need not be able to open a browser."""
    world = world_with(ECHO)
    form = {"method": "elicitation/create", "params": {"message": "m", "mode": "url", "url": "https://h/x"}}
    world.upstream().lie({"result": {"resultType": "input_required", "inputRequests": {"q": form}}}, "echo")
    assert "its mode was not declared" in text_of((await world.call("echo", {}, meta=ELICITS)).message)


async def test_input_that_the_agent_did_not_declare_is_refused() -> None:
    """Sent to a client without the capability it breaks the client."""
    world = world_with(ECHO)
    world.upstream().lie({"result": {"resultType": "input_required", "inputRequests": {"q": FORM}}}, "echo")
    reply = await world.call("echo", {})
    assert "did not declare" in text_of(reply.message)


# --- lists for the gateway's own use ----------------------------------------------------------------------------------


class Pages:
    """A line whose lists have pages."""

    upstream = "u"

    def __init__(self, *messages: JsonObject) -> None:
        self.messages = list(messages)
        self.cursors: list[object] = []

    async def request(self, method: str, params: JsonObject, relay: Relay, **more: object) -> JsonObject:
        self.cursors.append(params.get("cursor"))
        await relay.notification("notifications/message", {})
        assert await relay.request("ping", {}) == {"result": {}}
        assert "error" in await relay.request("roots/list", {})
        return self.messages.pop(0) if len(self.messages) > 1 else self.messages[0]

    def own(self, params: JsonObject) -> JsonObject:
        return params


async def test_a_whole_list_is_fetched_page_by_page() -> None:
    """Items that are no objects are left out."""
    first = {"result": {"tools": [{"name": "a"}, 7], "nextCursor": "2"}}
    line = Pages(first, {"result": {"tools": [{"name": "b"}]}})
    assert [one["name"] for one in await list_all(line, "tools/list", "tools")] == ["a", "b"]
    assert line.cursors == [None, "2"]


@pytest.mark.parametrize("message", [{"error": {}}, {"result": {"tools": {}}}])
async def test_a_list_that_is_none_is_an_error(message: JsonObject) -> None:
    """Without a list there is nothing to pin."""
    with pytest.raises(UpstreamBroken, match="holds no `tools`"):
        await list_all(Pages(message), "tools/list", "tools")


async def test_pages_without_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream must not keep the gateway listing."""
    monkeypatch.setattr(module, "PAGES_LISTED", 3)
    endless = Pages({"result": {"tools": [], "nextCursor": "again"}})
    with pytest.raises(UpstreamBroken, match="more than 3 pages"):
        await list_all(endless, "tools/list", "tools")
