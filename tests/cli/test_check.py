"""`intended check`: what was found, and the exit status."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No intended.yaml of the machine that runs this."""
    monkeypatch.chdir(tmp_path)


def checked(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", "--data", "data", "--state", "state", *arguments])


def test_everything_sound_is_exit_0() -> None:
    """What is there is on stdout, the sum on stderr."""
    result = checked()
    assert result.exit_code == 0, result.output
    assert "ok  policy default.yaml" in result.stdout
    assert "everything that a gateway needs is there" in result.stderr


def test_a_broken_policy_is_exit_3_with_file_line_field_and_remedy() -> None:
    """Issue, "What a user can do", 3."""
    Path("p.yaml").write_text("apiVersion: intended/v1\npolicySet: p\nrules:\n  - {id: a, effect: permit}\n")
    result = checked("--policies", "p.yaml")
    assert result.exit_code == 3
    assert "p.yaml:4:" in result.stderr
    assert "rules.0.effect" in result.stderr
    assert "fix: " in result.stderr
    assert "1 problem\n" in result.stderr


def test_an_upstream_that_is_down_is_exit_5() -> None:
    """Nothing of ours is wrong, so it is another status."""
    result = checked("http://127.0.0.1:9/mcp")
    assert result.exit_code == 5
    assert "upstream default" in result.stderr


def test_a_problem_outranks_an_upstream_that_is_down() -> None:
    """It would still be there when the upstream is back."""
    assert checked("http://127.0.0.1:9/mcp", "--policies", "none.yaml").exit_code == 3


def test_a_command_is_tried_like_a_url() -> None:
    """`intended check -- COMMAND` as `intended run -- COMMAND`."""
    result = checked("--", "intended-no-such-program", "--port", "1")
    assert result.exit_code == 5
    assert "upstream default" in result.stderr


def test_programs_get_json() -> None:
    """Every problem with its parts."""
    found = json.loads(checked("http://127.0.0.1:9/mcp", "-o", "json").stdout)
    assert found["problems"] == []
    assert set(found["unreachable"][0]) == {"source", "message", "remedy", "field", "line", "column"}


@pytest.mark.parametrize("form", ["json", "table"])
def test_settings_that_cannot_be_read_are_problems_like_others(form: str) -> None:
    """They are what was asked about; an editor or a pipeline gets them in the form that it asked for."""
    Path("c.yaml").write_text("prot: 1\nhots: x\n")
    result = checked("--config", "c.yaml", "-o", form)
    assert result.exit_code == 3
    if form == "json":
        found = json.loads(result.stdout)
        assert [(one["source"], one["line"], one["field"]) for one in found["problems"]] == [
            ("c.yaml", 1, "prot"),
            ("c.yaml", 2, "hots"),
        ]
        assert (found["unreachable"], found["notes"], result.stderr) == ([], [], "")
    else:
        assert (result.stdout, result.stderr.splitlines()[-1]) == ("", "2 problems")
