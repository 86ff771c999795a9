"""What is no bundle is not taken for one. That each route asks what it should is in `routes_of_service.py`."""

import pytest

from intended import bundles
from intended.reading import Nonsense


def test_they_may_be_asked_for_twice() -> None:
    """Each request makes a bundle anew, and changes nothing that counts."""
    assert bundles.evidence_bundle("int_1").repeatable
    assert bundles.evidence_keys().repeatable


def test_an_answer_is_kept_as_it_came() -> None:
    """A member that a client drops would break the signature."""
    document = {"entries": [{"seq": 1, "new": "x"}], "later": [1]}
    assert bundles.evidence_bundle("int_1").read(document) == document


@pytest.mark.parametrize("value", [{}, {"entries": 1}, [], None])
def test_what_is_no_bundle_is_nonsense(value: object) -> None:
    """A proxy's page is no evidence."""
    with pytest.raises(Nonsense):
        bundles.evidence_bundle("int_1").read(value)
    with pytest.raises(Nonsense):
        bundles.evidence_keys().read(value)


def test_an_id_cannot_lead_elsewhere() -> None:
    """Its path is one segment."""
    assert bundles.evidence_bundle("a/b").path == "/intent/a%2Fb/evidence-bundle"
