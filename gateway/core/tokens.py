"""Authority tokens: what one says, and which call it speaks for (contract, section 2; docs/tokens.md).

Pure. Owns the claims, their bounds and the names under which a token travels. Signing is `identity/rs256.py`, the keys'
life `services/tokens.py`, checking `intended/verify.py`, which shares no code with this.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from gateway.core.audit.canonical import canonical
from gateway.core.jsonvalue import JsonObject
from gateway.errors import SigningError

__all__ = [
    "ALGORITHM",
    "AUTHORITY_HEADER",
    "AUTHORITY_META",
    "CLAIMS",
    "DEFAULT_AUDIENCE",
    "MAX_TTL_S",
    "MIN_KEY_BITS",
    "TOKEN_TYPE",
    "Grant",
    "claims_of",
    "thumbprint",
    "with_authority",
    "without_authority",
]

TOKEN_TYPE: Final = "authority+jwt"  # noqa: S105 - a media type
"""The `typ` of the header, so that no other JWT under the same key is taken for one (RFC 8725, 3.11)."""

ALGORITHM: Final = "RS256"

MAX_TTL_S: Final = 300
"""Longest life of a token (contract, section 2)."""

MIN_KEY_BITS: Final = 2048
"""Smallest RSA key (contract, section 2)."""

AUTHORITY_META: Final = "so.intended/authority"
"""The member of `params._meta` that carries the token of a forwarded call."""

AUTHORITY_HEADER: Final = "Intended-Authority"
"""The HTTP header that carries it too."""

DEFAULT_AUDIENCE: Final = "so.intended"
"""Audience of a token whose intent names no system."""

CLAIMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "iss": "who issued it: the setting `tokens.issuer`",
        "sub": "the agent, by its slug",
        "aud": "who is to accept it: the upstream's `authority_audience` or id; by REST the intent's `system`",
        "iat": "when it was issued, in whole seconds since 1970",
        "nbf": "not before: the same second",
        "exp": "not after: at most 300 s later",
        "jti": "its own id; who accepts the token accepts this id once",
        "tenant": "whose key signed it, and whose agent acts",
        "intentId": "the decision that it stands for, as in the audit",
        "intentType": "what the call was judged to be for",
        "upstream": "the MCP server's id in the gateway's configuration (tool calls only)",
        "tool": "the tool under the server's own name (tool calls only)",
        "action": "the action as it was submitted (REST only)",
        "system": "the system that the action is for, where one was named (REST only)",
        "argsDigest": "hex SHA-256 of the RFC 8785 form of the arguments (REST: of `params` or `metadata`); none: `{}`",
        "answersDigest": "the same of `inputResponses`, where the call answers an upstream's questions",
        "policyDigest": "the policy bundle that allowed it",
    }
)
"""Every claim that a token may have; docs/tokens.md shows this table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One allowed act, for which a token is wanted: a tool call (`upstream` and `tool`) or a REST intent (`action`).

    Raises:
        SigningError: it would not be bound to one act, one audience and a bounded time.
    """

    tenant: str
    agent: str
    intent_id: str
    intent_type: str
    args_digest: str
    policy_digest: str
    audience: str
    ttl_s: int
    upstream: str = ""
    tool: str = ""
    action: str = ""
    system: str = ""
    answers_digest: str = ""

    def __post_init__(self) -> None:
        """Refuse what would leave something open."""
        is_call = bool(self.upstream and self.tool) and not (self.action or self.system)
        is_act = bool(self.action) and not (self.upstream or self.tool)
        if is_call == is_act:
            raise SigningError("a token is for one tool of one upstream, or for one action; this grant is for neither")
        bound = (self.tenant, self.agent, self.intent_id, self.intent_type, self.args_digest, self.policy_digest)
        if not all((*bound, self.audience)):
            raise SigningError("a token names tenant, agent, intent, arguments, policy and audience; one is empty")
        if not 1 <= self.ttl_s <= MAX_TTL_S:
            raise SigningError(f"a token lives 1 to {MAX_TTL_S} s, not {self.ttl_s}")


def claims_of(grant: Grant, *, issuer: str, token_id: str, now: datetime) -> JsonObject:
    """Return the claims of a grant's token. What the grant leaves empty has no claim."""
    issued = int(now.timestamp())
    claims: JsonObject = {
        "iss": issuer,
        "sub": grant.agent,
        "aud": grant.audience,
        "iat": issued,
        "nbf": issued,
        "exp": issued + grant.ttl_s,
        "jti": token_id,
        "tenant": grant.tenant,
        "intentId": grant.intent_id,
        "intentType": grant.intent_type,
        "upstream": grant.upstream,
        "tool": grant.tool,
        "action": grant.action,
        "system": grant.system,
        "argsDigest": grant.args_digest,
        "answersDigest": grant.answers_digest,
        "policyDigest": grant.policy_digest,
    }
    return {name: value for name, value in claims.items() if value != ""}


def thumbprint(jwk: JsonObject) -> str:
    """Return the RFC 7638 thumbprint of an RSA key, its `kid`: it names the key, tells nothing, and cannot lie."""
    required = {name: jwk[name] for name in ("e", "kty", "n")}
    return base64.urlsafe_b64encode(hashlib.sha256(canonical(required)).digest()).rstrip(b"=").decode("ascii")


# --- on the way to an upstream ----------------------------------------------------------------------------------------


def with_authority(params: JsonObject, token: str) -> JsonObject:
    """Return a copy of `params` that carries the token."""
    return {**params, "_meta": {**params.get("_meta", {}), AUTHORITY_META: token}}


def without_authority(params: JsonObject) -> JsonObject:
    """Return an agent's `params` without a token of its own making: what an upstream finds there is the gateway's.

    Names that differ only in case go too: a reader may be lax about it.
    """
    meta = params.get("_meta")
    if not isinstance(meta, dict) or AUTHORITY_META not in [name.casefold() for name in meta]:
        return params
    return {**params, "_meta": {name: value for name, value in meta.items() if name.casefold() != AUTHORITY_META}}
