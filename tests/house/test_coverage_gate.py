"""The gate itself: what it lets through and what not."""

from tests.house.coverage_gate import gaps


def report(path: str, lines: list[int], branches: list[list[int]]) -> dict:
    return {"files": {path: {"missing_lines": lines, "missing_branches": branches}}}


def test_a_missing_branch_of_the_core_is_told() -> None:
    """The gate is about branches, not lines only."""
    assert gaps(report("gateway/core/decide.py", [], [[4, 7]])) == ["gateway/core/decide.py: not covered: 4→7"]


def test_other_packages_are_not_held_to_it() -> None:
    """Adapters meet the world; their last branch may need a broken disk."""
    assert gaps(report("gateway/store/headcopy.py", [1], [])) == []
