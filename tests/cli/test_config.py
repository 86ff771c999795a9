"""`intended config show`: every value with its origin, no credential."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.parts import data_folder, state_folder
from gateway.policyfiles.shipped import shipped_policy
from gateway.settings import Settings


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No intended.yaml of the machine that runs this."""
    monkeypatch.chdir(tmp_path)


CONFIG = """\
upstreams:
  github:
    url: https://user:hunter2@x.test/mcp?key=hunter2
    headers: {Authorization: Bearer hunter2}
  files:
    command: server
    env: {TOKEN: hunter2}
tiers:
  agents: {local: T2}
allowed_hosts: [a.test, b.test]
"""


def test_each_value_is_shown_with_its_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to "why is this in force?"."""
    Path("intended.yaml").write_text(CONFIG)
    monkeypatch.setenv("INTENDED_GATEWAY_PORT", "0")
    result = CliRunner().invoke(app, ["config", "show", "-o", "json"])
    found = {row["setting"]: (row["value"], row["origin"]) for row in json.loads(result.stdout)}
    assert found["port"] == (0, "INTENDED_GATEWAY_PORT")
    assert found["host"] == ("127.0.0.1", "default")
    assert found["tiers.agents.local"] == ("T2", "intended.yaml:9:12")
    assert found["allowed_hosts"] == (["a.test", "b.test"], "intended.yaml:10:1")
    assert found["tiers.default"] == ("T0", "default")


@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_no_credential_is_shown(output: str) -> None:
    """Not in a header, a child's environment, a URL's user or its query."""
    Path("intended.yaml").write_text(CONFIG)
    result = CliRunner().invoke(app, ["config", "show", "-o", output])
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert "https://********@x.test/mcp?********" in result.stdout


def test_the_table_has_a_line_per_setting() -> None:
    """Tabs between the columns where nobody looks."""
    lines = CliRunner().invoke(app, ["config", "show"]).stdout.splitlines()
    assert "port\t8787\tdefault" in lines
    assert "upstreams\t-\tdefault" in lines


def test_what_is_not_set_is_shown_where_it_lies() -> None:
    """Whoever looks for the record, or for the policy in force, asks here."""
    lines = [line.split("\t") for line in CliRunner().invoke(app, ["config", "show"]).stdout.splitlines()]
    found = {name: (value, origin) for name, value, origin in lines}
    assert found["policies"] == (str(shipped_policy("default")), "default")
    assert found["data"] == (str(data_folder(Settings())), "default")
    assert found["state"] == (str(state_folder(Settings())), "default")
