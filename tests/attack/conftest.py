"""A spy as the upstream, and a gateway in front of it, for the tests of one module."""

from collections.abc import Iterator

import pytest

from tests.attack.guarded import Guarded, guarded
from tests.attack.spy import Spy, spying


@pytest.fixture(scope="module")
def spy() -> Iterator[Spy]:
    with spying() as running:
        yield running


@pytest.fixture(scope="module")
def served(spy: Spy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("served"), spy.url) as running:
        yield running
