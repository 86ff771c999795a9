"""Leases: a human's yes to a shape of calls, for a number of uses and a time. Pure: values, tests, and the states.

Owns which arguments a shape covers. It is closed: whatever the human has not seen is not covered. Every place of the
approved call's arguments must be there with the same value, and no other one, unless the human loosened it. What a
lease is worth today is decided with it as a fact (`core/decide.py`); that its uses are exact is `services/leases.py`'s.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from gateway.core.decision import Effect, MatchedRule
from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.redact import redact
from gateway.core.visible import compact

__all__ = [
    "MAX_CHOICES",
    "MAX_CONSTRAINTS",
    "MAX_MINUTES",
    "MAX_PLACES",
    "MAX_PREFIX_CHARS",
    "MAX_USES",
    "TRANSITIONS",
    "Bounds",
    "Check",
    "Constraint",
    "LeaseState",
    "Leased",
    "Shape",
    "Told",
    "may_become",
    "places",
    "pointer",
    "problems_of",
    "read_leased",
    "told",
]

MAX_MINUTES: Final = 24 * 60
MAX_USES: Final = 1000
MAX_CONSTRAINTS: Final = 50
MAX_CHOICES: Final = 100
"""Values of one `oneOf`."""
MAX_PREFIX_CHARS: Final = 1024
MAX_PLACES: Final = 100
"""Places of the arguments that are listed for people; the shape itself covers all."""

_ESCAPING: Final = re.compile(r"\.\.|\\|%(?:[01][0-9a-f]|2[5ef]|5c|7f|c[01])|[\x00-\x1f\x7f]", re.IGNORECASE)
"""By which a text that begins with a folder can lead out of it: parent folders, other separators, controls, and the
same encoded: once, twice (`%25`), or in more bytes than UTF-8 allows (`%c0`)."""


# --- states -----------------------------------------------------------------------------------------------------------


class LeaseState(StrEnum):
    """Where a lease stands."""

    ACTIVE = "active"
    USED_UP = "used-up"
    EXPIRED = "expired"
    REVOKED = "revoked"
    TOOL_CHANGED = "tool-changed"
    """The tool's definition is no longer the one that the human has seen."""


TRANSITIONS: Mapping[LeaseState, frozenset[LeaseState]] = {
    LeaseState.ACTIVE: frozenset({LeaseState.USED_UP, LeaseState.EXPIRED, LeaseState.REVOKED, LeaseState.TOOL_CHANGED}),
    LeaseState.USED_UP: frozenset(),
    LeaseState.EXPIRED: frozenset(),
    LeaseState.REVOKED: frozenset(),
    LeaseState.TOOL_CHANGED: frozenset(),
}
"""From each state the states that may follow. Nothing leads back: who wants a lease again grants another one."""


def may_become(state: LeaseState, next_state: LeaseState) -> bool:
    """Return True where the table has the transition."""
    return next_state in TRANSITIONS[state]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a lease may be: the settings `leases`. `minutes` of 0: none is granted."""

    minutes: int = MAX_MINUTES
    uses: int = MAX_USES


# --- the fact ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A lease as a fact of a decision on a call of its shape.

    All the rest is what the human saw: `rules` are the escalating rules that the yes answers, by id and digest, `risk`
    and the codes of its `factors` are those of the approved call, `tier` is the agent's of that time.
    """

    id: str
    rules: frozenset[tuple[str, str]] = frozenset()
    risk: int = 0
    factors: frozenset[str] = frozenset()
    tier: int = 0

    def covers(self, rules: Iterable[MatchedRule], *, risk: int, factors: Iterable[str], tier: int) -> bool:
        """Return True where nothing speaks against the call today that did not when the human said yes."""
        known = all((rule.id, rule.digest) in self.rules for rule in rules if rule.effect is Effect.ESCALATE)
        return known and risk <= self.risk and tier >= self.tier and self.factors.issuperset(factors)

    def written(self) -> JsonObject:
        """Return what is kept of it."""
        return {
            "id": self.id,
            "rules": sorted(self.rules),
            "risk": self.risk,
            "factors": sorted(self.factors),
            "tier": self.tier,
        }


