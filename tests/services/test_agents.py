"""Agents are registered once each, durably, and act under the name that their credential allows."""

import anyio
import orjson
import pytest

from gateway.core.agents import Restriction
from gateway.core.audit.entry import EntryType
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.principal import Principal
from gateway.errors import AgentNotFound, AuditUnavailable, Forbidden, InvalidRequest, StateConflict
from gateway.services import agents as module
from gateway.services.agents import MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS, Agents
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.world import FakeClock, FakeIds

KEY = Principal(tenant="t", agent="key-1", credential="key_1")
BOUND = Principal(tenant="t", agent="billing-agent", credential="key_2", bound=True)


def service(store: MemoryStore, ids: FakeIds | None = None) -> Agents:
    return Agents(audit=store, state=store, clock=FakeClock(), ids=ids or FakeIds(), taxonomy=TAXONOMY)


async def test_an_agent_is_found_by_id_and_by_slug_and_after_a_restart() -> None:
    """The contract: either is accepted wherever an agent is named."""
    store = MemoryStore()
    agents = service(store)
    made = await agents.register(
        KEY,
        name="Billing Agent",
        description="Handles billing operations",
        domains=["billing"],
        intent_types=["billing.send_invoice", "billing.collect_payment"],
    )
    assert (made.slug, made.id.startswith("agt_")) == ("billing-agent", True)
    assert agents.find("t", made.id) is agents.find("t", "billing-agent") is made
    assert agents.require("t", made.id) == made
    assert agents.restriction("t", "billing-agent") == Restriction(
        domains=frozenset({"billing"}),
        intent_types=frozenset({"billing.send_invoice", "billing.collect_payment"}),
    )
    again = service(store)
    await again.load(["other", "t"])
    assert again.list("t") == (made,)
    assert again.restriction("t", "billing-agent") == made.restriction
    (draft,) = store.drafts
    assert (draft.type, draft.agent) == (EntryType.AGENT_REGISTERED, "billing-agent")
    assert orjson.loads(draft.body)["by"] == "key_1"


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Billing Agent", "billing-agent"), ("billing-agent", "billing-agent"), ("key_01JABC", "key-01jabc"), ("!", "")],
)
async def test_an_agent_has_a_slug_by_whatever_names_it(name: str, slug: str) -> None:
    """A switch or a ceiling under any other name than that of its calls would be for nobody."""
    agents = service(MemoryStore())
    assert agents.slug("t", name) == slug
    made = await agents.register(KEY, name="Billing Agent")
    assert (agents.slug("t", name), agents.slug("t", made.id)) == (slug, "billing-agent")


async def test_agents_are_a_tenants_own() -> None:
    """Neither the list nor an id nor a slug shows another tenant's."""
    agents = service(MemoryStore())
    made = await agents.register(KEY, name="Billing Agent")
    assert agents.list("other") == ()
    assert agents.find("other", made.id) is agents.find("other", made.slug) is None
    with pytest.raises(AgentNotFound):
        agents.require("other", made.id)
    assert agents.restriction("t", made.slug) is None


async def test_the_newest_agent_is_listed_first() -> None:
    """As every list."""
    agents = service(MemoryStore())
    made = [await agents.register(KEY, name=name) for name in ("a", "b", "c")]
    assert agents.list("t") == tuple(reversed(made))


@pytest.mark.parametrize("name", ["Billing Agent", "billing-agent", "BILLING agent!"])
async def test_a_taken_slug_is_a_problem_of_the_name(name: str) -> None:
    """The contract: VALIDATION_ERROR on `name`; nothing is written."""
    store = MemoryStore()
    agents = service(store)
    await agents.register(KEY, name="Billing Agent")
    with pytest.raises(InvalidRequest) as caught:
        await agents.register(KEY, name=name)
    assert [one.path for one in caught.value.problems] == [("name",)]
    assert len(store.attempts) == 1


async def test_every_problem_of_a_registration_is_named() -> None:
    """With the item that is wrong."""
    store = MemoryStore()
    with pytest.raises(InvalidRequest) as caught:
        await service(store).register(
            KEY,
            name="агент",
            description="x" * (MAX_DESCRIPTION_CHARS + 1),
            domains=["billing", "biling", "unknown"],
            intent_types=["billing.nonsense", "billing.send_invoice"],
        )
    paths = [one.path for one in caught.value.problems]
    assert paths == [("name",), ("description",), ("domains", 1), ("domains", 2), ("intentTypes", 0)]
    for name in ("x" * (MAX_NAME_CHARS + 1), "a\ud800"):
        with pytest.raises(InvalidRequest):
            await service(store).register(KEY, name=name)
    assert store.attempts == []


