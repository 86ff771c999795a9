"""Thresholds are a tenant's own, changed by its administrators, and in force only once that is on record."""

from dataclasses import replace

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Thresholds as Caps
from gateway.core.principal import Principal, Role, TrustTier
from gateway.errors import AuditUnavailable, Forbidden, InvalidRequest, StateConflict
from gateway.services.thresholds import Thresholds
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.world import FakeClock, FakeIds

CONFIGURED = {tier: Caps(allow_below=20 + 10 * tier, deny_from=101) for tier in TrustTier}
STRICT = {tier: Caps(allow_below=10 * tier, deny_from=60 + 10 * tier) for tier in TrustTier}
ADMIN = Principal(tenant="t", agent="cli", credential="cli", role=Role.ADMIN)


def service(store: MemoryStore) -> Thresholds:
    return Thresholds(audit=store, state=store, clock=FakeClock(), ids=FakeIds(), configured=CONFIGURED)


async def test_a_tenant_has_the_configured_thresholds_until_it_changes_them() -> None:
    """One tenant's change is nobody else's; it survives a restart, and the entry holds old and new."""
    store = MemoryStore()
    thresholds = service(store)
    assert (thresholds.get("t").version, thresholds.get("t").tiers) == (0, CONFIGURED)
    changed = await thresholds.put(ADMIN, "t", STRICT, 0)
    assert (changed.version, changed.tiers) == (1, STRICT)
    assert thresholds.caps("t", TrustTier.T2) == STRICT[TrustTier.T2]
    assert thresholds.caps("other", TrustTier.T2) == CONFIGURED[TrustTier.T2]
    (draft,) = store.drafts
    body = orjson.loads(draft.body)
    assert (draft.type, draft.tenant) == (EntryType.THRESHOLDS_CHANGED, "t")
    assert (body["old"]["version"], body["new"]["version"], body["by"]) == (0, 1, "cli")
    assert body["new"]["tiers"]["T1"] == {"allowBelow": 10, "denyFrom": 70}
    again = service(store)
    await again.load(["t", "other"])
    assert (again.get("t"), again.get("other").version) == (changed, 0)


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.AGENT, Role.OPERATOR])
async def test_only_admin_and_policy_admin_change_thresholds(role: Role | None) -> None:
    """The reference asks for these roles; nothing is written for any other."""
    store = MemoryStore()
    with pytest.raises(Forbidden):
        await service(store).put(replace(ADMIN, role=role), "t", STRICT, 0)
    assert store.attempts == []
    assert (await service(store).put(replace(ADMIN, role=Role.POLICY_ADMIN), "t", STRICT, 0)).version == 1


async def test_no_agent_changes_what_its_tier_may_do() -> None:
    """Whatever the role of its key: a tier that the agent itself can widen is no limit."""
    store = MemoryStore()
    with pytest.raises(Forbidden):
        await service(store).put(replace(ADMIN, agent="bot", bound=True), "t", STRICT, 0)
    assert store.attempts == []


async def test_nobody_changes_another_tenants_thresholds() -> None:
    """An admin is one of its own tenant."""
    store = MemoryStore()
    with pytest.raises(Forbidden):
        await service(store).put(ADMIN, "other", STRICT, 0)
    assert store.attempts == []


@pytest.mark.parametrize(
    ("tiers", "fields"),
    [
        ({}, ["tiers.T0", "tiers.T1", "tiers.T2", "tiers.T3", "tiers.T4"]),
        (STRICT | {TrustTier.T0: Caps(allow_below=-1, deny_from=60)}, ["tiers.T0.allowBelow"]),
        (STRICT | {TrustTier.T4: Caps(allow_below=50, deny_from=102)}, ["tiers.T4.denyFrom"]),
        (STRICT | {TrustTier.T4: Caps(allow_below=101, deny_from=100)}, ["tiers.T4.allowBelow"]),
        (STRICT | {TrustTier.T4: Caps(allow_below=29, deny_from=100)}, ["tiers.T4.allowBelow"]),
        (STRICT | {TrustTier.T1: Caps(allow_below=10, deny_from=59)}, ["tiers.T1.denyFrom"]),
    ],
)
async def test_a_table_that_contradicts_itself_is_refused_with_every_reason(
    tiers: dict[TrustTier, Caps], fields: list[str]
) -> None:
    """More trust never means less right, and what is denied cannot be allowed."""
    store = MemoryStore()
    with pytest.raises(InvalidRequest) as caught:
        await service(store).put(ADMIN, "t", tiers, 0)
    assert [".".join(map(str, one.path)) for one in caught.value.problems] == fields
    assert store.attempts == []


async def test_a_change_needs_the_version_that_it_was_made_from() -> None:
    """Two administrators must not overwrite each other unseen."""
    store = MemoryStore()
    thresholds = service(store)
    await thresholds.put(ADMIN, "t", STRICT, 0)
    with pytest.raises(StateConflict) as caught:
        await thresholds.put(ADMIN, "t", CONFIGURED, 0)
    assert caught.value.field == "version"
    assert (await thresholds.put(ADMIN, "t", CONFIGURED, 1)).version == 2


async def test_of_two_changes_at_once_one_is_made() -> None:
    """Also where the other one came from elsewhere: the row decides."""
    store = MemoryStore()
    first, second = service(store), service(store)
    outcomes: list[object] = []

    async def change(thresholds: Thresholds) -> None:
        try:
            outcomes.append((await thresholds.put(ADMIN, "t", STRICT, 0)).version)
        except StateConflict as error:
            outcomes.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(change, first)
        group.start_soon(change, second)
    assert [one for one in outcomes if one == 1] == [1]
    assert len(store.drafts) == 1


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_change_that_is_not_on_record_is_not_in_force(moment: Moment) -> None:
    """Durable first; one that became durable after all is in force once anybody looks."""
    store = MemoryStore()
    thresholds = service(store)
    store.break_append(moment)
    with pytest.raises(AuditUnavailable):
        await thresholds.put(ADMIN, "t", STRICT, 0)
    assert thresholds.get("t").version == 0
    if moment is Moment.AFTER:
        with pytest.raises(StateConflict):
            await thresholds.put(ADMIN, "t", CONFIGURED, 0)
        assert thresholds.get("t").tiers == STRICT
