"""The engine's defects, each neutralised (research/building-blocks.md 1.2), and the contract of conditions."""

import math
import sys
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.core.policy import cel
from gateway.core.policy.cel import Condition, Engine, Fault, Invalid, canary
from gateway.core.principal import TrustTier
from tests.core.policy.builders import given

ENGINE = Engine(
    sums=["refunds"],
    counts=["mails"],
    session={"read_private": "bool", "topics": "list(string)", "n": "int", "x": "double", "who": "string"},
)
FACTS: dict[str, Any] = {
    "session": {"read_private": False, "topics": ["a"], "n": 1, "x": 1.0, "who": "me"},
    "budgets": {"refunds": 10.0},
    "counts": {"mails": 3},
}


def outcome(text: str, arguments: Any = None, **more: Any) -> object:
    condition = ENGINE.condition(text)
    activation = ENGINE.activation(given(arguments, **{**FACTS, **more}), condition.reads)
    result = activation if isinstance(activation, Fault) else condition.holds(activation)
    return "fault" if isinstance(result, Fault) else result


def fault(text: str, arguments: Any = None, **more: Any) -> str:
    condition = ENGINE.condition(text)
    result = condition.holds(ENGINE.activation(given(arguments, **{**FACTS, **more}), condition.reads))
    assert isinstance(result, Fault)
    return result.message


MAIL = (
    "args.to.size() > 0 && args.to.all(r, r.matches('^[A-Za-z0-9._%+-]+@acme[.]test$'))"
    " && (!has(args.cc) || args.cc.all(r, r.endsWith('@acme.test'))) && !has(args.bcc)"
)
PATH = "args.path.startsWith('/workspace/') && !args.path.split('/').exists(p, p == '..')"
SQL = (
    "!args.sql.matches('(?is)^\\\\s*(select|with|explain)\\\\b') || args.sql.contains(';')"
    " || args.sql.matches('(?i)\\\\b(insert|update|delete|drop|alter|truncate|grant|into)\\\\b')"
)
HOURS = (
    "!(now.getDayOfWeek('Europe/Berlin') in [1,2,3,4,5] && now.getHours('Europe/Berlin') >= 8"
    " && now.getHours('Europe/Berlin') < 18)"
)
BUDGET = "budget.refunds + double(args.amount) > 100.0"


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        (MAIL, {"to": ["a@acme.test"]}, True),
        (MAIL, {"to": ["a@acme.test", "b@acme.test"], "cc": ["c@acme.test"]}, True),
        (MAIL, {"to": ["a@evil.test"]}, False),
        (MAIL, {"to": ["a@acme.test\n"]}, False),
        (MAIL, {"to": ["a@evil.test,b@acme.test"]}, False),
        (MAIL, {"to": ["a@acme.test.evil.test"]}, False),
        (MAIL, {"to": []}, False),
        (MAIL, {"to": ["a@acme.test"], "cc": ["x@evil.test"]}, False),
        (MAIL, {"to": ["a@acme.test"], "bcc": []}, False),
        (MAIL, {"to": "a@acme.test"}, "fault"),
        (MAIL, {"to": None}, "fault"),
        (MAIL, {"to": ["a@acme.test", 7]}, "fault"),
        (MAIL, {}, "fault"),
        (PATH, {"path": "/workspace/a.txt"}, True),
        (PATH, {"path": "/workspace/../etc/passwd"}, False),
        (PATH, {"path": "/workspace/..hidden"}, True),
        (PATH, {"path": "workspace/a"}, False),
        (PATH, {"path": "/workspacex/a"}, False),
        (PATH, {"path": "/workspace/x\x00/../../etc/passwd"}, "fault"),
        (PATH, {"path": ["/workspace/a"]}, "fault"),
        (PATH, {}, "fault"),
        (SQL, {"sql": "select 1"}, False),
        (SQL, {"sql": " WITH x AS (select 1) select 2"}, False),
        (SQL, {"sql": "select 1; drop table x"}, True),
        (SQL, {"sql": "drop table x"}, True),
        (SQL, {"sql": "select * into y from x"}, True),
        (SQL, {"sql": 1}, "fault"),
        ("args.amount > 100.0", {"amount": 101}, True),
        ("args.amount > 100.0", {"amount": 100.01}, True),
        ("args.amount > 100.0", {"amount": 100}, False),
        ("args.amount > 100.0", {"amount": "150"}, "fault"),
        ("args.amount > 100.0", {"amount": math.nan}, "fault"),
        ("args.amount > 100.0", {"amount": math.inf}, "fault"),
        ("args.amount > 100.0", {"amount": True}, "fault"),
        ("args.amount > 100.0", {"amount": None}, "fault"),
        ("args.amount > 100.0", {"amount": 2**53}, "fault"),
        (BUDGET, {"amount": 90}, False),
        (BUDGET, {"amount": 90.5}, True),
        (BUDGET, {"amount": "much"}, "fault"),
    ],
)
def test_conditions_on_recipients_paths_sql_and_money_judge_or_fault(
    text: str, arguments: dict[str, Any], expected: object
) -> None:
    """What a condition cannot judge must not look like an answer (building-blocks 1.3)."""
    assert outcome(text, arguments) == expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 1, 5, 7, 30, tzinfo=UTC), False),  # Monday 8:30 in Berlin
        (datetime(2026, 1, 5, 6, 30, tzinfo=UTC), True),  # 7:30
        (datetime(2026, 7, 6, 6, 30, tzinfo=UTC), False),  # 8:30 in summer
        (datetime(2026, 1, 4, 12, 0, tzinfo=UTC), True),  # Sunday
        (datetime(2038, 1, 20, 12, 0, tzinfo=UTC), False),
    ],
)
def test_hours_are_those_of_the_named_time_zone(now: datetime, expected: bool) -> None:
    """The clock is an input, the zone is the operator's."""
    assert outcome(HOURS, now=now) is expected


