"""A shape covers what the human has seen and loosened, and nothing else; a lease is worth no more than it was."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision import Effect, MatchedRule
from gateway.core.leases import (
    MAX_CHOICES,
    MAX_CONSTRAINTS,
    MAX_PLACES,
    TRANSITIONS,
    Check,
    Constraint,
    Leased,
    LeaseState,
    Shape,
    may_become,
    places,
    pointer,
    problems_of,
    read_leased,
    told,
)

SEEN: dict[str, Any] = {
    "path": "/srv/data/a.txt",
    "amount": 5,
    "to": {"iban": "DE1", "name": "Jane"},
    "tags": ["a", {"b": 1}],
    "dry": False,
    "note": None,
}
RULE = MatchedRule(id="ask", policy_set="p", effect=Effect.ESCALATE, reason="", digest="d1")
LEASE = Leased(
    id="lse_1", rules=frozenset({("ask", "d1")}), risk=40, factors=frozenset({"payment", "first-use"}), tier=2
)


def let(path: str, check: Check, value: Any = None) -> Constraint:
    return Constraint(path=path, check=check, value=value)


def shape(*constraints: Constraint) -> Shape:
    return Shape(arguments=SEEN, constraints=constraints)


def problems(*constraints: Constraint) -> dict[str, str]:
    return dict(problems_of(shape(*constraints)))


# --- the states -------------------------------------------------------------------------------------------------------


def test_an_ended_lease_never_comes_back() -> None:
    """A yes that is over is over: who wants it again has to be asked again."""
    assert set(TRANSITIONS) == set(LeaseState)
    for state in LeaseState:
        assert not may_become(state, LeaseState.ACTIVE)
        assert may_become(LeaseState.ACTIVE, state) is (state is not LeaseState.ACTIVE)


# --- what a shape covers ----------------------------------------------------------------------------------------------


def test_without_loosening_a_shape_covers_the_approved_arguments_only() -> None:
    """The default is exact: a human who loosens nothing has approved nothing else."""
    assert shape().covers(SEEN)
    assert shape().covers(dict(reversed(SEEN.items()))), "the order of members is no difference in JSON"


@pytest.mark.parametrize(
    "other",
    [
        SEEN | {"amount": 6},
        SEEN | {"amount": True},
        SEEN | {"amount": "5"},
        SEEN | {"dry": 0},
        SEEN | {"note": ""},
        SEEN | {"more": 1},
        {name: value for name, value in SEEN.items() if name != "note"},
        SEEN | {"to": {"iban": "DE1"}},
        SEEN | {"to": {"iban": "DE1", "name": "Jane", "bic": "X"}},
        SEEN | {"to": "DE1"},
        SEEN | {"tags": ["a"]},
        SEEN | {"tags": ["a", {"b": 2}]},
        SEEN | {"tags": {"0": "a", "1": {"b": 1}}},
        {},
    ],
)
def test_another_value_a_missing_or_a_further_argument_is_not_covered(other: dict[str, Any]) -> None:
    """A shape is closed: what the human has not seen is not covered."""
    assert not shape().covers(other)


def test_numbers_are_equal_as_json_has_them() -> None:
    """RFC 8785 writes 5 and 5.0 alike, and so do upstreams read them."""
    assert shape().covers(SEEN | {"amount": 5.0})


@pytest.mark.parametrize(
    ("constraint", "fits", "not_"),
    [
        (let("/note", Check.ANY), ["x", 7, None, {"deep": []}], []),
        (let("/amount", Check.EQUALS, 5), [5, 5.0], [6, True, "5", None]),
        (let("/to", Check.EQUALS, {"iban": "DE1", "name": "Jane"}), [SEEN["to"]], [{"iban": "DE1"}, "DE1"]),
        (let("/amount", Check.ONE_OF, [5, 7]), [5, 7], [6, True, [5]]),
        (let("/amount", Check.MAX, 10), [10, -3, 9.5], [10.01, True, "7", None, float("nan")]),
        (let("/amount", Check.MIN, 1.5), [1.5, 100], [1, False, "7", float("inf")]),
    ],
)
def test_a_loosened_place_takes_what_its_check_takes(constraint: Constraint, fits: list[Any], not_: list[Any]) -> None:
    """Each check is the human's word on one place, and says nothing of the others."""
    name = constraint.path[1:]
    for value in fits:
        assert shape(constraint).covers(SEEN | {name: value}), value
        assert not shape(constraint).covers(SEEN | {name: value, "dry": True})
    for value in not_:
        assert not shape(constraint).covers(SEEN | {name: value}), value
    assert not shape(constraint).covers({key: value for key, value in SEEN.items() if key != name})


