"""Fixtures of the whole suite."""

import os

import pytest
from hypothesis import settings

# What a run finds must depend on the code alone: the same examples each time, however slow the machine is. Looking for
# new ones is for a person with time: INTENDED_SEARCH=1.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile("search" if os.environ.get("INTENDED_SEARCH") else "repeatable")


@pytest.fixture
def anyio_backend() -> str:
    """Run every async test on asyncio, the backend that the gateway runs on."""
    return "asyncio"
