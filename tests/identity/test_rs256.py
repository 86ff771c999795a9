"""RSA signing keys: sealed at rest, bound to their tenant, and used without holding up the event loop."""

import logging
import secrets
import threading
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.tokens import thumbprint
from gateway.errors import SigningError
from gateway.identity import rs256
from gateway.identity.rs256 import Rs256
from gateway.ports import SealedKey

KEY = bytes(range(32))
CLAIMS = {"sub": "billing-agent"}


@pytest.fixture(scope="module")
def made() -> SealedKey:
    """One key for the whole module: making it is the slow part."""
    return Rs256(KEY)._make("acme")[1]


async def test_a_token_verifies_under_the_published_key_and_says_what_it_is() -> None:
    """`typ` and `kid` are all that the header has beside `alg`: nothing in it leads a verifier anywhere."""
    signer = Rs256(KEY)
    key = await signer.make("acme")
    token = await signer.sign(key.kid, CLAIMS)
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "authority+jwt", "kid": key.kid}
    assert jwt.decode(token, jwt.PyJWK(key.public), algorithms=["RS256"]) == CLAIMS
    assert set(key.public) == {"kty", "use", "alg", "n", "e", "kid"}
    assert key.kid == thumbprint(key.public)


async def test_a_stored_key_signs_again_after_a_restart(made: SealedKey) -> None:
    """The same public key then verifies old tokens and new ones."""
    signer = Rs256(KEY)
    await signer.open("acme", made)
    token = await signer.sign(made.kid, CLAIMS)
    assert jwt.decode(token, jwt.PyJWK(made.public), algorithms=["RS256"]) == CLAIMS


async def test_a_stored_key_does_not_open_for_another_tenant(made: SealedKey) -> None:
    """A row moved to another tenant must not make its tokens."""
    with pytest.raises(SigningError, match="another tenant"):
        await Rs256(KEY).open("globex", made)


async def test_a_stored_key_does_not_open_under_another_sealing_key(made: SealedKey) -> None:
    """The store alone gives nobody the key."""
    with pytest.raises(SigningError, match="another key"):
        await Rs256(bytes(32)).open("acme", made)


@pytest.mark.parametrize("place", [0, 1, 13, 40, -1])
async def test_a_changed_row_does_not_open(made: SealedKey, place: int) -> None:
    """Version, nonce, text and tag are all covered."""
    sealed = bytearray(made.sealed)
    sealed[place] ^= 1
    with pytest.raises(SigningError):
        await Rs256(KEY).open("acme", replace(made, sealed=bytes(sealed)))


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + bytes(12)])
async def test_a_row_cut_short_does_not_open(made: SealedKey, sealed: bytes) -> None:
    """A crash or an editor may leave anything."""
    with pytest.raises(SigningError):
        await Rs256(KEY).open("acme", replace(made, sealed=sealed))


async def test_what_is_sealed_but_is_no_rsa_key_of_that_name_is_refused(made: SealedKey) -> None:
    """Whoever holds the sealing key can seal anything; the name still has to be the key's thumbprint."""
    signer = Rs256(KEY)
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    nonce = secrets.token_bytes(12)
    for plain in (other, b"no key at all"):
        sealed = b"\x01" + nonce + signer._cipher.encrypt(nonce, plain, rs256._bound_to("acme", made.kid))
        with pytest.raises(SigningError):
            await signer.open("acme", replace(made, sealed=sealed))


async def test_a_key_that_is_not_held_signs_nothing(made: SealedKey) -> None:
    """Also one that was held and is forgotten; forgetting twice is no error."""
    signer = Rs256(KEY)
    with pytest.raises(SigningError, match="not open"):
        await signer.sign(made.kid, CLAIMS)
    await signer.open("acme", made)
    signer.forget(made.kid)
    signer.forget(made.kid)
    with pytest.raises(SigningError, match="not open"):
        await signer.sign(made.kid, CLAIMS)


async def test_claims_that_are_no_json_are_not_signed(made: SealedKey) -> None:
    """A lone surrogate has no UTF-8; the error does not repeat it."""
    signer = Rs256(KEY)
    await signer.open("acme", made)
    with pytest.raises(SigningError, match="cannot be written"):
        await signer.sign(made.kid, {"tool": "\ud800"})


def test_a_sealing_key_of_another_length_is_refused() -> None:
    """A short key must not be stretched in silence."""
    with pytest.raises(SigningError, match="31 bytes instead of 32"):
        Rs256(bytes(31))


async def test_the_work_is_done_in_worker_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the event loop it would hold up every other call. Signatures: `test_signatures.py`."""
    threads: list[threading.Thread] = []
    generate = rs256.generate_private_key

    def watched(**how: int) -> object:
        threads.append(threading.current_thread())
        return generate(**how)

    monkeypatch.setattr(rs256, "generate_private_key", watched)
    await Rs256(KEY).make("acme")
    assert threads
    assert threading.current_thread() not in threads


async def test_no_secret_shows_in_texts_or_logs(made: SealedKey, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is printed, logged or raised names no key material and no token."""
    caplog.set_level(logging.DEBUG)
    signer = Rs256(KEY)
    await signer.open("acme", made)
    token = await signer.sign(made.kid, CLAIMS)
    with pytest.raises(SigningError) as refused:
        await signer.open("globex", made)
    texts = f"{signer!r} {made!r} {refused.value!r} {caplog.text}"
    assert refused.value.__cause__ is None
    for secret in (token, repr(made.sealed), made.sealed.hex(), KEY.hex(), repr(KEY)):
        assert secret not in texts


def test_the_seal_hides_the_private_half(made: SealedKey) -> None:
    """The plain form would hold the modulus in clear."""
    modulus = jwt.PyJWK(made.public).key.public_numbers().n
    assert modulus.to_bytes(256, "big") not in made.sealed


async def test_a_payload_that_stays_outside_is_signed_as_it_is(made: SealedKey) -> None:
    """A detached JWS (RFC 7515, appendix F); put together again any library verifies it."""
    signer = Rs256(KEY)
    await signer.open("acme", made)
    head, middle, signature = (await signer.attest(made.kid, b"{}", type_="evidence-bundle+jws")).split(".")
    assert middle == ""
    found = jwt.PyJWS().decode_complete(f"{head}.e30.{signature}", jwt.PyJWK(made.public), algorithms=["RS256"])
    assert found["payload"] == b"{}"
    assert found["header"] == {"alg": "RS256", "kid": made.kid, "typ": "evidence-bundle+jws"}


async def test_no_payload_is_signed_as_a_token_or_by_a_key_that_is_not_held(made: SealedKey) -> None:
    """Otherwise whoever has evidence made could have a token made."""
    signer = Rs256(KEY)
    with pytest.raises(SigningError, match="not open"):
        await signer.attest(made.kid, b"{}", type_="evidence-bundle+jws")
    await signer.open("acme", made)
    with pytest.raises(SigningError, match="no authority token"):
        await signer.attest(made.kid, b"{}", type_="authority+jwt")
