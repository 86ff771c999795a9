"""Where the public keys come from that tokens are checked with: a JWK set at hand, or one at a URL.

Owns what counts as a usable key (RSA, 2048 bits, for RS256 signatures, under one name) and how long a set is used.
"""

import http.client
import math
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import jwt

from intended.verify.canonical import strict

__all__ = ["JwksUrl", "Keys", "StaticKeys"]

MIN_KEY_BITS: Final = 2048
JWKS_BYTES: Final = 256 * 1024


class Keys(Protocol):
    """Where public keys come from. May block; `RequireAuthority` asks in a thread."""

    def get(self, kid: str) -> Any:
        """Return the RSA public key of that name, None where there is none. Whatever it raises refuses the token."""
        ...


class StaticKeys:
    """The keys of one JWK set. Raises ValueError where it holds no RSA key that may sign, or a private one."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = _read_jwks(jwks)
        if not self._keys:
            raise ValueError("the JWK set holds no usable RSA key")

    def get(self, kid: str) -> Any:
        """Return the key of that name, or None."""
        return self._keys.get(kid)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **more: Any) -> None:
        """Follow none: the address is the operator's word."""


class JwksUrl:
    """The keys at a URL, kept for `max_age_s`. An unknown `kid` asks anew, at most every `refetch_s`.

    A set that could not be renewed in time is not used any more: revoked keys must not live on because the gateway
    cannot be reached. `insecure_http` allows plain HTTP beyond this machine, where whoever is on the way can put keys
    of their own in. Neither redirects nor proxies of the environment are followed.
    """

    def __init__(
        self,
        url: str,
        *,
        max_age_s: float = 300,
        refetch_s: float = 10,
        timeout_s: float = 5,
        insecure_http: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        near = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and (near or insecure_http)):
            raise ValueError("the JWKS URL is not https (plain http away from this machine needs `insecure_http`)")
        self._url = url
        self._max_age_s = max_age_s
        self._refetch_s = refetch_s
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._opener = urllib.request.build_opener(_NoRedirect(), urllib.request.ProxyHandler({}))
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._got = self._tried = -math.inf

    def get(self, kid: str) -> Any:
        """Return the key of that name, None where there is none. Raises what the fetch raised where that is unknown."""
        with self._lock:
            now = self._monotonic()
            due = kid not in self._keys or now - self._got > self._max_age_s / 2
            if due and now - self._tried >= self._refetch_s:
                self._tried = now
                try:
                    self._keys, self._got = self._fetch(), now
                except (OSError, ValueError, http.client.HTTPException):
                    if now - self._got > self._max_age_s:
                        raise
            if now - self._got > self._max_age_s:
                raise OSError("the keys are too old, and asking for new ones failed a moment ago")
            return self._keys.get(kid)

    def _fetch(self) -> dict[str, Any]:
        try:
            with self._opener.open(self._url, timeout=self._timeout_s) as answer:
                raw = answer.read(JWKS_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()  # it is the answer itself, with the connection
            raise
        if len(raw) > JWKS_BYTES:
            raise ValueError("the JWK set is too large")
        return _read_jwks(strict(raw))


def _read_jwks(document: Any) -> dict[str, Any]:
    """Return the usable keys by `kid`. Raises ValueError where the document is no JWK set or gives a name twice."""
    jwks = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(jwks, list) or not all(isinstance(jwk, Mapping) for jwk in jwks):
        raise ValueError("this is no JWK set")
    found: dict[str, Any] = {}
    for jwk in jwks:
        kid = jwk.get("kid")
        if jwk.get("kty") != "RSA" or jwk.get("alg", "RS256") != "RS256" or jwk.get("use", "sig") != "sig":
            continue
        if "d" in jwk or not isinstance(kid, str) or kid in found:
            raise ValueError("the JWK set holds a private key, a key without a name, or a name twice")
        try:
            key = jwt.PyJWK(dict(jwk), algorithm="RS256").key
        except jwt.PyJWTError:
            raise ValueError("the JWK set holds a key that cannot be read") from None
        if key.key_size >= MIN_KEY_BITS:
            found[kid] = key
    return found
