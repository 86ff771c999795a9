"""Which forwarded calls carry an authority token, and what theirs is bound to.

Owns the way from a judged tool call to its Grant. Keys and signatures are `services/tokens.py`.
"""

from collections.abc import Mapping

from gateway.core.audit.canonical import digest
from gateway.core.call import Call
from gateway.core.tokens import Grant
from gateway.errors import CanonicalError, SigningError
from gateway.services.enforcement import Judged
from gateway.services.tokens import Tokens

__all__ = ["NO_AUTHORITY", "Authority"]


class Authority:
    """`audiences` names each upstream whose tool calls carry a token, with the audience of its tokens.

    A call to any other upstream costs no signature.
    """

    def __init__(
        self, *, tokens: Tokens | None, audiences: Mapping[str, str], ttl_s: int, remote: bool = False
    ) -> None:
        """`remote`: a remote authority is asked about each call, and it is its token that is forwarded."""
        self._remote = remote
        self._tokens = tokens
        self._audiences = audiences
        self._ttl_s = ttl_s

    def wanted(self, call: Call) -> bool:
        """Return whether the call is to carry a token, if it is allowed."""
        return call.method == "tools/call" and call.upstream in self._audiences

    async def token(self, judged: Judged) -> str:
        """Return the token of an allowed call. Raises SigningError; the call must then not be forwarded."""
        if self._remote:
            return _told(judged)
        if self._tokens is None:
            raise SigningError("this gateway issues none")
        call = judged.call
        return await self._tokens.issue(
            Grant(
                tenant=judged.principal.tenant,
                agent=judged.principal.agent,
                intent_id=judged.intent_id,
                intent_type=judged.intent.type,
                args_digest=call.arguments_digest,
                policy_digest=judged.decision.policy_digest,
                audience=self._audiences[call.upstream],
                ttl_s=self._ttl_s,
                upstream=call.upstream,
                tool=call.name,
                answers_digest=_digest_of_answers(call),
            )
        )


def _told(judged: Judged) -> str:
    """Return the token that the remote authority gave for the call. Raises SigningError where it is for less."""
    if judged.call.answers:
        raise SigningError("the remote authority's tokens do not cover answers to questions")
    if judged.asked is None or not judged.asked.told.token:
        raise SigningError("the remote authority gave none")
    return judged.asked.told.token


def _digest_of_answers(call: Call) -> str:
    """Return the digest of what the call answers, an empty text where it answers nothing. Raises SigningError."""
    if not call.answers:
        return ""
    try:
        return digest(call.answers)
    except CanonicalError as error:
        raise SigningError(f"the answers have no canonical form: {error}") from error


NO_AUTHORITY = Authority(tokens=None, audiences={}, ttl_s=0)
"""For a gateway of whose upstreams none asks for tokens."""
