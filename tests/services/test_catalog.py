"""Tools are pinned when they are first seen, and every change of one is on record before it is used."""

import anyio
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Expect, Put
from gateway.core.call import Review
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import SYSTEM_TENANT
from gateway.errors import AuditUnavailable, UpstreamBroken
from gateway.services import catalog as module
from gateway.services.catalog import Catalog
from tests.simulate.world import World, tool

ECHO = tool("echo", description="Says it again.")


class Lister:
    """Lists what it is told, and counts."""

    def __init__(self, *tools: JsonObject) -> None:
        self.tools = list(tools)
        self.asked = 0

    async def __call__(self) -> list[JsonObject]:
        self.asked += 1
        return self.tools


async def test_the_first_sight_of_a_tool_is_an_entry_and_a_row() -> None:
    """A pin is evidence: what was listed, when."""
    world = World()
    pinned = await world.catalog.tool("default", "echo", Lister(ECHO))
    assert pinned is not None
    assert (pinned.review, pinned.definition) == (Review.UNREVIEWED, ECHO)
    (entry,) = world.entries()
    assert (entry.tenant, entry.type, entry.tool) == (SYSTEM_TENANT, EntryType.TOOL_PINNED, "echo")
    assert world.bodies(EntryType.TOOL_PINNED)[0]["pin"] == pinned.pin


async def test_a_known_tool_is_not_listed_again() -> None:
    """The hot path asks nobody."""
    world, lister = World(), Lister(ECHO)
    first = await world.catalog.tool("default", "echo", lister)
    assert await world.catalog.tool("default", "echo", lister) is first
    assert lister.asked == 1


async def test_a_changed_definition_is_a_new_pin_and_says_so() -> None:
    """A rug pull must show: description and schema are part of the pin."""
    world = World()
    before = await world.catalog.tool("default", "echo", Lister(ECHO))
    world.catalog.forget_listing("default")
    after = await world.catalog.tool("default", "echo", Lister(ECHO | {"description": "Sends it to everybody."}))
    assert before is not None
    assert after is not None
    assert (after.review, after.pin != before.pin) == (Review.CHANGED, True)
    assert world.bodies(EntryType.TOOL_CHANGED)[0]["previousPin"] == before.pin


async def test_a_value_that_only_looks_equal_is_a_change() -> None:
    """Python takes 1 for true; a digest does not."""
    world = World()
    await world.catalog.tool("default", "echo", Lister(ECHO | {"annotations": {"readOnlyHint": True}}))
    world.catalog.forget_listing("default")
    changed = await world.catalog.tool("default", "echo", Lister(ECHO | {"annotations": {"readOnlyHint": 1}}))
    assert changed is not None
    assert changed.review is Review.CHANGED


async def test_keys_in_another_order_are_no_change() -> None:
    """The pin is over the canonical form."""
    world = World()
    await world.catalog.tool("default", "echo", Lister(ECHO))
    world.catalog.forget_listing("default")
    same = await world.catalog.tool("default", "echo", Lister(dict(reversed(ECHO.items()))))
    assert same is not None
    assert (same.review, len(world.entries())) == (Review.UNREVIEWED, 1)


@pytest.mark.parametrize("changed", [False, True])
async def test_pins_outlive_a_restart(changed: bool) -> None:
    """What was once seen is not new after a restart, and what was changed stays changed."""
    world = World()
    await world.catalog.tool("default", "echo", Lister(ECHO))
    now = ECHO | {"title": "Echo"} if changed else ECHO
    world.catalog.forget_listing("default")
    await world.catalog.tool("default", "echo", Lister(now))
    written = len(world.entries())
    restarted = Catalog(audit=world.store, state=world.store, clock=world.clock, ids=world.ids)
    again = await restarted.tool("default", "echo", Lister(now))
    assert again is not None
    assert again.review is (Review.CHANGED if changed else Review.UNREVIEWED)
    assert len(world.entries()) == written


async def test_an_unknown_name_lists_again_but_not_more_often_than_every_few_seconds() -> None:
    """A flood of made-up names must not become a flood of lists upstream."""
    world, lister = World(), Lister(ECHO)
    for _ in range(3):
        assert await world.catalog.tool("default", "nope", lister) is None
    assert lister.asked == 1
    world.clock.advance(module.RELIST_AFTER_S)
    lister.tools.append(tool("nope"))
    assert await world.catalog.tool("default", "nope", lister) is not None


async def test_a_tool_that_is_no_longer_listed_is_unknown() -> None:
    """Only what the upstream lists now can be called."""
    world = World()
    await world.catalog.note("default", [ECHO, tool("old")], whole=True)
    await world.catalog.note("default", [ECHO], whole=True)
    assert world.catalog.known("default", "old") is None
    assert list(world.catalog.names("default")) == ["echo"]


async def test_a_page_adds_to_what_is_listed() -> None:
    """An agent's own paging must not unlist the other pages."""
    world = World()
    await world.catalog.note("default", [ECHO], whole=True)
    await world.catalog.note("default", [tool("second")], whole=False)
    assert list(world.catalog.names("default")) == ["echo", "second"]


@pytest.mark.parametrize(
    "broken",
    [{}, {"name": ""}, {"name": "n" * 1025}, {"name": 7}, {"name": "x", "n": 2**70}, {"name": "x", "n": 2**60}],
)
async def test_a_definition_that_cannot_be_pinned_is_withheld(broken: JsonObject) -> None:
    """Without a canonical form there is no pin, and without a pin no call."""
    world = World()
    noted = await world.catalog.note("default", [broken, ECHO], whole=True)
    assert [one and one.name for one in noted] == [None, "echo"]


