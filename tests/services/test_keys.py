"""The keys of all tenants: what is made is shown once, what has ended proves nobody, memory is what the store has."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.credentials import KeyFormat, digest, parse
from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope
from gateway.errors import AuditUnavailable, Forbidden, InvalidRequest, NotFound, StateConflict, StoreError
from gateway.ports import Appended, Conflict
from gateway.services import keys as keys_module
from gateway.services.keys import CreatedKey, Keys, KeyStatus, any_key
from gateway.services.operator import operator
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.world import FakeClock, FakeIds

OPERATOR = operator("acme")
THEIRS = operator("other")


class House:
    """Keys on a store that breaks when it is told to."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = FakeClock()
        self.ids = FakeIds()
        self.keys = self.open()

    def open(self, **more: Any) -> Keys:
        return Keys(audit=self.store, state=self.store, uses=self.store, clock=self.clock, ids=self.ids, **more)

    async def restarted(self) -> Keys:
        keys = self.open()
        await keys.load(await self.store.tenants())
        return keys

    async def make(self, by: Principal = OPERATOR, **fields: Any) -> CreatedKey:
        return await self.keys.create(by, **{"tenant": by.tenant, "name": "ci", **fields})


@pytest.fixture
def house() -> House:
    return House()


# --- create -----------------------------------------------------------------------------------------------------------


async def test_a_key_proves_its_principal_from_then_on(house: House) -> None:
    """By its whole text; without more it has the role `agent` and the default rate."""
    made = await house.make()
    assert house.keys.resolve(made.secret) == Principal(
        tenant="acme",
        agent=made.record.id.lower().replace("_", "-"),
        credential=made.record.id,
        scopes=ROLE_SCOPES[Role.AGENT],
        role=Role.AGENT,
        per_minute=1000,
    )
    assert made.secret.startswith("intendedops_acme_")
    assert made.secret not in repr(made)


@pytest.mark.parametrize("format_", KeyFormat)
async def test_both_formats_are_issued_and_accepted(house: House, format_: KeyFormat) -> None:
    """Contract, "Authentication"."""
    made = await house.make(format=format_)
    found = parse(made.secret)
    assert found is not None
    assert found.format is made.record.format is format_
    assert house.keys.resolve(made.secret) is not None


async def test_what_is_not_the_whole_key_proves_nobody(house: House) -> None:
    """Neither a part of it, nor another tenant's name on its secret, nor the hash that the store has."""
    made = await house.make()
    secret = made.secret.rpartition("_")[2]
    for text in (
        "",
        secret,
        made.secret[:-1],
        f"{made.secret}x",
        f"{made.secret} ",
        made.secret.swapcase(),
        f"intendedops_other_{secret}",
        f"mrt_live_{secret}",
        digest(made.secret).hex(),
        f"intendedops_acme_{digest(made.secret).hex()}",
        made.record.id,
        made.secret * 100,
        "\udcff",
    ):
        assert house.keys.resolve(text) is None


async def test_a_digest_that_is_another_s_proves_nobody(house: House) -> None:
    """The comparison is of the whole digest, whatever the map says."""
    made = await house.make()
    other = await house.make()
    proofs = house.keys._proofs
    proofs[digest(made.secret)] = proofs[digest(other.secret)]
    assert house.keys.resolve(made.secret) is None


async def test_the_entry_says_who_made_what_and_holds_no_secret(house: House) -> None:
    """Nor does the row: the store keeps only a hash (contract, "Authentication")."""
    human = replace(OPERATOR, credential="ps_1", human="usr_1")
    made = await house.make(human, name=" laptop ", role=Role.AGENT, agent="Billing Agent", plan="pro")
    [draft] = house.store.drafts
    assert (draft.tenant, draft.type) == ("acme", EntryType.KEY_CREATED)
    assert orjson.loads(draft.body) == {
        "key": made.record.id,
        "name": "laptop",
        "format": "intendedops",
        "agent": "billing-agent",
        "role": "agent",
        "scopes": sorted(ROLE_SCOPES[Role.AGENT]),
        "plan": "pro",
        "perMinute": None,
        "expires": "",
        "by": "ps_1",
        "byUser": "usr_1",
    }
    [put] = draft.puts
    assert put.value is not None
    secret = made.secret.rpartition("_")[2].encode()
    assert secret not in put.value + draft.body
    assert digest(made.secret).hex().encode() in put.value
    assert digest(made.secret).hex().encode() not in draft.body


async def test_a_bound_key_is_that_agents(house: House) -> None:
    """By its slug, however it was named; who keeps the register says which it is."""
    made = await house.make(agent="Billing Agent")
    principal = house.keys.resolve(made.secret)
    assert principal is not None
    assert (principal.agent, principal.bound, made.record.agent) == ("billing-agent", True, "billing-agent")
    asked: list[tuple[Principal, str]] = []

    async def registered(by: Principal, name: str) -> str:
        asked.append((by, name))
        return "the-one"

    keys = house.open(bind_agent=registered)
    assert (await keys.create(OPERATOR, tenant="acme", name="ci", agent="agt_1")).record.agent == "the-one"
    assert asked == [(OPERATOR, "agt_1")]


