"""The method table at work: which use case answers which message, and what reaches nobody."""

import anyio
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.jsonvalue import JsonObject
from gateway.core.message import Rejection
from gateway.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.ports import Relay, UpstreamSupport
from gateway.services import dispatch as module
from gateway.services.conversation import Conversation
from gateway.services.dispatch import Reply
from tests.simulate.upstream import CAPABILITIES, HANDSHAKE, SERVER_INFO, FakeUpstream, Received
from tests.simulate.world import ALLOW_ALL, LOCAL, FakeCaller, World, tool

ECHO = tool("echo")
DOWN = UpstreamUnreachable("down", may_have_run=False)
UNKNOWN = {"error": {"code": -32601, "message": "Method not found"}}
NO_ROOTS_FOR_A = (
    ALLOW_ALL + "  - {id: not-a, effect: deny, match: {methods: [roots/list], upstreams: [a]}, reason: not for a}\n"
)
SAMPLE: JsonObject = {"messages": [], "_meta": {"progressToken": "default/1"}}
LEVEL = {"level": "debug"}


def two(policy: str = ALLOW_ALL, **more: JsonObject) -> World:
    upstreams = [FakeUpstream(name, tools=[ECHO], capabilities=more.get(name)) for name in ("a", "b")]
    return World(upstreams=upstreams, policy=policy)


def speaking(*, handshake: tuple[str, ...] = (), modern: bool = False) -> UpstreamSupport:
    return UpstreamSupport(handshake=handshake, modern=("2026-07-28",) if modern else ())


def after_opening(upstream: FakeUpstream) -> list[tuple[str, JsonObject]]:
    """Return what reached an upstream after the handshake."""
    return [(one.method, one.params) for one in upstream.received[2:]]


# --- what both eras have ----------------------------------------------------------------------------------------------


async def test_a_call_a_list_and_an_unknown_method_in_the_handshake_era() -> None:
    """Gated, filtered, refused."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    conversation = await world.conversation()
    listed = await world.handle(conversation, "tools/list")
    called = await world.handle(conversation, "tools/call", {"name": "echo", "arguments": {}})
    assert listed == Reply(message={"result": {"tools": [ECHO]}})
    assert called == Reply(message={"result": {"content": [{"type": "text", "text": "echo ran"}]}})
    assert await world.handle(conversation, "tools/uninstall") == Reply(message=UNKNOWN)
    assert [method for method, _ in after_opening(world.upstream())] == ["tools/list", "tools/call"]


@pytest.mark.parametrize("method", ["initialize", "ping", "logging/setLevel", "resources/subscribe", "tasks/get", "x"])
async def test_a_method_that_the_modern_era_does_not_have_is_answered_with_404(method: str) -> None:
    """Also before it is known what the upstream speaks."""
    world = World()
    world.upstream().fail(DOWN)
    assert await world.modern(method, {"uri": "x://1", "level": "info"}) == Reply(message=UNKNOWN, status=404)
    assert (world.upstream().received, world.upstream().probes) == ([], 0)


async def test_an_answer_of_the_modern_era_is_200() -> None:
    """Only errors that the specification names have another status."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    assert (await world.modern("tools/list")).status == 200
    world.upstream().lie({"error": {"code": 7, "message": "mine"}}, "tools/list")
    assert await world.modern("tools/list") == Reply(message={"error": {"code": 7, "message": "mine"}}, status=200)


# --- which era an upstream speaks -------------------------------------------------------------------------------------


async def test_an_upstream_of_the_handshake_era_makes_modern_agents_fall_back() -> None:
    """Clients of both eras then initialise by themselves (protocol research, 1.4)."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO], support=speaking(handshake=HANDSHAKE))])
    for method in ("server/discover", "tools/list", "subscriptions/listen"):
        reply = await world.modern(method)
        data = {"supported": list(HANDSHAKE), "requested": "2026-07-28"}
        message = {"error": {"code": -32022, "message": "Unsupported protocol version", "data": data}}
        assert reply == Reply(message=message, status=400)
    assert world.upstream().received == []


async def test_one_of_several_upstreams_that_is_of_the_handshake_era_makes_all_fall_back() -> None:
    """Fail closed: only versions that all speak are offered."""
    a = FakeUpstream("a")
    b = FakeUpstream("b", support=speaking(handshake=("2025-06-18", "2025-11-25")))
    world = World(upstreams=[a, b])
    reply = await world.modern("tools/list")
    assert reply.message["error"]["data"]["supported"] == ["2025-06-18", "2025-11-25"]
    assert a.received + b.received == []


async def test_upstreams_that_have_no_version_in_common_offer_none() -> None:
    """They cannot be served on one path."""
    a = FakeUpstream("a", support=speaking(modern=True))
    b = FakeUpstream("b", support=speaking(handshake=HANDSHAKE))
    reply = await World(upstreams=[a, b]).modern("tools/list")
    assert reply.message["error"]["data"] == {"supported": [], "requested": "2026-07-28"}


async def test_an_upstream_of_which_nothing_can_be_found_out_is_an_error() -> None:
    """A gated request is refused on record, the others without."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    world.upstream().fail(DOWN, "support")
    listed = await world.modern("tools/list")
    assert listed.message == {"error": {"code": -32603, "message": "The gateway cannot reach its upstream: down"}}
    assert world.entries() == []
    called = await world.call("echo", {})
    assert called.message["result"]["isError"] is True
    assert (len(world.entries(EntryType.CALL_DECIDED)), world.upstream().received) == (1, [])


