"""The checker at a command line, on a machine that has nothing of the gateway."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from intended.evidence.checks import Check, Report, State
from intended.evidence.command import FAILED, TRUSTED, check, lines, verdict
from tests.simulate.evidence import Made

ONLY_CRYPTOGRAPHY = """
import runpy, sys
allowed = {"cryptography", "intended", *sys.stdlib_module_names}
class Nothing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and not top.startswith("_"):
            raise ImportError(f"there is no {name} here")
sys.meta_path.insert(0, Nothing())
sys.argv[0] = "intended.evidence"
runpy.run_module("intended.evidence", run_name="__main__")
"""


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """Return what a checker was given."""
    (tmp_path / "bundle.json").write_bytes(made.bundles["ESCALATE"])
    (tmp_path / "keys.json").write_text(json.dumps(made.jwks))
    (tmp_path / "secret").write_text(made.secret + "\n")
    (tmp_path / "chain.jsonl").write_bytes(made.export)
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", ONLY_CRYPTOGRAPHY, *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_it_runs_where_there_is_only_python_and_cryptography(folder: Path) -> None:
    """An auditor's laptop; no store, no gateway, no network."""
    done = run(folder, "bundle.json", "--key", "keys.json", "--secret-file", "secret", "--export", "chain.jsonl")
    assert done.returncode == TRUSTED, done.stderr
    assert done.stdout.splitlines()[-1].startswith("verified: intent int_")
    (folder / "bundle.json").write_text((folder / "bundle.json").read_text().replace("agreed", "refused"))
    done = run(folder, "bundle.json", "--key", "keys.json")
    assert done.returncode == FAILED
    assert "NOT VALID: signature, body of entry" in done.stdout
    done = run(folder, "none.json", "--key", "keys.json")
    assert (done.returncode, "No such file" in done.stderr) == (2, True)


def test_each_check_has_its_line(made: Made, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that whoever reads it knows what was not checked."""
    bundle = folder / "bundle.json"
    assert check(bundle, keys=(), secret=None, export=None) == FAILED
    said = capsys.readouterr().out
    assert "not checked  key: " in said
    assert "passed       inclusion of entry" in said
    assert said.splitlines()[-1].startswith("NOT VERIFIED")
    assert check(bundle, keys=[made.keys[0].kid], secret=None, export=None) == TRUSTED
    assert check(bundle, keys=(), secret=folder / "secret", export=None) == TRUSTED


def test_what_a_bundle_says_does_not_drive_the_terminal() -> None:
    """It may be made up by anybody."""
    evil = Check(name="entry", state=State.FAILED, detail="\x1b[2Jgone")
    report = Report(checks=(evil,), tenant="a\x1b[2J", intent_id="\u202e")
    assert "\x1b" not in "".join((*lines(report), verdict(report)))
    fine = Report(checks=(Check(name="key", state=State.PASSED),), tenant="a\x1b[2J", intent_id="\u202e")
    assert verdict(fine) == "verified: intent ? of tenant a?[2J, key "
