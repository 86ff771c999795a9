"""What is known of agents is put by, and a start takes it up again."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.principal import TrustTier
from gateway.core.trust.record import Record
from gateway.services import trust as module
from gateway.services.trust import Trust
from tests.services.trusthouse import House

# --- a start ----------------------------------------------------------------------------------------------------------


async def test_a_start_knows_what_was_known() -> None:
    """By folding the chain, or what was put by and the rest of it."""
    house = House()
    await house.days(6)
    await house.changed("promoted", "T1")
    wanted = record_of(house.trust)
    assert record_of(await house.again()) == wanted
    await house.trust.keep()
    assert house.shelf.put_by["acme"].seq == 37
    await house.did()
    house.shelf.asked.clear()
    restored = await house.again()
    assert house.shelf.asked == [("acme", 37)]
    assert record_of(restored) == record_of(house.trust)
    assert await house.tier(restored) == TrustTier.T1
    assert await restored.version("acme", "bot") == 1


async def test_a_start_writes_what_is_due() -> None:
    """The change of a tier whose entry a crash kept from being written."""
    house = House()
    await house.days(6)
    again = await house.again()
    assert list(again.pending) == [("acme", "bot")]


async def test_records_of_another_model_or_chain_are_not_taken() -> None:
    """The chain is folded anew."""
    house = House()
    await house.did()
    await house.trust.keep()
    kept = house.shelf.put_by["acme"]
    wanted = record_of(house.trust)
    seq, written = orjson.loads(kept.records["bot"])
    other = {"bot": orjson.dumps((seq, [99, *written[1:]]))}
    for changed in (replace(kept, records=other), replace(kept, hash=b"another")):
        house.shelf.put_by["acme"] = changed
        assert record_of(await house.again()) == wanted


async def test_whose_doing_failures_are_is_put_by_with_the_record() -> None:
    """A breaker holds after a restart, and closes the same ways."""
    house = House()
    await house.did("tool-error", upstream="hostile")
    await house.did("tool-error", upstream="hostile")
    await house.denied()
    await house.trust.keep()
    wanted = house.trust.failing("acme", "bot")
    assert wanted is not None
    assert (wanted.own()[0], wanted.at["hostile"][0]) == (1, 2)
    assert (await house.again()).failing("acme", "bot") == wanted


def record_of(trust: Trust) -> Record:
    held = trust.held("acme", "bot")
    assert held is not None
    return held.record


# --- putting records by -----------------------------------------------------------------------------------------------


async def test_only_what_has_changed_is_put_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where nothing has, the place in the chain now and then, so that a start need not read what says nothing."""
    monkeypatch.setattr(module, "PAGE", 3)
    house = House()
    await house.did()
    await house.did(agent="other")
    await house.trust.keep()
    first = house.shelf.put_by["acme"]
    await house.did()
    await house.trust.keep()
    second = house.shelf.put_by["acme"]
    assert (first.seq, second.seq, set(second.records)) == (2, 3, {"bot", "other"})
    assert second.records["other"] is first.records["other"]
    for wanted in (3, 3, 6):
        await house.store.append(house.entry(EntryType.TOOL_PINNED))
        await house.trust.keep()
        assert house.shelf.put_by["acme"].seq == wanted


async def test_where_what_was_put_by_is_gone_everything_is_put_by_again() -> None:
    """The file may be deleted while the gateway runs."""
    house = House()
    await house.did()
    await house.did(agent="other")
    await house.trust.keep()
    house.shelf.put_by.clear()
    await house.did()
    await house.trust.keep()
    assert set(house.shelf.put_by["acme"].records) == {"bot", "other"}


async def test_what_could_not_be_put_by_is_put_by_later(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing rests on it but the length of the next start."""
    house = House()
    await house.did()
    house.store.unreadable = "full"
    await house.trust.keep()
    assert "could not be put by" in caplog.text
    house.store.unreadable = ""
    await house.trust.keep()
    assert set(house.shelf.put_by["acme"].records) == {"bot"}


async def test_records_are_put_by_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the owned task."""
    monkeypatch.setattr(module, "KEEP_S", 0.01)
    house = House()
    await house.did()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.trust.run)
            while not house.shelf.put_by:
                house.clock.advance(1)
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert house.shelf.put_by["acme"].seq == 1
