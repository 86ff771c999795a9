"""One agent's handshake session: one version, one session with each upstream, and an end that closes them all."""

import anyio
import anyio.lowlevel
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.core.tokens import AUTHORITY_HEADER, AUTHORITY_META
from gateway.errors import SessionLost, UpstreamError, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from gateway.ports import UpstreamSupport
from gateway.ports.silence import SilentRelay
from gateway.services import conversation as module
from gateway.services.conversation import Conversation
from gateway.services.dispatch import Reply
from tests.simulate.upstream import CAPABILITIES, FakeUpstream
from tests.simulate.world import ALLOW_ALL, LOCAL, FakeCaller, World, handshake, tool

DOWN = UpstreamUnreachable("connection refused", may_have_run=False)
ECHO = tool("echo")
CALL = {"name": "echo", "arguments": {}}
NO_SAMPLING_FOR_A = (
    ALLOW_ALL
    + "  - {id: not-a, effect: deny, match: {methods: [sampling/createMessage], upstreams: [a]}, reason: not for a}\n"
)


def two(policy: str = ALLOW_ALL) -> World:
    return World(upstreams=[FakeUpstream("a", tools=[ECHO]), FakeUpstream("b", tools=[ECHO])], policy=policy)


def speaking(*versions: str, modern: bool = False) -> UpstreamSupport:
    return UpstreamSupport(handshake=versions, modern=("2026-07-28",) if modern else ())


async def refusal(world: World, **more: object) -> JsonObject:
    opened = await world.open(**more)  # type: ignore[arg-type]
    assert isinstance(opened, Reply)
    error: JsonObject = opened.message["error"]
    return error


# --- opening ----------------------------------------------------------------------------------------------------------


async def test_what_a_single_upstream_says_of_itself_passes_but_for_what_we_cannot_gate() -> None:
    """Transparent: server info, instructions, `_meta` and unknown members are the upstream's own."""
    own = {
        "serverInfo": {"name": "theirs", "version": "7", "x": None},
        "instructions": "Use me well.",
        "_meta": {"com.acme/a": 1},
        "com.acme/unknown": [1.0],
    }
    world = World(upstreams=[FakeUpstream(capabilities={"tools": {"x": 1}, "tasks": {}, "experimental": {}})])
    world.upstream().introduction = own
    conversation = await world.conversation()
    assert conversation.initialized == {"protocolVersion": "2025-11-25", "capabilities": {"tools": {"x": 1}}, **own}


async def test_the_upstream_meets_the_agent_but_for_what_we_cannot_gate() -> None:
    """The upstream must not be told of capabilities behind which there is no gate."""
    world = World()
    await world.open(capabilities={"roots": {"listChanged": True}, "sampling": {}, "tasks": {}, "experimental": {}})
    (sent,) = world.upstream().requests("initialize")
    assert sent.params == {
        "protocolVersion": "2025-11-25",
        "capabilities": {"roots": {"listChanged": True}, "sampling": {}},
        "clientInfo": {"name": "test", "version": "1"},
    }


async def test_each_upstream_is_told_of_what_policy_leaves_it() -> None:
    """What is always denied to one upstream is not taken from the others."""
    world = two(NO_SAMPLING_FOR_A)
    await world.open(capabilities={"sampling": {}, "roots": {}})
    assert world.upstream("a").received[0].params["capabilities"] == {"roots": {}}
    assert world.upstream("b").received[0].params["capabilities"] == {"sampling": {}, "roots": {}}


@pytest.mark.parametrize("member", ["protocolVersion", "capabilities", "clientInfo"])
async def test_an_initialize_that_lacks_a_member_reaches_nobody(member: str) -> None:
    """All three are required in every handshake revision."""
    world = World()
    params: JsonObject = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t"}}
    reply = await world.dispatch.initialize(
        LOCAL, world.mount, handshake("initialize", {**params, member: 7}), FakeCaller()
    )
    assert isinstance(reply, Reply)
    assert reply.message["error"]["code"] == -32602
    assert f"`{member}`" in reply.message["error"]["message"]
    assert world.upstream().received == []


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "spoken", "agreed"),
    [
        ("2025-06-18", ("2025-03-26", "2025-06-18", "2025-11-25"), "2025-06-18"),
        ("2025-11-25", ("2024-11-05", "2025-03-26"), "2025-03-26"),
        ("2024-11-05", ("2025-06-18",), "2025-06-18"),
        ("2026-07-28", ("2025-06-18", "2025-11-25"), "2025-11-25"),
        ("1999-01-01", ("2025-06-18", "2025-11-25"), "2025-11-25"),
    ],
)
async def test_the_version_asked_for_is_offered_else_the_latest_that_both_hops_share(
    asked: str, spoken: tuple[str, ...], agreed: str
) -> None:
    """The agent and the upstream must never speak two versions through us."""
    world = World(upstreams=[FakeUpstream(support=speaking(*spoken))])
    conversation = await world.conversation(version=asked)
    assert (conversation.version, conversation.initialized["protocolVersion"]) == (agreed, agreed)
    assert world.upstream().received[0].version == agreed


