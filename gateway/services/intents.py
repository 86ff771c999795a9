"""Intents that programs submit by REST: decide, show, list, take their outcome, and hand out the token of a yes.

The decision is `services/enforcement.py`'s, the very same as for a tool call; nothing is forwarded here. Intents of the
MCP front are shown and listed alike, read from their entries.
"""

from typing import Protocol

from gateway.core.principal import Principal
from gateway.core.submission import IntentRecord, Outcome, Submission
from gateway.core.tokens import Grant
from gateway.core.value import value
from gateway.ports import IntentFilter, Page

__all__ = ["Intents", "Submitted", "TokenIssuer"]


@value
class Submitted:
    """An intent as it stands, and its token where this answer is the one that carries it, else an empty text.

    `repeated` is True where the idempotency key had been used for the same body: this is the first one's intent.
    """

    record: IntentRecord
    token: str = ""
    repeated: bool = False


class TokenIssuer(Protocol):
    """Issues authority tokens (`services/tokens.py`)."""

    def ready(self) -> str:
        """Return an empty string while tokens can be issued, else the reason why not."""
        ...

    async def issue(self, grant: Grant) -> str:
        """Return the signed token. Raises SigningError."""
        ...


class Intents:
    """The use cases of submitted intents."""

    async def submit(self, principal: Principal, submission: Submission) -> Submitted:
        """Decide a submission, durably, and return it with its token where the answer is ALLOW.

        Raises:
            InvalidRequest: a field cannot be used; in Ops (`domain` is declared) also a type that is unknown, or is
                none of the domain.
            AgentNotFound: Ops, and there is no such agent.
            Forbidden: the credential is bound to another agent.
            StateConflict: the idempotency key was used for another body (`field` is `idempotencyKey`).
            Unavailable: tokens cannot be issued; nothing was decided. Or the token could not be signed.
            StoreError: it could not be decided or recorded.
        """
        raise NotImplementedError

    async def show(self, principal: Principal, intent_id: str) -> Submitted:
        """Return an intent of the principal's tenant, of either front.

        To the agent that submitted it, the first time after a human's yes, with the token: the intent is decided again
        under today's policy and tier, and a no of today is a no.

        Raises:
            NotFound: this tenant has no such intent.
            Unavailable: the token that is due cannot be issued at the moment.
            StoreError: it cannot be read, or its token not be recorded.
        """
        raise NotImplementedError

    async def list(
        self, principal: Principal, wanted: IntentFilter, *, page: int, page_size: int
    ) -> Page[IntentRecord]:
        """Return one page (from 1) of the tenant's intents, newest first. `wanted.agent` is a slug or an id.

        Raises StoreError.
        """
        raise NotImplementedError

    async def outcome(self, principal: Principal, intent_id: str, outcome: Outcome, error: str = "") -> IntentRecord:
        """Record how an allowed act went, as the agent that submitted it or an operator reports it.

        Raises:
            NotFound: this tenant has no such intent.
            Forbidden: it was submitted by another agent.
            InvalidRequest: `error` is no text that can be recorded, or comes with a success.
            StateConflict: the intent is not approved (any more), or is a tool call, which reports itself.
            StoreError: it could not be recorded.
        """
        raise NotImplementedError
