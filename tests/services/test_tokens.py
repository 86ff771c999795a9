"""The life of signing keys: made on first need, published before they sign, destroyed when their time is over."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.core.principal import Principal
from gateway.core.tokens import MAX_TTL_S, Grant
from gateway.errors import SigningError, StateConflict, StoreError, Unavailable
from gateway.ports import Appended
from gateway.services import tokens as module
from gateway.services.tokens import CLOCK_SKEW_S, JWKS_MAX_AGE_S, PUBLISH_AHEAD_S, Tokens
from tests.golden.tokens_by_hand import unb64, verify
from tests.simulate.signer import QuickSigner
from tests.simulate.store import MemoryStore, Moment
from tests.simulate.world import FakeClock, FakeIds

ADMIN = Principal(tenant="acme", agent="ops", credential="key_1")


def grant(tenant: str = "acme", ttl_s: int = 120) -> Grant:
    return Grant(
        tenant=tenant,
        agent="billing-agent",
        intent_id="int_1",
        intent_type="refund",
        args_digest="0" * 64,
        policy_digest="f" * 64,
        audience="payments",
        ttl_s=ttl_s,
        upstream="payments",
        tool="refund",
    )


class House:
    """A token service on a store that outlives it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = FakeClock()
        self.ids = FakeIds()
        self.tokens, self.signer = self.start()

    def start(self, signer: QuickSigner | None = None) -> tuple[Tokens, QuickSigner]:
        """Start anew on the same store."""
        signer = signer or QuickSigner(first=self.signer.made if hasattr(self, "signer") else 0)
        self.tokens = Tokens(
            signer=signer, audit=self.store, state=self.store, clock=self.clock, ids=self.ids, issuer="intended-gateway"
        )
        self.signer = signer
        return self.tokens, signer

    def kids(self, tenant: str = "acme") -> list[str]:
        return [key["kid"] for key in self.tokens.jwks(tenant)["keys"]]

    async def kid(self) -> str:
        """Return which key signs now."""
        header = json.loads(unb64((await self.tokens.issue(grant())).split(".")[0]))
        return str(header["kid"])

    def told(self, kind: EntryType) -> list[dict]:
        return [orjson.loads(draft.body) for draft in self.store.drafts if draft.type is kind]


@pytest.fixture
def house() -> House:
    return House()


async def test_the_first_token_makes_the_tenant_s_key_on_record(house: House) -> None:
    """No tenant has a key before it needs one; the token verifies by what the JWKS shows."""
    token = await house.tokens.issue(grant())
    [jwk] = house.tokens.jwks("acme")["keys"]
    header, claims = verify(token, int.from_bytes(unb64(jwk["n"]), "big"))
    assert header == {"alg": "RS256", "typ": "authority+jwt", "kid": jwk["kid"]}
    now = int(house.clock.now().timestamp())
    assert (claims["iss"], claims["tenant"], claims["iat"], claims["exp"]) == (
        "intended-gateway",
        "acme",
        now,
        now + 120,
    )
    assert house.told(EntryType.SIGNING_KEY_CREATED) == [
        {"kid": jwk["kid"], "by": "gateway", "signsFrom": now, "replaces": []}
    ]


async def test_each_token_has_an_id_of_its_own(house: House) -> None:
    """Single use counts ids."""
    issued = [json.loads(unb64((await house.tokens.issue(grant())).split(".")[1])) for _ in range(3)]
    assert len({claims["jti"] for claims in issued}) == 3


async def test_tenants_have_keys_of_their_own(house: House) -> None:
    """A key of one says nothing about the other."""
    await house.tokens.ensure("acme")
    await house.tokens.ensure("globex")
    assert len(set(house.kids("acme")) | set(house.kids("globex"))) == 2
    assert house.tokens.ready() == ""


async def test_a_tenant_without_keys_looks_like_one_that_does_not_exist(house: House) -> None:
    """The JWKS needs no key, so that it must tell nothing; and it makes nothing."""
    assert house.tokens.jwks("nobody") == {"keys": []}
    assert house.store.drafts == []