def test_every_declared_variable_is_what_the_call_and_its_judgement_say() -> None:
    """The names of the design, with their values (section 4, "CEL")."""
    text = (
        "call.method == 'tools/call' && call.tool == 'tool' && call.upstream == 'default' && call.uri == ''"
        " && agent.id == 'local' && agent.tier == 3 && agent.score == 7 && intent.type == 'files.read'"
        " && intent.domain == 'files' && intent.effect == 'read' && intent.confidence > 0.8 && risk == 20"
        " && risk.factors == ['novel'] && now == timestamp('2026-01-05T12:00:00Z') && args.x == 1"
        " && !session.read_private && session.topics == ['a'] && session.n == 1 && session.x == 1.0"
        " && session.who == 'me' && budget.refunds == 10.0 && count.mails == 3"
    )
    assert outcome(text, {"x": 1}, tier=TrustTier.T3, factors=("novel",)) is True


@pytest.mark.parametrize("facts", [{"budgets": {}}, {"budgets": {"refunds": "x"}}, {"budgets": {"refunds": math.nan}}])
def test_a_fact_that_is_missing_or_mistyped_is_a_fault(facts: dict[str, Any]) -> None:
    """Absence must not read as zero (promise 2)."""
    assert outcome("budget.refunds > 1.0", **facts) == "fault"


@pytest.mark.parametrize(
    "facts",
    [
        {"session": {"topics": "abc"}},
        {"session": {"topics": ["a", None]}},
        {"session": {"topics": ["a\0b"]}},
        {"session": {}},
    ],
)
def test_a_session_fact_of_the_wrong_shape_is_a_fault(facts: dict[str, Any]) -> None:
    """A fact is declared with its type; anything else is no fact."""
    assert outcome("'a' in session.topics", **facts) == "fault"


def test_a_count_of_the_wrong_type_is_a_fault() -> None:
    """Declared INT means INT."""
    assert outcome("count.mails > 1", counts={"mails": 1.5}) == "fault"


# --- defect 1: the engine cuts at NUL ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"a": "rm\0 -rf"},
        {"a\0b": 1},
        {"a": [{"b": "\0"}]},
        {"a": {"b\0": None}},
        {"a": None, "b": [None, "x\0"]},
        {"a": [1, {"c": math.nan}]},
        {"a": "\ud800"},
        {1: "x"},
        {"a": {2, 3}},
        {"a": 2**70},
    ],
)
def test_values_that_the_engine_misreads_never_reach_it(arguments: Any) -> None:
    """`args.a == 'rm'` would be true of "rm\\0 -rf": a bypass of whatever looks at the rest."""
    assert outcome("!has(args.zzz) || true", arguments) == "fault"


