"""Lists for an agent: what it could be allowed, in the upstream's order, page by page, and nothing unfiltered."""

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.call import Era
from gateway.core.jsonvalue import JsonObject
from gateway.core.naming import exposed_name
from gateway.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.services import listing as listing_module
from gateway.services.dispatch import Reply
from tests.simulate.upstream import FakeUpstream, Handler, Received
from tests.simulate.world import ALLOW_ALL, FakeCaller, World, tool

DOWN = UpstreamUnreachable("down", may_have_run=False)
SOME = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: tools, effect: allow, match: {tools: ["read_*"]}, reason: reading}
  - {id: big, effect: escalate, match: {tools: [write]}, when: "args.size > 1", reason: ask}
  - {id: prompts, effect: allow, match: {methods: [prompts/get], tools: [greet]}, reason: fine}
  - {id: notes, effect: allow, match: {methods: [resources/read], uris: ["notes://*"]}, reason: notes}
"""
NO_URIS = SOME.replace(
    "  - {id: notes", "  - {id: x, effect: allow, match: {methods: [completion/complete]}, reason: x}\n#"
)
MEMBER = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}


def pages(member: str, *several: list[JsonObject], **more: object) -> Handler:
    """Answer with one page after the other; their cursors are `p1`, `p2` …"""

    async def answer(received: Received, relay: object) -> JsonObject:
        number = int(str(received.params.get("cursor", "p0"))[1:])
        following = {"nextCursor": f"p{number + 1}"} if number + 1 < len(several) else {}
        era = {"resultType": "complete", "ttlMs": 60_000, "cacheScope": "public"} if received.modern else {}
        return {member: several[number], **era, **following, **more}

    return answer


def listing(method: str, *items: JsonObject, policy: str = SOME) -> World:
    return World(upstreams=[FakeUpstream(handlers={method: pages(MEMBER[method], list(items))})], policy=policy)


def two(method: str = "tools/list", **several: list[list[JsonObject]]) -> World:
    return World(
        upstreams=[
            FakeUpstream(name, handlers={method: pages(MEMBER[method], *several.get(name, [[]]))})
            for name in ("a", "b")
        ]
    )


async def ask(world: World, method: str = "tools/list", era: Era = Era.MODERN, cursor: object = None) -> Reply:
    params: JsonObject = {} if cursor is None else {"cursor": cursor}
    if era is Era.MODERN:
        return await world.modern(method, params)
    return await world.handle(await world.conversation(), method, params)


def names(reply: Reply, method: str = "tools/list") -> list[str]:
    return [item.get("name") or item["uri"] for item in reply.message["result"][MEMBER[method]]]


# --- what is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", list(Era))
@pytest.mark.parametrize(
    ("method", "items", "shown"),
    [
        ("tools/list", [tool("write"), tool("delete"), tool("read_a")], [0, 2]),
        ("prompts/list", [{"name": "other"}, {"name": "greet", "x": 1}], [1]),
        ("resources/list", [{"uri": "notes://1", "name": "n"}, {"uri": "files://1", "name": "f"}], [0]),
        (
            "resources/templates/list",
            [{"uriTemplate": "notes://{id}", "name": "n"}, {"uriTemplate": "files://{id}", "name": "f"}],
            [0, 1],
        ),
    ],
)
async def test_a_list_shows_what_the_principal_could_be_allowed_unchanged_and_in_order(
    era: Era, method: str, items: list[JsonObject], shown: list[int]
) -> None:
    """Whatever its arguments: what needs a human is shown, what is always denied is not. A template is no URI yet."""
    reply = await ask(listing(method, *items), method, era)
    assert reply.message["result"][MEMBER[method]] == [items[index] for index in shown]


async def test_templates_are_hidden_where_no_uri_at_all_could_be_read() -> None:
    """Then every instance would be denied."""
    world = listing("resources/templates/list", {"uriTemplate": "notes://{id}"}, policy=NO_URIS)
    reply = await ask(world, "resources/templates/list")
    assert reply.message["result"]["resourceTemplates"] == []


async def test_a_resource_is_judged_by_its_normal_form() -> None:
    """A spelling must not show what a read would be denied, nor hide what it would be allowed."""
    world = listing("resources/list", {"uri": "NOTES://h/%61"}, {"uri": "notes://h/../x"}, {"uri": "notes"})
    assert names(await ask(world, "resources/list"), "resources/list") == ["NOTES://h/%61"]


@pytest.mark.parametrize("era", list(Era))
async def test_a_handshake_list_gains_nothing_and_a_modern_list_is_private_and_short_lived(era: Era) -> None:
    """The list depends on who asks; caching exists in the modern era alone."""
    world = World(upstreams=[FakeUpstream(handlers={"tools/list": pages("tools", [tool("echo")], com_acme="x")})])
    expected: JsonObject = {"tools": [tool("echo")], "com_acme": "x"}
    if era is Era.MODERN:
        expected |= {"resultType": "complete", "ttlMs": 5000, "cacheScope": "private"}
    assert (await ask(world, era=era)).message == {"result": expected}


async def test_pages_keep_their_cursor_and_order() -> None:
    """The agent pages through the upstream's own list; a page may be empty once it is filtered."""
    handler = pages("tools", [tool("delete")], [tool("read_b"), tool("read_a")])
    world = World(upstreams=[FakeUpstream(handlers={"tools/list": handler})], policy=SOME)
    first = await ask(world)
    assert (names(first), first.message["result"]["nextCursor"]) == ([], "p1")
    second = await ask(world, cursor="p1")
    assert (names(second), "nextCursor" in second.message["result"]) == (["read_b", "read_a"], False)