async def test_many_first_calls_make_one_key(house: House) -> None:
    """Whoever comes second waits for the first."""
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(house.tokens.issue, grant())
    assert len(house.told(EntryType.SIGNING_KEY_CREATED)) == 1


async def test_keys_outlive_a_restart(house: House) -> None:
    """Tokens of before verify by the JWKS of after."""
    before = await house.kid()
    tokens, _ = house.start()
    await tokens.load(["acme", "globex"])
    assert (house.kids(), await house.kid()) == ([before], before)
    assert len(house.told(EntryType.SIGNING_KEY_CREATED)) == 1


async def test_a_tenant_that_was_not_loaded_is_read_on_first_need(house: House) -> None:
    """A second key beside the stored one would be made otherwise."""
    before = await house.kid()
    house.start()
    assert await house.kid() == before


async def test_no_private_key_is_stored_in_clear_or_put_into_an_entry(house: House) -> None:
    """Entries are shown and exported; rows are on disk."""
    await house.tokens.ensure("acme")
    [draft] = house.store.drafts
    [put] = draft.puts
    assert put.value is not None
    private = house.signer._keys[house.kids()[0]].private_numbers()
    for number in (private.p, private.q, private.d):
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        assert raw not in put.value
        assert raw not in draft.body
    assert b"sealed" not in draft.body
    assert "sealed" not in repr(house.tokens._keys["acme"])


# --- rotation ---------------------------------------------------------------------------------------------------------


async def test_a_successor_is_published_before_it_signs(house: House) -> None:
    """A verifier that keeps the JWKS as long as it may knows the key when its first token comes."""
    first = await house.kid()
    second = (await house.tokens.rotate(ADMIN, "acme")).kid
    assert PUBLISH_AHEAD_S >= JWKS_MAX_AGE_S + CLOCK_SKEW_S
    assert (house.kids(), await house.kid()) == ([first, second], first)
    house.clock.advance(PUBLISH_AHEAD_S - 1)
    assert await house.kid() == first
    house.clock.advance(1)
    assert (await house.kid(), house.kids()) == (second, [second, first])
    assert house.told(EntryType.SIGNING_KEY_CREATED)[1]["by"] == "key_1"
    assert house.told(EntryType.SIGNING_KEY_CREATED)[1]["replaces"] == [first]


def test_the_page_names_the_waits_that_are_in_force() -> None:
    """Operators plan a rotation by docs/tokens.md."""
    page = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text()
    assert f"after {PUBLISH_AHEAD_S} s | it signs" in page
    assert f"after another {MAX_TTL_S + CLOCK_SKEW_S} s | the old public key leaves" in page
    assert f"max-age={JWKS_MAX_AGE_S}" in page


async def test_an_old_key_stays_published_until_its_last_token_has_expired(house: House) -> None:
    """The longest token that it could have signed, and then some for a slow clock."""
    first = await house.kid()
    second = (await house.tokens.rotate(ADMIN, "acme")).kid
    house.clock.advance(PUBLISH_AHEAD_S + MAX_TTL_S + CLOCK_SKEW_S - 1)
    assert house.kids() == [second, first]
    house.clock.advance(1)
    assert house.kids() == [second]


async def test_a_retired_key_is_destroyed_in_memory_and_store(house: House) -> None:
    """What does not exist cannot be stolen; the public half stays for whoever looks into an old token."""
    first = await house.kid()
    await house.tokens.rotate(ADMIN, "acme")
    await house.tokens.tidy()
    assert house.signer.holds(first), "it still signs"
    house.clock.advance(PUBLISH_AHEAD_S)
    await house.tokens.tidy()
    await house.tokens.tidy()
    assert not house.signer.holds(first)
    row = await house.store.get("acme", f"signing:{first}")
    assert row is not None
    kept = orjson.loads(row.value)
    assert (kept["sealed"], kept["kid"], kept["public"]["kid"]) == ("", first, first)
    [retired] = house.told(EntryType.SIGNING_KEY_RETIRED)
    assert (retired["kid"], retired["reason"]) == (first, "succeeded")