def read_leased(kept: JsonObject) -> Leased:
    """Return the fact that was kept so."""
    return Leased(
        id=kept["id"],
        rules=frozenset((rule, text) for rule, text in kept["rules"]),
        risk=kept["risk"],
        factors=frozenset(kept["factors"]),
        tier=kept["tier"],
    )


# --- the shape --------------------------------------------------------------------------------------------------------


class Check(StrEnum):
    """How a place may differ from the approved call's."""

    ANY = "any"
    EQUALS = "equals"
    ONE_OF = "oneOf"
    MAX = "max"
    MIN = "min"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One check of one place, which is named by its JSON pointer (RFC 6901). Several of one place must all hold."""

    path: str
    check: Check
    value: JsonValue = None

    def holds(self, found: JsonValue) -> bool:
        """Return True where the value that is there passes."""
        match self.check:
            case Check.ANY:
                return True
            case Check.EQUALS:
                return _fits(self.value, found, "", {})
            case Check.ONE_OF:
                return any(_fits(one, found, "", {}) for one in self.value)
            case Check.MAX:
                return _is_number(found) and found <= self.value
            case Check.MIN:
                return _is_number(found) and found >= self.value
            case _:  # PREFIX
                return isinstance(found, str) and _is_below(self.value, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The arguments of the approved call, and where calls may differ from it."""

    arguments: JsonObject
    constraints: tuple[Constraint, ...] = ()

    def covers(self, arguments: JsonObject) -> bool:
        """Return True where these arguments are of this shape."""
        loosened: dict[str, list[Constraint]] = {}
        for one in self.constraints:
            loosened.setdefault(one.path, []).append(one)
        return _fits(self.arguments, arguments, "", loosened)


def problems_of(shape: Shape) -> Iterator[tuple[str, str]]:
    """Yield (place, problem) for everything that keeps a shape from being granted."""
    if len(shape.constraints) > MAX_CONSTRAINTS:
        yield "", f"at most {MAX_CONSTRAINTS} places may be loosened"
        return
    seen: set[tuple[str, Check]] = set()
    for one in shape.constraints:
        problem = _problem(one, shape.arguments)
        if any(one.path.startswith(f"{other.path}/") for other in shape.constraints):
            problem = "lies within a place that is loosened as a whole"
        if (one.path, one.check) in seen:
            problem = f"'{one.check}' is given twice"
        seen.add((one.path, one.check))
        if problem:
            yield one.path, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One place of a shape, for people: its check, and what it compares with."""

    path: str
    check: Check
    value: str


def told(shape: Shape, *, exact: bool) -> tuple[Told, ...]:
    """Return the first `MAX_PLACES` places of a shape: the loosened ones first, then those that must be equal.

    Without `exact` secrets are removed from the values, as records have them.
    """
    listed = [Told(path=one.path, check=one.check, value=_shown(one, exact=exact)) for one in shape.constraints]
    loose = {one.path for one in shape.constraints}
    arguments = shape.arguments if exact else redact(shape.arguments)
    for path, value in places(arguments):
        if not any(f"{path}/".startswith(f"{one}/") or one.startswith(f"{path}/") for one in loose):
            listed.append(Told(path=path, check=Check.EQUALS, value=compact(value)))
    return tuple(listed[:MAX_PLACES])


def _shown(constraint: Constraint, *, exact: bool) -> str:
    """Return what a check compares with. A value below a telling name is as secret as the whole."""
    if constraint.check is Check.ANY:
        return ""
    value = constraint.value
    if not exact:
        steps = constraint.path.split("/")[1:]
        for step in reversed(steps):
            value = {step: value}
        value = redact(value)
        for _ in steps:
            value = next(iter(value.values())) if isinstance(value, dict) else value
    return compact(value)


def places(arguments: JsonObject) -> tuple[tuple[str, JsonValue], ...]:
    """Return the first `MAX_PLACES` places that hold a value of their own, with it, in the order of the call."""
    return tuple(islice(_leaves(arguments, ""), MAX_PLACES))


def pointer(*steps: str | int) -> str:
    """Return the JSON pointer of a place."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


