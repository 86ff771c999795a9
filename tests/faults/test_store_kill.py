"""Killed at random moments under load, the store loses nothing that it has acknowledged."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_thirty_kills_lose_nothing_and_break_nothing() -> None:
    """Issue, "What it must show": kill -9 under load; acknowledged entries lost 0, chain valid, in-doubt listed.

    The process below has no threads, so that it can fork; 1,000 rounds are `python -m tests.faults.store_kill`.
    """
    command = [sys.executable, "-m", "tests.faults.store_kill", "--rounds", "30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    total = json.loads(done.stdout)
    assert total["rounds"] == 30
    assert total["acknowledged"] >= 30
    assert total["rounds_in_doubt"] > 0
    assert {total[name] for name in ("lost", "broken", "refused", "wrongly_open")} == {0}