def test_a_text_that_only_spells_the_escape_of_nul_is_harmless() -> None:
    """The cheap test looks for the escape in serialised text; it must not refuse innocent calls."""
    assert outcome("args.a.size() == 6", {"a": "\\u0000", "b": None, "c": 1.5, "d": True}) is True


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("call.tool == 'rm'", {"name": "rm\0x"}),
        ("call.uri == 'a'", {"uri": "a\0"}),
        ("agent.id == 'a'", {"agent": "a\0"}),
        ("intent.confidence > 0.5", {"confidence": math.nan}),
    ],
)
def test_names_and_numbers_outside_the_arguments_are_guarded_too(text: str, more: dict[str, Any]) -> None:
    """A tool's name comes from a stranger as well."""
    assert outcome(text, **more) == "fault"


# --- defect 2: errors are values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("args.a == 1", {}, "missing; guard it with has"),
        ("args.a > 1", {"a": "x"}, "another type than the condition expects"),
        ("args.a[5] == 1", {"a": [1]}, "beyond the end of a list"),
        ("1 / args.a == 1", {"a": 0}, "divides by zero"),
        ("args.a.matches(args.b)", {"a": "x", "b": "("}, "not a regular expression"),
        ("now.getHours(args.a) > 1", {"a": "Mars/Base"}, "time zone"),
        ("args.a + 9223372036854775807 > 0", {"a": 5}, "out of range"),
        ("args.a.all(x, x == 1)", {"a": [1] * 10_001}, "more than 10,000 items"),
        ("int(args.a) == 1", {"a": "secret-value"}, ""),
        ("timestamp(args.a) == now", {"a": "secret-value"}, ""),
        ("args.a ? true : false", {"a": "secret-value"}, ""),
    ],
)
def test_an_error_is_a_fault_whose_words_hold_no_argument(text: str, arguments: dict[str, Any], words: str) -> None:
    """The engine's own error is a truthy text that may quote what the agent sent."""
    message = fault(text, arguments)
    assert words in message
    assert "secret-value" not in message


def test_a_missing_fact_is_named_as_such() -> None:
    """The operator must see that it is not the agent's fault."""
    assert "a fact that it reads is missing" in fault("budget.refunds > 1.0", budgets={})


def test_only_bool_counts_as_an_answer() -> None:
    """A truthy value of another type is no permission."""
    engine = ENGINE._environment
    number = Condition("1", 0, engine.compile("1"))
    null = Condition("null", 0, engine.compile("null"))
    activation = engine.Activation({})
    assert number.holds(activation) == Fault("it gave neither true nor false")
    assert null.holds(activation) == Fault("it gave neither true nor false")


class Lying:
    """An engine whose BOOL is not True or False."""

    def eval(self, _: object) -> "Lying":
        return self

    def type(self) -> object:
        return cel._BOOL

    def value(self) -> str:
        return "true"


def test_a_bool_that_is_neither_true_nor_false_is_a_fault() -> None:
    """Nothing truthy slips through, whatever a new version of the engine returns."""
    assert isinstance(Condition("x", 0, Lying()).holds(None), Fault)


# --- defect 3: null drops a reference to None -------------------------------------------------------------------------


def test_ten_thousand_faults_and_nulls_take_no_reference_from_none() -> None:
    """On 3.11 the process would abort after 300,000 reads of null."""
    condition = ENGINE.condition("args.a == null || args.b > 1")
    activation = ENGINE.activation(given({"a": None, "b": None}), condition.reads)
    broken = ENGINE.condition("args.zzz > 1")
    before = sys.getrefcount(None)
    for _ in range(10_000):
        condition.holds(activation)
        broken.holds(activation)
    assert sys.getrefcount(None) > before - 500


# --- hostile conditions -----------------------------------------------------------------------------------------------


def timed(text: str, arguments: dict[str, Any]) -> float:
    condition = ENGINE.condition(text)
    started = time.process_time()
    condition.holds(ENGINE.activation(given(arguments), condition.reads))
    return time.process_time() - started


def test_a_pattern_that_explodes_elsewhere_is_linear_here() -> None:
    """ReDoS: `(a+)+$` on ten thousand a in under 100 ms (security research 2)."""
    assert timed("args.a.matches('(a+)+$')", {"a": "a" * 10_000 + "b"}) < 0.1