async def test_retirement_outlives_a_restart(house: House) -> None:
    """The old key comes back neither as a signer nor into the JWKS."""
    await house.kid()
    second = (await house.tokens.rotate(ADMIN, "acme")).kid
    house.clock.advance(PUBLISH_AHEAD_S)
    await house.tokens.tidy()
    house.clock.advance(MAX_TTL_S + CLOCK_SKEW_S)
    tokens, _ = house.start()
    await tokens.load(["acme"])
    assert (house.kids(), await house.kid()) == ([second], second)


async def test_a_second_rotation_waits_for_the_first(house: House) -> None:
    """Each would otherwise add a key, and none would ever sign."""
    await house.kid()
    await house.tokens.rotate(ADMIN, "acme")
    with pytest.raises(StateConflict, match="published already"):
        await house.tokens.rotate(ADMIN, "acme")
    house.clock.advance(PUBLISH_AHEAD_S)
    await house.tokens.rotate(ADMIN, "acme")


async def test_a_revoked_key_is_worthless_at_once(house: House) -> None:
    """It may be in foreign hands: out of the JWKS, out of memory, and the new one signs now."""
    first = await house.kid()
    pending = (await house.tokens.rotate(ADMIN, "acme")).kid
    fresh = (await house.tokens.rotate(ADMIN, "acme", revoke=True)).kid
    assert (house.kids(), await house.kid()) == ([fresh], fresh)
    assert not house.signer.holds(first)
    assert not house.signer.holds(pending)
    assert [told["reason"] for told in house.told(EntryType.SIGNING_KEY_RETIRED)] == ["revoked", "revoked"]


async def test_a_key_that_ended_long_ago_does_not_end_again(house: House) -> None:
    """Its row stays for good, and a revocation must not take longer, and tell more, with every one before it."""
    await house.kid()
    for _ in range(3):
        await house.tokens.rotate(ADMIN, "acme", revoke=True)
    assert len(house.told(EntryType.SIGNING_KEY_RETIRED)) == 3


async def test_a_retired_key_that_is_still_published_is_revoked_too(house: House) -> None:
    """Its private half is gone here, and may be in foreign hands all the same."""
    await house.kid()
    await house.tokens.rotate(ADMIN, "acme")
    house.clock.advance(PUBLISH_AHEAD_S + 1)
    await house.tokens.tidy()
    assert len(house.kids()) == 2
    fresh = (await house.tokens.rotate(ADMIN, "acme", revoke=True)).kid
    assert house.kids() == [fresh]


async def test_the_first_rotation_of_a_tenant_without_keys_signs_at_once(house: House) -> None:
    """Nobody can hold a JWKS in which the key ought to be."""
    made = await house.tokens.rotate(ADMIN, "acme")
    assert await house.kid() == made.kid


async def test_a_clock_that_was_set_back_still_finds_a_key(house: House) -> None:
    """The oldest one that may sign: no call fails for it."""
    first = await house.kid()
    await house.tokens.rotate(ADMIN, "acme")
    house.clock.advance(-3600)
    assert await house.kid() == first


async def test_no_key_signs_what_would_outlive_its_publication(house: House) -> None:
    """A successor that does not open does not make the old key sign on for ever."""
    await house.kid()
    await house.tokens.rotate(ADMIN, "acme")
    [second] = [key for key in house.tokens._keys["acme"].values() if not key.published_until]
    house.clock.advance(PUBLISH_AHEAD_S + CLOCK_SKEW_S + 1)
    del house.tokens._keys["acme"][second.kid]
    with pytest.raises(SigningError, match="do not open"):
        await house.tokens.issue(grant())


