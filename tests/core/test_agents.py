"""An agent's slug is what its name makes of it, and its declaration is all that it may do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.agents import MAX_SLUG_CHARS, Restriction, slug_of


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Billing Agent", "billing-agent"),
        ("billing-agent", "billing-agent"),
        ("  GitHub/Actions (CI) ", "github-actions-ci"),
        ("Größe №7", "groe-no7"),
        ("агент", ""),
        ("---", ""),
    ],
)
def test_a_name_makes_its_slug(name: str, slug: str) -> None:
    """The contract's own example first; what has no letter or digit makes none."""
    assert slug_of(name) == slug


@given(st.text(max_size=200))
def test_a_slug_is_its_own_slug_and_bounded(name: str) -> None:
    """It is written into every entry and compared as it is."""
    slug = slug_of(name)
    assert slug_of(slug) == slug
    assert len(slug) <= MAX_SLUG_CHARS


@pytest.mark.parametrize(
    ("restriction", "permitted"),
    [
        (Restriction(), True),
        (Restriction(domains=frozenset({"billing"})), True),
        (Restriction(intent_types=frozenset({"billing.send_invoice"})), True),
        (Restriction(domains=frozenset({"sales"})), False),
        (Restriction(intent_types=frozenset({"billing.process_refund"})), False),
        (Restriction(domains=frozenset({"billing"}), intent_types=frozenset({"sales.create_lead"})), False),
    ],
)
def test_a_declaration_permits_what_is_in_all_of_its_lists(restriction: Restriction, permitted: bool) -> None:
    """An empty list restricts nothing."""
    assert restriction.permits(domain="billing", intent_type="billing.send_invoice") is permitted
