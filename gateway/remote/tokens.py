"""Checking the authority's tokens, as a server that takes them would: with the verifier that such servers use.

Owns the authority's public keys: how long a set is used, and when it is asked for anew. What a token must say is
`intended.verify`'s, so that what is accepted here is what an upstream accepts.
"""

import math
from collections.abc import Callable
from typing import Final

import anyio

from gateway.core.remote import Question
from gateway.remote.exchange import Exchange, NoAnswer
from intended.verify import Authority, AuthorityError, MemoryUsedIds, Reason, StaticKeys, verify

__all__ = ["MAX_AGE_S", "REFETCH_S", "Tokens"]

MAX_AGE_S: Final = 300.0
"""A set is not used for longer: a key that was revoked must not live on here. After half of it, it is renewed."""

REFETCH_S: Final = 1.0
"""Between two looks for a key that the set does not have."""


class Tokens:
    """The tokens of one tenant of the authority."""

    def __init__(self, exchange: Exchange, *, tenant: str, issuer: str, monotonic: Callable[[], float]) -> None:
        self._exchange = exchange
        self._tenant = tenant
        self._issuer = issuer
        self._monotonic = monotonic
        self._used = MemoryUsedIds()
        self._keys: StaticKeys | None = None
        self._got = self._tried = -math.inf
        self._fetching = anyio.Lock()

    async def checked(self, token: str, question: Question, intent_id: str) -> str:
        """Use up the token of an answer, and return its id.

        Raises:
            NoAnswer: it is not for this call, this agent and now, or cannot be checked.
        """
        now = self._monotonic()
        keys = self._keys
        if keys is None or now - self._got > MAX_AGE_S / 2:
            keys = await self._renewed(now)
        try:
            try:
                authority = self._verified(token, keys, question)
            except AuthorityError as error:
                if error.reason is not Reason.UNKNOWN_KEY or now - self._tried < REFETCH_S:
                    raise
                authority = self._verified(token, await self._renewed(now), question)
        except AuthorityError as error:
            raise NoAnswer(f"its token does not hold ({error.reason})") from error
        if authority.agent != question.agent or authority.intent_id != intent_id:
            raise NoAnswer("its token is for another agent or intent")
        return authority.token_id

    def _verified(self, token: str, keys: StaticKeys, question: Question) -> Authority:
        return verify(
            token,
            keys=keys,
            audience=question.audience,
            tenant=self._tenant,
            used=self._used,
            arguments=question.params,
            action=question.action,
            system=question.system,
            issuer=self._issuer,
        )

    async def _renewed(self, wanted: float) -> StaticKeys:
        """Ask for the keys, once for all who want them. Raises NoAnswer where there are none that may be used."""
        async with self._fetching:
            if self._keys is not None and self._tried >= wanted:  # another one has asked meanwhile
                return self._keys
            self._tried = self._monotonic()
            try:
                answer = await self._exchange.send("GET", f"/.well-known/jwks/{self._tenant}.json", proved=False)
                self._keys = StaticKeys(answer.document if isinstance(answer.document, dict) else {})
                self._got = self._tried
            except (NoAnswer, ValueError) as error:
                if self._keys is None or self._monotonic() - self._got > MAX_AGE_S:
                    raise NoAnswer("its public keys cannot be had") from error
            return self._keys
