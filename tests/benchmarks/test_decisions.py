"""The benchmark that backs the contract's latency runs; what it prints is for people, and no test is timed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_prints_both_figures() -> None:
    """A benchmark that has rotted backs nothing."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.decisions", "--decisions", "64", "--clients", "4"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "with token (POST /intent)" in ran.stdout
    assert "without (POST /v1/intents)" in ran.stdout