async def test_several_upstreams_are_offered_what_all_of_them_speak() -> None:
    """Versions are the intersection."""
    a = FakeUpstream("a", support=speaking("2025-03-26", "2025-06-18"))
    b = FakeUpstream("b", support=speaking("2025-06-18", "2025-11-25"))
    world = World(upstreams=[a, b])
    assert (await world.conversation(version="2025-11-25")).version == "2025-06-18"


async def test_an_upstream_of_the_modern_era_alone_is_a_clear_error() -> None:
    """The agent learns which version it would need; no session is opened."""
    world = World(upstreams=[FakeUpstream(support=speaking(modern=True))])
    error = await refusal(world)
    assert (error["code"], error["data"]) == (-32602, {"supported": ["2026-07-28"], "requested": "2025-11-25"})
    assert "2026-07-28" in error["message"]
    assert world.upstream().received == []


async def test_an_upstream_may_answer_with_another_version_which_then_holds() -> None:
    """The handshake's answer decides, not what was found out before."""
    world = World()
    world.upstream().introduction = {"protocolVersion": "2025-06-18"}
    conversation = await world.conversation()
    assert (conversation.version, conversation.initialized["protocolVersion"]) == ("2025-06-18", "2025-06-18")


@pytest.mark.parametrize("answered", ["2025-06-18", "2031-01-01"])
async def test_upstreams_that_agree_on_no_version_are_refused_and_closed(answered: str) -> None:
    """One session cannot speak two versions to its agent, nor one that we do not know."""
    world = two()
    world.upstream("b").introduction = {"protocolVersion": answered}
    error = await refusal(world)
    assert error == {"code": -32603, "message": "The upstreams of this path agreed on no common protocol version."}
    assert [one.closed for up in world.upstreams.values() for one in up.sessions] == [True, True]


# --- several upstreams ------------------------------------------------------------------------------------------------


async def test_several_upstreams_are_introduced_by_the_gateway() -> None:
    """Capabilities are the union, instructions follow each other; nobody's own members pass as everybody's."""
    a = FakeUpstream("a", capabilities={"tools": {}})
    b = FakeUpstream("b", capabilities={"prompts": {"listChanged": True}})
    a.introduction = {"instructions": "First.", "_meta": {"x": 1}}
    b.introduction = {"instructions": "Second."}
    assert (await World(upstreams=[a, b]).conversation()).initialized == {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}, "prompts": {"listChanged": True}},
        "serverInfo": {"name": "intended-mcp-gateway", "version": "1"},
        "instructions": "First.\n\nSecond.",
    }


async def test_without_instructions_there_are_none() -> None:
    """An empty text would be another answer."""
    assert "instructions" not in (await two().conversation()).initialized


@pytest.mark.parametrize("when", ["support", "initialize"])
async def test_an_upstream_that_is_down_is_left_out_and_tried_again_when_it_is_used(when: str) -> None:
    """One dead upstream must not take the others away, and must not stay away once it is back."""
    world = two()
    world.upstream("a").fail(DOWN, when)
    world.upstream("a").fail(DOWN, "initialize")
    conversation = await world.conversation()
    assert list(conversation.sessions) == ["b"]
    world.upstream("a").behave()
    reply = await world.handle(conversation, "tools/call", {"name": "a__echo", "arguments": {}})
    assert reply.message["result"]["content"][0]["text"] == "echo ran"
    assert list(conversation.sessions) == ["a", "b"]


async def test_all_upstreams_down_is_an_error_that_keeps_the_operators_details() -> None:
    """The agent learns which upstream cannot be reached, and nothing of addresses."""
    world = two()
    world.upstream("a").fail(UpstreamRefused("http://10.0.0.7/: 503", may_have_run=False, status=503), "initialize")
    world.upstream("b").fail(DOWN, "initialize")
    assert await refusal(world) == {
        "code": -32603,
        "message": "The gateway cannot reach its upstream 'a' (HTTP 503), 'b'.",
    }


