"""How a tier came about is shown from the agent's own entries."""

import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.principal import TrustTier
from gateway.core.trust.evidence import Change, Evidence
from gateway.services import trust_history as module
from gateway.services.trust_changes import Control
from gateway.services.trust_history import MOVES, POINTS
from tests.simulate.trusting import ADMIN, Life


async def test_an_agent_without_a_past_has_no_history() -> None:
    """Nothing to draw."""
    life = Life()
    await life.did(agent="other")
    found = await life.history.of("acme", "bot")
    assert (found.points, found.moves) == ((), ())


async def test_the_score_is_drawn_day_by_day_to_today() -> None:
    """From the first evidence on; also the days on which it only faded."""
    life = Life()
    await life.days(6, settle=True)
    life.clock.advance(86_400 * 4)
    found = await life.history.of("acme", "bot")
    assert found.points[0].day == "2026-11-22"
    assert found.points[-1].day == "2026-12-02"
    assert len(found.points) == 11
    assert [int(one.tier) for one in found.points] == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    scores = [one.score for one in found.points]
    assert scores[:6] == sorted(scores[:6])
    assert scores[-1] < scores[5]
    assert scores[-1] == (await life.changes.view("acme", "bot")).row.score


async def test_a_long_past_is_drawn_in_as_many_points_as_fit() -> None:
    """Evenly apart; the first and the last day are among them."""
    life = Life()
    await life.did()
    life.clock.advance(86_400 * 500)
    await life.did()
    found = await life.history.of("acme", "bot")
    assert len(found.points) == POINTS
    assert (found.points[0].day, found.points[-1].day) == ("2026-11-22", "2028-04-05")


async def test_the_last_moves_are_told_newest_first() -> None:
    """What raised or lowered the score, and each change of its trust; what moved nothing is left out."""
    life = Life()
    await life.days(6, settle=True)
    await life.changes.change(ADMIN, "bot", Control(frozen=True), reason="why")
    await life.denied()
    await life.did(risk=0)
    found = await life.history.of("acme", "bot")
    assert len(found.moves) == MOVES
    denied, frozen, *_ = found.moves
    assert isinstance(denied.told, Evidence)
    assert denied.score < denied.score_before
    assert isinstance(frozen.told, Change)
    assert (frozen.told.kind, frozen.tier_before, frozen.tier) == ("frozen", TrustTier.T1, TrustTier.T1)


async def test_a_long_chain_is_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that say nothing of trust, and those of an agent whose name begins alike, are not told."""
    monkeypatch.setattr(module, "PAGE", 2)
    life = Life()
    for _ in range(2):
        await life.did()
        await life.store.append(life.entry(EntryType.TOOL_PINNED))
    contents = life.shelf.contents

    async def careless(tenant: str, *, after: int, limit: int, agent: str = "") -> object:
        return await contents(tenant, after=after, limit=limit)

    await life.did(agent="bottle")
    life.shelf.contents = careless  # type: ignore[method-assign,assignment]
    found = await life.history.of("acme", "bot")
    assert [one.told.seq for one in found.moves] == [3, 1]
    assert life.shelf.asked == [("acme", 0), ("acme", 2), ("acme", 4)]
    life.store._chains["acme"][0] = later(life)
    assert [one.told.seq for one in (await life.history.of("acme", "bot")).moves] == [3]


def later(life: Life) -> object:
    from dataclasses import replace

    entry = life.store._chains["acme"][0]
    return replace(entry, content=orjson.dumps({**orjson.loads(entry.content), "type": "from.the-future"}))