@pytest.mark.parametrize(("era", "shown"), [(Era.MODERN, ["echo"]), (Era.HANDSHAKE, ["echo", "odd"])])
async def test_a_tool_whose_header_marks_are_invalid_is_dropped_in_the_modern_era(era: Era, shown: list[str]) -> None:
    """2026-07-28: a client over HTTP must drop it. Before, the keyword means nothing and no header is read."""
    odd = tool("odd") | {"inputSchema": {"type": "object", "properties": {"a": {"type": "array", "x-mcp-header": "A"}}}}
    world = World(upstreams=[FakeUpstream(tools=[tool("echo"), odd])])
    assert names(await ask(world, era=era)) == shown


async def test_a_tool_whose_schema_cannot_be_used_is_shown_to_nobody() -> None:
    """Its arguments could not be held against anything."""
    world = World(upstreams=[FakeUpstream(tools=[tool("echo"), {"name": "odd", "inputSchema": {"type": "no-type"}}])])
    assert names(await ask(world)) == ["echo"]


async def test_what_is_listed_is_pinned() -> None:
    """The agent's own list is a first sight like any other, and spares the gateway one of its own."""
    world = World(upstreams=[FakeUpstream(tools=[tool("echo")])])
    await ask(world)
    assert [entry.tool for entry in world.entries(EntryType.TOOL_PINNED)] == ["echo"]
    await world.call("echo", {})
    assert len(world.upstream().requests("tools/list")) == 1


# --- lists that lie or fail -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ({"resultType": "complete"}, "it holds no list `tools`"),
        ({"tools": {"name": "echo"}, "resultType": "complete"}, "it holds no list `tools`"),
        ({"tools": [tool("echo"), "delete"], "resultType": "complete"}, "an item of `tools` is no object"),
        ({"tools": [tool("delete")], "resultType": "surprise"}, "a missing or unknown `resultType`"),
        ({"tools": [tool("delete")]}, "a missing or unknown `resultType`"),
        (
            {"tools": [], "resultType": "input_required", "requestState": "s"},
            "`input_required` is no answer to tools/list",
        ),
    ],
)
async def test_a_list_that_cannot_be_filtered_is_an_error_and_nothing_of_it_passes(
    result: JsonObject, problem: str
) -> None:
    """What could not be filtered must not be shown."""
    world = World()
    world.upstream().lie({"result": result}, "tools/list")
    message = f"The upstream's answer to tools/list was refused: {problem}."
    assert (await ask(world)).message == {"error": {"code": -32603, "message": message}}


@pytest.mark.parametrize(
    ("method", "items"),
    [
        ("tools/list", [tool("a"), tool("a") | {"description": "evil"}, {"name": 7}, {}]),
        ("prompts/list", [{"name": "a"}, {"name": "a", "title": "evil"}, {"name": ["a"]}, {"name": ""}, {}]),
        ("resources/list", [{"uri": "x://a"}, {"uri": "x://a", "name": "evil"}, {"uri": 7}, {}]),
        ("resources/templates/list", [{"uriTemplate": "x://{a}"}, {"uriTemplate": "x://{a}", "name": "evil"}, {}]),
    ],
)
async def test_items_that_repeat_a_name_or_have_none_are_dropped(method: str, items: list[JsonObject]) -> None:
    """Of two under one name the first stands; a second could be shown in one list and used from the other."""
    reply = await ask(listing(method, *items, policy=ALLOW_ALL), method)
    assert reply.message["result"][MEMBER[method]] == items[:1]


