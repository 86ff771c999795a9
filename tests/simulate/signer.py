"""The real signer, without the wait: keys come from a pool that is made once for the whole run.

signer = QuickSigner()                      # every instance hands out the same keys in the same order
"""

from collections.abc import Awaitable
from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from gateway.errors import SigningError
from gateway.identity import rs256
from gateway.identity.rs256 import Rs256
from gateway.ports import SealedKey

__all__ = ["SEALING_KEY", "QuickSigner"]

SEALING_KEY = bytes(range(32))


@cache
def pooled(number: int) -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


class QuickSigner(Rs256):
    """`broken` makes every method but `forget` fail with its text; `first` is the number of its first key."""

    def __init__(self, key: bytes = SEALING_KEY, *, first: int = 0) -> None:
        super().__init__(key)
        self.made = first
        self.broken = ""

    async def make(self, tenant: str) -> SealedKey:
        self._fail()
        return await super().make(tenant)

    async def open(self, tenant: str, key: SealedKey) -> None:
        self._fail()
        await super().open(tenant, key)

    def sign(self, kid: str, claims: dict) -> Awaitable[str]:
        self._fail()
        return super().sign(kid, claims)

    def attest(self, kid: str, payload: bytes, *, type_: str) -> Awaitable[str]:
        self._fail()
        return super().attest(kid, payload, type_=type_)

    def holds(self, kid: str) -> bool:
        return kid in self._keys

    def _fail(self) -> None:
        if self.broken:
            raise SigningError(self.broken)

    def _make(self, tenant: str) -> tuple[RSAPrivateKey, SealedKey]:
        drawn, self.made = pooled(self.made), self.made + 1
        real, rs256.generate_private_key = rs256.generate_private_key, lambda **_: drawn  # type: ignore[assignment]
        try:
            return super()._make(tenant)
        finally:
            rs256.generate_private_key = real  # type: ignore[assignment]
