"""The stateless hop: every request carries its own version, capabilities and `_meta`, and nothing of another's."""

import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.core.tokens import AUTHORITY_HEADER, AUTHORITY_META
from gateway.errors import UpstreamUnreachable
from gateway.services.modern import ModernParty
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, LOCAL, MODERN_META, World, handshake, tool

CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
ECHO = tool("echo")
MARKED = {"type": "object", "properties": {"room": {"type": "string", "x-mcp-header": "Room"}}}
NO_SAMPLING = ALLOW_ALL + "  - {id: none, effect: deny, match: {methods: [sampling/createMessage]}, reason: no}\n"
URLS_ONLY = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: tools, effect: allow, reason: fine}
  - {id: pages, effect: allow, match: {methods: [elicitation/create], uris: ["https://ok.test/*"]}, reason: ours}
"""


def sent_meta(world: World, method: str = "tools/call") -> JsonObject:
    meta: JsonObject = world.upstream().requests(method)[-1].params["_meta"]
    return meta


async def test_a_request_keeps_its_own_meta() -> None:
    """Vendor keys, trace context, log level and progress token are the agent's and the upstream's business."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    meta = {"com.acme/a": [1], "progressToken": "t", "io.modelcontextprotocol/logLevel": "debug"}
    await world.call("echo", {}, meta=meta)
    assert sent_meta(world) == {**MODERN_META, **meta}
    (sent,) = world.upstream().calls()
    assert (sent.version, sent.session, sent.timeout_s) == ("2026-07-28", 0, 5.0)


async def test_a_token_goes_beside_the_request_s_own_meta_and_the_agent_s_headers() -> None:
    """Neither takes the other's place."""
    upstream = FakeUpstream(tools=[tool("echo", inputSchema=MARKED)])
    world = World(upstreams=[upstream], audiences={"default": "notes"})
    marked = (("mcp-param-room", "7"),)
    await world.call("echo", {"room": "7"}, meta={"com.acme/a": 1}, param_headers=marked)
    token = sent_meta(world)[AUTHORITY_META]
    assert sent_meta(world) == {**MODERN_META, "com.acme/a": 1, AUTHORITY_META: token}
    assert upstream.calls()[0].headers == (*marked, (AUTHORITY_HEADER, token))


async def test_what_the_gateway_asks_on_the_way_has_neither_progress_token_nor_log_level() -> None:
    """Both belong to the agent's own request: progress of a list would be taken for the call's."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    meta = {"progressToken": "t", "io.modelcontextprotocol/logLevel": "debug", "com.acme/trace": "1"}
    await world.call("echo", {}, meta=meta)
    assert sent_meta(world, "tools/list") == {**MODERN_META, "com.acme/trace": "1"}


async def test_capabilities_that_we_cannot_gate_are_struck_out() -> None:
    """An upstream must not ask the agent for what does not pass the one decision point."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    await world.call("echo", {}, meta={CAPABILITIES: {"roots": {}, "tasks": {}, "experimental": {"x": 1}}})
    assert sent_meta(world)[CAPABILITIES] == {"roots": {}}


async def test_capabilities_that_policy_never_leaves_an_upstream_are_struck_out() -> None:
    """An upstream that knows better does not begin what would be refused in mid-call."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])], policy=NO_SAMPLING)
    await world.call("echo", {}, meta={CAPABILITIES: {"sampling": {}, "elicitation": {"form": {}}}})
    assert sent_meta(world)[CAPABILITIES] == {"elicitation": {"form": {}}}


async def test_elicitation_that_is_allowed_by_its_page_is_not_struck_out() -> None:
    """A rule about some URLs is a rule that can apply."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])], policy=URLS_ONLY)
    await world.call("echo", {}, meta={CAPABILITIES: {"elicitation": {"url": {}}, "roots": {}}})
    assert sent_meta(world)[CAPABILITIES] == {"elicitation": {"url": {}}}


async def test_a_path_serves_no_upstream_that_it_was_not_mounted_with() -> None:
    """A name from a message must not open a line to somewhere else."""
    world = World()
    inbound = handshake("tools/list", {"_meta": MODERN_META})
    party = ModernParty(
        LOCAL, world.mount, inbound, upstreams=world.upstreams, timeouts={}, refused=lambda _: frozenset()
    )
    with pytest.raises(UpstreamUnreachable, match="no upstream 'other'"):
        await party.line("other")


async def test_a_line_says_whose_it_is_and_may_have_its_own_bound() -> None:
    """Streams have no bound; everything else has the upstream's."""
    world = World()
    party = ModernParty(
        LOCAL,
        world.mount,
        handshake("tools/list", {"_meta": MODERN_META}),
        upstreams=world.upstreams,
        timeouts={"default": 5.0},
        refused=lambda _: frozenset(),
    )
    assert (await party.line("default")).upstream == "default"
    await world.modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    (sent,) = world.upstream().requests("subscriptions/listen")
    assert sent.timeout_s == float("inf")


@pytest.mark.parametrize(("level", "logs"), [({}, False), ({"io.modelcontextprotocol/logLevel": "info"}, True)])
def test_log_messages_are_wanted_only_where_the_request_names_a_level(level: JsonObject, logs: bool) -> None:
    """The modern era has no level of a session."""
    world = World()
    inbound = handshake("tools/list", {"_meta": {**MODERN_META, **level}})
    party = ModernParty(
        LOCAL, world.mount, inbound, upstreams=world.upstreams, timeouts={}, refused=lambda _: frozenset()
    )
    assert (party.interests("default").logs, party.interests("default").list_changes) == (logs, False)


async def test_what_the_gateway_asks_for_itself_wants_no_messages_on_any_page() -> None:
    """Nobody listens to the progress and the logs of a list that the gateway fetches, page by page."""
    world = World()
    meta = {**MODERN_META, "progressToken": "t", "io.modelcontextprotocol/logLevel": "info"}
    party = ModernParty(
        LOCAL,
        world.mount,
        handshake("tools/call", {"_meta": meta}),
        upstreams=world.upstreams,
        timeouts={"default": 5.0},
        refused=lambda _: frozenset(),
    )
    line = await party.line("default")
    assert [line.own({}), line.own({"cursor": "2"})] == [{"_meta": MODERN_META}, {"cursor": "2", "_meta": MODERN_META}]
