"""A key that expired, was revoked or rotated proves nobody."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.principal import Role
from gateway.errors import Forbidden, InvalidRequest, NotFound, StateConflict
from gateway.services import keys as keys_module
from gateway.services.keys import KeyStatus
from tests.services.keyhouse import OPERATOR, THEIRS, WEAK, House


@pytest.fixture
def house() -> House:
    return House()


async def test_an_expired_key_proves_nobody_from_that_moment(house: House) -> None:
    """And what is open in its name no longer stands."""
    made = await house.make(expires=house.clock.now() + timedelta(seconds=10))
    principal = house.keys.resolve(made.secret)
    assert principal is not None
    house.clock.advance(9.999)
    assert house.keys.stands(principal)
    house.clock.advance(0.001)
    assert house.keys.resolve(made.secret) is None
    assert not house.keys.stands(principal)
    [record] = house.keys.list(OPERATOR, "acme")
    assert record.status is KeyStatus.EXPIRED
    assert house.keys.any()


async def test_a_revoked_key_proves_nobody_for_good(house: House) -> None:
    """With all its secrets, after a restart too; others are untouched. Revoking it again writes nothing."""
    made, other = await house.make(), await house.make()
    rotated = await house.keys.rotate(OPERATOR, "acme", made.record.id, overlap_s=3600)
    principal = house.keys.resolve(made.secret)
    assert principal is not None
    changes: list[str] = []
    house.keys.on_change(lambda: changes.append("changed"))
    record = await house.keys.revoke(OPERATOR, "acme", made.record.id)
    assert (record.status, record.revoked, record.old_until) == (KeyStatus.REVOKED, "2026-11-22T12:00:00.000Z", "")
    assert changes == ["changed"]
    for keys in (house.keys, await house.restarted()):
        assert keys.resolve(made.secret) is None
        assert keys.resolve(rotated.secret) is None
        assert not keys.stands(principal)
        assert keys.resolve(other.secret) is not None
        assert keys.any()
    written = len(house.store.drafts)
    assert await house.keys.revoke(OPERATOR, "acme", made.record.id) == record
    assert len(house.store.drafts) == written
    assert orjson.loads(house.store.drafts[-1].body)["key"] == made.record.id


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(house: House) -> None:
    """The key stays: id, agent, scopes. What was opened with the old secret is not the new one's."""
    made = await house.make(agent="a", expires=house.clock.now() + timedelta(days=1))
    before = house.keys.resolve(made.secret)
    assert before is not None
    house.clock.advance(60)
    rotated = await house.keys.rotate(OPERATOR, "acme", made.record.id)
    after = house.keys.resolve(rotated.secret)
    assert house.keys.resolve(made.secret) is None
    assert after == replace(before, generation=1)
    assert (house.keys.stands(before), house.keys.stands(after)) == (False, True)
    assert rotated.record == replace(
        made.record, rotated="2026-11-22T12:01:00.000Z", last_used="2026-11-22T12:00:00.000Z"
    )
    body = orjson.loads(house.store.drafts[-1].body)
    assert (house.store.drafts[-1].type, body["generation"]) == (EntryType.KEY_ROTATED, 1)
    assert rotated.secret.encode() not in house.store.drafts[-1].body


async def test_an_overlap_lets_both_secrets_be_good_for_a_while(house: House) -> None:
    """Time to bring the new one everywhere; after a restart too."""
    made = await house.make()
    rotated = await house.keys.rotate(OPERATOR, "acme", made.record.id, overlap_s=60)
    assert rotated.record.old_until == "2026-11-22T12:01:00.000Z"
    for keys in (house.keys, await house.restarted()):
        old, new = keys.resolve(made.secret), keys.resolve(rotated.secret)
        assert old is not None
        assert new == replace(old, generation=1)
    house.clock.advance(60)
    assert house.keys.resolve(made.secret) is None
    assert (house.keys.stands(old), house.keys.stands(new)) == (False, True)
    assert house.keys.list(OPERATOR, "acme")[0].old_until == ""


async def test_a_key_has_only_so_many_secrets_at_once(house: House) -> None:
    """Rotating without overlap ends all old ones."""
    made = await house.make()
    for _ in range(keys_module.MAX_FORMER):
        await house.keys.rotate(OPERATOR, "acme", made.record.id, overlap_s=60)
    with pytest.raises(StateConflict, match="without overlap"):
        await house.keys.rotate(OPERATOR, "acme", made.record.id, overlap_s=60)
    last = await house.keys.rotate(OPERATOR, "acme", made.record.id)
    assert house.keys.resolve(last.secret) is not None
    assert len(house.keys._proofs) == 1


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_key_that_has_ended_is_not_rotated_back_to_life(house: House, end: str) -> None:
    """It says why; a new one is to be made."""
    made = await house.make(expires=house.clock.now() + timedelta(seconds=5))
    if end == "revoked":
        await house.keys.revoke(OPERATOR, "acme", made.record.id)
    else:
        house.clock.advance(5)
    with pytest.raises(StateConflict, match=end):
        await house.keys.rotate(OPERATOR, "acme", made.record.id)


async def test_an_overlap_out_of_bounds_changes_nothing(house: House) -> None:
    """See `test_keygrants.py`."""
    made = await house.make()
    with pytest.raises(InvalidRequest):
        await house.keys.rotate(OPERATOR, "acme", made.record.id, overlap_s=-1)
    assert house.keys.resolve(made.secret) is not None


async def test_nobody_gets_a_secret_of_a_stronger_key_by_rotating_it(house: House) -> None:
    """A rotation hands a key out as much as making it does."""
    made = await house.make(role=Role.ADMIN)
    with pytest.raises(Forbidden):
        await house.keys.rotate(WEAK, "acme", made.record.id)
    with pytest.raises(Forbidden):
        await house.keys.revoke(replace(WEAK, bound=True), "acme", made.record.id)
    assert house.keys.resolve(made.secret) is not None


@pytest.mark.parametrize("act", ["revoke", "rotate"])
async def test_keys_of_another_tenant_do_not_exist(house: House, act: str) -> None:
    """The same answer as for an id that nobody has; and naming their tenant is refused."""
    made = await house.make()
    do: Callable[..., Any] = getattr(house.keys, act)
    told = set()
    for key_id in (made.record.id, "key_none"):
        with pytest.raises(NotFound) as caught:
            await do(THEIRS, "other", key_id)
        told.add(str(caught.value))
    assert len(told) == 1
    for by in (THEIRS, replace(OPERATOR, scopes=frozenset())):
        with pytest.raises(Forbidden):
            await do(by, "acme", made.record.id)
    assert house.keys.resolve(made.secret) is not None