async def test_of_two_registrations_at_once_one_wins() -> None:
    """The row under the slug decides, and whoever loses knows the winner."""
    store, ids = MemoryStore(), FakeIds()
    first, second = service(store, ids), service(store, ids)
    outcomes: list[object] = []

    async def register(agents: Agents) -> None:
        try:
            outcomes.append((await agents.register(KEY, name="Billing Agent")).slug)
        except InvalidRequest as error:
            outcomes.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(register, first)
        group.start_soon(register, second)
    assert [one for one in outcomes if one == "billing-agent"] == ["billing-agent"]
    assert len(store.drafts) == 1
    assert first.list("t") == second.list("t") != ()


@pytest.mark.parametrize("moment", list(Moment))
async def test_an_agent_that_is_not_on_record_is_not_there(moment: Moment) -> None:
    """Durable first; one that became durable after all is found when it is named again."""
    store = MemoryStore()
    agents = service(store)
    store.break_append(moment)
    with pytest.raises(AuditUnavailable):
        await agents.acting(KEY, "ci", known=False)
    assert agents.list("t") == ()
    assert (await agents.acting(KEY, "ci", known=False)).slug == "ci"
    assert len(store.drafts) == 1


async def test_an_unknown_actor_is_registered_where_it_need_not_be_known() -> None:
    """Ref and /agent-intent; the prefix of the documents' example is dropped."""
    store = MemoryStore()
    agents = service(store)
    made = await agents.acting(KEY, "agent:github-actions", known=False)
    assert made.slug == "github-actions"
    assert await agents.acting(KEY, "GitHub Actions", known=False) == made
    assert await agents.acting(KEY, made.id, known=True) == made
    assert len(store.drafts) == 1


@pytest.mark.parametrize("name", ["nobody", "agt_00000000000000000000000000"])
async def test_an_unknown_agent_is_not_found_where_it_must_be_known(name: str) -> None:
    """Ops: AGENT_NOT_FOUND; nothing is registered."""
    store = MemoryStore()
    with pytest.raises(AgentNotFound):
        await service(store).acting(KEY, name, known=True)
    assert store.attempts == []


async def test_an_id_is_no_name_to_register() -> None:
    """A mistyped id must not become an agent."""
    store = MemoryStore()
    with pytest.raises(AgentNotFound):
        await service(store).acting(KEY, "agt_00000000000000000000000000", known=False)
    assert store.attempts == []


@pytest.mark.parametrize("name", ["other", "agent:other", "агент", ""])
async def test_a_bound_credential_acts_as_its_own_agent_only(name: str) -> None:
    """The contract: 403, before it is told whether the other agent exists."""
    store = MemoryStore()
    agents = service(store)
    with pytest.raises(Forbidden):
        await agents.acting(BOUND, name, known=False)
    assert store.attempts == []
    assert (await agents.acting(BOUND, "Billing Agent", known=False)).slug == "billing-agent"
    assert (await agents.acting(BOUND, "agent:billing-agent", known=True)).slug == "billing-agent"


async def test_a_name_that_makes_no_slug_is_a_problem_of_its_field() -> None:
    """The dialect's own word for the agent is in the error."""
    with pytest.raises(InvalidRequest) as caught:
        await service(MemoryStore()).acting(KEY, "агент", known=False, field="actor")
    assert [one.path for one in caught.value.problems] == [("actor",)]


async def test_a_tenant_has_so_many_agents_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever submits under ever new names must not fill the memory; those that are known go on."""
    monkeypatch.setattr(module, "AGENTS_KEPT", 1)
    agents = service(MemoryStore())
    await agents.acting(KEY, "one", known=False)
    with pytest.raises(StateConflict):
        await agents.acting(KEY, "two", known=False)
    assert (await agents.acting(KEY, "one", known=False)).slug == "one"


async def test_a_pointer_without_its_agent_is_no_agent() -> None:
    """Two rows of one transaction are both there or neither; anything else is not guessed at."""
    store = MemoryStore()
    agents = service(store)
    await agents.register(KEY, name="ci")
    del store._rows["t", f"agent:{agents.list('t')[0].id}"]
    with pytest.raises(StateConflict):
        await service(store).acting(KEY, "ci", known=False)