# --- values -----------------------------------------------------------------------------------------------------------

_MISSING: Final = object()


def _fits(expected: JsonValue, found: JsonValue, path: str, loosened: Mapping[str, list[Constraint]]) -> bool:
    """Compare as JSON does: 1 is 1.0 and is not true. Only what is loosened may differ."""
    tests = loosened.get(path) if loosened else None
    if tests is not None:
        return all(one.holds(found) for one in tests)
    if isinstance(expected, dict):
        if not isinstance(found, dict) or expected.keys() != found.keys():
            return False
        return all(_fits(one, found[key], path + pointer(key), loosened) for key, one in expected.items())
    if isinstance(expected, list):
        if not isinstance(found, list) or len(expected) != len(found):
            return False
        pairs = enumerate(zip(expected, found, strict=True))
        return all(_fits(one, other, f"{path}/{number}", loosened) for number, (one, other) in pairs)
    return isinstance(expected, bool) is isinstance(found, bool) and bool(expected == found)


def _problem(constraint: Constraint, arguments: JsonObject) -> str:
    """Say what is wrong with a constraint, or nothing. Names no value."""
    if not constraint.path.startswith("/"):
        return "name a single place, as /path/to/it: the arguments as a whole cannot be loosened"
    found = _at(arguments, constraint.path)
    if found is _MISSING:
        return "the approved call has no such argument, and what nobody has seen is not covered"
    problem = _unusable(constraint)
    if problem:
        return problem
    return "" if constraint.holds(found) else "the approved call itself does not fit this"


def _unusable(constraint: Constraint) -> str:
    """Say why the value that a test compares with is none for it."""
    check, value = constraint.check, constraint.value
    if check is Check.ONE_OF and not (isinstance(value, list) and 1 <= len(value) <= MAX_CHOICES):
        return f"'oneOf' takes a list of 1 to {MAX_CHOICES} values"
    if check in (Check.MAX, Check.MIN) and not _is_number(value):
        return f"'{check}' takes a number"
    if check is Check.PREFIX:
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_PREFIX_CHARS:
            return f"'prefix' takes a text of 1 to {MAX_PREFIX_CHARS} characters"
        if not _is_plain(value):
            return "'prefix' takes no `..`, no backslash and nothing encoded or hidden"
    return ""


def _is_number(value: JsonValue) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_below(prefix: str, text: str) -> bool:
    """Return whether the text begins so and stays there. Of a path the prefix ends where a name does.

    `/srv/data` covers itself and `/srv/data/x`, and not `/srv/data-secret` or `/srv/data/../etc`; nor does
    `https://good.example` cover `https://good.example.evil.example`.
    """
    if not text.startswith(prefix) or not _is_plain(text):
        return False
    rest = text[len(prefix) :]
    return not rest or "/" not in prefix or prefix.endswith("/") or rest.startswith("/")


def _is_plain(text: str) -> bool:
    return _ESCAPING.search(text) is None and unicodedata.is_normalized("NFKC", text)


def _at(value: JsonValue, path: str) -> JsonValue:
    """Return the value at a JSON pointer, or `_MISSING`."""
    for step in path.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key, _MISSING)
        elif isinstance(value, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", key) and int(key) < len(value):
            value = value[int(key)]
        else:
            return _MISSING
    return value


def _leaves(value: JsonValue, path: str) -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _leaves(one, path + pointer(key))
    elif isinstance(value, list) and value:
        for number, one in enumerate(value):
            yield from _leaves(one, f"{path}/{number}")
    elif path:
        yield path, value
