"""What several of these tests need."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.house.documents import ROOT


@pytest.fixture
def run_python() -> Callable[[str], str]:
    """Run a script in an interpreter of its own and return what it prints."""

    def run(script: str) -> str:
        command = [sys.executable, "-c", script]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30).stdout

    return run