async def test_of_two_definitions_under_one_name_the_first_stands() -> None:
    """Shadowing by a second definition pins nothing and is no change."""
    world = World()
    noted = await world.catalog.note("default", [ECHO, ECHO | {"description": "evil"}], whole=True)
    assert [one is not None for one in noted] == [True, False]
    assert world.entries(EntryType.TOOL_CHANGED) == []


async def test_a_tool_whose_schema_cannot_be_used_is_pinned_with_the_reason() -> None:
    """It is withheld, and the record says why."""
    world = World()
    (noted,) = await world.catalog.note("default", [{"name": "odd", "inputSchema": {"type": "no-type"}}], whole=True)
    assert noted is not None
    assert noted.schema is None
    assert "inputSchema" in world.bodies(EntryType.TOOL_PINNED)[0]["problem"]


async def test_a_definition_is_not_used_before_its_entry_is_durable() -> None:
    """A store that fails keeps a new tool from being called."""
    world = World()
    world.store.down = "full"
    with pytest.raises(AuditUnavailable):
        await world.catalog.tool("default", "echo", Lister(ECHO))
    assert world.catalog.known("default", "echo") is None


async def test_a_pin_that_another_process_changed_is_not_overwritten() -> None:
    """Two gateways on one store must not pin over each other."""
    world = World()
    await world.catalog.note("default", [], whole=True)
    real = world.store.get

    async def meanwhile(tenant: str, key: str) -> object:
        row = await real(tenant, key)
        draft = EntryDraft(
            tenant=tenant,
            id="evt_other",
            type=EntryType.TOOL_PINNED,
            time="2026-11-22T12:00:00.000Z",
            expects=(Expect(key=key, version=0),),
            puts=(Put(key=key, value=b"{}"),),
        )
        await world.store.append(draft)
        return row

    world.store.get = meanwhile  # type: ignore[method-assign,assignment]
    with pytest.raises(AuditUnavailable, match="another process"):
        await world.catalog.note("default", [ECHO], whole=True)


async def test_a_list_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream must not fill memory and disk with definitions."""
    monkeypatch.setattr(module, "TOOLS_PER_UPSTREAM", 2)
    world = World()
    with pytest.raises(UpstreamBroken, match="more than 2 tools"):
        await world.catalog.note("default", [tool("a"), tool("b"), tool("c")], whole=True)


async def test_pages_of_a_long_list_may_be_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on different tools, not on how often they are listed."""
    monkeypatch.setattr(module, "TOOLS_PER_UPSTREAM", 3)
    world = World()
    for _ in range(3):
        await world.catalog.note("default", [tool("a"), tool("b")], whole=False)
    assert list(world.catalog.names("default")) == ["a", "b"]


async def test_names_that_are_made_up_anew_with_each_list_fill_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the bound is withheld, and pins nothing in memory or on disk."""
    monkeypatch.setattr(module, "TOOLS_PER_UPSTREAM", 2)
    world = World()
    for name in ("a", "b", "c"):
        await world.catalog.note("default", [tool(name)], whole=True)
    assert world.catalog.known("default", "c") is None
    assert [entry.tool for entry in world.entries(EntryType.TOOL_PINNED)] == ["a", "b"]


async def test_definitions_beyond_the_memory_for_them_are_withheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand tools of a megabyte each must not fit."""
    monkeypatch.setattr(module, "PINNED_BYTES", 250)
    world = World()
    big, small = tool("a", description="x" * 100), tool("b")
    noted = await world.catalog.note("default", [big, tool("c", description="x" * 100), small], whole=True)
    assert [one and one.name for one in noted] == ["a", None, "b"]
    noted = await world.catalog.note("default", [tool("a"), tool("c", description="x")], whole=True)
    assert [one and one.name for one in noted] == ["a", "c"], "what a shorter definition gives back can be used"


async def test_pages_that_are_noted_at_the_same_time_do_not_unlist_each_other() -> None:
    """Two agents page through one list."""
    world = World()
    world.store.held = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for name in ("a", "b"):
                group.start_soon(lambda one: world.catalog.note("default", [tool(one)], whole=False), name)
            await anyio.wait_all_tasks_blocked()
            world.store.held.set()
    assert sorted(world.catalog.names("default")) == ["a", "b"]


async def test_a_listing_is_not_gone_by_for_longer_than_a_minute() -> None:
    """A server that was restarted with other definitions tells nobody that its list changed."""
    world, lister = World(), Lister(ECHO)
    before = await world.catalog.tool("default", "echo", lister)
    world.clock.advance(module.LISTING_AGE_S + 1)
    lister.tools = [ECHO | {"description": "Sends it to everybody."}]
    after = await world.catalog.tool("default", "echo", lister)
    assert before is not None
    assert after is not None
    assert (after.review, lister.asked) == (Review.CHANGED, 2)


async def test_an_old_listing_whose_upstream_is_down_serves_no_call() -> None:
    """Without a list there is nothing to decide on."""
    world = World()
    await world.catalog.tool("default", "echo", Lister(ECHO))
    world.clock.advance(module.LISTING_AGE_S + 1)

    async def down() -> list[JsonObject]:
        raise UpstreamBroken("down", may_have_run=False)

    with pytest.raises(UpstreamBroken):
        await world.catalog.tool("default", "echo", down)
