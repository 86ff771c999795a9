"""Every change of trust is an entry that says what it rests on, and a human's word goes before any record."""

from dataclasses import replace

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.events import events_of
from gateway.core.principal import Principal, Role, TrustTier
from gateway.errors import AgentNotFound, Forbidden, InvalidRequest, StateConflict, StoreError
from gateway.services import trust_changes as module
from gateway.services.operator import operator
from gateway.services.trust import TrustTerms
from gateway.services.trust_changes import Control
from tests.simulate.store import Moment
from tests.simulate.trusting import ADMIN, Life

FREEZE = Control(frozen=True)


async def test_a_promotion_is_an_entry_that_says_what_it_rests_on() -> None:
    """In its reasons, which the chain hashes, for whoever folds them; in its body for people and receivers."""
    life = Life()
    agent = await life.agents.register(ADMIN, name="Bot")
    await life.days(6, settle=True)
    [draft] = life.told()
    body = orjson.loads(draft.body)
    rests = [one["seq"] for one in body["rests"]]
    assert draft.agent == "bot"
    assert draft.reasons == ("promoted", "T1", "from=T0", "upTo=25", "start=T0", "ceiling=T2", "model=2")
    assert (body["id"], body["name"], body["previousTier"], body["tier"]) == (agent.id, "Bot", "T0", "T1")
    assert body["why"] == "promoted"
    assert body["upTo"] == 25
    assert body["rests"] == [{"seq": seq, "id": life.store.drafts[seq - 1].id} for seq in rests]
    assert await life.tier() == TrustTier.T1
    row = await life.store.get("acme", "trust:bot")
    assert row is not None
    assert orjson.loads(row.value) == {"tier": "T1", "ceiling": None, "frozen": False, "entry": draft.id}


async def test_a_change_of_tier_is_told_and_a_human_s_word_is_not() -> None:
    """`agent.trust.changed`, in the shape of the guide; under its slug where the agent is not registered."""
    life = Life()
    await life.days(6, settle=True)
    await life.changes.change(ADMIN, "bot", FREEZE, reason="an audit")
    told = [
        event
        async for entry in life.store.read("acme")
        if orjson.loads(entry.content)["type"] == EntryType.TRUST_CHANGED
        for event in events_of(orjson.loads(entry.content), orjson.loads(entry.body), None)
    ]
    assert [event.name for event in told] == ["agent.trust.changed"]
    assert told[0].data["agentId"] == "bot"
    assert told[0].data["previousTier"] == "T0"
    assert told[0].data["tier"] == "T1"


async def test_a_demotion_names_the_acts_that_caused_it() -> None:
    """Somebody will ask."""
    life = Life()
    await life.days(6, settle=True)
    for _ in range(3):
        await life.denied()
    assert await life.tier() == TrustTier.T0
    assert await life.changes.settle()
    body = orjson.loads(life.told()[-1].body)
    assert (body["why"], body["previousTier"], body["tier"]) == ("demoted", "T1", "T0")
    denied = [seq for seq, one in enumerate(life.store.drafts, start=1) if one.type is EntryType.CALL_DECIDED]
    assert set(denied) <= {one["seq"] for one in body["rests"]}


async def test_what_faded_is_written_too_and_says_so() -> None:
    """Nobody did anything wrong."""
    life = Life()
    await life.days(30, settle=True)
    life.clock.advance(86_400 * 400)
    await life.trust.look()
    assert await life.changes.settle()
    assert orjson.loads(life.told()[-1].body)["why"] == "faded"


async def test_a_change_that_is_no_longer_due_is_not_written() -> None:
    """The record has moved on while it waited; a pinned agent and one without a record have none."""
    life = Life()
    await life.days(6)
    await life.trust.look()
    for _ in range(6):
        await life.denied()
    life.trust.still_due("acme", "stranger")
    assert await life.changes.settle()
    assert life.told() == []
    pinned = Life(pins={"acme/bot": TrustTier.T0})
    await pinned.days(6)
    pinned.trust.still_due("acme", "bot")
    assert await pinned.changes.settle()
    assert pinned.told() == []


async def test_what_the_store_does_not_take_is_written_later(caplog: pytest.LogCaptureFixture) -> None:
    """A promotion waits; a demotion holds meanwhile."""
    life = Life()
    await life.days(6)
    await life.trust.look()
    life.store.down = "full"
    assert not await life.changes.settle()
    assert "could not be recorded yet" in caplog.text
    assert await life.tier() == TrustTier.T0
    life.store.down = ""
    assert await life.changes.settle()
    assert await life.tier() == TrustTier.T1


async def test_a_change_that_meets_another_is_made_anew() -> None:
    """The row decides: what a human says at the same time must not be written over."""
    life = Life()
    await life.days(6)
    await life.trust.look()
    held = life.trust.held("acme", "bot")
    assert held is not None
    held.version = 7
    assert not await life.changes.settle()
    assert life.told() == []
    held.version = 0
    assert await life.changes.settle()
    assert len(life.told()) == 1