async def test_an_upstream_of_which_nothing_can_be_found_out_is_an_error() -> None:
    """Nothing is offered to an upstream before it is known what it speaks."""
    world = World()
    world.upstream().fail(DOWN, "support")
    assert await refusal(world) == {"code": -32603, "message": "The gateway cannot reach its upstream 'default'."}
    assert world.upstream().received == []


@pytest.mark.parametrize("step", ["support", "initialize"])
async def test_an_upstream_that_does_not_get_ready_holds_up_nobody_for_long(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients give up after a minute; by then the others must have been introduced."""
    monkeypatch.setattr(module, "OPEN_TIMEOUT_S", 0.0)
    world = World()
    world.upstream().hang(step)
    with anyio.fail_after(5):
        assert "cannot reach" in (await refusal(world))["message"]
    assert world.upstream().sessions == []


async def test_sessions_that_were_opened_for_an_agent_that_gave_up_are_closed() -> None:
    """Nobody would ever know of them again."""
    world = two()
    world.upstream("b").hang("initialize")
    async with anyio.create_task_group() as group:
        group.start_soon(world.open)
        with anyio.fail_after(5):
            while not (world.upstream("a").sessions and world.upstream("b").received):
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert [one.closed for one in world.upstream("a").sessions] == [True]


# --- while it lasts ---------------------------------------------------------------------------------------------------


async def test_a_request_goes_in_the_session_with_its_version_and_bound() -> None:
    """One session per agent: an upstream's conversation is never shared."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    first, second = await world.conversation(), await world.conversation()
    await world.handle(first, "tools/call", CALL)
    await world.handle(second, "tools/call", CALL)
    sent = world.upstream().calls()
    assert [(one.session, one.version, one.timeout_s) for one in sent] == [
        (1, "2025-11-25", 5.0),
        (2, "2025-11-25", 5.0),
    ]


async def test_a_token_goes_with_the_request_that_it_is_for() -> None:
    """In `_meta`, and as a header for whoever looks at the head only; the caller's params stay as they were."""
    world = World()
    conversation = await world.conversation()
    params = {"name": "x", "_meta": {"com.acme/a": 1}}
    await (await conversation.line("default")).request("tools/call", params, SilentRelay(), authority="token")
    [sent] = world.upstream().calls()
    assert sent.params == {"name": "x", "_meta": {"com.acme/a": 1, AUTHORITY_META: "token"}}
    assert sent.headers == ((AUTHORITY_HEADER, "token"),)
    assert params == {"name": "x", "_meta": {"com.acme/a": 1}}


async def test_an_unknown_upstream_has_no_line() -> None:
    """A path serves what it was mounted with, and nothing else."""
    conversation = await World().conversation()
    with pytest.raises(UpstreamUnreachable, match="no upstream 'other'"):
        await conversation.line("other")


async def test_a_line_can_have_its_own_bound_and_needs_nothing_in_the_params() -> None:
    """What the gateway asks for itself is sent as it is in this era."""
    world = World()
    line = await (await world.conversation()).line("default")
    params = line.own({"cursor": "1"})
    await line.request("tools/list", params, FakeRelay(), timeout_s=2.0)
    (sent,) = world.upstream().requests("tools/list")
    assert (sent.params, sent.timeout_s) == ({"cursor": "1"}, 2.0)


class FakeRelay:
    """Hears nothing."""

    async def notification(self, method: str, params: JsonObject) -> None: ...

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        return {"result": {}}

    async def paused(self) -> None: ...


async def test_a_lost_session_fails_its_call_and_the_next_call_opens_a_new_one() -> None:
    """Nothing is sent twice: the call that met the lost session is not tried again by itself."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    conversation = await world.conversation()
    await world.handle(conversation, "tools/call", CALL)
    await world.handle(conversation, "resources/subscribe", {"uri": "notes://1"})
    world.upstream().drop_sessions()
    lost = await world.handle(conversation, "tools/call", CALL)
    assert "the session has ended" in lost.message["result"]["content"][0]["text"]
    assert (len(world.upstream().calls()), conversation.interests("default").resources) == (1, set())
    again = await world.handle(conversation, "tools/call", CALL)
    assert again.message["result"]["content"][0]["text"] == "echo ran"
    assert [(one.number, one.closed) for one in world.upstream().sessions] == [(1, True), (2, False)]
    assert world.upstream().calls()[-1].session == 2


async def test_a_late_loss_does_not_end_the_session_that_took_its_place() -> None:
    """Two calls may notice the same loss; the second must not close what the first one opened."""
    world = World()
    conversation = await world.conversation()
    old, late = await conversation.session("default"), await conversation.line("default")
    await conversation.lose("default", old)
    new = await conversation.session("default")
    with pytest.raises(SessionLost):
        await late.request("tools/list", {}, FakeRelay())
    assert conversation.sessions == {"default": new}
    assert not world.upstream().sessions[1].closed


async def test_a_later_session_in_another_version_is_refused_and_closed() -> None:
    """The agent agreed to one version; an upstream that was restarted with another cannot join."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    conversation = await world.conversation()
    world.upstream().drop_sessions()
    await world.handle(conversation, "tools/list")
    world.upstream().introduction = {"protocolVersion": "2025-06-18"}
    reply = await world.handle(conversation, "tools/list")
    assert "does not speak 2025-11-25" in reply.message["error"]["message"]
    assert [one.closed for one in world.upstream().sessions] == [True, True]
    assert conversation.sessions == {}


async def test_one_session_is_opened_however_many_calls_wait_for_it() -> None:
    """A second session would lose what the first one was told."""
    world = World(upstreams=[FakeUpstream(tools=[ECHO])])
    conversation = await world.conversation()
    await conversation.lose("default", await conversation.session("default"))
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(conversation.session, "default")
    assert len(world.upstream().sessions) == 2


# --- notifications ----------------------------------------------------------------------------------------------------


async def test_a_notification_needs_an_open_session_and_fails_in_silence() -> None:
    """It has no answer in which to say so; and it opens no session."""
    world = two()
    world.upstream("a").fail(DOWN, "initialize")
    conversation = await world.conversation()
    world.upstream("a").behave()
    method = "notifications/roots/list_changed"
    await conversation.notify("a", method, {})
    world.upstream("b").fail(UpstreamTimeout("late", may_have_run=True), method)
    await conversation.notify("b", method, {})
    assert world.upstream("a").sessions == []
    assert list(conversation.sessions) == ["b"]


async def test_a_notification_that_meets_a_lost_session_lets_the_next_call_open_a_new_one() -> None:
    """The loss is noticed by whoever comes first."""
    world = World()
    conversation = await world.conversation()
    world.upstream().drop_sessions()
    await conversation.notify("default", "notifications/roots/list_changed", {})
    assert conversation.sessions == {}


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_the_end_closes_every_session_and_nothing_is_opened_afterwards() -> None:
    """A request that is still running must not leave a process behind."""
    world = two()
    conversation = await world.conversation()
    await conversation.aclose()
    assert [one.closed for up in world.upstreams.values() for one in up.sessions] == [True, True]
    with pytest.raises(UpstreamError, match="the agent's session has ended"):
        await conversation.session("a")
    assert len(world.upstream("a").sessions) == 1


async def test_a_session_that_opens_while_the_agents_ends_is_closed() -> None:
    """The end cannot see it yet, so that whoever opened it has to close it."""
    world = World()
    conversation = await world.conversation()
    await conversation.lose("default", await conversation.session("default"))
    world.upstream().hang("initialize")
    failed: list[UpstreamError] = []

    async def use() -> None:
        try:
            await conversation.session("default")
        except UpstreamError as error:
            failed.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(use)
            while len(world.upstream().requests("initialize")) < 2:
                await anyio.lowlevel.checkpoint()
            await conversation.aclose()
            world.upstream().behave()
    assert [str(error) for error in failed] == ["the agent's session has ended"]
    assert world.upstream().sessions[-1].closed


async def test_an_upstream_that_does_not_let_go_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is bounded, whatever the upstream does."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.0)
    world = World()
    conversation: Conversation = await world.conversation()
    monkeypatch.setattr(world.upstream().sessions[0], "aclose", anyio.sleep_forever)
    with anyio.fail_after(5):
        await conversation.aclose()
    assert conversation.sessions == {}


async def test_an_upstreams_capabilities_are_not_changed_by_showing_them() -> None:
    """What is cut for one agent must not be cut for the next."""
    world = World()
    await world.conversation()
    assert (await world.conversation()).initialized["capabilities"] == CAPABILITIES
