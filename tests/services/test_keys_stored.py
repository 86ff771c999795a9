"""What a key is lies in memory and in the store: the store has the last word."""

from datetime import timedelta

import anyio
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.errors import AuditUnavailable, StateConflict, StoreError
from gateway.ports import Appended, Conflict
from gateway.services.keys import CreatedKey, KeyStatus, any_key
from tests.services.keyhouse import OPERATOR, THEIRS, House
from tests.simulate.store import Moment


@pytest.fixture
def house() -> House:
    return House()


async def test_keys_that_are_good_are_counted(house: House) -> None:
    """A start tells how many there are; those that have ended let nobody in."""
    assert house.keys.count() == 0
    made = await house.make()
    await house.make(THEIRS, expires=house.clock.now() + timedelta(hours=1))
    assert house.keys.count() == 2
    house.clock.advance(3600)
    assert house.keys.count() == 1
    await house.keys.revoke(OPERATOR, "acme", made.record.id)
    assert house.keys.count() == 0


async def test_there_was_a_key_once_there_was_one(house: House) -> None:
    """Keyless mode never comes back, not even after its revocation and a restart (contract, "Keyless mode")."""
    assert not house.keys.any()
    assert not await any_key(house.store, house.store)
    await house.store.append(
        EntryDraft(tenant="acme", id="evt", type=EntryType.USER_CREATED, time="", puts=(Put(key="user:1", value=b""),))
    )
    assert not await any_key(house.store, house.store)
    changes: list[str] = []
    house.keys.on_change(lambda: changes.append("changed"))
    made = await house.make(THEIRS)
    assert changes == ["changed"]
    await house.keys.revoke(THEIRS, "other", made.record.id)
    assert house.keys.any()
    assert (await house.restarted()).any()
    assert await any_key(house.store, house.store)


async def test_what_is_not_durable_does_not_hold(house: House) -> None:
    """No record, no key, and no end of one either."""
    made = await house.make()
    house.store.down = "full"
    with pytest.raises(AuditUnavailable):
        await house.make()
    with pytest.raises(AuditUnavailable):
        await house.keys.revoke(OPERATOR, "acme", made.record.id)
    with pytest.raises(AuditUnavailable):
        await house.keys.rotate(OPERATOR, "acme", made.record.id)
    assert house.keys.resolve(made.secret) is not None
    assert len(house.keys.list(OPERATOR, "acme")) == 1
    house.store.down = ""
    await house.keys.revoke(OPERATOR, "acme", made.record.id)
    assert house.keys.resolve(made.secret) is None


async def test_a_change_of_unknown_outcome_is_looked_up_before_the_next(house: House) -> None:
    """The append failed, the entry is there: memory follows the store, and the retry succeeds."""
    made = await house.make()
    house.store.break_append(Moment.AFTER)
    with pytest.raises(AuditUnavailable):
        await house.keys.revoke(OPERATOR, "acme", made.record.id)
    assert house.keys.resolve(made.secret) is not None
    written = len(house.store.drafts)
    assert (await house.keys.revoke(OPERATOR, "acme", made.record.id)).status is KeyStatus.REVOKED
    assert house.keys.resolve(made.secret) is None
    assert len(house.store.drafts) == written


async def test_a_caller_who_hangs_up_does_not_keep_a_revocation_from_holding(house: House) -> None:
    """The entry will be written; memory must not lag behind it."""
    made = await house.make()
    house.store.held = anyio.Event()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(house.keys.revoke, OPERATOR, "acme", made.record.id)
            while len(house.store.attempts) < 2:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
            house.store.held.set()
    assert house.keys.resolve(made.secret) is None


async def test_a_row_that_someone_else_changed_is_a_conflict(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is overwritten that was not read."""
    made = await house.make()

    async def contradicted(draft: EntryDraft) -> Appended | Conflict:
        return Conflict(key="key:1")

    monkeypatch.setattr(house.store, "append", contradicted)
    with pytest.raises(StateConflict, match="changed meanwhile"):
        await house.keys.revoke(OPERATOR, "acme", made.record.id)
    assert house.keys.resolve(made.secret) is not None


async def test_two_changes_of_one_key_at_once_come_one_after_the_other(house: House) -> None:
    """Whichever is second sees the first."""
    made = await house.make()
    rotated: list[CreatedKey] = []

    async def rotate() -> None:
        rotated.append(await house.keys.rotate(OPERATOR, "acme", made.record.id))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(rotate)
    proved = [house.keys.resolve(one.secret) for one in rotated]
    assert [one is not None for one in proved] == [False] * 4 + [True]


async def test_rows_that_cannot_be_read_stop_the_start(house: House) -> None:
    """A key that is passed over might be a revoked one, or the only one: then everybody would be `local`."""
    put = Put(key="key:key_1", value=b"{}")
    await house.store.append(EntryDraft(tenant="acme", id="e", type=EntryType.KEY_CREATED, time="", puts=(put,)))
    with pytest.raises(StoreError, match="tenant acme cannot be read"):
        await house.restarted()


async def test_a_store_that_cannot_be_read_stops_the_start(house: House) -> None:
    """Without its keys a gateway would be keyless."""
    await house.make()
    keys = house.open()
    house.store.unreadable = "broken"
    with pytest.raises(StoreError):
        await keys.load(["acme"])


def test_a_principal_that_is_no_keys_does_not_stand(house: House) -> None:
    """Nobody's session stays open by mistake."""
    assert not house.keys.stands(OPERATOR)
