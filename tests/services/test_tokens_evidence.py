"""The keys that sign tokens sign evidence too, stay checkable for years, and neither passes for the other."""

import json

import pytest

from gateway.core.tokens import MAX_TTL_S
from gateway.errors import SigningError
from gateway.services import tokens as module
from gateway.services.tokens import CLOCK_SKEW_S, PUBLISH_AHEAD_S
from tests.golden.tokens_by_hand import unb64
from tests.services.test_tokens import ADMIN, House


@pytest.fixture
def house() -> House:
    return House()


async def test_evidence_is_signed_by_the_key_that_signs_tokens_and_is_none(house: House) -> None:
    """One key for both, and a header that tells them apart."""
    key = await house.tokens.key_for_evidence("acme")
    jws = await house.tokens.attest(key, b"payload", type_="evidence-bundle+jws")
    head, payload, _ = jws.split(".")
    assert (json.loads(unb64(head)), payload) == ({"alg": "RS256", "kid": key.kid, "typ": "evidence-bundle+jws"}, "")
    assert key.kid == await house.kid()
    with pytest.raises(SigningError, match="no authority token"):
        await house.tokens.attest(key, b"payload", type_="authority+jwt")


async def test_evidence_stays_checkable_when_its_key_is_retired(house: House) -> None:
    """Bundles are kept for years. What a revoked key signed is worth nothing, also after a restart."""
    first = await house.kid()
    second = (await house.tokens.rotate(ADMIN, "acme")).kid
    house.clock.advance(PUBLISH_AHEAD_S + MAX_TTL_S + CLOCK_SKEW_S)
    await house.tokens.tidy()

    def checkable() -> list[str]:
        return [key["kid"] for key in house.tokens.checkable("acme")["keys"]]

    assert (house.kids(), checkable()) == ([second], [second, first])
    third = (await house.tokens.rotate(ADMIN, "acme", revoke=True)).kid
    assert checkable() == [third, first]
    tokens, _ = house.start()
    await tokens.load(["acme"])
    assert checkable() == [third, first]
    assert house.tokens.checkable("nobody") == {"keys": []}


async def test_a_signature_that_takes_too_long_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever for a bundle."""
    key = await house.tokens.key_for_evidence("acme")
    monkeypatch.setattr(module, "SIGN_S", 0)
    with pytest.raises(SigningError, match="within"):
        await house.tokens.attest(key, b"payload", type_="evidence-bundle+jws")
    tokens, _ = house.start()
    with pytest.raises(SigningError, match="within"):
        await tokens.key_for_evidence("other")
