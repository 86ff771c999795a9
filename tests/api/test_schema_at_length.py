"""The live service against its own document at length: many more requests, under both prefixes.

Its cases take seconds to build, so that it is collected (`conftest.py`) only where it is wanted.
"""

from collections.abc import Iterator

import hypothesis
import pytest
import requests
import schemathesis

from tests.api.generated import PLAIN, ask, generated
from tests.api.live import Service, live

LONG = hypothesis.settings(PLAIN, max_examples=150)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all: what one answer leaves behind must not harm the next."""
    with requests.Session() as one:
        yield one


@pytest.mark.full
@generated(every=True).parametrize()
@LONG
def test_every_answer_is_in_the_document_at_length(
    case: schemathesis.Case, service: Service, session: requests.Session
) -> None:
    """Issue 3: no 500 and no undocumented answer, whatever is sent, however long one tries."""
    ask(case, service, session)
