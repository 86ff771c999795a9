"""`intended thresholds`: what is asked and what is shown."""

import json
from pathlib import Path

import pytest

from tests.cli.desk import Asked, command, desk

TIERS = {"T0": {"allowBelow": 30, "denyFrom": 80}, "T1": {"allowBelow": 50, "denyFrom": 90}}
TABLE = {"tenantId": "default", "tiers": TIERS, "version": 0}


def test_the_table_in_force_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And whose it is."""
    with desk(monkeypatch, TABLE, TABLE | {"version": 3}) as asked:
        done = command(tmp_path, "thresholds", "show")
        assert done.stdout == "T0\t30\t80\nT1\t50\t90\n"
        assert done.stderr == "version 0: the table of the configuration\n"
        assert command(tmp_path, "thresholds", "show", "--tenant", "acme").stderr == "version 3\n"
    assert asked.asked == [
        Asked(method="GET", path="/authority/thresholds/default"),
        Asked(method="GET", path="/authority/thresholds/acme", tenant="acme"),
    ]


def test_what_is_not_named_stays_and_what_was_read_is_what_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators who change one table at once must not undo each other."""
    with desk(monkeypatch, TABLE | {"version": 3}, TABLE | {"version": 4}) as asked:
        done = command(tmp_path, "thresholds", "set", "T1=60:95", "-o", "json")
    assert json.loads(done.stdout)["version"] == 4
    assert asked.asked[-1] == Asked(
        method="PUT",
        path="/authority/thresholds/default",
        body={"tiers": TIERS | {"T1": {"allowBelow": 60, "denyFrom": 95}}, "version": 3},
    )


@pytest.mark.parametrize("text", ["T1", "T1=5", "T9=1:2", "T1=1:2:3", "T1=a:b", "T1=-1:2"])
def test_what_cannot_be_read_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """With the form that is wanted."""
    with desk(monkeypatch) as asked:
        done = command(tmp_path, "thresholds", "set", text)
    assert done.exit_code == 2
    assert "T1=50:90" in done.stderr
    assert asked.asked == []