async def test_changes_are_written_as_they_come_and_each_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the owned task: at once where an entry caused them, else at the first look of the day."""
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    life = Life()
    await life.days(30, settle=True)
    before = len(life.told())
    life.store.break_append(Moment.BEFORE, where=lambda draft: draft.type is EntryType.TRUST_CHANGED)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(life.changes.run)
            await anyio.wait_all_tasks_blocked()
            life.clock.advance(86_400 * 400)
            while len(life.told()) < before + 1:
                await anyio.lowlevel.checkpoint()
            for _ in range(12):
                await life.denied(risk=100)
            while len(life.told()) < before + 2:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert [draft.reasons[:2] for draft in life.told()[before:]] == [("faded", "T1"), ("demoted", "T0")]


# --- what a human says ------------------------------------------------------------------------------------------------


async def test_a_frozen_agent_is_not_promoted_and_may_fall() -> None:
    """Frozen means: no further. A human's caution must not protect who does harm."""
    life = Life()
    await life.days(6, settle=True)
    frozen = await life.changes.change(ADMIN, "bot", FREEZE, reason="an audit")
    assert (frozen.row.frozen, frozen.row.tier, frozen.version) == (True, TrustTier.T1, 2)
    await life.days(30, settle=True)
    assert await life.tier() == TrustTier.T1
    for _ in range(12):
        await life.denied(risk=100)
    assert await life.tier() == TrustTier.T0
    again = await life.changes.change(ADMIN, "bot", Control(frozen=False), reason="it was not")
    assert not again.row.frozen


async def test_each_word_of_a_human_s_is_on_record_with_who_and_why() -> None:
    """Both of one request, each as its own entry; what is so already is none."""
    life = Life()
    await life.did()
    both = Control(frozen=True, ceiling=TrustTier.T4)
    view = await life.changes.change(ADMIN, "bot", both, reason="key=hunter2hunter2 reviewed")
    assert (view.row.ceiling, view.row.own_ceiling, view.row.frozen) == (TrustTier.T4, True, True)
    await life.changes.change(ADMIN, "bot", both, reason="again")
    first, second = life.told()
    assert (first.reasons, second.reasons) == (("frozen",), ("ceiling", "T4"))
    body = orjson.loads(second.body)
    assert (body["by"], body["human"], body["ceiling"], body["previousCeiling"]) == ("key_1", "usr_1", "T4", "")
    assert "reason" in body
    back = await life.changes.change(ADMIN, "bot", Control(unset=True), reason="over")
    assert (back.row.ceiling, back.row.own_ceiling) == (TrustTier.T2, False)
    last = life.told()[-1]
    assert last.reasons == ("ceiling",)
    assert orjson.loads(last.body)["previousCeiling"] == "T4"


async def test_a_ceiling_below_the_tier_takes_effect_at_once() -> None:
    """And is no fault of the agent's."""
    life = Life()
    await life.days(6, settle=True)
    view = await life.changes.change(ADMIN, "bot", Control(ceiling=TrustTier.T0), reason="careful")
    assert (view.row.tier, view.row.recorded) == (TrustTier.T0, TrustTier.T1)
    assert await life.tier() == TrustTier.T0
    await life.changes.settle()
    assert life.told()[-1].reasons[:2] == ("capped", "T0")


@pytest.mark.parametrize(
    "principal",
    [
        *(replace(ADMIN, role=role) for role in (None, Role.VIEWER, Role.AGENT, Role.OPERATOR)),
        replace(ADMIN, agent="bot"),
        replace(ADMIN, agent="accomplice", bound=True),
    ],
)
async def test_who_may_not_say_anything_of_an_agent_says_nothing(principal: Principal) -> None:
    """Neither who may not change thresholds, nor an agent, whatever its role: two could lift each other."""
    life = Life()
    await life.did()
    with pytest.raises(Forbidden):
        await life.changes.change(principal, "bot", Control(ceiling=TrustTier.T4), reason="please")
    assert life.told() == []


async def test_the_operator_is_no_agent_of_the_same_name() -> None:
    """The command line acts as `cli`; an agent may be called so."""
    life = Life()
    await life.agents.register(ADMIN, name="cli")
    view = await life.changes.change(operator("acme"), "cli", FREEZE, reason="an audit")
    assert view.row.frozen


@pytest.mark.parametrize(("wanted", "reason", "field"), [(FREEZE, " ", "reason"), (Control(), "why", "frozen")])
async def test_a_word_without_sense_is_refused(wanted: Control, reason: str, field: str) -> None:
    """Who and why is what a later reader needs."""
    life = Life()
    await life.did()
    with pytest.raises(InvalidRequest) as caught:
        await life.changes.change(ADMIN, "bot", wanted, reason=reason)
    assert caught.value.problems[0].path == (field,)
    assert life.told() == []


