"""`intended test`: policy cases and their exit status."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.errors import ConfigurationError

POLICY = "apiVersion: intended/v1\npolicySet: p\nrules:\n  - {id: all, effect: allow}\n"
CASES = """\
apiVersion: intended/v1
cases:
  - name: everything is allowed at T4
    call: {tool: x}
    agent: {tier: T4}
    expect: {effect: EFFECT}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.yaml").write_text(POLICY)
    return tmp_path


def test_cases_that_pass_are_exit_0(folder: Path) -> None:
    """And the sum is said."""
    (folder / "p_test.yaml").write_text(CASES.replace("EFFECT", "ALLOW"))
    result = CliRunner().invoke(app, ["test", "."])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "1 passed, 0 failed"


def test_a_case_that_fails_is_exit_4_and_says_why(folder: Path) -> None:
    """With file, line and what was expected."""
    (folder / "p_test.yaml").write_text(CASES.replace("EFFECT", "DENY"))
    result = CliRunner().invoke(app, ["test", "p.yaml"])
    assert result.exit_code == 4
    assert "FAIL  p_test.yaml:3  everything is allowed at T4" in result.stdout
    assert "expected DENY, got ALLOW" in result.stdout


def test_programs_get_json(folder: Path) -> None:
    """With the rules that no case needed."""
    (folder / "p_test.yaml").write_text(CASES.replace("EFFECT", "DENY"))
    result = CliRunner().invoke(app, ["test", "p_test.yaml", "-o", "json"])
    [report] = json.loads(result.stdout)
    assert (report["passed"], report["untested"], len(report["cases"][0]["differences"])) == (False, [], 2)


def test_the_cases_of_a_shipped_policy_run_by_its_name(folder: Path) -> None:
    """Whoever installed a wheel does not know where they lie."""
    result = CliRunner().invoke(app, ["test", "shipped:read-only", "shipped:filesystem"])
    assert result.exit_code == 0, result.stdout
    assert "filesystem_test.yaml" in result.stdout
    wrong = CliRunner().invoke(app, ["test", "shipped:nothing"])
    assert isinstance(wrong.exception, ConfigurationError)
    assert "use one of shipped:allow-all, " in wrong.exception.problems[0].remedy


def test_no_case_at_all_is_a_usage_error(folder: Path) -> None:
    """An empty run proves nothing, and a pipeline would be green for it."""
    result = CliRunner().invoke(app, ["test", "."])
    assert result.exit_code == 2
    assert "no case file" in result.stderr


def test_the_shipped_policies_pass_their_own() -> None:
    """`intended test` without anything runs the default's cases."""
    result = CliRunner().invoke(app, ["test"])
    assert result.exit_code == 0, result.stdout
