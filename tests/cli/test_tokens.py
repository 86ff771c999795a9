"""`intended tokens rotate`: what is asked and what is shown."""

import json
from pathlib import Path

import pytest

from tests.cli.desk import Asked, command, desk

MADE = {"kid": "thumbprint", "signsFrom": "2026-11-22T12:01:00.000Z"}


@pytest.mark.parametrize(("option", "revoke", "text"), [([], False, "stays published"), (["--revoke"], True, "void")])
def test_a_signing_key_is_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], revoke: bool, text: str
) -> None:
    """Without a gap, unless the old keys are in foreign hands."""
    with desk(monkeypatch, MADE) as asked:
        done = command(tmp_path, "tokens", "rotate", "--tenant", "acme", *option)
    assert done.stdout == "thumbprint\n"
    assert "signs from 2026-11-22T12:01:00.000Z" in done.stderr
    assert text in done.stderr
    assert asked.asked == [Asked(method="POST", path="/authority/keys/rotate", body={"revoke": revoke}, tenant="acme")]


def test_it_is_data_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole."""
    with desk(monkeypatch, MADE):
        assert json.loads(command(tmp_path, "tokens", "rotate", "-o", "json").stdout) == MADE
