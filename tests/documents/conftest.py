"""One running service for all tests of the documents."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from gateway.demo.upstream import DemoUpstream
from gateway.demo.upstream import running as upstream_running
from tests.documents import live


@contextmanager
def behind_upstream(folder: Path) -> Iterator[live.Service]:
    """Start a service in front of the demo's server, which runs in this process."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(upstream_running(DemoUpstream())) as upstream,
        live.running(folder, upstream) as started,
    ):
        yield started


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Service]:
    """A service with keys for the documents' tenants, and the guide's agents in `tenant123`."""
    folder: Path = tmp_path_factory.mktemp("service")
    with behind_upstream(folder) as started:
        live.register_agents(started, "tenant123")
        yield started


@pytest.fixture(scope="package")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Service]:
    """A service whose store was deleted while it runs."""
    folder: Path = tmp_path_factory.mktemp("broken")
    with behind_upstream(folder) as started:
        for file in (folder / "data").glob("audit.db*"):
            file.unlink()
        yield started
