"""What a key may be given: sound fields, and never more than its maker has.

Owns the checks of `services/keys.py` before anything is made. Pure functions; each raises with what to do instead.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from gateway.core.credentials import is_tenant_id
from gateway.core.principal import CLI_CREDENTIAL, PLAIN_ROLES, ROLE_SCOPES, Principal, Role, Scope
from gateway.errors import FieldProblem, Forbidden, InvalidRequest

__all__ = ["ENTERPRISE", "MAX_OVERLAP_S", "check_fields", "check_overlap", "require_within"]

ENTERPRISE: Final = "enterprise"
"""The plan whose number is the key's own (contract, section 1, "Rate limits")."""

MAX_NAME_CHARS: Final = 128
MAX_PER_MINUTE: Final = 10_000_000
MAX_OVERLAP_S: Final = 86_400
"""A day: long enough to bring a new secret everywhere, and an old one does not linger for good."""


def check_fields(
    *,
    tenant: str,
    name: str,
    scopes: frozenset[Scope] | None,
    role: Role | None,
    plan: str,
    per_minute: int | None,
    expires: datetime | None,
    now: datetime,
    rates: Mapping[str, int],
) -> None:
    """Raise InvalidRequest with every field that cannot be used."""
    problems = [
        *_tenant(tenant),
        *_name(name),
        *_scopes(scopes, role),
        *_plan(plan, per_minute, rates),
        *_expiry(expires, now),
    ]
    if problems:
        raise InvalidRequest(*(FieldProblem(path=(field,), message=message) for field, message in problems))


def check_overlap(overlap_s: int) -> None:
    """Raise InvalidRequest where an old secret would stay valid for less than no time, or too long."""
    if isinstance(overlap_s, bool) or not 0 <= overlap_s <= MAX_OVERLAP_S:
        raise InvalidRequest(FieldProblem(path=("overlapSeconds",), message=f"must be from 0 to {MAX_OVERLAP_S}"))


def require_within(by: Principal, *, scopes: frozenset[Scope], role: Role | None, agent: str) -> None:
    """Raise Forbidden where a key with these could do what `by` itself may not.

    A key that is handed out is a way to act: whoever could make a stronger one than their own would have no bounds.
    """
    if by.credential == CLI_CREDENTIAL:
        return
    beyond = sorted(scopes - by.scopes)
    if beyond:
        msg = f"Nobody gives a key more than they have themselves; this credential lacks {', '.join(beyond)}."
        raise Forbidden(msg)
    full = by.role is Role.ADMIN and by.scopes == ROLE_SCOPES[Role.ADMIN]
    if role is not None and role not in PLAIN_ROLES and role is not by.role and not full:
        msg = f"Only an admin gives a key the role `{role}`; name scopes instead."
        raise Forbidden(msg)
    if by.bound and agent != by.agent:
        msg = f"This credential is bound to agent `{by.agent}`; it handles keys of that agent only."
        raise Forbidden(msg)


def _tenant(tenant: str) -> Iterator[tuple[str, str]]:
    if not is_tenant_id(tenant):
        yield "tenantId", "must be letters, digits, `-` and `_`, at most 63, and begin with a letter or digit"


def _name(name: str) -> Iterator[tuple[str, str]]:
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        yield "name", f"must be 1 to {MAX_NAME_CHARS} printable characters"


def _scopes(scopes: frozenset[Scope] | None, role: Role | None) -> Iterator[tuple[str, str]]:
    if scopes is None:
        return
    if not scopes:
        yield "scopes", "must name at least one scope"
    elif role is not None and (beyond := sorted(scopes - ROLE_SCOPES[role])):
        yield "scopes", f"may narrow the role `{role}`, not widen it: {', '.join(beyond)}"


def _plan(plan: str, per_minute: int | None, rates: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    if plan not in rates and plan != ENTERPRISE:
        known = ", ".join(sorted(name for name in (*rates, ENTERPRISE) if name))
        yield "plan", f"must be one of {known}, or be left out"
    elif per_minute is None:
        if plan == ENTERPRISE:
            yield "perMinute", "must be given for the plan `enterprise`"
    elif plan not in ("", ENTERPRISE):
        yield "perMinute", f"is said by the plan `{plan}`; leave one of them out"
    elif isinstance(per_minute, bool) or not 1 <= per_minute <= MAX_PER_MINUTE:
        yield "perMinute", f"must be from 1 to {MAX_PER_MINUTE}"


def _expiry(expires: datetime | None, now: datetime) -> Iterator[tuple[str, str]]:
    if expires is None:
        return
    if expires.tzinfo is None:
        yield "expires", "must name its time zone, for example `Z`"
    elif expires <= now:
        yield "expires", "must be in the future"
