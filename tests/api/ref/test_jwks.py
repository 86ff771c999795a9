"""The public keys of the authority tokens."""

import pytest

from tests.api.house import opened


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/.well-known/jwks/acme.json", "/.well-known/jwks/x.json"])
async def test_a_key_set_needs_no_credential(path: str) -> None:
    """Verifiers have none; who has no keys and who does not exist look the same."""
    answer = await (await opened()).get(path, key="")
    assert (answer.status_code, answer.json()) == (200, {"keys": []})
    assert answer.headers["cache-control"] == "public, max-age=300"


async def test_a_tenant_s_set_holds_its_own_keys_only() -> None:
    """And nothing of the private half."""
    house = await opened()
    made = (await house.post("/authority/keys/rotate")).json()
    [key] = (await house.get("/.well-known/jwks/acme.json", key="")).json()["keys"]
    assert (key["kid"], key["kty"]) == (made["kid"], "RSA")
    assert not {"d", "p", "q"} & set(key)
    assert (await house.get("/.well-known/jwks/other.json", key="")).json() == {"keys": []}
