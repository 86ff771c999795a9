"""The kinds of fields."""

import pytest
from pydantic import ValidationError

from gateway.api.fields import Asked, Managed, Moment, PageQuery, Query, Word, example, paged


class Times(Query):
    """A query."""

    at: Moment | None = None
    word: Word | None = None


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000Z"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31t12:00z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500Z"),
        ("2026-01-31T12:00:00.0001Z", "2026-01-31T12:00:00.001Z"),
        ("2026-12-31T23:59:59.9999Z", "2027-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_brought_to_the_form_of_entries(given: str, read: str) -> None:
    """They are compared as texts; what lies between two milliseconds counts as the later for both bounds."""
    assert Times(at=given).at == read


@pytest.mark.parametrize(
    "given",
    [
        "",
        "yesterday",
        "2026-13-01",
        "2026-02-30",
        "0000-01-01",
        "2026-01-01T25:00:00Z",
        "9999-12-31T23:59:59-23:00",
        "1",
    ],
)
def test_what_is_no_time_is_refused(given: str) -> None:
    """A bound that is guessed shows the wrong records."""
    with pytest.raises(ValidationError):
        Times(at=given)


def test_a_word_holds_no_control_characters() -> None:
    """It is compared with names that hold none."""
    assert Times(word="a b").word == "a b"
    for word in ("", "a\x00", "a\nb", "x" * 257):
        with pytest.raises(ValidationError):
            Times(word=word)


def test_our_own_requests_refuse_unknown_members_and_the_documents_do_not() -> None:
    """A misspelt scope would make a wider key; what published clients send beside is theirs."""

    class Ours(Managed):
        name: str = ""

    class Theirs(Asked):
        name: str = ""

    assert Theirs.model_validate({"nmae": "x"}).name == ""
    with pytest.raises(ValidationError):
        Ours.model_validate({"nmae": "x"})
    with pytest.raises(ValidationError):
        Ours.model_validate({"name": 1})


def test_a_page_tells_where_it_is() -> None:
    """Ops lists: items, total, page, pageSize (contract, section 2)."""
    assert paged([1], total=9, query=PageQuery(page=2)) == {"items": [1], "total": 9, "page": 2, "pageSize": 20}


def test_an_example_is_in_the_schema() -> None:
    """Where the document finds it."""
    assert example({"a": 1}) == {"json_schema_extra": {"examples": [{"a": 1}]}}