async def test_one_of_several_upstreams_that_is_down_takes_nothing_from_the_others() -> None:
    """Its own tools fail, theirs do not."""
    world = two()
    world.upstream("a").fail(DOWN)
    reply = await world.call("b__echo", {})
    assert reply.message["result"]["content"][0]["text"] == "echo ran"


async def test_one_of_several_upstreams_that_hangs_holds_the_others_up_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is not found out by then counts as down."""
    monkeypatch.setattr(module, "OPEN_TIMEOUT_S", 0.05)
    world = two()
    world.upstream("a").hang("support")
    with anyio.fail_after(5):
        reply = await world.call("b__echo", {})
        assert reply.message["result"]["content"][0]["text"] == "echo ran"
        world.upstream("b").hang("support")
        world.upstream("b")._known = False
        late = await world.modern("tools/list")
    text = "The gateway cannot reach its upstream: it was not ready in time"
    assert late.message == {"error": {"code": -32603, "message": text}}


# --- server/discover --------------------------------------------------------------------------------------------------


async def test_discovery_of_one_upstream_is_its_own_but_for_what_we_cannot_gate() -> None:
    """Unknown members pass; unknown versions, capabilities and extensions do not."""
    world = World()
    own: JsonObject = {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28", "2031-01-01", "2025-11-25"],
        "capabilities": {"tools": {"x": 1}, "tasks": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}},
        "serverInfo": {"name": "theirs"},
        "com.acme/x": [1],
        "ttlMs": 3_600_000,
        "cacheScope": "public",
    }
    world.upstream().lie({"result": own}, "server/discover")
    assert await world.modern("server/discover") == Reply(
        message={
            "result": {
                **own,
                "supportedVersions": ["2025-11-25", "2026-07-28"],
                "capabilities": {"tools": {"x": 1}},
                "ttlMs": 5000,
                "cacheScope": "private",
            }
        }
    )


async def test_discovery_of_several_upstreams_is_the_gateways() -> None:
    """Capabilities together, versions in common; nobody's own members pass as everybody's."""
    world = two(a={"tools": {}}, b={"prompts": {}})
    for name, text in (("a", "First."), ("b", "Second.")):
        result = {**world.upstream(name)._discovered(["2026-07-28"]), "instructions": text, "com.acme/x": 1}
        world.upstream(name).lie({"result": result}, "server/discover")
    assert (await world.modern("server/discover")).message["result"] == {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "prompts": {}},
        "serverInfo": {"name": "intended-mcp-gateway", "version": "1"},
        "instructions": "First.\n\nSecond.",
        "ttlMs": 5000,
        "cacheScope": "private",
    }


async def test_discovery_leaves_out_an_upstream_that_is_down_and_instructions_that_nobody_gives() -> None:
    """What is there is told."""
    world = two(b={"prompts": {}})
    world.upstream("a").fail(DOWN, "server/discover")
    result = (await world.modern("server/discover")).message["result"]
    assert (result["capabilities"], result["serverInfo"]) == ({"prompts": {}}, SERVER_INFO)
    world.upstream("a").behave()
    assert "instructions" not in (await world.modern("server/discover")).message["result"]


@pytest.mark.parametrize("versions", [None, 7, "2026-07-28", {"2026-07-28": 1}, [["2026-07-28"]]])
async def test_versions_that_are_no_list_are_none(versions: object) -> None:
    """A lying upstream gets no version of ours into its mouth."""
    world = World()
    result = {"resultType": "complete", "supportedVersions": versions, "capabilities": 7}
    world.upstream().lie({"result": result}, "server/discover")
    told = (await world.modern("server/discover")).message["result"]
    assert (told["supportedVersions"], told["capabilities"]) == ([], {})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"error": {"code": -32000, "message": "not now"}}, "not now"),
        (UpstreamTimeout("late", may_have_run=True), "The upstream gave no answer: late"),
        (
            {"result": {"resultType": "odd", "capabilities": {}}},
            "The upstream's answer was refused: a missing or unknown `resultType`",
        ),
    ],
)
async def test_discovery_without_any_usable_answer_is_an_error(answer: object, message: str) -> None:
    """Nothing is made up for an upstream that says nothing."""
    world = World()
    if isinstance(answer, Exception):
        world.upstream().fail(answer, "server/discover")
    else:
        world.upstream().lie(answer, "server/discover")  # type: ignore[arg-type]
    assert (await world.modern("server/discover")).message["error"]["message"] == message


async def test_a_listen_stream_is_a_request_of_the_modern_era_alone() -> None:
    """The handshake era has its GET stream; the modern one is answered when the stream ends."""
    world = World()
    params: JsonObject = {"notifications": {"toolsListChanged": True}}
    conversation = await world.conversation()
    assert await world.handle(conversation, "subscriptions/listen", params) == Reply(message=UNKNOWN)
    assert after_opening(world.upstream()) == []
    assert await world.modern("subscriptions/listen", params) == Reply(message=UNKNOWN, status=404)
    assert [one.params["notifications"] for one in world.upstream().requests("subscriptions/listen")] == [
        {"toolsListChanged": True}
    ]


# --- what only the handshake era has ----------------------------------------------------------------------------------


async def test_a_ping_is_answered_here() -> None:
    """It asks whether we are there."""
    world = World()
    assert await world.handle(await world.conversation(), "ping") == Reply(message={"result": {}})
    assert after_opening(world.upstream()) == []


async def test_a_log_level_is_told_to_every_upstream_that_logs() -> None:
    """The others do not know the method."""
    world = two(a={"tools": {}}, b={"logging": {}})
    reply = await world.handle(await world.conversation(), "logging/setLevel", LEVEL)
    assert reply == Reply(message={"result": {}})
    assert after_opening(world.upstream("a")) == []
    assert after_opening(world.upstream("b")) == [("logging/setLevel", LEVEL)]


@pytest.mark.parametrize("capabilities", [{"tools": {}}, {}, 7, None])
async def test_a_log_level_where_nobody_logs_is_an_unknown_method(capabilities: object) -> None:
    """As without the gateway."""
    world = World()
    world.upstream().introduction = {"capabilities": capabilities}
    assert await world.handle(await world.conversation(), "logging/setLevel", LEVEL) == Reply(message=UNKNOWN)
    assert after_opening(world.upstream()) == []


async def test_an_upstream_that_does_not_take_the_level_is_told_of() -> None:
    """The agent learns that it was not set, and an odd result does not pass as success."""
    world = World()
    conversation = await world.conversation()
    world.upstream().fail(UpstreamTimeout("late", may_have_run=True), "logging/setLevel")
    reply = await world.handle(conversation, "logging/setLevel", LEVEL)
    assert reply.message == {"error": {"code": -32603, "message": "The upstream gave no answer: late"}}
    world.upstream().behave()
    world.upstream().lie({"result": {"resultType": "input_required"}}, "logging/setLevel")
    assert "was refused" in (await world.handle(conversation, "logging/setLevel", LEVEL)).message["error"]["message"]


@pytest.mark.parametrize("uri", ["notes://1", "no uri", 7, None, ["notes://2"]])
async def test_what_was_never_subscribed_is_not_unsubscribed(uri: object) -> None:
    """It passes only for what this session subscribed to."""
    world = World()
    conversation = await world.conversation()
    reply = await world.handle(conversation, "resources/unsubscribe", {"uri": uri})
    assert reply.message["error"] == {"code": -32602, "message": "This session has not subscribed to that URI"}
    assert after_opening(world.upstream()) == []


async def test_a_subscription_ends_at_the_upstream_that_has_it_and_updates_with_it() -> None:
    """In whichever spelling; one that could not be ended stands and can be ended later."""
    world, channel = two(), FakeCaller()

    async def templates(received: Received, relay: Relay) -> JsonObject:
        return {"resourceTemplates": [{"uriTemplate": "notes://{id}"}]}

    world.upstream("b").handlers["resources/templates/list"] = templates
    conversation = await world.conversation(channel=channel)
    await world.handle(conversation, "resources/subscribe", {"uri": "notes://1"})
    update = ("notifications/resources/updated", {"uri": "notes://1"})
    world.upstream("b").fail(UpstreamTimeout("late", may_have_run=True), "resources/unsubscribe")
    assert "error" in (await world.handle(conversation, "resources/unsubscribe", {"uri": "notes://1"})).message
    await world.upstream("b").sessions[0].relay.notification(*update)
    assert channel.told == [update]
    world.upstream("b").behave()
    reply = await world.handle(conversation, "resources/unsubscribe", {"uri": "NOTES://1"})
    assert reply == Reply(message={"result": {}})
    await world.upstream("b").sessions[0].relay.notification(*update)
    assert channel.told == [update]
    assert [one.params for one in world.upstream("b").requests("resources/unsubscribe")][-1] == {"uri": "NOTES://1"}
    assert world.upstream("a").requests("resources/unsubscribe") == []


# --- notifications of agents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/tasks/status",
        "notifications/message",
        "notifications/made-up",
    ],
)
async def test_notifications_that_do_not_pass_reach_nobody(method: str) -> None:
    """A cancellation is the face's to carry out: ids are of one hop."""
    world = World()
    await world.notice(await world.conversation(capabilities={"roots": {}}), method, {"requestId": 1})
    assert after_opening(world.upstream()) == []


