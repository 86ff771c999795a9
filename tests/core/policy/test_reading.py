"""Positions: an operator finds a mistake at the line and column where it is."""

import pytest

from gateway.core.policy.document import PolicyDocument
from gateway.core.policy.reading import LoadedDocument, Place, Places, read_document, validated
from gateway.errors import PolicyError

PLACES = Places(
    values={
        (): Place(line=1, column=1),
        ("rules", 0): Place(line=4, column=5),
        ("rules", 0, "id"): Place(line=4, column=9),
    },
    keys={("rules", 0, "effct"): Place(line=5, column=5)},
)


def test_a_wrong_value_is_shown_where_it_stands_and_an_unknown_key_where_the_key_stands() -> None:
    """`policy.yaml:6:13: rules.1.effect: …` (ecosystem research 2.1)."""
    data = {"apiVersion": "intended/v1", "policySet": "x", "rules": [{"id": 7, "effct": "allow"}]}
    with pytest.raises(PolicyError) as caught:
        read_document("p.yaml", "", data, PLACES)
    places = {(problem.field, problem.line, problem.column) for problem in caught.value.problems}
    assert places == {("rules.0.id", 4, 9), ("rules.0.effect", 4, 5), ("rules.0.effct", 5, 5)}


def test_what_has_no_position_takes_that_of_the_nearest_thing_around_it() -> None:
    """A missing field stands nowhere; its section does."""
    assert PLACES.of(("rules", 0, "match", "tools")) == Place(line=4, column=5)
    assert PLACES.of(("policySet",), key=True) == Place(line=1, column=1)
    assert Places().of(("a",)) == Place(line=0, column=0)


def test_a_place_inside_a_text_is_counted_from_where_its_characters_begin() -> None:
    """An engine's column is of the condition, an editor's of the file."""
    assert Place(line=3, column=9, text_line=4, text_column=7).within(2, 5) == Place(line=5, column=11)
    assert Place(line=3, column=9).within(2, 5) == Place(line=3, column=9)


def test_a_problem_at_a_value_of_a_loaded_file_names_file_field_and_place() -> None:
    """Problems found across files point into them too."""
    document = PolicyDocument.model_validate(
        {"apiVersion": "intended/v1", "policySet": "x", "rules": [{"id": "a", "effect": "allow"}]}
    )
    loaded = LoadedDocument(path="p.yaml", sha256="", document=document, places=PLACES)
    assert (
        str(loaded.problem(("rules", 0, "id"), "wrong", "mend it")) == "p.yaml:4:9: rules.0.id: wrong\n  fix: mend it"
    )


@pytest.mark.parametrize("data", [None, 3, "text", [], {}])
def test_a_document_that_is_no_mapping_of_fields_is_refused(data: object) -> None:
    """An empty or half-written file must not become a policy."""
    with pytest.raises(PolicyError):
        validated(PolicyDocument, "p.yaml", data, Places())
