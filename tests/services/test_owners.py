"""Which upstream a URI belongs to: what was listed first, in the order of the configuration."""

import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Reason
from gateway.core.jsonvalue import JsonObject
from gateway.core.trust.evidence import evidence_of
from gateway.errors import UpstreamUnreachable
from gateway.services import owners as module
from gateway.services.owners import Owners
from tests.simulate.upstream import FakeUpstream, Handler, Received
from tests.simulate.world import World


def lists(*pages: JsonObject) -> Handler:
    """Answer with one page after the other, told apart by their cursor."""

    async def answer(received: Received, relay: object) -> JsonObject:
        number = int(received.params.get("cursor", 0))
        more = {"nextCursor": str(number + 1)} if number + 1 < len(pages) else {}
        return {**pages[number], **more, "resultType": "complete"}

    return answer


def resources(*uris: object) -> JsonObject:
    return {"resources": [{"uri": uri, "name": "n"} for uri in uris]}


def templates(*patterns: str) -> JsonObject:
    return {"resourceTemplates": [{"uriTemplate": pattern, "name": "n"} for pattern in patterns]}


def two(**handlers: dict[str, Handler]) -> World:
    return World(upstreams=[FakeUpstream(name, handlers=handlers.get(name, {})) for name in ("a", "b")])


async def reads(world: World, uri: str) -> list[str]:
    """Return which upstreams a read of `uri` reached, and as which URI."""
    await world.modern("resources/read", {"uri": uri})
    return [
        f"{one.id} {read.params['uri']}" for one in world.upstreams.values() for read in one.requests("resources/read")
    ]


async def test_a_uri_goes_to_the_first_upstream_that_lists_it() -> None:
    """Of equal URIs the first in configuration order wins."""
    world = two(a={"resources/list": lists(resources("x://1"))}, b={"resources/list": lists(resources("x://1"))})
    assert await reads(world, "x://1") == ["a x://1"]


async def test_an_exact_uri_wins_over_a_template() -> None:
    """A template of one upstream must not take another's resource."""
    world = two(
        a={"resources/templates/list": lists(templates("x://{id}"))}, b={"resources/list": lists(resources("x://1"))}
    )
    assert await reads(world, "x://1") == ["b x://1"]


async def test_a_uri_that_only_a_template_fits_goes_to_the_templates_upstream() -> None:
    """Templates are listed without their instances."""
    world = two(b={"resources/templates/list": lists(templates("{+any}", "X://{id}"))})
    assert await reads(world, "x://7") == ["b x://7"]


async def test_a_uri_is_found_in_whichever_spelling_it_was_listed() -> None:
    """Decisions see the normal form; the upstream gets what the agent wrote."""
    world = two(b={"resources/list": lists(resources("X://h/a%20b"))})
    assert await reads(world, "X://h/a%20b") == ["b X://h/a%20b"]


async def test_all_pages_are_looked_through() -> None:
    """An owner may be on any page."""
    world = two(b={"resources/list": lists(resources("x://1"), resources("x://2"))})
    assert await reads(world, "x://2") == ["b x://2"]


async def test_pages_without_end_are_looked_through_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream must not keep the gateway listing."""
    monkeypatch.setattr(module, "PAGES_ASKED", 2)
    world = two(a={"resources/list": lists(*[resources(f"x://{number}") for number in range(9)])})
    assert await reads(world, "x://8") == []
    assert len(world.upstream("a").requests("resources/list")) == 2


async def test_what_is_known_is_not_asked_again() -> None:
    """The second read costs no list."""
    world = two(b={"resources/list": lists(resources("x://1"))})
    await reads(world, "x://1")
    await reads(world, "x://1")
    assert len(world.upstream("b").requests("resources/list")) == 1


async def test_an_upstream_that_is_down_owns_nothing() -> None:
    """The others still answer."""
    world = two(b={"resources/list": lists(resources("x://1"))})
    world.upstream("a").fail(UpstreamUnreachable("down", may_have_run=False), "resources/list")
    assert await reads(world, "x://1") == ["b x://1"]


async def test_what_only_an_upstream_that_is_down_may_own_is_not_said_to_be_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An agent that asks for what there is makes no slip, because a server is away; asked again, it is told."""
    world = two()
    world.upstream("a").fail(UpstreamUnreachable("down", may_have_run=False), "resources/list")
    assert await reads(world, "x://1") == []
    (entry,) = world.entries(EntryType.CALL_DECIDED)
    assert (entry.effect, entry.reasons) == ("DENY", (Reason.FACTS_UNAVAILABLE,))
    assert evidence_of(entry, 1) is None
    world.upstream("a").behave()
    monkeypatch.setattr(module, "RELIST_AFTER_S", 0.0)
    assert await reads(world, "x://1") == []
    assert world.entries(EntryType.CALL_DECIDED)[-1].reasons == (Reason.UNKNOWN_TOOL,)


@pytest.mark.parametrize(
    "lie", [{"error": {"code": -32601, "message": "no"}}, {"result": 7}, {"result": {"resources": {}}}]
)
async def test_a_list_that_is_none_owns_nothing(lie: JsonObject) -> None:
    """A read of it is refused as of an unknown resource, and reaches nobody."""
    world = two()
    world.upstream("a").lie(lie, "resources/list")
    assert await reads(world, "x://1") == []


async def test_items_that_name_nothing_are_passed_over() -> None:
    """No objects, no texts, no URIs."""
    world = two(a={"resources/list": lists({"resources": [7, {"uri": 7}, {"uri": "no uri"}, {"uri": "x://1"}]})})
    assert await reads(world, "x://1") == ["a x://1"]


def test_an_upstream_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list beyond the bound is remembered in part."""
    monkeypatch.setattr(module, "NAMES_KEPT", 2)
    owners = Owners()
    owners.note("a", "prompts/list", [{"name": name} for name in ("one", "two", "three")])
    assert list(owners.prompts("a")) == ["one", "two"]


def test_a_name_that_no_message_may_hold_is_not_remembered() -> None:
    """Ten thousand names of a megabyte each would be memory for nothing."""
    owners = Owners()
    owners.note("a", "prompts/list", [{"name": "n" * 1025}, {"name": "n" * 1024}])
    assert list(owners.prompts("a")) == ["n" * 1024]
    owners.note("a", "resources/templates/list", [{"uriTemplate": "x://" + "n" * 8189 + "{id}"}])
    assert owners._stems == {"a": {}}


async def test_made_up_uris_make_no_flood_of_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request of an agent may name a thousand URIs, and each would list every upstream."""
    world = two()
    for number in range(3):
        assert await reads(world, f"x://{number}") == []
    assert [len(world.upstream(name).requests("resources/list")) for name in ("a", "b")] == [1, 1]
    world.upstream("a").fail(UpstreamUnreachable("down", may_have_run=False), "resources/list")
    monkeypatch.setattr(module, "RELIST_AFTER_S", 0.0)
    await reads(world, "x://1")
    monkeypatch.undo()
    await reads(world, "x://1")
    assert len(world.upstream("a").requests("resources/list")) == 2, "asked anew too often"


def test_what_an_upstream_listed_is_forgotten_when_it_says_that_it_changed() -> None:
    """A resource that moved must not be asked of its old owner."""
    owners = Owners()
    owners.note("a", "resources/list", [{"uri": "x://1"}])
    owners.note("a", "prompts/list", [{"name": "greet"}])
    owners.forget("a")
    owners.forget("never-seen")
    assert (owners.lists("a", "x://1"), list(owners.prompts("a"))) == (False, [])
