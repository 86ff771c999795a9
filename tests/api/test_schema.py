"""The live service against its own document: no 500, and no answer that the document does not have.

A real gateway on a port, with its store, keys and an upstream.
"""

from collections.abc import Iterator

import pytest
import requests
import schemathesis

from tests.api.generated import PLAIN, ask, generated
from tests.api.live import Service, live


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with live(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    """One connection for all: what one answer leaves behind must not harm the next."""
    with requests.Session() as one:
        yield one


@generated(every=False).parametrize()
@PLAIN
def test_every_answer_is_in_the_document(case: schemathesis.Case, service: Service, session: requests.Session) -> None:
    """Issue 3: no 500 and no undocumented answer, whatever is sent."""
    ask(case, service, session)