async def test_a_pinned_agent_is_the_configuration_s() -> None:
    """A change would have no effect, and would say that it had."""
    life = Life(pins={"acme/bot": TrustTier.T3})
    await life.did()
    with pytest.raises(StateConflict, match="configuration"):
        await life.changes.change(ADMIN, "bot", FREEZE, reason="why")
    view = await life.changes.view("acme", "bot")
    assert (view.row.pinned, view.row.tier, view.row.recorded, view.needs) == (True, TrustTier.T3, TrustTier.T3, ())


async def test_an_unknown_agent_is_not_found() -> None:
    """Of this tenant; one that has acted by MCP is known by its record."""
    life = Life()
    await life.did(tenant="other")
    with pytest.raises(AgentNotFound):
        await life.changes.view("acme", "bot")
    assert (await life.changes.view("other", "bot")).row.id == "bot"


async def test_an_agent_that_is_a_key_is_known_by_the_keys_id() -> None:
    """`intended keys list` shows that; the slug under which it acts is nowhere else to be read."""
    life = Life()
    await life.did(agent="key-01jabc")
    assert (await life.changes.view("acme", "key_01JABC")).row.agent == "key-01jabc"


async def test_a_change_may_name_the_version_that_was_looked_at() -> None:
    """Two people must not overwrite each other unseen."""
    life = Life()
    await life.did()
    view = await life.changes.change(ADMIN, "bot", FREEZE, reason="why", version=0)
    assert view.version == 1
    with pytest.raises(StateConflict) as caught:
        await life.changes.change(ADMIN, "bot", Control(frozen=False), reason="why", version=0)
    assert caught.value.field == "version"


async def test_a_word_that_keeps_meeting_others_is_given_up() -> None:
    """And says so."""
    life = Life()
    await life.did()
    held = life.trust.held("acme", "bot")
    assert held is not None
    held.version = 7
    with pytest.raises(StateConflict):
        await life.changes.change(ADMIN, "bot", FREEZE, reason="why")
    assert life.told() == []


async def test_what_cannot_be_made_durable_is_not_said() -> None:
    """The agent is as it was."""
    life = Life()
    await life.did()
    life.store.down = "full"
    with pytest.raises(StoreError):
        await life.changes.change(ADMIN, "bot", FREEZE, reason="why")
    assert not (await life.changes.view("acme", "bot")).row.frozen


# --- what is shown ----------------------------------------------------------------------------------------------------


async def test_a_view_says_what_there_is_and_what_is_missing() -> None:
    """For a person who wonders why."""
    life = Life()
    await life.did()
    await life.did("tool-error")
    view = await life.changes.view("acme", "bot")
    assert (view.row.tier, view.row.recorded, view.row.frozen, view.row.pinned) == (
        TrustTier.T0,
        TrustTier.T0,
        False,
        False,
    )
    assert (view.row.since, view.failures_in_row) == ("2026-11-22", 1)
    assert {name: count for name, count in view.counts.items() if count} == {"executed": 1, "failed": 1}
    assert [seq for seq, _ in view.raised] == [1]
    assert {need.what for need in view.needs if not need.met} >= {"days at this tier", "separate days"}
    assert life.changes.shown("acme", "bot").tier == TrustTier.T0


async def test_a_registered_agent_without_a_past_has_a_view() -> None:
    """From the first minute."""
    life = Life(terms=TrustTerms(start=TrustTier.T1))
    agent = await life.agents.register(ADMIN, name="Bot")
    view = await life.changes.view("acme", agent.id)
    assert (view.row.id, view.row.tier, view.row.since, view.version) == (agent.id, TrustTier.T1, "", 0)
    frozen = await life.changes.change(ADMIN, "bot", FREEZE, reason="from the start")
    assert (frozen.row.frozen, frozen.version, frozen.row.tier) == (True, 1, TrustTier.T1)


async def test_every_agent_that_has_acted_is_listed() -> None:
    """By name, page by page, registered or not; as each is shown by itself."""
    life = Life(pins={"acme/ant": TrustTier.T3})
    agent = await life.agents.register(ADMIN, name="Bot")
    await life.agents.register(ADMIN, name="Idle")
    await life.days(6, settle=True)
    for other in ("cat", "ant"):
        await life.did(agent=other)
    await life.changes.change(ADMIN, "bot", FREEZE, reason="an audit")
    found, total = life.changes.rows("acme", page=1, page_size=2)
    assert (total, [(one.agent, one.id) for one in found]) == (3, [("ant", "ant"), ("bot", agent.id)])
    assert [(one.tier.name, one.pinned, one.frozen) for one in found] == [("T3", True, False), ("T1", False, True)]
    [cat], _ = life.changes.rows("acme", page=2, page_size=2)
    assert cat == (await life.changes.view("acme", "cat")).row
    assert (cat.tier, cat.since) == (TrustTier.T0, life.clock.now().date().isoformat())
    assert life.changes.rows("globex", page=1, page_size=2) == ([], 0)
