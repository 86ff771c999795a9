"""Conditions in CEL: the one place that knows the engine, and the contract that makes it safe.

The engine (cel-expr-python) has defects that would let a call through (research/building-blocks.md 1.2); here is what
stands against each:

- It cuts strings at NUL: whatever holds NUL never gets in (`_sound`), and every condition of that call is a fault.
- It returns errors as truthy values: a result counts only if its type is BOOL and its value True or False.
- It drops a reference to None with every null that is read back: nothing is read back but BOOLs and the text of an
  ERROR.
- Deep values crash it: depth is bounded by the wire guard, and by `_sound` at 254 levels.

A fault always denies (`core/decide.py`), whatever the rule's effect. Each variable is declared by its own dotted name
with its type, so that a misspelt or mistyped one fails at load. The dialect of `matches` is RE2.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

import orjson
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from gateway.core.policy.document import nearest
from gateway.core.policy.model import PolicyInput

__all__ = ["Condition", "ConditionProblem", "Engine", "FactType", "Fault", "Invalid", "canary"]

FactType = Literal["bool", "int", "double", "string", "list(string)"]
"""What a declared session fact may be."""

_BOOL, _INT, _DOUBLE, _STRING = cel.Type.BOOL, cel.Type.INT, cel.Type.DOUBLE, cel.Type.STRING
_ERROR, _DYN = cel.Type.ERROR, cel.Type.DYN
_STRINGS = cel.Type.List(_STRING)

_VARIABLES = {
    "args": cel.Type.Map(_STRING, _DYN),
    "call.method": _STRING,
    "call.tool": _STRING,
    "call.upstream": _STRING,
    "call.uri": _STRING,
    "call.first_use": _BOOL,
    "agent.id": _STRING,
    "agent.tier": _INT,
    "agent.score": _INT,
    "agent.failures_in_row": _INT,
    "intent.type": _STRING,
    "intent.domain": _STRING,
    "intent.effect": _STRING,
    "intent.confidence": _DOUBLE,
    "risk": _INT,
    "risk.factors": _STRINGS,
    "now": cel.Type.TIMESTAMP,
}

_FACT_TYPES: Mapping[FactType, Any] = {
    "bool": _BOOL,
    "int": _INT,
    "double": _DOUBLE,
    "string": _STRING,
    "list(string)": _STRINGS,
}

_ROOTS = ("args", "call", "agent", "intent", "risk", "now", "session", "budget", "count")
"""First words of the variables. A condition that does not hold the word cannot read the variable, since CEL has no
escapes in identifiers; what no condition reads is not converted for the engine."""

_BIT = {root: 1 << place for place, root in enumerate(_ROOTS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionProblem:
    """One thing that is wrong with a condition's text. Line and column count from 1; 0 is unknown."""

    message: str
    line: int = 0
    column: int = 0


