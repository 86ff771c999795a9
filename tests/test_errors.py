"""The deliberate errors: the tree that is drawn is the tree that there is, and a problem reads as it should."""

import re

import pytest

from gateway import errors
from gateway.errors import ConfigurationError, GatewayError, Problem


def drawn() -> dict[str, str]:
    """Read the tree in the module's docstring: each error with the one that it stands under."""
    assert errors.__doc__ is not None
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in errors.__doc__.split("```text\n")[1].split("```")[0].splitlines():
        found = re.match(r"([│├└─ ]*)(\w+)", line)
        assert found is not None
        depth = len(found[1]) // 4
        path[depth:] = [found[2]]
        parents[found[2]] = path[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_in_the_docstring_is_whole() -> None:
    """Whoever catches an error reads it there."""
    real = {
        name: value.__base__.__name__
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, GatewayError)
    }
    assert drawn() == real


def test_every_error_is_public() -> None:
    """An error that nobody can name cannot be caught."""
    assert set(errors.__all__) == set(drawn()) | {"FieldProblem", "Problem"}


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(source="a.yaml", message="m", remedy="r"), "a.yaml: m\n  fix: r"),
        (Problem(source="a.yaml", message="m", remedy="r", line=2, column=3), "a.yaml:2:3: m\n  fix: r"),
        (Problem(source="a", message="m", remedy="r", line=2, column=3, field="f.0"), "a:2:3: f.0: m\n  fix: r"),
    ],
)
def test_a_problem_reads_as_place_field_sentence_and_remedy(problem: Problem, text: str) -> None:
    """Editors jump to the place, people do what the remedy says."""
    assert str(problem) == text


def test_a_configuration_error_tells_every_problem() -> None:
    """Not only the first."""
    one = Problem(source="a", message="m", remedy="r")
    other = Problem(source="b", message="n", remedy="s")
    error = ConfigurationError(one, other)
    assert error.problems == (one, other)
    assert str(error) == "a: m\n  fix: r\nb: n\n  fix: s"