async def test_an_upstreams_own_error_passes() -> None:
    """What is not ours to judge is not ours to reword."""
    error = {"error": {"code": -32601, "message": "Method not found", "data": {"x": 1}}}
    world = World()
    world.upstream().lie(error, "prompts/list")
    reply = await ask(world, "prompts/list")
    assert (reply.message, reply.status) == (error, 404)


async def test_an_upstream_that_gives_no_list_is_a_clear_error() -> None:
    """An empty list would say that there is nothing."""
    world = World()
    world.upstream().fail(UpstreamTimeout("no complete answer within 5 s", may_have_run=True), "tools/list")
    message = "The upstream's list could not be had: no complete answer within 5 s"
    assert (await ask(world)).message == {"error": {"code": -32603, "message": message}}


async def test_a_list_whose_new_tools_cannot_be_recorded_is_withheld() -> None:
    """What is shown must have been pinned."""
    world = World(upstreams=[FakeUpstream(tools=[tool("echo")])])
    world.store.down = "full"
    reply = await ask(world)
    assert reply.message["error"]["message"] == "The list is withheld: what it shows could not be recorded."


async def test_what_the_upstream_says_meanwhile_reaches_the_agent() -> None:
    """Lists may be slow and report progress like everything else."""

    async def slow(received: Received, relay: object) -> JsonObject:
        await relay.notification("notifications/progress", {"progressToken": "t", "progress": 1})  # type: ignore[attr-defined]
        return {"tools": [], "resultType": "complete"}

    world, caller = World(upstreams=[FakeUpstream(handlers={"tools/list": slow})]), FakeCaller()
    await world.modern("tools/list", {}, caller=caller)
    assert caller.told == [("notifications/progress", {"progressToken": "t", "progress": 1})]


# --- several upstreams ------------------------------------------------------------------------------------------------


async def walk(world: World, method: str = "tools/list", era: Era = Era.MODERN) -> list[list[str]]:
    """Follow the cursors from the first page to the last; return the names by page."""
    seen: list[list[str]] = []
    cursor: object = None
    while len(seen) < 10:
        reply = await ask(world, method, era, cursor)
        seen.append(names(reply, method))
        cursor = reply.message["result"].get("nextCursor")
        if cursor is None:
            return seen
    raise AssertionError(seen)


@pytest.mark.parametrize("era", list(Era))
async def test_lists_of_several_upstreams_follow_each_other_on_one_page(era: Era) -> None:
    """Many clients never ask for a second page: they would know the first upstream alone."""
    world = two(a=[[tool("x"), tool("y")]], b=[[tool("x")]])
    assert await walk(world, era=era) == [["a__x", "a__y", "b__x"]]


@pytest.mark.parametrize("era", list(Era))
async def test_a_page_ends_where_an_upstreams_own_page_does(era: Era) -> None:
    """Its cursor has to be given to the agent; the next upstream joins its last page."""
    world = two(a=[[tool("x")], [tool("y")]], b=[[tool("x")], [tool("y")]])
    assert await walk(world, era=era) == [["a__x"], ["a__y", "b__x"], ["b__y"]]


async def test_a_long_page_takes_in_no_further_upstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer stays bounded however many upstreams there are."""
    monkeypatch.setattr(listing_module, "JOIN_ITEMS", 2)
    world = two(a=[[tool("x"), tool("y")]], b=[[tool("x")]])
    assert await walk(world) == [["a__x", "a__y"], ["b__x"]]


async def test_an_upstream_that_is_slow_gets_a_page_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs must not keep the others' tools from the agent."""
    monkeypatch.setattr(listing_module, "JOIN_S", 0.01)
    world = two(a=[[tool("x")]], b=[[tool("x")]])
    world.upstream("b").hang("tools/list")
    reply = await ask(world)
    assert (names(reply), reply.message["result"]["nextCursor"]) == (["a__x"], "b")
    world.upstream("b").behave()
    assert names(await ask(world, cursor="b")) == ["b__x"]


async def test_the_first_upstream_of_a_page_has_all_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page with nothing on it would help nobody."""
    monkeypatch.setattr(listing_module, "JOIN_S", 0.0)
    assert await walk(two(a=[[tool("x")]], b=[[tool("x")]])) == [["a__x"], ["b__x"]]


async def test_prompts_are_prefixed_and_resources_keep_their_uris() -> None:
    """A URI is a name in itself."""
    prompts = two("prompts/list", a=[[{"name": "greet"}]], b=[[{"name": "greet"}]])
    assert await walk(prompts, "prompts/list") == [["a__greet", "b__greet"]]
    resources = two("resources/list", a=[[{"uri": "x://1", "title": "n"}]], b=[[{"uri": "x://2", "title": "n"}]])
    assert await walk(resources, "resources/list") == [["x://1", "x://2"]]


async def test_a_tool_is_prefixed_whatever_else_it_holds() -> None:
    """An unknown member must not let a tool pass under another upstream's name."""
    world = two(a=[[tool("b__x", uri="x://1", uriTemplate="y")]])
    assert names(await ask(world)) == ["a__b__x"]


