"""One authority token: whether it authorises this act, now, for the first time.

Deliberately not here: a choice of algorithm, a key that the token brings or points to (`jwk`, `jku`, `x5u`), a default
tenant or audience, and any way to accept a token whose id could not be recorded as used.
"""

import base64
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import jwt

from intended.verify.canonical import canonical, digest, strict
from intended.verify.keys import Keys
from intended.verify.used import UsedIds

__all__ = ["DEFAULT_ISSUER", "LEEWAY_S", "Authority", "AuthorityError", "Reason", "verify"]

DEFAULT_ISSUER: Final = "intended-gateway"
MAX_LIFE_S: Final = 300
LEEWAY_S: Final = 5
"""By how much this clock may be behind the gateway's."""
TOKEN_CHARS: Final = 16 * 1024

_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_KID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_HEADER_MEMBERS: Final = {"alg", "kid", "typ"}
_TEXTS: Final = ("iss", "sub", "aud", "jti", "tenant", "intentId", "intentType", "argsDigest", "policyDigest")
_TIMES: Final = ("iat", "nbf", "exp")
_ACT: Final = ("upstream", "tool", "action", "system", "answersDigest")
_RS256 = jwt.PyJWS(algorithms=["RS256"])


class Reason(StrEnum):
    """Why a token was refused. For logs and reports; the caller is told none of it."""

    MISSING = "missing"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    TYPE = "type"
    UNKNOWN_KEY = "unknown-key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    TENANT = "tenant"
    LIFETIME = "lifetime"
    NOT_YET = "not-yet"
    EXPIRED = "expired"
    TARGET = "target"
    ARGUMENTS = "arguments"
    ANSWERS = "answers"
    REPLAYED = "replayed"
    UNAVAILABLE = "unavailable"
    """Keys or used ids could not be had: nothing can be accepted at the moment."""