def test_nested_loops_are_stopped_and_fault() -> None:
    """n^4 over 100 items ran for 38 s in another engine."""
    text = "args.x.all(a, args.x.all(b, args.x.all(c, args.x.all(d, a + b + c + d >= 0))))"
    assert timed(text, {"x": list(range(100))}) < 0.5
    assert "10,000" in fault(text, {"x": list(range(100))})


@pytest.mark.parametrize(
    "text",
    ["(" * 1500 + "true" + ")" * 1500, "[" * 1500 + "]" * 1500, "args" + ".a" * 1500 + " == 1", "1" + "+1" * 1500],
)
def test_a_deeply_nested_condition_is_refused_at_load(text: str) -> None:
    """Deep nesting crashes the engine elsewhere; here it must not compile."""
    with pytest.raises(Invalid):
        ENGINE.condition(text)


def test_deep_arguments_do_not_reach_the_engine() -> None:
    """8,000 levels end the process."""
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    assert outcome("args.a == 1", {"a": deep}) == "fault"


# --- load -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words", "line", "column"),
    [
        ("agent.teir < 3", "undeclared reference to 'agent.teir' (did you mean 'agent.tier'?)", 1, 6),
        ("true\n  && agent.tier < '3'", "no matching overload", 2, 17),
        ("intent.confidence < 1", "(a whole number and a fraction: write 1000.0 for 1000, or double(", 1, 19),
        ("args.a == (", "Syntax error", 1, 12),
        ("session.undeclared", "undeclared reference", 1, 8),
        ("args.a", "a condition must be true or false, this is DYN; compare it with something", 0, 0),
        ("risk", "must be true or false, this is INT", 0, 0),
        ("risk >\0 1", "must not hold NUL", 0, 0),
        ("(" * 100 + "true" + ")" * 100, "nested too deeply", 0, 0),
        ("true &&\n args.a.matches( '(a')", "not a regular expression that RE2 takes", 2, 18),
        ("args.a.matches(r'(?=x)')", "no look-around", 1, 16),
        ('args.a.matches("""(""")', "not a regular expression", 1, 16),
        ("args.a.matches('\\\\')", "not a regular expression", 1, 16),
    ],
)
def test_a_condition_that_cannot_work_fails_at_load_with_its_place(
    text: str, words: str, line: int, column: int
) -> None:
    """A misspelt name found only when a call comes would deny everything, or hide a hole until then."""
    with pytest.raises(Invalid) as caught:
        ENGINE.condition(text)
    problem = caught.value.problems[0]
    assert words in problem.message
    assert (problem.line, problem.column) == (line, column)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "args.a.matches(args.b)",
        "args.a.matches('x' + 'y')",
        "args.a == 'matches('",
        "args.a.matches(R'\\d+$')",
        "args.a.matches('it\\'s')",
    ],
)
def test_a_pattern_that_is_no_plain_literal_is_left_to_the_call(text: str) -> None:
    """The early check must not refuse what is sound."""
    assert ENGINE.condition(text)


def test_several_mistakes_are_told_at_once() -> None:
    """An operator mends a condition in one go."""
    with pytest.raises(Invalid) as caught:
        ENGINE.condition("agent.teir < 3 && call.tol == 'x'")
    assert len(caught.value.problems) == 2


def test_an_error_of_the_engine_without_any_position_is_still_a_problem() -> None:
    """Whatever the engine says, the operator gets words."""
    assert [problem.message for problem in cel._problems("INTERNAL", ())] == ["the engine cannot read this condition"]


def test_a_budget_sums_numbers_only() -> None:
    """A text would add up to nothing."""
    assert ENGINE.amount("args.amount").reads == cel._BIT["args"]
    assert ENGINE.amount("1.5 * double(args.amount)")
    with pytest.raises(Invalid, match="sums numbers, this is STRING"):
        ENGINE.amount("call.tool")