class Invalid(Exception):
    """A condition cannot be compiled. Never leaves `core/policy`: `compile.py` turns it into Problems."""

    def __init__(self, *problems: ConditionProblem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Fault:
    """A condition gave neither true nor false. `message` is one of a few fixed sentences, so it holds no value."""

    message: str


Outcome = bool | Fault


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `reads` has a bit for each root of variables that its text mentions.

    `facts` are the names of all budgets and counters that it can read, by the same reasoning: others may be among them.
    """

    text: str
    reads: int
    _expression: Any = field(repr=False, compare=False)
    facts: frozenset[str] = frozenset()

    def holds(self, activation: Any) -> Outcome:
        """Return True or False only where the engine says BOOL, else the Fault."""
        try:
            value = self._expression.eval(activation)
            kind = value.type()
            if kind == _BOOL:
                result = value.value()
                return result if result is True or result is False else Fault(_NO_RESULT)
            return Fault(_plain(value.plain_value()) if kind == _ERROR else _NO_RESULT)
        except Exception as error:  # noqa: BLE001 - native code; whatever it raises must deny, not escape
            return Fault(_plain(str(error)))

    def number(self, activation: Any) -> int | float | Fault:
        """Return the number only where the engine says INT or DOUBLE, else the Fault."""
        try:
            value = self._expression.eval(activation)
            kind = value.type()
            if kind in (_INT, _DOUBLE):
                result = value.value()
                return result if type(result) in (int, float) else Fault(_NO_NUMBER)
            return Fault(_plain(value.plain_value()) if kind == _ERROR else _NO_NUMBER)
        except Exception as error:  # noqa: BLE001 - native code; whatever it raises must deny, not escape
            return Fault(_plain(str(error)))


class Engine:
    """Compiles conditions over one set of declared variables, and prepares the values of one call for them."""

    def __init__(
        self,
        *,
        sums: Iterable[str] = (),
        counts: Iterable[str] = (),
        session: Mapping[str, FactType] | None = None,
    ) -> None:
        sums, counts = tuple(sums), tuple(counts)
        self._facts = frozenset(sums + counts)
        variables = dict(_VARIABLES)
        variables |= {f"budget.{name}": _DOUBLE for name in sums}
        variables |= {f"count.{name}": _INT for name in counts}
        variables |= {f"session.{name}": _FACT_TYPES[kind] for name, kind in (session or {}).items()}
        self._names = tuple(variables)
        self._environment = cel.NewEnv(variables=variables, extensions=[ext_strings.ExtStrings()])

    def condition(self, text: str) -> Condition:
        """Compile a condition. Raises Invalid with everything that is wrong, where the engine can say it."""
        expression = self._compiled(text)
        kind = expression.return_type()
        if kind != _BOOL:
            advice = "; compare it with something" if kind == _DYN else ""
            raise Invalid(ConditionProblem(message=f"a condition must be true or false, this is {kind.name()}{advice}"))
        self._check_patterns(text)
        return self._condition(text, expression)

    def amount(self, text: str) -> Condition:
        """Compile what one call adds to a budget: a number, or an argument of unknown type. Raises Invalid."""
        expression = self._compiled(text)
        kind = expression.return_type()
        if kind not in (_INT, _DOUBLE, _DYN):
            raise Invalid(ConditionProblem(message=f"a budget sums numbers, this is {kind.name()}"))
        return self._condition(text, expression)

    def number(self, amount: Condition, given: PolicyInput) -> int | float | Fault:
        """Return what an `amount` comes to for a call, or the Fault that keeps it from being a number."""
        activation = self.activation(given, amount.reads)
        return activation if isinstance(activation, Fault) else amount.number(activation)

    def activation(self, given: PolicyInput, reads: int) -> Any:
        """Return the call's values for the engine, those that `reads` asks for, or the Fault that keeps them out."""
        values = _gather(given, reads)
        if isinstance(values, Fault):
            return values
        try:
            return self._environment.Activation(values)
        except Exception as error:  # noqa: BLE001 - native code; whatever it raises must deny, not escape
            return Fault(_plain(str(error)))

    def _condition(self, text: str, expression: Any) -> Condition:
        reads = _reads(text)
        facts = frozenset(name for name in self._facts if name in text) if reads & _COUNTED else frozenset()
        return Condition(text, reads, expression, facts)

    def _compiled(self, text: str) -> Any:
        if "\0" in text:
            raise Invalid(ConditionProblem(message="a condition must not hold NUL characters"))
        try:
            return self._environment.compile(text)
        except Exception as error:  # native code; whatever it raises is said of the text
            raise Invalid(*_problems(str(error), self._names)) from error

    def _check_patterns(self, text: str) -> None:
        """Refuse a literal pattern that RE2 refuses; the engine itself would tell only when a call comes."""
        for literal, line, column in _pattern_literals(text):
            outcome = Condition(literal, 0, self._compiled(f"''.matches({literal})")).holds(_EMPTY)
            if isinstance(outcome, Fault):
                message = f"{literal} is not a regular expression that RE2 takes (no look-around, no back-references)"
                raise Invalid(ConditionProblem(message=message, line=line, column=column))


# --- values of one call -----------------------------------------------------------------------------------------------


def _gather(given: PolicyInput, reads: int) -> dict[str, Any] | Fault:
    """The declared variables that `reads` asks for; a Fault where a value must not reach the engine."""
    call, intent = given.call, given.intent
    values: dict[str, Any] = {}
    if reads & _BIT["args"]:
        if not _sound(call.arguments):
            return Fault(_UNSOUND)
        values["args"] = call.arguments
    if reads & _BIT["call"]:
        values["call.method"] = call.method
        values["call.tool"] = call.name
        values["call.upstream"] = call.upstream
        values["call.uri"] = call.uri
        values["call.first_use"] = given.first_use
    if reads & _BIT["agent"]:
        values["agent.id"] = given.principal.named
        values["agent.tier"] = int(given.tier)
        values["agent.score"] = given.score
        values["agent.failures_in_row"] = given.failures_in_row
    if reads & _BIT["intent"]:
        values["intent.type"] = intent.type
        values["intent.domain"] = intent.domain
        values["intent.effect"] = intent.effect_class.value
        values["intent.confidence"] = intent.confidence
    if reads & _BIT["risk"]:
        values["risk"] = intent.risk
        values["risk.factors"] = [factor.code for factor in intent.factors]
    if reads & _BIT["now"]:
        values["now"] = given.now
    if reads & _FACTS:
        if reads & _BIT["session"] and not _sound(dict(given.session)):
            return Fault(_UNSOUND)
        _declare(given, reads, values)
    return values if _clean(values) else Fault(_UNSOUND)


_COUNTED = _BIT["budget"] | _BIT["count"]
_FACTS = _BIT["session"] | _COUNTED


def _declare(given: PolicyInput, reads: int, values: dict[str, Any]) -> None:
    """Add facts under the names of their variables.

    Of a declared one that is missing, or of another type, the engine makes a fault where it is read.
    """
    for name, value in given.budgets.items():
        values[f"budget.{name}"] = value
    for name, value in given.counts.items():
        values[f"count.{name}"] = value
    if reads & _BIT["session"]:
        values.update({f"session.{name}": value for name, value in given.session.items()})


def _clean(values: Mapping[str, Any]) -> bool:
    """No NUL in the plain texts (names, ids, URIs) and no number that compares with nothing."""
    for value in values.values():
        if isinstance(value, str):
            if "\0" in value:
                return False
        elif isinstance(value, float) and not isfinite(value):
            return False
    return True


def _sound(value: Any) -> bool:
    """May this JSON value enter the engine?

    The wire guard has refused all this already; here it protects callers that have not passed it (tests of policies,
    recomputation). One pass of the serialiser refuses surrogates, integers beyond 2^53, keys that are no strings and
    254 levels; it shows NUL as an escape and NaN as null, so only values with these are walked.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)
    except TypeError:
        return False
    return (b"\\u0000" not in text and b"null" not in text) or _walk(value)


def _walk(value: Any) -> bool:
    if isinstance(value, dict):
        return all("\0" not in key and _walk(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_walk, value))
    if isinstance(value, str):
        return "\0" not in value
    return not isinstance(value, float) or isfinite(value)


# --- what the engine says, in our words -------------------------------------------------------------------------------

_UNSOUND = "the call holds a value that no condition may see (NUL, a number out of range, too deep)"
_NO_RESULT = "it gave neither true nor false"
_NO_NUMBER = "it gave no number"

_FAULTS = (
    ("Key not found", "an argument that it reads is missing; guard it with has(…)"),
    ("No value with name", "a fact that it reads is missing"),
    ("No matching overload", "a value that it reads has another type than the condition expects"),
    ("Unexpected value type", "a value that it reads has another type than declared"),
    ("Iteration budget", "it would look at more than 10,000 items"),
    ("invalid regular expression", "a pattern in it is not a regular expression that RE2 takes"),
    ("timezone", "a time zone in it is unknown"),
    ("Index error", "an index in it is beyond the end of a list"),
    ("divide by zero", "it divides by zero"),
    ("modulus by zero", "it divides by zero"),
    ("OUT_OF_RANGE", "a number in it is out of range"),
    ("overflow", "a number in it is out of range"),
)


def _plain(text: str) -> str:
    """The engine's error in a fixed sentence: its own words may quote an argument."""
    return next((sentence for sign, sentence in _FAULTS if sign in text), "it could not be evaluated")


def _problems(text: str, names: Sequence[str]) -> list[ConditionProblem]:
    """`ERROR: <input>:2:16: message` lines → problems with line and column."""
    problems = [_problem(line, names) for line in text.split("ERROR: ")[1:]]
    if problems:
        return problems
    if "recursion" in text.lower():
        return [ConditionProblem(message="the condition is nested too deeply; split it into several rules")]
    return [ConditionProblem(message="the engine cannot read this condition")]


def _problem(text: str, names: Sequence[str]) -> ConditionProblem:
    _, _, place = text.partition("<input>:")
    line, _, rest = place.partition(":")
    column, _, message = rest.partition(":")
    message = message.split("\n | ")[0].split(" [INVALID_ARGUMENT]")[0].replace(" (in container '')", "").strip()
    if message.startswith("undeclared reference to "):
        message += nearest(message.split("'")[1], names)
    if message.endswith(("'(double, int)'", "'(int, double)'")):
        message += " (a whole number and a fraction: write 1000.0 for 1000, or double(...) around the whole one)"
    return ConditionProblem(message=message, line=_position(line), column=_position(column))


def _position(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _reads(text: str) -> int:
    return sum(bit for root, bit in _BIT.items() if root in text)


def _pattern_literals(text: str) -> Iterable[tuple[str, int, int]]:
    """Every string literal that is the whole argument of `matches(…)`, with its line and column."""
    at = text.find("matches(")
    while at >= 0:
        start = at + len("matches(")
        while text[start : start + 1].isspace():
            start += 1
        end = _literal_end(text, start)
        if end and text[end:].lstrip()[:1] == ")":
            line = text.count("\n", 0, start) + 1
            yield text[start:end], line, start - text.rfind("\n", 0, start)
        at = text.find("matches(", start)


def _literal_end(text: str, start: int) -> int:
    """Where the string literal that begins at `start` ends, or 0 where none begins."""
    raw = text[start : start + 1] in ("r", "R")
    at = start + raw
    quote = text[at : at + 3] if text[at : at + 3] in ("'''", '"""') else text[at : at + 1]
    if quote[:1] not in ("'", '"'):
        return 0
    at += len(quote)
    while at < len(text) and not text.startswith(quote, at):
        at += 1 if raw or text[at] != "\\" else 2
    return at + len(quote) if at < len(text) else 0


# --- canary -----------------------------------------------------------------------------------------------------------

_EMPTY = cel.NewEnv(variables={}).Activation({})

_CANARY: tuple[tuple[str, dict[str, Any], bool | None], ...] = (
    ("args.amount > 100", {"amount": 101}, True),
    ("args.amount > 100", {"amount": 100}, False),
    ("args.amount > 100", {}, None),
    ("args.amount > 100", {"amount": "101"}, None),
    ("args.command == 'rm'", {"command": "rm\0 -rf"}, None),
    ("args.items.all(i, args.items.all(j, i + j >= 0))", {"items": list(range(101))}, None),
    ("has(args.items) || args.missing", {"items": None}, True),
)


def canary() -> None:
    """Try expressions whose outcome is known; None stands for a fault.

    Raises:
        Invalid: the engine does not behave as this module relies on. Nothing must be decided with it.
    """
    engine = Engine()
    for text, arguments, expected in _CANARY:
        condition = engine.condition(text)
        outcome: Outcome = Fault(_UNSOUND)
        if _sound(arguments):
            outcome = condition.holds(engine._environment.Activation({"args": arguments}))
        if (None if isinstance(outcome, Fault) else outcome) is not expected:
            raise Invalid(ConditionProblem(message=f"the policy engine misjudges {text!r}; install the pinned version"))
    for text in ("args.amount", "agent.teir < 3", "agent.tier < '3'"):
        try:
            engine.condition(text)
        except Invalid:
            continue
        raise Invalid(ConditionProblem(message=f"the policy engine accepts {text!r}; install the pinned version"))
