"""Evidence that a real gateway made, once for all tests of the verifier."""

import pytest

from tests.simulate.evidence import Made, evidence_of


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return bundles and what checks them."""
    return evidence_of(tmp_path_factory.mktemp("evidence"))
