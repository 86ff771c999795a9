"""What the services need beyond a store: time, names, the policies in force, signatures, somebody else's decisions."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.compile import Bundle
from gateway.core.remote import Question, Told

__all__ = ["Clock", "Ids", "PolicySource", "RemoteAuthority", "SealedKey", "TokenSigner"]


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Wall-clock time, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps, for deadlines and durations."""
        ...


class Ids(Protocol):
    """The only source of identifiers and randomness."""

    def new(self, prefix: str) -> str:
        """Return a fresh ULID behind `prefix` and `_` (contract, section 1)."""
        ...

    def secret(self) -> str:
        """Return at least 128 unguessable bits as visible ASCII, for session ids."""
        ...


class PolicySource(Protocol):
    """The bundle in force."""

    def current(self) -> Bundle:
        """Return the last good bundle. There always is one: the gateway does not start without."""
        ...

    def problem(self) -> str:
        """Return an empty string, or why the newest files are not in force."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """A signing key as it may be stored: its name, its public half as a JWK, and the private half encrypted.

    `kid` is the thumbprint of the public half (RFC 7638).
    """

    kid: str
    public: JsonObject
    sealed: bytes = field(repr=False)


class TokenSigner(Protocol):
    """Makes RSA keys and signs with them, off the event loop. Private keys leave it only encrypted.

    Whose key signs when is `services/tokens.py`. Every method raises SigningError where it cannot do its work.
    """

    async def make(self, tenant: str) -> SealedKey:
        """Make a key for a tenant and hold it ready to sign."""
        ...

    async def open(self, tenant: str, key: SealedKey) -> None:
        """Hold a stored key ready to sign. It opens for the tenant that it was made for only."""
        ...

    def sign(self, kid: str, claims: JsonObject) -> Awaitable[str]:
        """Begin to sign at once; awaited, it is the compact JWS (RS256, `typ` `authority+jwt`) of the claims.

        What nobody awaits is signed for nobody.
        """
        ...

    def attest(self, kid: str, payload: bytes, *, type_: str) -> Awaitable[str]:
        """Begin to sign a payload as it is; awaited, it is the compact JWS (RS256) that leaves the payload out.

        `type_` is the header's `typ`, and never that of an authority token (RFC 7515, appendix F).
        """
        ...

    def forget(self, kid: str) -> None:
        """Drop a private key from memory; one that is not held is no error."""
        ...


class RemoteAuthority(Protocol):
    """Another gateway that decides too. Neither method raises, or takes longer than its deadline."""

    async def ask(self, question: Question) -> Told:
        """Put a question, once: it is not repeated, whatever comes back. An ALLOW has a token that was checked."""
        ...

    async def recall(self, question: Question, intent_id: str) -> Told:
        """Say where an intent stands that the authority let wait; after a human's yes, with its token, once.

        `question` is what the token must be for.
        """
        ...
