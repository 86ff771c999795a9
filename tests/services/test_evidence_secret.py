"""The evidence secret: made once, shown once, and never there in the clear."""

from dataclasses import replace

import orjson
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.principal import Principal, Scope
from gateway.errors import AuditUnavailable, Forbidden, StateConflict, StoreError, Unavailable
from gateway.services.evidence_secret import ATTEMPTS, EvidenceSecrets
from gateway.services.operator import operator
from gateway.store.sealing import Sealer
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.world import FakeClock, FakeIds

ADMIN = operator("acme")


def secrets(store: MemoryStore, *, key: bytes = b"k" * 32) -> EvidenceSecrets:
    return EvidenceSecrets(audit=store, state=store, vault=Sealer(key), clock=FakeClock(), ids=FakeIds())


def told(store: MemoryStore) -> list[tuple[str, dict]]:
    return [(one.type, orjson.loads(one.body)) for one in store.drafts]


async def test_it_is_made_when_it_is_first_wanted() -> None:
    """Nobody has to think of it before the first bundle; the chain tells that it was made."""
    store = MemoryStore()
    one = secrets(store)
    made = await one.current("acme")
    assert made.text.startswith("evsec_")
    assert (await one.current("acme")).text == made.text
    assert (await one.current("other")).text != made.text
    expected = {"id": made.id, "by": "gateway", "replaces": ""}
    assert told(store)[0] == (EntryType.EVIDENCE_SECRET_CREATED, expected)
    assert len(store.drafts) == 2


async def test_it_is_shown_once() -> None:
    """What can be shown again is found by whoever comes later."""
    store = MemoryStore()
    one = secrets(store)
    text = (await one.current("acme")).text
    shown = await one.show(ADMIN)
    assert shown.text == text
    with pytest.raises(StateConflict, match="shown before"):
        await one.show(ADMIN)
    assert told(store)[1:] == [(EntryType.EVIDENCE_SECRET_SHOWN, {"id": shown.id, "by": "cli"})]
    assert (await one.current("acme")).text == text


async def test_one_that_nobody_has_used_is_made_to_be_shown() -> None:
    """An admin may want it before the first bundle."""
    store = MemoryStore()
    assert (await secrets(store).show(ADMIN)).text
    kinds = [EntryType.EVIDENCE_SECRET_CREATED, EntryType.EVIDENCE_SECRET_SHOWN]
    assert [kind for kind, _ in told(store)] == kinds


async def test_a_rotation_puts_a_new_one_in_its_place() -> None:
    """Shown with the rotation, and then no more."""
    store = MemoryStore()
    one = secrets(store)
    first = await one.rotate(ADMIN)
    human = Principal(tenant="acme", agent="", credential="ps_1", human="usr_1", scopes=frozenset(Scope))
    second = await one.rotate(human)
    assert first.text != second.text
    assert (await one.current("acme")).text == second.text
    with pytest.raises(StateConflict):
        await one.show(ADMIN)
    replaced = {"id": second.id, "by": "ps_1", "byUser": "usr_1", "replaces": first.id}
    assert told(store)[1] == (EntryType.EVIDENCE_SECRET_CREATED, replaced)


async def test_it_never_lies_in_the_clear() -> None:
    """Neither in the store, nor in what is written of the value."""
    store = MemoryStore()
    made = await secrets(store).rotate(ADMIN)
    row = store.row("acme", "evidence-secret")
    assert row is not None
    assert made.text.encode() not in row.value
    assert made.text not in repr(made) + repr(store.drafts)


async def test_who_may_not_make_keys_gets_no_secret() -> None:
    """With it bundles can be made up."""
    store = MemoryStore()
    reader = Principal(tenant="acme", agent="", credential="key_1", scopes=frozenset({Scope.AUDIT_READ}))
    for act in (secrets(store).show, secrets(store).rotate):
        with pytest.raises(Forbidden):
            await act(reader)
    assert not store.drafts


async def test_one_that_does_not_open_is_not_made_anew_by_itself() -> None:
    """A wrong data key must show; a rotation, on a human's word, goes on."""
    store = MemoryStore()
    await secrets(store).current("acme")
    other = secrets(store, key=b"o" * 32)
    with pytest.raises(Unavailable, match="does not open"):
        await other.current("acme")
    assert len(store.drafts) == 1
    rotated = await other.rotate(ADMIN)
    assert (await other.current("acme")).text == rotated.text


@pytest.mark.parametrize("damaged", [b"{", b"[]", b'{"id": "evs_1"}'])
async def test_a_row_that_was_changed_is_an_error(damaged: bytes) -> None:
    """And not an empty secret."""
    store = MemoryStore()
    await secrets(store).current("acme")
    place = ("acme", "evidence-secret")
    row = store._rows[place]
    store._rows[place] = type(row)(key=row.key, version=row.version, value=damaged)
    with pytest.raises(StoreError, match="was changed"):
        await secrets(store).current("acme")


async def test_what_is_not_durable_does_not_hold() -> None:
    """Nothing is authenticated with a secret that a crash forgets."""
    store = MemoryStore()
    store.break_append(Moment.BEFORE)
    with pytest.raises(AuditUnavailable):
        await secrets(store).current("acme")
    assert store.row("acme", "evidence-secret") is None


class Overtaken(MemoryStore):
    """Shows the row as it was before another one changed it, `blind` times."""

    blind = 0
    now: object = None

    async def get(self, tenant: str, key: str):
        if self.blind:
            self.blind -= 1
            return self.now
        return await super().get(tenant, key)


async def test_of_two_that_make_the_first_one_stands() -> None:
    """Both bundles are under one secret; one that is overtaken for ever gives up."""
    store = Overtaken()
    first = await secrets(store).current("acme")
    store.blind = 1
    assert (await secrets(store).current("acme")).id == first.id
    store.blind = ATTEMPTS
    with pytest.raises(StateConflict, match="repeat"):
        await secrets(store).current("acme")


async def test_a_change_meanwhile_is_a_conflict() -> None:
    """Nobody is shown a secret that is not in force."""
    store = Overtaken()
    one = secrets(store)
    await one.current("acme")
    store.now = await store.get("acme", "evidence-secret")
    await one.rotate(ADMIN)
    store.blind = 1
    with pytest.raises(StateConflict, match="repeat"):
        await one.rotate(ADMIN)
    store.blind = 1
    with pytest.raises(StateConflict, match="repeat"):
        await one.show(ADMIN)
    store.blind = 2
    with pytest.raises(StateConflict, match="repeat"):
        await one.show(ADMIN)


async def test_no_agent_gets_the_secret_whatever_its_role() -> None:
    """With it an agent would make evidence of its own acts, and keep the humans from having it: it is shown once."""
    store = MemoryStore()
    one = secrets(store)
    await one.current("acme")
    agent = replace(ADMIN, agent="me", credential="key_1", bound=True)
    for act in (one.show, one.rotate):
        with pytest.raises(Forbidden, match="bound to an agent"):
            await act(agent)
    assert len(store.drafts) == 1
    assert (await one.show(ADMIN)).text