@pytest.mark.parametrize(("declared", "reached"), [({"roots": {"listChanged": True}}, 1), ({}, 0)])
async def test_changed_roots_are_told_where_roots_were_declared(declared: JsonObject, reached: int) -> None:
    """An upstream that may not ask for them has no use for their change."""
    world = World()
    await world.notice(await world.conversation(capabilities=declared), "notifications/roots/list_changed")
    assert after_opening(world.upstream()) == [("notifications/roots/list_changed", {})] * reached


async def test_changed_roots_are_told_only_to_upstreams_that_policy_lets_ask_for_them() -> None:
    """The rest was never told that there are any."""
    world = two(NO_ROOTS_FOR_A)
    await world.notice(await world.conversation(capabilities={"roots": {}}), "notifications/roots/list_changed")
    assert [len(after_opening(world.upstream(name))) for name in ("a", "b")] == [0, 1]


async def ask_with_progress(world: World, conversation: Conversation, during: JsonObject, *, at: str) -> None:
    """Let upstream `at` ask for sampling; while the agent is asked it reports progress with `during`."""

    class Agent(FakeCaller):
        async def ask(self, method: str, params: JsonObject) -> JsonObject:
            await world.notice(conversation, "notifications/progress", during)
            return {"result": {}}

    async def sample(received: Received, relay: Relay) -> JsonObject:
        await relay.request("sampling/createMessage", {**SAMPLE, "_meta": {"progressToken": f"{at}/1"}})
        return {"content": []}

    world.upstream(at).handlers["echo"] = sample
    await world.handle(conversation, "tools/call", {"name": f"{at}__echo", "arguments": {}}, Agent())


