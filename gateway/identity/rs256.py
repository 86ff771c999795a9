"""RSA signing keys: made, sealed, opened and used in worker threads. Implements `ports.TokenSigner`.

Owns the private keys. They are in memory as loaded key objects (loading one for each signature would cost 100 times the
signature), and at rest only sealed: AES-256-GCM under a key derived from the gateway's own (HKDF-SHA256), bound to
tenant and `kid`, so that a row moved to another tenant does not open. Which key signs when is `services/tokens.py`.

Signing takes a quarter of a millisecond and lets go of the interpreter's lock meanwhile; on the event loop it would
hold up every other call. `signatures.py` has the threads for it. The compact JWS (RFC 7515) is put together here, since
what a library does around the signature would run on the event loop, or cost the way to a thread.
"""

import base64
import secrets
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, TypeVar

import anyio.to_thread
import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from gateway.core.jsonvalue import JsonObject
from gateway.core.tokens import ALGORITHM, MIN_KEY_BITS, TOKEN_TYPE, thumbprint
from gateway.errors import SigningError
from gateway.identity.signatures import Signatures
from gateway.ports import SealedKey

__all__ = ["SEALING_KEY_BYTES", "Rs256"]

SEALING_KEY_BYTES: Final = 32

_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
"""Drawn at random: a tenant has a handful of keys, not the 2^32 after which that would have to end."""
_INFO: Final = b"so.intended/signing-key/v1"
_EXPONENT: Final = 65537

_T = TypeVar("_T")


class Rs256:
    """`key` is what private keys are sealed under; `threads` bounds the signatures made at once; 0: `Signatures` knows.

    Raises SigningError where the key is not 32 bytes.
    """

    def __init__(self, key: bytes, *, bits: int = MIN_KEY_BITS, threads: int = 0) -> None:
        if len(key) != SEALING_KEY_BYTES:
            msg = f"the key that seals signing keys has {len(key)} bytes instead of {SEALING_KEY_BYTES}"
            raise SigningError(msg)
        self._cipher = AESGCM(HKDF(algorithm=SHA256(), length=SEALING_KEY_BYTES, salt=None, info=_INFO).derive(key))
        self._bits = max(bits, MIN_KEY_BITS)
        self._signatures = Signatures(threads)
        self._keys: dict[str, RSAPrivateKey] = {}

    async def make(self, tenant: str) -> SealedKey:
        """Make a key for a tenant; some 50 ms, now and then several times that."""
        private, made = await self._in_thread(lambda: self._make(tenant))
        self._keys[made.kid] = private
        return made

    async def open(self, tenant: str, key: SealedKey) -> None:
        """Hold a stored key. Raises SigningError where it was sealed under another key, or is another tenant's."""
        self._keys[key.kid] = await self._in_thread(lambda: self._open(tenant, key))

    def sign(self, kid: str, claims: JsonObject) -> Awaitable[str]:
        """Begin to sign the claims. Raises SigningError: the key is not held, or a claim is no JSON."""
        private = self._keys.get(kid)
        if private is None:
            raise SigningError("the signing key is not open")
        head = orjson.dumps({"alg": ALGORITHM, "kid": kid, "typ": TOKEN_TYPE})
        try:
            message = b".".join((_encoded(head), _encoded(orjson.dumps(claims))))
        except TypeError:  # orjson's own errors are TypeErrors; their text may hold a value
            raise SigningError("a claim cannot be written as JSON") from None
        return _Compact(message, self._signatures.sign(private, message))

    def attest(self, kid: str, payload: bytes, *, type_: str) -> Awaitable[str]:
        """Begin to sign a payload that stays outside. Raises SigningError: the key is not held, or the type is taken.

        One key signs both, so that an authority token and anything else must never have one header.
        """
        private = self._keys.get(kid)
        if private is None:
            raise SigningError("the signing key is not open")
        if type_ == TOKEN_TYPE:
            raise SigningError("a payload that stays outside is no authority token")
        head = _encoded(orjson.dumps({"alg": ALGORITHM, "kid": kid, "typ": type_}))
        message = b".".join((head, _encoded(payload)))
        return _Compact(head + b".", self._signatures.sign(private, message))

    def forget(self, kid: str) -> None:
        """Drop a private key."""
        self._keys.pop(kid, None)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await anyio.to_thread.run_sync(work)

    # --- in a worker thread -------------------------------------------------------------------------------------------

    def _make(self, tenant: str) -> tuple[RSAPrivateKey, SealedKey]:
        private = generate_private_key(public_exponent=_EXPONENT, key_size=self._bits)
        public = _jwk(private.public_key())
        plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _VERSION + nonce + self._cipher.encrypt(nonce, plain, _bound_to(tenant, public["kid"]))
        return private, SealedKey(kid=public["kid"], public=public, sealed=sealed)

    def _open(self, tenant: str, key: SealedKey) -> RSAPrivateKey:
        nonce, body = key.sealed[1 : 1 + _NONCE_BYTES], key.sealed[1 + _NONCE_BYTES :]
        try:
            if key.sealed[:1] != _VERSION:
                raise InvalidTag
            plain = self._cipher.decrypt(nonce, body, _bound_to(tenant, key.kid))
            # Unchecked, at a thousandth of the cost: the seal has just proved that these are the bytes we wrote.
            private = load_der_private_key(plain, None, unsafe_skip_rsa_key_validation=True)
        except (InvalidTag, ValueError):
            # Without the cause: what a parser says of a key's bytes belongs in no log.
            msg = "a signing key does not open: it was sealed under another key or for another tenant, or was changed"
            raise SigningError(msg) from None
        if not isinstance(private, RSAPrivateKey) or _jwk(private.public_key())["kid"] != key.kid:
            raise SigningError("a signing key is not the one that its name says")
        return private


class _Compact:
    """A JWS whose signature is being made. No coroutine: it may be dropped, where its decision is not durable."""

    __slots__ = ("_message", "_signature")

    def __init__(self, message: bytes, signature: Awaitable[bytes]) -> None:
        self._message = message
        self._signature = signature

    def __await__(self) -> Generator[Any, None, str]:
        signature = yield from self._signature.__await__()
        return b".".join((self._message, _encoded(signature))).decode("ascii")


def _jwk(public: RSAPublicKey) -> JsonObject:
    """Return a public key as a JWK (RFC 7517) under its thumbprint."""
    numbers = public.public_numbers()
    jwk: JsonObject = {"kty": "RSA", "use": "sig", "alg": ALGORITHM, "n": _number(numbers.n), "e": _number(numbers.e)}
    return {**jwk, "kid": thumbprint(jwk)}


def _number(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _encoded(raw).decode("ascii")


def _encoded(raw: bytes) -> bytes:
    """Base64url without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _bound_to(tenant: str, kid: str) -> bytes:
    """Return the associated data; lengths in front, so that no two keys share one reading."""
    return f"{len(tenant)}:{tenant}|{len(kid)}:{kid}".encode()
