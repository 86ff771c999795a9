"""A lease is used as often and as long as it says, never more often, also at once and after a restart."""

from dataclasses import replace
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from gateway.core.audit.entry import EntryType, Put
from gateway.core.decision import Effect
from gateway.core.jsonvalue import JsonObject
from gateway.core.lease_rows import lease_key, shape_key, uses_key
from gateway.core.leases import LeaseState
from gateway.errors import NotFound, StoreError
from gateway.services import leases as module
from gateway.services.lease_terms import LeaseTerms
from gateway.services.leases import Leases
from gateway.store.sealing import Sealer
from tests.services.leasing import (
    HUMAN,
    TERMS,
    active,
    all_at_once,
    call,
    draft,
    ended,
    granted,
    pending,
    ran,
    reasons,
    runs,
    used,
    world,
)
from tests.simulate.signer import SEALING_KEY
from tests.simulate.store import Moment
from tests.simulate.world import World

# --- exactly so many, exactly so long ---------------------------------------------------------------------------------


@pytest.mark.parametrize("same", [True, False], ids=["equal-calls", "different-calls"])
async def test_of_64_calls_at_once_exactly_as_many_run_as_the_lease_allows(same: bool) -> None:
    """N uses are N executions, and those that are too many ask a human instead of being denied for coming together."""
    made = world()
    lease = await granted(made, replace(TERMS, uses=10))
    said: list[JsonObject] = []

    async def one(amount: int) -> None:
        said.append(await call(made, amount))

    await all_at_once(*(partial(one, 5 if same else number) for number in range(1, 65)))
    assert (runs(made), sum(map(ran, said)), await used(made, lease)) == (11, 10, 10)
    assert [each["outcome"] for each in said if not ran(each)] == ["pending"] * 54
    assert len(await pending(made)) == (1 if same else 54)
    assert reasons(made).count("leased") == 10


async def test_below_the_limit_none_of_64_calls_at_once_is_turned_away() -> None:
    """Those who share a lease do not stand in each other's way."""
    made = world()
    lease = await granted(made, replace(TERMS, uses=100))
    await all_at_once(*(partial(call, made, 7) for _ in range(64)))
    assert (runs(made), await used(made, lease), set(reasons(made)[2:])) == (65, 64, {"leased"})


async def test_a_lease_whose_time_is_over_is_not_used() -> None:
    """Ten minutes are ten minutes, whoever looks when."""
    made = world()
    lease = await granted(made)
    made.clock.advance(599)
    assert ran(await call(made))
    made.clock.advance(1)
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 2
    assert await active(made) == []
    assert ended(made) == [("expired",)]
    view = await made.leases.show(HUMAN, lease)
    assert (view.lease.state, view.lease.ended_by, view.shape) == (LeaseState.EXPIRED, "gateway", None)
    assert await made.store.get("default", shape_key(lease)) is None, "arguments are kept while they are needed"


async def test_a_revoked_lease_is_not_used_and_its_end_is_told_once() -> None:
    """The human takes the yes back, and it is gone with the answer."""
    made = world()
    lease = await granted(made)
    view = await made.leases.revoke(HUMAN, lease, reason="enough, token=abcdef0123456789")
    assert (view.lease.state, view.lease.ended_by) == (LeaseState.REVOKED, "ps_1")
    assert "abcdef" not in view.lease.ended_reason
    assert (await call(made))["outcome"] == "pending"
    again = await made.leases.revoke(HUMAN, lease, reason="once more")
    assert again.lease == view.lease
    assert (runs(made), ended(made)) == (1, [("revoked",)])


async def test_a_revocation_that_comes_first_wins_over_a_use_at_the_same_time() -> None:
    """The use is checked in its own transaction: a decision made a moment before does not outrun the end."""
    made = world()
    lease = await granted(made)
    made.store.held = anyio.Event()
    said: list[JsonObject] = []

    async def one() -> None:
        said.append(await call(made))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(made.leases.revoke, HUMAN, lease))
            while made.store.attempts[-1].type != EntryType.LEASE_ENDED:
                await anyio.lowlevel.checkpoint()
            tasks.start_soon(one)
            while made.store.attempts[-1].reasons[0] != "leased":
                await anyio.lowlevel.checkpoint()
            made.store.held.set()
    assert said[0]["outcome"] == "pending"
    assert (runs(made), await used(made, lease)) == (1, 0)


async def test_two_ends_at_the_same_time_are_one() -> None:
    """Exactly one of two racing changes counts."""
    made = world()
    lease = await granted(made)
    made.clock.advance(600)
    await all_at_once(partial(made.leases.revoke, HUMAN, lease), made.leases.sweep, made.leases.sweep)
    assert len(ended(made)) == 1
    assert (await made.leases.show(HUMAN, lease)).lease.state.value == ended(made)[0][0]


async def test_a_second_lease_goes_on_where_the_first_is_used_up() -> None:
    """Each is counted by itself."""
    made = world()
    first = await granted(made, replace(TERMS, uses=1))
    assert ran(await call(made, 6))
    second = await granted(made, replace(TERMS, uses=1), amount=8)
    assert ran(await call(made, 7))
    assert [await used(made, first), await used(made, second)] == [1, 1]


async def test_a_lease_that_cannot_be_counted_allows_nothing() -> None:
    """A limit that cannot be read is no limit."""
    made = world()
    lease = await granted(made)
    await made.store.append(replace(draft(), puts=(Put(key=uses_key(lease), value=b"99"),)))
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