def test_several_checks_of_one_place_must_all_hold() -> None:
    """A range is two checks."""
    made = shape(let("/amount", Check.MIN, 2), let("/amount", Check.MAX, 6))
    assert [amount for amount in range(9) if made.covers(SEEN | {"amount": amount})] == [2, 3, 4, 5, 6]


def test_a_place_may_lie_deep_and_in_a_list() -> None:
    """JSON pointers name any place (RFC 6901)."""
    made = shape(let("/to/name", Check.ANY), let("/tags/1/b", Check.MAX, 9))
    assert made.covers(SEEN | {"to": {"iban": "DE1", "name": "John"}, "tags": ["a", {"b": 9}]})
    assert not made.covers(SEEN | {"to": {"iban": "DE2", "name": "John"}})
    assert not made.covers(SEEN | {"tags": ["a", {"b": 10}]})


@pytest.mark.parametrize(
    "path",
    [
        "/srv/data/../etc/shadow",
        "/srv/data/..",
        "/srv/data/a\\..\\b",
        "/srv/data/%2e%2E/etc",
        "/srv/data/a%2Fb",
        "/srv/data/a%5cb",
        "/srv/data/%252e%252e/etc",
        "/srv/data/%c0%ae%c0%ae/etc",
        "/srv/data/a%00",
        "/srv/data/a%0D%0Ab",
        "/srv/data/\x00",
        "/srv/data/\n",
        "/srv/data/\uff0e\uff0e/etc",
        "/srv/dat",
        "/etc/srv/data/",
        "",
        7,
        None,
        ["/srv/data/a"],
    ],
)
def test_a_prefix_is_not_left(path: Any) -> None:
    """Whoever approves a folder has not approved what lies beside it, however the way there is written."""
    assert not shape(let("/path", Check.PREFIX, "/srv/data/")).covers(SEEN | {"path": path})


@pytest.mark.parametrize(
    ("prefix", "text", "below"),
    [
        ("/srv/data/", "/srv/data/b/c.txt", True),
        ("/srv/data", "/srv/data", True),
        ("/srv/data", "/srv/data/b", True),
        ("/srv/data", "/srv/data-secret/b", False),
        ("https://good.example", "https://good.example/x", True),
        ("https://good.example", "https://good.example.evil.example/x", False),
        ("https://good.example", "https://good.example@evil.example/x", False),
        ("INV-", "INV-17", True),
        ("INV-", "INV-17/../..", False),
    ],
)
def test_a_prefix_of_a_path_ends_where_a_name_does(prefix: str, text: str, below: bool) -> None:
    """`/srv/data` is a folder and no beginning of a name."""
    assert let("/path", Check.PREFIX, prefix).holds(text) is below


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=5))
def test_any_other_value_than_the_seen_one_is_outside_of_an_exact_shape(value: object) -> None:
    """Equality of two parsed values is that of their JSON."""
    covered = Shape(arguments={"a": 1}).covers({"a": value})
    assert covered is (type(value) is int and value == 1)


# --- what may be granted ----------------------------------------------------------------------------------------------


def test_a_shape_that_the_approved_call_fits_may_be_granted() -> None:
    """The human loosens what is there."""
    assert problems() == {}
    assert (
        problems(
            let("/path", Check.PREFIX, "/srv/data/"),
            let("/amount", Check.MAX, 500),
            let("/amount", Check.MIN, 1),
            let("/to/name", Check.ANY),
            let("/tags/1/b", Check.ONE_OF, [1, 2]),
        )
        == {}
    )


@pytest.mark.parametrize(
    ("constraint", "part"),
    [
        (let("", Check.ANY), "as a whole"),
        (let("amount", Check.ANY), "as /path"),
        (let("/nothing", Check.ANY), "no such argument"),
        (let("/to/nothing", Check.ANY), "no such argument"),
        (let("/tags/2", Check.ANY), "no such argument"),
        (let("/tags/01", Check.ANY), "no such argument"),
        (let("/tags/x", Check.ANY), "no such argument"),
        (let("/amount/x", Check.ANY), "no such argument"),
        (let("/amount", Check.EQUALS, 6), "does not fit"),
        (let("/amount", Check.ONE_OF, [6]), "does not fit"),
        (let("/amount", Check.ONE_OF, []), "a list"),
        (let("/amount", Check.ONE_OF, 5), "a list"),
        (let("/amount", Check.ONE_OF, [5] * (MAX_CHOICES + 1)), "a list"),
        (let("/amount", Check.MAX, 4), "does not fit"),
        (let("/amount", Check.MAX, "9"), "a number"),
        (let("/amount", Check.MIN, True), "a number"),
        (let("/amount", Check.PREFIX, "5"), "does not fit"),
        (let("/path", Check.PREFIX, ""), "a text"),
        (let("/path", Check.PREFIX, 7), "a text"),
        (let("/path", Check.PREFIX, "/srv/../srv"), "no `..`"),
        (let("/path", Check.PREFIX, "/etc/"), "does not fit"),
    ],
)
def test_a_constraint_that_cannot_be_meant_is_refused(constraint: Constraint, part: str) -> None:
    """A mistyped shape must not be granted: it covers nothing, or what nobody has seen."""
    assert part in problems(constraint)[constraint.path]