async def test_a_name_without_letters_binds_to_nobody(house: House) -> None:
    """There is no such slug."""
    with pytest.raises(InvalidRequest, match="agent: must have a letter"):
        await house.make(agent="…")
    assert house.store.drafts == []


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 1000),
        ({"plan": "free"}, 100),
        ({"plan": "pro"}, 500),
        ({"plan": "business"}, 2000),
        ({"plan": "enterprise", "per_minute": 12_345}, 12_345),
        ({"per_minute": 7}, 7),
    ],
)
async def test_the_plan_says_the_limit(house: House, fields: dict[str, Any], limit: int) -> None:
    """Contract, "Rate limits"."""
    made = await house.make(**fields)
    principal = house.keys.resolve(made.secret)
    assert principal is not None
    assert principal.per_minute == made.record.per_minute == limit


async def test_a_plan_that_is_no_longer_known_has_the_default(house: House) -> None:
    """A key must not lose its limit with its plan."""
    made = await house.make(plan="pro")
    keys = house.open(rates={"": 3})
    await keys.load(["acme"])
    principal = keys.resolve(made.secret)
    assert principal is not None
    assert principal.per_minute == 3


async def test_scopes_narrow_a_role_or_stand_for_themselves(house: House) -> None:
    """Never more than what was named."""
    narrowed = await house.make(role=Role.ADMIN, scopes=frozenset({Scope.AUDIT_READ}))
    alone = await house.make(scopes=frozenset({Scope.MCP_CALL}))
    assert (narrowed.record.role, narrowed.record.scopes) == (Role.ADMIN, {Scope.AUDIT_READ})
    assert (alone.record.role, alone.record.scopes) == (None, {Scope.MCP_CALL})


WEAK = Principal(tenant="acme", agent="keeper", credential="key_w", scopes=ROLE_SCOPES[Role.AGENT] | {Scope.KEYS_WRITE})


@pytest.mark.parametrize(
    ("by", "fields"),
    [
        (replace(WEAK, scopes=frozenset({Scope.MCP_CALL})), {}),
        (WEAK, {"tenant": "other"}),
        (OPERATOR, {"tenant": "other"}),
        (WEAK, {"role": Role.ADMIN}),
        (WEAK, {"scopes": frozenset({Scope.AUDIT_READ})}),
        (replace(WEAK, bound=True), {}),
        (replace(WEAK, bound=True), {"agent": "other"}),
    ],
    ids=["no scope", "foreign tenant", "operator elsewhere", "more role", "more scope", "unbound", "other agent"],
)
async def test_nobody_makes_a_key_beyond_themselves(house: House, by: Principal, fields: dict[str, Any]) -> None:
    """Nothing is made and nothing is written."""
    with pytest.raises(Forbidden):
        await house.make(by, **fields)
    assert (house.store.attempts, house.keys.any()) == ([], False)


async def test_who_may_not_make_the_key_registers_no_agent_for_it(house: House) -> None:
    """A refusal leaves nothing behind."""

    async def registered(by: Principal, name: str) -> str:
        raise AssertionError

    with pytest.raises(Forbidden):
        await house.open(bind_agent=registered).create(WEAK, tenant="acme", name="x", role=Role.ADMIN, agent="new")


async def test_fields_that_cannot_be_used_make_nothing(house: House) -> None:
    """See `test_keygrants.py` for each of them."""
    with pytest.raises(InvalidRequest, match="expires: must be in the future"):
        await house.make(expires=house.clock.now())
    assert (house.store.attempts, house.keys.any()) == ([], False)


async def test_a_tenant_has_no_end_of_keys(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are all in memory; others are not hindered."""
    monkeypatch.setattr(keys_module, "MAX_KEYS", 2)
    made = await house.make()
    await house.make()
    await house.keys.revoke(OPERATOR, "acme", made.record.id)
    with pytest.raises(StateConflict, match="2 keys, revoked ones included"):
        await house.make()
    await house.make(THEIRS)


# --- expire, revoke, rotate -------------------------------------------------------------------------------------------


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


# --- list and last use ------------------------------------------------------------------------------------------------


async def test_the_list_is_the_tenants_own(house: House) -> None:
    """Oldest first, with nothing of any secret."""
    first, second = await house.make(name="a"), await house.make(name="b")
    await house.make(THEIRS)
    assert house.keys.list(OPERATOR, "acme") == (first.record, second.record)
    assert "digest" not in repr(house.keys.list(OPERATOR, "acme"))
    for by in (THEIRS, replace(OPERATOR, scopes=frozenset())):
        with pytest.raises(Forbidden):
            house.keys.list(by, "acme")


async def test_the_last_use_is_shown_and_survives_a_restart(house: House) -> None:
    """Noted at most once a minute, and at the stop; a failed attempt is no use."""
    made, idle = await house.make(), await house.make()
    house.clock.advance(1)
    for _ in range(3):
        house.keys.resolve(made.secret)
        house.clock.advance(20)
    assert house.keys.list(OPERATOR, "acme")[0].last_used == "2026-11-22T12:00:41.000Z"
    assert dict(await house.store.uses()) == {made.record.id: "2026-11-22T12:00:01.000Z"}
    house.keys.resolve(made.secret)
    assert dict(await house.store.uses()) == {made.record.id: "2026-11-22T12:01:01.000Z"}
    house.clock.advance(20)
    house.keys.resolve(made.secret)
    house.keys.resolve(f"{idle.secret}x")
    house.keys.flush()
    house.store.note("key_of_nobody", "2026-11-22T12:00:00.000Z")
    keys = await house.restarted()
    assert [one.last_used for one in keys.list(OPERATOR, "acme")] == ["2026-11-22T12:01:21.000Z", ""]
    keys.flush()


# --- memory and store -------------------------------------------------------------------------------------------------


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