async def test_a_lease_whose_row_says_otherwise_than_the_memory_is_not_used() -> None:
    """The row is the truth; memory only finds it."""
    made = world()
    lease = (await made.leases.show(HUMAN, await granted(made))).lease
    over = lease.after(LeaseState.REVOKED, ended="", by="", reason="")
    await made.store.append(replace(draft(), puts=(Put(key=module.lease_key(lease.id), value=over.written()),)))
    assert (await call(made))["outcome"] == "pending"
    await made.store.append(replace(draft(), puts=(Put(key=module.lease_key(lease.id), value=None),)))
    assert (await call(made, 9))["outcome"] == "pending"
    assert runs(made) == 1


@pytest.mark.parametrize("moment", list(Moment))
async def test_nothing_runs_where_the_use_cannot_be_recorded(moment: Moment) -> None:
    """An ALLOW that is not durable is none."""
    made = world()
    await granted(made)
    made.store.break_append(moment, where=lambda one: one.reasons[:1] == ("leased",))
    assert (await call(made))["outcome"] != "allowed"
    assert runs(made) == 1
    assert ran(await call(made)), "a further one is not harmed"


# --- restarts and time ------------------------------------------------------------------------------------------------


def again(made: World, key: bytes = SEALING_KEY) -> Leases:
    """Return the leases of a process that starts on the same store."""
    return Leases(
        approvals=made.approvals,
        audit=made.store,
        state=made.store,
        index=made.approvals._index,
        clock=made.clock,
        ids=made.ids,
        vault=Sealer(key),
    )


async def test_a_restart_loses_no_lease_and_no_use() -> None:
    """What a human granted holds, and what was used stays used."""
    made = world()
    lease = await granted(made)
    over = await granted(made, LeaseTerms(), amount=600)
    await made.leases.revoke(HUMAN, over)
    assert ran(await call(made, 7))
    made.leases = made.desk._leases = again(made)
    await made.leases.load(["default", "other"])
    assert await active(made) == [lease]
    assert [ran(await call(made, amount)) for amount in (7, 8, 9)] == [True, True, False]
    assert (await used(made, lease), runs(made)) == (3, 5)
    assert made.entries(EntryType.CALL_DECIDED)[-1].effect == Effect.ESCALATE


@pytest.mark.parametrize("gone", [True, False])
async def test_a_lease_whose_shape_does_not_open_covers_nothing(gone: bool) -> None:
    """Another data key, or a damaged store: what cannot be read was not granted."""
    made = world()
    lease = await granted(made)
    if gone:
        await made.store.append(replace(draft(), puts=(Put(key=shape_key(lease), value=None),)))
    made.leases = made.desk._leases = again(made, SEALING_KEY if gone else b"k" * 32)
    await made.leases.load(["default"])
    assert (await made.leases.show(HUMAN, lease)).shape is None
    assert (await call(made))["outcome"] == "pending"
    assert runs(made) == 1


async def test_the_sweep_ends_what_is_over_and_goes_on_after_a_store_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody need look for a lease to end, and its end is on record."""
    monkeypatch.setattr(module, "SWEEP_S", 0)
    made = world()
    await granted(made)
    kept = await granted(made, LeaseTerms(minutes=60), amount=600)
    made.clock.advance(600)
    made.store.down = "full"
    before = len(made.store.attempts)
    async with anyio.create_task_group() as group:
        group.start_soon(made.leases.run)
        with anyio.fail_after(5):
            while len(made.store.attempts) < before + 3:
                await anyio.lowlevel.checkpoint()
            made.store.down = ""
            while not ended(made):
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert ended(made) == [("expired",)]
    assert await active(made) == [kept]


async def test_a_start_takes_no_lease_that_is_not_active() -> None:
    """A shape that was left behind, by whatever fault, brings nothing back into force."""
    made = world()
    over = await granted(made)
    await made.leases.revoke(HUMAN, over)
    left = tuple(Put(key=shape_key(one), value=b"sealed") for one in (over, "lse_of_nobody"))
    await made.store.append(replace(draft(), puts=left))
    made.leases = made.desk._leases = again(made)
    await made.leases.load(["default"])
    assert made.leases.active("default") == ()
    assert not ran(await call(made))


async def test_a_lease_that_ended_long_ago_is_shown_and_stays_ended() -> None:
    """Its rows are gone; who looks for it, or revokes it, finds it as it was."""
    made = world()
    lease = await granted(made)
    assert ran(await call(made, 7))
    await made.leases.revoke(HUMAN, lease, reason="enough")
    before = await made.leases.show(HUMAN, lease)
    made.clock.advance(40 * 86_400)
    await made.retention.round()
    assert made.store.row("default", lease_key(lease)) is None
    written = len(made.store.attempts)
    assert await made.leases.show(HUMAN, lease) == await made.leases.revoke(HUMAN, lease) == before
    assert (await made.leases.list(HUMAN, state=None, page=1, page_size=9)).items == (before,)
    assert len(made.store.attempts) == written
    with pytest.raises(NotFound):
        await made.leases.show(replace(HUMAN, tenant="other"), lease)


async def test_what_is_in_force_is_listed_while_the_index_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has to end a lease now must find it, though the index is being made anew."""
    made = world()
    leases = [await granted(made), await granted(made, LeaseTerms(), amount=700)]
    await made.leases.revoke(HUMAN, await granted(made, LeaseTerms(), amount=600))

    async def behind(*asked: object, **more: object) -> None:
        raise StoreError("the index is not up to date")

    monkeypatch.setattr(made.leases._index, "held", behind)
    assert await active(made) == leases[::-1]
    found = await made.leases.list(HUMAN, page=2, page_size=1)
    assert ([one.lease.id for one in found.items], found.total) == ([leases[0]], 2)
    with pytest.raises(StoreError):
        await made.leases.list(HUMAN, state=None, page=1, page_size=9)
