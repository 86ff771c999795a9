"""Whom a signature is believed: public keys from a file, a JWK set at a URL, or a thumbprint that was noted before.

Owns what counts as a key (RSA, 2048 bits). Its name is its own thumbprint (RFC 7638), so that a name cannot lie.
"""

import base64
import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from intended.evidence.reading import read

__all__ = ["Key", "KeyProblem", "decoded", "key_of", "known_keys"]

MIN_BITS: Final = 2048
MAX_BITS: Final = 16384
"""Checking costs time with the length, and a bundle brings a key along."""
JWKS_BYTES: Final = 256 * 1024
FETCH_S: Final = 10.0

_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class KeyProblem(ValueError):
    """What was named holds no key that could be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key that is believed; of one that is known by its thumbprint only, `public` is None."""

    kid: str
    public: RSAPublicKey | None = None

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Return whether it made this signature (RS256)."""
        if self.public is None:
            return False
        try:
            self.public.verify(signature, message, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


def key_of(jwk: Any) -> Key:
    """Return the key of a JWK under its thumbprint. Raises KeyProblem."""
    try:
        if jwk["kty"] != "RSA" or jwk.get("alg", "RS256") != "RS256" or jwk.get("use", "sig") != "sig" or "d" in jwk:
            raise KeyProblem("this is no public RSA key for RS256 signatures")
        n, e = decoded(jwk["n"]), decoded(jwk["e"])
        if len(n) * 8 > MAX_BITS:
            raise KeyProblem("the key is too long")
        return _named(RSAPublicNumbers(int.from_bytes(e, "big"), int.from_bytes(n, "big")).public_key())
    except KeyProblem:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise KeyProblem("this is no RSA key as JWK") from error


def known_keys(source: str | Path) -> tuple[Key, ...]:
    """Return the keys that a source names: a thumbprint, an `https` URL of a JWK set, or a file (JWK, JWK set, PEM).

    Raises:
        KeyProblem: it names none.
        OSError: it cannot be read.
    """
    text = str(source)
    if "://" in text:
        return _of_json(_fetched(text))
    if _THUMBPRINT.fullmatch(text) and not Path(text).exists():
        return (Key(kid=text),)
    raw = Path(source).read_bytes()
    if raw.lstrip().startswith(b"-----"):
        try:
            public = load_pem_public_key(raw)
        except ValueError as error:
            raise KeyProblem("the file holds no public key in PEM") from error
        if not isinstance(public, RSAPublicKey):
            raise KeyProblem("the key is no RSA key")
        return (_named(public),)
    return _of_json(raw)


def decoded(text: str) -> bytes:
    """Return what base64url without padding says, in the one form that it has. Raises ValueError."""
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text.encode("ascii"):
        raise ValueError("this is not the one form of base64url")
    return raw


def _named(public: RSAPublicKey) -> Key:
    if public.key_size < MIN_BITS:
        raise KeyProblem(f"the key has {public.key_size} bits, and {MIN_BITS} are asked for")
    numbers = public.public_numbers()
    required = {"e": _encoded(numbers.e), "kty": "RSA", "n": _encoded(numbers.n)}
    digest = hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest()
    return Key(kid=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), public=public)


def _encoded(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _of_json(raw: bytes) -> tuple[Key, ...]:
    try:
        document = read(raw)
    except ValueError as error:
        raise KeyProblem("this is neither JSON nor PEM") from error
    jwks = document.get("keys", [document]) if isinstance(document, dict) else None
    if not isinstance(jwks, list) or not jwks:
        raise KeyProblem("this is no JWK, and no set of them with a key in it")
    return tuple(map(key_of, jwks))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **more: Any) -> None:
        """Follow none: the address is the checker's word."""


def _fetched(url: str) -> bytes:
    parts = urlsplit(url)
    near = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and near):
        raise KeyProblem("keys are asked for by https, or on this machine")
    opener = urllib.request.build_opener(_NoRedirect(), urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=FETCH_S) as answer:
            raw: bytes = answer.read(JWKS_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()  # it is the answer itself, with the connection
        raise
    except http.client.HTTPException as error:
        raise KeyProblem("what answers there is no HTTP server") from error
    if len(raw) > JWKS_BYTES:
        raise KeyProblem("the JWK set is too large")
    return raw
