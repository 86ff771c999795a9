"""Who is this? One credential → one principal, or a refusal. There is no fallback identity on any path."""

from dataclasses import dataclass

from gateway.core.principal import Principal
from gateway.ports import Credentials

__all__ = ["Authentication", "Unauthorized"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthorized:
    """The request proves nobody. `message` tells a person what to do (it is shown by agents word for word)."""

    message: str
    presented: bool


class Authentication:
    """Checks what a request presents against the credentials that exist."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def authenticate(self, presented: tuple[str, ...]) -> Principal | Unauthorized:
        """Return whom the presented credentials prove.

        `presented` holds every credential of the request (`x-api-key` and bearer values), empty where there is none.
        Two different ones are refused (contract, section 1). Raises StoreError where it cannot be known.
        """
        different = set(presented)
        if not different:
            principal = self._credentials.keyless()
            if principal is not None:
                return principal
            return Unauthorized(
                message="No API key was sent. Send one as `Authorization: Bearer KEY` or `x-api-key: KEY`;"
                " an operator makes one with `intended keys create`.",
                presented=False,
            )
        if len(different) > 1:
            return Unauthorized(message="Two different credentials in one request; send one.", presented=True)
        principal = await self._credentials.resolve(different.pop())
        if principal is None:
            return Unauthorized(message="Unknown API key. Ask an operator for a valid one.", presented=True)
        return principal
