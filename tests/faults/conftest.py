"""Fixtures of the fault tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.gated import Nursery
from tests.faults.gated import nursery as started


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """A process that starts gateways quickly."""
    with started() as nursery:
        yield nursery


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where possible: for tests that are not about disks, so that a slow one is no fault."""
    place = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=place if place.is_dir() else None) as folder:
        yield Path(folder)
