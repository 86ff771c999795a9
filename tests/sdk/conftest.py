"""One running service for all tests of the client against the real thing."""

from collections.abc import Iterator

import pytest

from tests.documents import live
from tests.documents.conftest import behind_upstream


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Service]:
    with behind_upstream(tmp_path_factory.mktemp("sdk")) as started:
        yield started