async def test_the_background_task_tidies_again_and_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A private key does not outlive its use by more than a minute."""
    monkeypatch.setattr(module, "TIDY_S", 0)
    first = await house.kid()
    await house.tokens.rotate(ADMIN, "acme")
    house.clock.advance(PUBLISH_AHEAD_S)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(house.tokens.run)
            while house.signer.holds(first):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()


# --- what fails -------------------------------------------------------------------------------------------------------


async def test_keys_under_another_sealing_key_sign_nothing_and_are_told(house: House) -> None:
    """No silent second key: an operator gave the wrong `tokens.key`, and tokens of the right one must stay good."""
    first = await house.kid()
    tokens, _ = house.start(QuickSigner(bytes(32), first=5))
    await tokens.load(["acme"])
    assert "`tokens.key`" in tokens.ready()
    with pytest.raises(SigningError, match="do not open"):
        await tokens.issue(grant())
    with pytest.raises(Unavailable):
        await tokens.ensure("acme")
    assert house.kids() == [first], "tokens that it signed are good until they expire"


async def test_rotation_replaces_keys_that_do_not_open_at_once(house: House) -> None:
    """The way out after the sealing key was lost."""
    first = await house.kid()
    tokens, _ = house.start(QuickSigner(bytes(32), first=5))
    await tokens.load(["acme"])
    made = await tokens.rotate(ADMIN, "acme")
    assert (await house.kid(), house.kids()) == (made.kid, [made.kid, first])
    assert tokens.ready() == ""


async def test_a_successor_that_does_not_open_does_not_block_the_next(house: House) -> None:
    """It will never sign."""
    await house.kid()
    await house.tokens.rotate(ADMIN, "acme")
    tokens, _ = house.start(QuickSigner(bytes(32), first=5))
    await tokens.load(["acme"])
    made = await tokens.rotate(ADMIN, "acme")
    assert await house.kid() == made.kid


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_key_that_cannot_be_recorded_signs_nothing(house: House, moment: Moment) -> None:
    """No key without an entry; where it is there after all, it is found and used."""
    house.store.break_append(moment)
    with pytest.raises(SigningError, match="recorded"):
        await house.tokens.issue(grant())
    assert house.signer._keys == {}
    assert await house.kid() in house.kids()
    assert len(house.told(EntryType.SIGNING_KEY_CREATED)) == 1


@pytest.mark.parametrize("moment", list(Moment))
async def test_a_rotation_that_cannot_be_recorded_changes_nothing(house: House, moment: Moment) -> None:
    """The old key signs on; a further try goes by what the store really holds."""
    first = await house.kid()
    house.store.break_append(moment)
    with pytest.raises(Unavailable):
        await house.tokens.rotate(ADMIN, "acme")
    assert (house.kids(), await house.kid()) == ([first], first)
    if moment is Moment.BEFORE:
        await house.tokens.rotate(ADMIN, "acme")
    else:
        with pytest.raises(StateConflict):
            await house.tokens.rotate(ADMIN, "acme")
    assert len(house.kids()) == 2


async def test_a_retirement_that_cannot_be_recorded_is_tried_again(house: House) -> None:
    """Store first: a key that is gone from memory only would be back after a restart."""
    first = await house.kid()
    await house.tokens.rotate(ADMIN, "acme")
    house.clock.advance(PUBLISH_AHEAD_S)
    house.store.break_append()
    await house.tokens.tidy()
    assert house.signer.holds(first)
    await house.tokens.tidy()
    assert not house.signer.holds(first)


async def test_a_key_that_cannot_be_made_is_unavailable(house: House) -> None:
    """Nothing stands in for a token."""
    house.signer.broken = "no randomness"
    with pytest.raises(SigningError, match="no randomness"):
        await house.tokens.issue(grant())
    with pytest.raises(Unavailable, match="no randomness"):
        await house.tokens.ensure("acme")
    with pytest.raises(Unavailable):
        await house.tokens.rotate(ADMIN, "acme")
    assert house.store.drafts == []


async def test_a_store_that_cannot_be_read_gives_no_token(house: House) -> None:
    """Whether there is a key is then not known."""
    house.store.unreadable = "gone"
    with pytest.raises(SigningError, match="read"):
        await house.tokens.issue(grant())
    with pytest.raises(Unavailable):
        await house.tokens.rotate(ADMIN, "acme")


async def test_a_row_that_another_process_changed_stops_the_change(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock on the store forbids it; if it happens nevertheless, nothing is overwritten."""
    await house.kid()
    append = house.store.append

    async def meddled(draft: EntryDraft) -> object:
        monkeypatch.setattr(house.store, "append", append)
        puts = tuple(Put(key=expect.key, value=b"{}") for expect in draft.expects)
        meddling = EntryDraft(tenant="acme", id="evt_x", type=EntryType.TOOL_PINNED, time=draft.time, puts=puts)
        assert isinstance(await append(meddling), Appended)
        return await append(draft)

    monkeypatch.setattr(house.store, "append", meddled)
    with pytest.raises(Unavailable):
        await house.tokens.rotate(ADMIN, "acme")


