"""Fixtures of the whole suite."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run every async test on asyncio, the backend that the gateway runs on."""
    return "asyncio"
