"""The keys of all tenants: what is made is shown once, what has ended proves nobody, memory is what the store has."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.credentials import KeyFormat, digest, parse
from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope
from gateway.errors import Forbidden, InvalidRequest, StateConflict
from gateway.services import keys as keys_module
from tests.services.keyhouse import OPERATOR, THEIRS, WEAK, House


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