@pytest.mark.parametrize(
    ("text", "amount", "number"),
    [
        ("args.amount", 3, 3),
        ("args.amount", 2.5, 2.5),
        ("args.amount", -1, -1),
        ("double(args.amount) * 2.0", 3, 6.0),
        ("double(args.amount)", "4", 4.0),
        ("budget.refunds", 0, 10.0),
    ],
)
def test_an_amount_is_a_number_of_the_call(text: str, amount: object, number: float) -> None:
    """What a budget adds comes from the arguments, as they are and of their own type."""
    found = ENGINE.number(ENGINE.amount(text), given({"amount": amount}, **FACTS))
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize("amount", ["x", "3", True, None, [], {}, {"a": 1}, math.nan, "a\0b"])
def test_an_amount_that_is_no_number_is_a_fault(amount: object) -> None:
    """Nothing but INT and DOUBLE is read back; a truth or a text must not count as one."""
    assert isinstance(ENGINE.number(ENGINE.amount("args.amount"), given({"amount": amount}, **FACTS)), Fault)


def test_an_amount_that_is_missing_or_of_another_kind_is_a_fault() -> None:
    """An amount that cannot be computed is none at all."""
    assert isinstance(ENGINE.number(ENGINE.amount("args.amount"), given({}, **FACTS)), Fault)
    assert isinstance(ENGINE.number(ENGINE.amount("dyn(uint(1))"), given({}, **FACTS)), Fault)
    broken = Condition("x", 0, None)
    assert isinstance(broken.number(None), Fault)


def test_a_condition_names_all_facts_that_it_can_read() -> None:
    """What a condition reads is gathered for it, however it is written; what none reads is not."""
    engine = Engine(sums=["a", "long_name"], counts=["b"])
    assert engine.condition("budget.a > 1.0").facts >= {"a"}
    assert engine.condition("budget\n . long_name > 1.0").facts >= {"long_name"}
    assert engine.condition("count.b > 1").facts == {"b"}
    assert engine.condition("args.b > 1").facts == frozenset()
    assert engine.amount("budget.long_name").facts >= {"long_name"}


def test_first_use_and_failures_in_a_row_can_be_asked_for() -> None:
    """The first use of a tool, and an agent that only fails, are what an operator wants to see."""
    assert outcome("call.first_use && agent.failures_in_row >= 5", first_use=True, failures_in_row=5) is True
    assert outcome("call.first_use", first_use=False) is False
    assert outcome("agent.failures_in_row >= 5", failures_in_row=4) is False


# --- what reaches the engine ------------------------------------------------------------------------------------------


def test_what_no_condition_reads_is_not_converted() -> None:
    """Arguments of a megabyte cost milliseconds; a rule about risk must not pay for them."""
    condition = ENGINE.condition("risk > 50")
    assert condition.reads == cel._BIT["risk"]
    activation = ENGINE.activation(given({"a": "rm\0"}), condition.reads)
    assert condition.holds(activation) is False


def test_values_that_the_engine_refuses_are_a_fault_and_no_exception() -> None:
    """`evaluate` never raises for what a call can hold."""
    activation = ENGINE.activation(given(uri="\ud800"), cel._BIT["call"])
    condition = ENGINE.condition("call.uri == 'x'")
    assert isinstance(activation, Fault) or isinstance(condition.holds(activation), Fault)


def test_an_environment_that_refuses_the_values_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Native code may raise anything."""

    class Broken:
        def Activation(self, _: object) -> None:
            raise RuntimeError("timezone secret-value")

    engine = Engine()
    monkeypatch.setattr(engine, "_environment", Broken())
    assert engine.activation(given(), 0) == Fault("a time zone in it is unknown")


# --- canary -----------------------------------------------------------------------------------------------------------


def test_the_canary_is_content_with_the_pinned_engine() -> None:
    """Start-up asks the engine what it is known to answer."""
    canary()


@pytest.mark.parametrize("answer", [True, False, Fault("x")])
def test_the_canary_finds_an_engine_that_always_says_the_same(
    monkeypatch: pytest.MonkeyPatch, answer: bool | Fault
) -> None:
    """Another version of the engine must be found before it decides anything."""
    monkeypatch.setattr(Condition, "holds", lambda *_: answer)
    with pytest.raises(Invalid, match="misjudges"):
        canary()


def test_the_canary_finds_an_engine_that_no_longer_checks_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check a misspelt variable would fail only at run time."""
    real = Engine.condition
    monkeypatch.setattr(Engine, "condition", lambda self, text: real(self, "true" if "teir" in text else text))
    with pytest.raises(Invalid, match="accepts"):
        canary()
