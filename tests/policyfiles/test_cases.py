"""Case files find the policies that they test, and are read as strictly."""

from pathlib import Path

import pytest

from gateway.errors import PolicyError
from gateway.policyfiles.cases import case_paths, load_cases
from tests.policyfiles.test_files import write

CASES = """apiVersion: intended/v1
cases:
  - name: one
    call: {tool: x}
    expect: {effect: ALLOW}
  - name: %s
    call: {tool: x}
    expect: {effect: ALLOW}
"""


def cases(path: Path, second: str = "two", head: str = "") -> Path:
    path.write_text(head + CASES % second, encoding="utf-8")
    return path


def test_cases_test_the_file_beside_them(tmp_path: Path) -> None:
    """`x_test.yaml` is about `x.yaml`, whatever else lies there."""
    write(tmp_path / "x.yaml")
    write(tmp_path / "y.yaml", "b")
    suite = load_cases(cases(tmp_path / "x_test.yaml"))
    assert suite.source == "x_test.yaml"
    assert [line for line, _ in suite.cases] == [3, 6]
    assert [file for file, _ in suite.bundle.files] == ["x.yaml"]


def test_cases_without_a_file_beside_them_test_the_folder(tmp_path: Path) -> None:
    """Several files are one bundle in force; so they are in a test."""
    write(tmp_path / "x.yaml")
    write(tmp_path / "y.yml", "b")
    assert len(load_cases(cases(tmp_path / "all_test.yaml")).bundle.files) == 2


def test_cases_may_name_what_they_test(tmp_path: Path) -> None:
    """Relative to the case file, so that a folder can be moved."""
    (tmp_path / "cases").mkdir()
    write(tmp_path / "x.yaml")
    suite = load_cases(cases(tmp_path / "cases" / "c_test.yaml", head="policies: ../x.yaml\n"))
    assert [file for file, _ in suite.bundle.files] == ["x.yaml"]


def test_two_cases_of_one_name_are_refused_at_the_second(tmp_path: Path) -> None:
    """A report could not tell them apart."""
    write(tmp_path / "x.yaml")
    with pytest.raises(PolicyError, match=r"x_test.yaml:6:11: cases.1.name: there is already a case of this name"):
        load_cases(cases(tmp_path / "x_test.yaml", "one"))


def test_case_files_are_found_by_folder_by_policy_and_by_name(tmp_path: Path) -> None:
    """`intended test PATH` takes what an operator has at hand."""
    policy = write(tmp_path / "x.yaml")
    (tmp_path / "packs").mkdir()
    one, two = cases(tmp_path / "x_test.yaml"), cases(tmp_path / "packs" / "z_test.yml")
    assert case_paths(tmp_path) == (two, one)
    assert case_paths(policy) == (one,)
    assert case_paths(one) == (one,)
    assert case_paths(tmp_path / "y.yaml") == ()