@pytest.mark.parametrize(
    "change",
    [
        lambda row: {**row, "kid": "another"},
        lambda row: {**row, "public": {**row["public"], "e": "AQAC"}},
        lambda row: {**row, "public": {}},
        lambda row: {**row, "signsFrom": None},
        lambda row: [],
    ],
)
async def test_a_row_that_was_changed_is_no_key(house: House, change: Callable[[dict], object]) -> None:
    """A public key of somebody else's must not get into the JWKS by way of the store."""
    kid = await house.kid()
    row = await house.store.get("acme", f"signing:{kid}")
    assert row is not None
    put = Put(key=row.key, value=orjson.dumps(change(orjson.loads(row.value))))
    await house.store.append(
        EntryDraft(tenant="acme", id="evt_x", type=EntryType.TOOL_PINNED, time="2026-11-22T12:00:00.000Z", puts=(put,))
    )
    tokens, _ = house.start()
    with pytest.raises(StoreError, match="was changed"):
        await tokens.load(["acme"])


async def test_a_token_that_takes_too_long_is_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call does not wait for ever for its token."""
    monkeypatch.setattr(module, "SIGN_S", 0.01)

    async def hang(kid: str, claims: dict) -> str:
        await anyio.sleep_forever()
        return ""

    monkeypatch.setattr(house.signer, "sign", hang)
    with anyio.fail_after(5), pytest.raises(SigningError, match="within"):
        await house.tokens.issue(grant())


async def test_what_was_begun_is_signed_by_the_key_of_that_time(house: House) -> None:
    """Signing goes on while the decision is made durable; who was not asked to make a key makes none."""
    with pytest.raises(SigningError, match="no key that signs"):
        house.tokens.begin(grant())
    assert house.store.drafts == []
    await house.tokens.ensure("acme")
    token = await house.tokens.finish(house.tokens.begin(grant()))
    (key,) = house.tokens.jwks("acme")["keys"]
    head, claims = verify(token, int.from_bytes(unb64(key["n"]), "big"))
    assert (head["kid"], claims["sub"]) == (key["kid"], "billing-agent")


async def test_what_was_begun_and_takes_too_long_is_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a token gets an answer in time."""
    monkeypatch.setattr(module, "SIGN_S", 0.01)
    with pytest.raises(SigningError, match="within"):
        await house.tokens.finish(anyio.sleep_forever())  # type: ignore[arg-type]


async def test_a_caller_that_leaves_cannot_leave_memory_behind_the_store(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is made whole, whoever still waits for it."""
    await house.kid()
    append, asked, held = house.store.append, anyio.Event(), anyio.Event()

    async def late(*given: Any) -> Any:
        asked.set()
        await held.wait()
        return await append(*given)

    monkeypatch.setattr(house.store, "append", late)
    async with anyio.create_task_group() as group:
        group.start_soon(house.tokens.rotate, ADMIN, "acme")
        with anyio.fail_after(5):
            await asked.wait()  # a thread makes the key before that
        group.cancel_scope.cancel()
        held.set()
    assert len(house.kids()) == 2
