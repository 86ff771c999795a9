"""The rows of the taxonomy are sound before anything reads them."""

from gateway.core.intent.model import EffectClass
from gateway.core.intent.taxonomy_data import DOMAINS, TYPES


def test_every_row_names_a_domain_of_the_table_and_a_known_effect() -> None:
    """A type of a domain that is not listed would never be found by a call."""
    domains = {name for name, _, _, _ in DOMAINS}
    assert {type_id.partition(".")[0] for type_id, *_ in TYPES} == domains
    assert {effect for _, _, effect, _, _ in TYPES} <= {each.value for each in EffectClass}


def test_no_domain_lists_a_noun_twice() -> None:
    """A noun counts once for a domain; a second mention is a slip of the pen."""
    for name, _, _, nouns in DOMAINS:
        assert len(nouns.split()) == len(set(nouns.split())), name