async def test_a_long_name_is_shown_as_it_can_be_called() -> None:
    """Model providers refuse longer ones."""
    world = two(a=[[tool("x" * 80)]])
    (shown,) = names(await ask(world))
    assert (shown, len(shown)) == (exposed_name("a", "x" * 80), 64)


async def test_of_equal_uris_the_first_upstreams_is_shown() -> None:
    """A read would go to the first one: the other could not be had."""
    one = [[{"uri": "x://1", "title": "n"}]]
    assert await walk(two("resources/list", a=one, b=one), "resources/list") == [["x://1"]]


async def test_an_upstream_that_is_down_or_knows_no_such_list_is_left_out() -> None:
    """The others' lists still follow."""
    world = two(b=[[tool("x")]])
    world.upstream("a").fail(DOWN, "tools/list")
    assert await walk(world) == [["b__x"]]
    world.upstream("a").behave()
    world.upstream("a").lie({"error": {"code": -32601, "message": "Method not found"}}, "tools/list")
    assert await walk(world) == [["b__x"]]


@pytest.mark.parametrize("era", list(Era))
async def test_where_no_upstream_knows_such_a_list_it_is_empty(era: Era) -> None:
    """That is an answer, unlike all of them being down."""
    world = two()
    for upstream in world.upstreams.values():
        upstream.lie({"error": {"code": -32601, "message": "Method not found"}}, "tools/list")
    empty: JsonObject = {"tools": []}
    if era is Era.MODERN:
        empty |= {"resultType": "complete", "ttlMs": 5000, "cacheScope": "private"}
    assert (await ask(world, era=era)).message == {"result": empty}


async def test_all_upstreams_down_is_an_error_and_no_empty_list() -> None:
    """The agent must not believe that there are no tools."""
    world = two()
    for upstream in world.upstreams.values():
        upstream.fail(DOWN, "tools/list")
    assert (await ask(world)).message["error"]["message"] == "The upstream's list could not be had: down"


async def test_an_upstream_that_goes_down_between_pages_ends_its_own_list() -> None:
    """What is left of the others still follows."""
    world = two(a=[[tool("x")], [tool("y")]], b=[[tool("z")]])
    cursor = (await ask(world)).message["result"]["nextCursor"]
    world.upstream("a").fail(DOWN, "tools/list")
    assert names(await ask(world, cursor=cursor)) == ["b__z"]
    world.upstream("b").fail(DOWN, "tools/list")
    assert names(await ask(world, cursor="b")) == []


async def test_a_cursor_that_its_upstream_does_not_know_is_an_error() -> None:
    """Going on with the next upstream would silently cut the list short."""
    world = two(b=[[tool("x")]])
    error = {"error": {"code": -32602, "message": "bad cursor"}}
    world.upstream("a").lie(error, "tools/list")
    assert (await ask(world, cursor="a:stale")).message == error
    assert world.upstream("b").requests("tools/list") == []


@pytest.mark.parametrize("cursor", ["", "c", "c:1", ":1", 7, ["a"], {"a": 1}])
async def test_a_cursor_that_is_not_ours_reaches_nobody(cursor: object) -> None:
    """It names no upstream of this path."""
    world = two()
    assert (await ask(world, cursor=cursor)).message == {"error": {"code": -32602, "message": "Invalid cursor"}}
    assert [one.received for one in world.upstreams.values()] == [[], []]


async def test_an_upstreams_cursor_comes_back_to_it_as_it_was() -> None:
    """It is the upstream's own: with colons, or empty."""
    world = two()
    for own in ("", "a:b:", "b"):
        world.upstream("a").lie({"result": {"tools": [], "resultType": "complete", "nextCursor": own}}, "tools/list")
        cursor = (await ask(world)).message["result"]["nextCursor"]
        await ask(world, cursor=cursor)
        assert world.upstream("a").requests("tools/list")[-1].params["cursor"] == own


async def test_an_upstream_gets_no_cursor_but_its_own() -> None:
    """On its first page it has given none."""
    world = two(a=[[]], b=[[]])
    await ask(world, cursor="b")
    assert "cursor" not in world.upstream("b").requests("tools/list")[0].params
    assert world.upstream("a").received == []