class AuthorityError(Exception):
    """The token does not authorise this. `claims` are the token's once its signature was good, else empty."""

    def __init__(self, reason: Reason, message: str, claims: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.claims: Mapping[str, Any] = claims or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What a good token proves."""

    agent: str
    tenant: str
    intent_id: str
    intent_type: str
    policy_digest: str
    token_id: str
    expires: int


def verify(
    token: str,
    *,
    keys: Keys,
    audience: str,
    tenant: str,
    used: UsedIds,
    arguments: Any,
    upstream: str = "",
    tool: str = "",
    action: str = "",
    system: str = "",
    answers: Any = None,
    issuer: str = DEFAULT_ISSUER,
    leeway_s: float = LEEWAY_S,
    now: Callable[[], float] = time.time,
) -> Authority:
    """Check a token for one act and use it up: a tool call (`upstream`, `tool`) or a REST intent (`action`, `system`).

    `arguments` are the call's as they will be acted on; None stands for none. The id is used last, so that a refused
    token is not used up. May block on `keys` and `used`.

    1. one compact JWS of the one algorithm and type, with no header that leads anywhere;
    2. its signature, by a key that `keys` knows;
    3. every claim there, once, of its type; issuer, audience and tenant are the expected ones;
    4. its time: at most 300 s, begun, not over;
    5. the act: target, arguments, answers;
    6. its id, for the first time.

    Raises:
        AuthorityError: it does not authorise this; nothing may be done.
        ValueError: the caller named neither one tool nor one action.
    """
    if not (audience and tenant) or bool(upstream and tool) == bool(action) or (upstream and action):
        raise ValueError("name audience, tenant, and either `upstream` and `tool` or `action`")
    kid = _read_head(token)
    claims = _read_claims(_signed(token, kid, keys))
    _check_parties(claims, issuer=issuer, audience=audience, tenant=tenant)
    _check_time(claims, now(), leeway_s)
    target = {"upstream": upstream, "tool": tool, "action": action, "system": system}
    if any(claims.get(name, "") != value for name, value in target.items()):
        raise AuthorityError(Reason.TARGET, "it is for another tool or action", claims)
    if claims["argsDigest"] != _digest_of(arguments):
        raise AuthorityError(Reason.ARGUMENTS, "it is for other arguments", claims)
    if claims.get("answersDigest", "") != (_digest_of(answers) if answers else ""):
        raise AuthorityError(Reason.ANSWERS, "it is for other answers", claims)
    _use(claims, used)
    return Authority(
        agent=claims["sub"],
        tenant=tenant,
        intent_id=claims["intentId"],
        intent_type=claims["intentType"],
        policy_digest=claims["policyDigest"],
        token_id=claims["jti"],
        expires=claims["exp"],
    )


def _read_head(token: Any) -> str:
    """Return the `kid` of a token whose form is the one that the gateway writes."""
    if not isinstance(token, str) or len(token) > TOKEN_CHARS or _TOKEN.fullmatch(token) is None:
        raise AuthorityError(Reason.MALFORMED, "this is no compact JWS")
    head = _object(token.split(".")[0])
    if head.get("alg") != "RS256":
        raise AuthorityError(Reason.ALGORITHM, "its algorithm is not RS256")
    if head.get("typ") != "authority+jwt":
        raise AuthorityError(Reason.TYPE, "its type is not authority+jwt")
    kid = head.get("kid")
    if head.keys() != _HEADER_MEMBERS or not isinstance(kid, str) or _KID.fullmatch(kid) is None:
        raise AuthorityError(Reason.MALFORMED, "its header has other members than alg, typ and kid")
    return kid


def _object(part: str) -> dict[str, Any]:
    """Return the JSON object of one part; base64url in its one spelling."""
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = strict(raw)
    except ValueError:
        raise AuthorityError(Reason.MALFORMED, "a part of it is no base64url of JSON") from None
    if not isinstance(value, dict) or base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise AuthorityError(Reason.MALFORMED, "a part of it is no object, or spelt in another way")
    return value


def _signed(token: str, kid: str, keys: Keys) -> str:
    """Return the payload of a token whose signature is good, still encoded."""
    try:
        key = keys.get(kid)
    except Exception as error:  # somebody else's code; without keys nothing is let in
        raise AuthorityError(Reason.UNAVAILABLE, f"the keys cannot be had: {error}") from error
    if key is None:
        raise AuthorityError(Reason.UNKNOWN_KEY, "no key of the tenant has that name")
    try:
        _RS256.decode(token, key, algorithms=["RS256"])
    except jwt.PyJWTError:
        raise AuthorityError(Reason.SIGNATURE, "its signature is not the key's") from None
    return token.split(".")[1]


def _read_claims(payload: str) -> dict[str, Any]:
    claims = _object(payload)
    texts = all(isinstance(claims.get(name), str) and claims[name] for name in _TEXTS)
    times = all(type(claims.get(name)) is int for name in _TIMES)  # true is an int in Python
    act = all(isinstance(claims.get(name, ""), str) for name in _ACT)
    if not (texts and times and act):
        raise AuthorityError(Reason.CLAIMS, "a claim is missing or of another type")
    return claims


def _check_parties(claims: Mapping[str, Any], **expected: str) -> None:
    for name, claim, reason in (
        ("issuer", "iss", Reason.ISSUER),
        ("audience", "aud", Reason.AUDIENCE),
        ("tenant", "tenant", Reason.TENANT),
    ):
        if claims[claim] != expected[name]:
            raise AuthorityError(reason, f"it has another {name}", claims)


def _check_time(claims: Mapping[str, Any], now: float, leeway_s: float) -> None:
    if not 0 < claims["exp"] - claims["iat"] <= MAX_LIFE_S:
        raise AuthorityError(Reason.LIFETIME, f"it lives longer than {MAX_LIFE_S} s, or not at all", claims)
    if max(claims["nbf"], claims["iat"]) > now + leeway_s:
        raise AuthorityError(Reason.NOT_YET, "it is not valid yet; are the clocks right?", claims)
    if now >= claims["exp"]:
        raise AuthorityError(Reason.EXPIRED, "it has expired", claims)


def _digest_of(value: Any) -> str:
    try:
        return digest({} if value is None else value)
    except ValueError:
        return "no canonical form"


def _use(claims: Mapping[str, Any], used: UsedIds) -> None:
    # One id per tenant and issuer: another tenant's token must not be able to use this one's up.
    name = canonical([claims["iss"], claims["tenant"], claims["jti"]]).decode()
    try:
        fresh = used.use(name, issued=claims["iat"], expires=claims["exp"])
    except Exception as error:  # somebody else's code; what may have been used is not let in
        raise AuthorityError(Reason.UNAVAILABLE, f"its use cannot be recorded: {error}", claims) from error
    if fresh is not True:
        raise AuthorityError(Reason.REPLAYED, "it was used before", claims)