def test_a_place_is_loosened_once_and_in_one_way() -> None:
    """A check within a place that is loosened as a whole would be ignored, and the human would not know."""
    assert "within" in problems(let("/to", Check.ANY), let("/to/iban", Check.EQUALS, "DE1"))["/to/iban"]
    assert "twice" in problems(let("/amount", Check.MAX, 9), let("/amount", Check.MAX, 99))["/amount"]
    assert "at most" in problems(*[let("/amount", Check.ANY)] * (MAX_CONSTRAINTS + 1))[""]


def test_the_places_of_a_call_are_listed_with_their_values() -> None:
    """They are what a human chooses from."""
    assert places(SEEN | {"a/b~": {}}) == (
        ("/path", "/srv/data/a.txt"),
        ("/amount", 5),
        ("/to/iban", "DE1"),
        ("/to/name", "Jane"),
        ("/tags/0", "a"),
        ("/tags/1/b", 1),
        ("/dry", False),
        ("/note", None),
        ("/a~1b~0", {}),
    )
    assert places({}) == ()
    assert len(places({str(number): number for number in range(500)})) == MAX_PLACES


def test_a_pointer_escapes_what_would_be_another_step() -> None:
    """RFC 6901, section 3."""
    assert pointer("a/b", "~", 0) == "/a~1b/~0/0"
    made = Shape(arguments={"a/b": {"~": 1}}, constraints=(let("/a~1b/~0", Check.MAX, 3),))
    assert list(problems_of(made)) == []
    assert made.covers({"a/b": {"~": 2}})
    assert not made.covers({"a/b": {"~": 4}})


def test_a_shape_is_told_with_its_loosened_places_first() -> None:
    """A human, and the audit, see at once where calls may differ."""
    made = shape(let("/amount", Check.MAX, 500), let("/to", Check.ANY), let("/path", Check.PREFIX, "/srv/data/"))
    assert [(one.path, one.check.value, one.value) for one in told(made, exact=True)] == [
        ("/amount", "max", "500"),
        ("/to", "any", ""),
        ("/path", "prefix", '"/srv/data/"'),
        ("/tags/0", "equals", '"a"'),
        ("/tags/1/b", "equals", "1"),
        ("/dry", "equals", "false"),
        ("/note", "equals", "null"),
    ]


def test_records_of_a_shape_hold_no_secret() -> None:
    """What is in an entry stays for good; a value below a telling name is as secret as one beside it."""
    arguments = {"password": "hunter2", "token": {"x": "hunter3"}, "plain": "yes"}
    constraints = (let("/token/x", Check.ONE_OF, ["hunter3"]), let("/plain", Check.EQUALS, "yes"))
    made = told(Shape(arguments=arguments, constraints=constraints), exact=False)
    assert [(one.path, one.value) for one in made] == [
        ("/token/x", '"[removed]"'),
        ("/plain", '"yes"'),
        ("/password", '"[removed]"'),
    ]


# --- the fact ---------------------------------------------------------------------------------------------------------


def test_a_lease_covers_what_was_seen_when_it_was_granted() -> None:
    """An unrelated change harms nothing, and less than what was seen is covered too."""
    allow = replace(RULE, id="more", effect=Effect.ALLOW, digest="new")
    assert LEASE.covers([RULE, allow], risk=40, factors=["payment"], tier=2)
    assert LEASE.covers([], risk=0, factors=[], tier=4)


@pytest.mark.parametrize(
    ("rules", "risk", "factors", "tier"),
    [
        ([RULE, replace(RULE, id="new")], 40, [], 2),
        ([replace(RULE, digest="d2")], 40, [], 2),
        ([RULE], 41, [], 2),
        ([RULE], 40, ["payment", "secrets"], 2),
        ([RULE], 40, [], 1),
    ],
)
def test_a_new_rule_a_higher_risk_a_new_factor_or_a_lower_tier_is_not_covered(
    rules: list[MatchedRule], risk: int, factors: list[str], tier: int
) -> None:
    """The human said yes to what was on the page."""
    assert not LEASE.covers(rules, risk=risk, factors=factors, tier=tier)


def test_the_fact_is_kept_whole() -> None:
    """A recorded decision must be recomputable."""
    assert read_leased(LEASE.written()) == LEASE
