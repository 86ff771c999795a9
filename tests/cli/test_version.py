"""`intended version`."""

import json

import pytest
from typer.testing import CliRunner

from gateway import __version__
from gateway.cli.main import app


def test_it_says_what_runs_here() -> None:
    """For a bug report."""
    table = CliRunner().invoke(app, ["version"]).stdout.splitlines()
    assert table[0] == f"intended-mcp-gateway {__version__}"
    found = json.loads(CliRunner().invoke(app, ["version", "-o", "json"]).stdout)
    assert [f"{name} {number}" for name, number in found.items()] == table


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_flag_that_every_tool_has_prints_one_line(flag: str) -> None:
    """Scripts and people try it first."""
    result = CliRunner().invoke(app, [flag])
    assert (result.exit_code, result.stdout) == (0, f"intended {__version__}\n")
