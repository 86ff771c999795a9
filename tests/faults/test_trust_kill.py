"""Killed again and again while agents act, a gateway trusts each as the log alone says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(*given: str, timeout_s: float) -> dict[str, Any]:
    """Run the rounds in a process of their own, which has no threads, so that it can fork."""
    command = [sys.executable, "-m", "tests.faults.trust_kill", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_recomputed_from_the_log_is_the_live_state_whatever_was_killed() -> None:
    """Issue 5: with crashes in between; the 100,000 events of the issue are the test below."""
    found = run("--events", "2500", timeout_s=120)
    assert found["different"] == []
    assert found["kills"] >= 3
    assert found["changes"] > 0
    assert found["decisions"] > 1_000
    assert found["limited"] > 0


@pytest.mark.full
def test_it_is_after_100_000_events() -> None:
    """Issue 5, "What it must show"."""
    found = run("--events", "100000", "--of-round", "5000", timeout_s=3_600)
    assert found["different"] == []
    assert found["entries"] >= 100_000