async def test_progress_of_the_agent_reaches_the_upstream_that_asks_and_no_other() -> None:
    """Its token is of that upstream's question, and of nothing else."""
    world = two()
    conversation = await world.conversation(capabilities={"sampling": {}})
    progress = {"progressToken": "a/1", "progress": 0.5}
    await ask_with_progress(world, conversation, progress, at="a")
    assert [one.params for one in world.upstream("a").requests("notifications/progress")] == [progress]
    assert world.upstream("b").requests("notifications/progress") == []
    await world.notice(conversation, "notifications/progress", progress)
    assert len(world.upstream("a").requests("notifications/progress")) == 1


@pytest.mark.parametrize("token", ["b/1", "a/2", 1, None, ["a/1"], {}])
async def test_progress_on_nothing_that_is_in_flight_reaches_nobody(token: object) -> None:
    """An agent must not report on what another session asked."""
    world = two()
    conversation = await world.conversation(capabilities={"sampling": {}})
    await ask_with_progress(world, conversation, {"progressToken": token, "progress": 1}, at="a")
    for upstream in world.upstreams.values():
        assert upstream.requests("notifications/progress") == []


# --- refusals before any treatment ------------------------------------------------------------------------------------


async def test_a_refusal_of_a_known_principal_is_an_entry() -> None:
    """What was not even read is on record too."""
    world = World()
    await world.dispatch.refused(LOCAL, "127.0.0.1", Rejection(status=400, code=-32600, message="no"))
    assert [entry.agent for entry in world.entries()] == ["local"]


async def test_capabilities_in_the_simulator_are_those_that_the_gateway_knows() -> None:
    """Else these tests would prove nothing."""
    assert set(CAPABILITIES) == {"tools", "prompts", "resources", "logging", "completions"}
