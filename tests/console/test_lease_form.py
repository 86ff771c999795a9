"""The form of a lease: what it offers, and that what is sent is read as it was meant or refused."""

import pytest

from gateway.console.lease_form import MAX_FIELDS, SHOWN, lease_form, terms_of
from gateway.console.markup import Html
from gateway.core.leases import Check, Constraint
from gateway.core.presentation import Offer
from gateway.errors import InvalidRequest
from gateway.services.lease_terms import LeaseTerms
from tests.console.test_markup import Reader

PLACES = (("/path", '"/srv/<b>"'), ("/amount", "5"), ("/temp", "-3.5"), ("/dry", "true"), ("/more", "{}"))
OFFER = Offer(places=PLACES, max_minutes=60, max_uses=5)
LIMITS = {"minutes": "10", "uses": "10"}


def fields(offer: Offer) -> list[tuple[str, dict[str, str | None]]]:
    return Reader(lease_form(offer, path="/approve/apr_1", token="t").text).elements


def test_each_argument_must_be_the_same_unless_it_is_loosened() -> None:
    """What a human does not touch is exact; each kind of value has its own ways to differ."""
    elements = fields(OFFER)
    values = [attributes.get("value") for name, attributes in elements if name == "option"]
    assert values == [
        *("same", "any", "prefix"),
        *("same", "any", "max", "min"),
        *("same", "any", "max", "min"),
        *("same", "any"),
        *("same", "any"),
    ]
    chosen = [attributes["value"] for name, attributes in elements if name == "option" and "selected" in attributes]
    assert set(chosen) == {"same"}
    inputs = {attributes["name"]: attributes.get("value") for name, attributes in elements if name == "input"}
    assert (inputs["minutes"], inputs["uses"], inputs["token"]) == ("10", "5", "t")
    assert [inputs[f"path.{number}"] for number in range(5)] == [place for place, _ in PLACES]
    assert [name for name in inputs if name.startswith("value.")] == ["value.0", "value.1", "value.2"]


def test_where_there_can_be_no_lease_there_is_no_form() -> None:
    """But the reason."""
    shown = lease_form(Offer(problem="the rule asks for 2 approvers"), path="/", token="t")
    assert isinstance(shown, Html)
    assert "2 approvers" in shown.text
    assert "<form" not in shown.text


def test_a_call_with_many_arguments_has_so_many_in_the_form() -> None:
    """All that it sends is taken; the other arguments must be the same."""
    many = Offer(places=tuple((f"/{number}", "1") for number in range(99)), max_minutes=60, max_uses=5)
    names = [attributes["name"] for name, attributes in fields(many) if name in ("input", "select", "textarea")]
    assert len([name for name in names if name and name.startswith("path.")]) == SHOWN
    assert len(names) + 1 <= MAX_FIELDS


def test_what_is_sent_is_read() -> None:
    """An untouched place is none."""
    form = LIMITS | {
        "path.0": "/path",
        "check.0": "prefix",
        "value.0": "/srv/",
        "path.1": "/amount",
        "check.1": "max",
        "value.1": "7.5",
        "path.2": "/temp",
        "check.2": "same",
        "value.2": "9",
        "path.3": "/dry",
        "check.3": "any",
        "path.4": "/more",
        "check.4": "min",
        "value.4": "much",
    }
    assert terms_of(form) == LeaseTerms(
        minutes=10,
        uses=10,
        constraints=(
            Constraint(path="/path", check=Check.PREFIX, value="/srv/"),
            Constraint(path="/amount", check=Check.MAX, value=7.5),
            Constraint(path="/dry", check=Check.ANY),
            Constraint(path="/more", check=Check.MIN, value="much"),
        ),
    )


def test_a_number_that_is_no_number_is_left_to_be_refused() -> None:
    """Whatever a form that is not ours sends, the gateway says what is wrong with it."""
    for typed in ("[" * 9000, "9" * 9000, "", "1,5"):
        (one,) = terms_of(LIMITS | {"path.0": "/amount", "check.0": "max", "value.0": typed}).constraints
        assert one.value == typed


@pytest.mark.parametrize(
    "changed",
    [
        {"minutes": ""},
        {"minutes": "10.5"},
        {"minutes": "-1"},
        {"minutes": "1234567"},
        {"uses": "\u0661"},
        {"path.0": "/path", "check.0": "equals"},
        {"path.0": "/path", "check.0": "regex"},
    ],
)
def test_what_the_form_does_not_send_is_refused(changed: dict[str, str]) -> None:
    """Half a lease is none."""
    with pytest.raises(InvalidRequest):
        terms_of(LIMITS | changed)
