"""One credential, one principal; there is no fallback identity."""

import pytest

from gateway.core.principal import Principal
from gateway.services.authentication import Authentication, Unauthorized
from tests.simulate.world import LOCAL

KNOWN = Principal(tenant="t", agent="a", credential="key_1")


class Keys:
    """Knows one key; with `open` a request without any stands for the local agent."""

    def __init__(self, *, open: bool) -> None:
        self.open = open

    async def resolve(self, presented: str) -> Principal | None:
        return KNOWN if presented == "good" else None

    def keyless(self) -> Principal | None:
        return LOCAL if self.open else None


@pytest.mark.parametrize("open_", [True, False])
async def test_a_known_key_proves_its_principal(open_: bool) -> None:
    """Also in keyless mode a credential is what counts."""
    assert await Authentication(Keys(open=open_)).authenticate(("good",)) == KNOWN


@pytest.mark.parametrize("open_", [True, False])
async def test_an_unknown_key_proves_nobody_even_where_none_is_needed(open_: bool) -> None:
    """A failed check must never be replaced by an anonymous identity."""
    refused = await Authentication(Keys(open=open_)).authenticate(("bad",))
    assert isinstance(refused, Unauthorized)
    assert refused.presented


async def test_two_different_credentials_are_refused() -> None:
    """Which of them counts would be somebody's guess."""
    assert isinstance(await Authentication(Keys(open=True)).authenticate(("good", "bad")), Unauthorized)


async def test_the_same_credential_twice_is_one() -> None:
    """Clients send a key in both headers."""
    assert await Authentication(Keys(open=False)).authenticate(("good", "good")) == KNOWN


async def test_without_a_credential_only_keyless_mode_knows_anybody() -> None:
    """And it ends with the first key."""
    assert await Authentication(Keys(open=True)).authenticate(()) == LOCAL
    refused = await Authentication(Keys(open=False)).authenticate(())
    assert isinstance(refused, Unauthorized)
    assert not refused.presented
    assert "intended keys create" in refused.message
