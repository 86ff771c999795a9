"""The verifier's own tree and entry, against the writer's and against the definition."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.core.audit.chain import first_prev as writers_first_prev
from gateway.core.audit.tree import inclusion_proof, leaf_hash, tree_root
from intended.evidence.chain import fields_of, first_prev, included, leaf, root_over
from intended.evidence.reading import canonical
from tests.simulate.evidence import Made


@given(size=some.integers(1, 70), index=some.integers(0, 69), spoilt=some.integers(0, 10))
def test_what_the_writer_proves_is_proved_and_nothing_else(size: int, index: int, spoilt: int) -> None:
    """RFC 6962 by one, RFC 9162 by the other."""
    contents = [b"%d" % number for number in range(size)]
    leaves = [leaf_hash(one) for one in contents]
    assert [leaf(one) for one in contents] == leaves
    root = tree_root(leaves)
    assert root_over(leaves) == root
    place = index % size
    proof = inclusion_proof(leaves, place)
    given_: dict[str, Any] = {"index": place, "size": size, "proof": proof, "root": root}
    assert included(leaves[place], **given_)
    assert not included(leaf(b"other"), **given_)
    assert not included(leaves[place], **{**given_, "index": size})
    assert not included(leaves[place], **{**given_, "proof": [*proof, root]})
    if proof:
        assert not included(leaves[place], **{**given_, "proof": proof[:-1]})
        bad = list(proof)
        bad[spoilt % len(bad)] = bytes(32)
        assert not included(leaves[place], **{**given_, "proof": bad})


def test_nothing_has_a_root_too() -> None:
    """RFC 6962, 2.1."""
    assert root_over([]) == tree_root([])


def test_the_beginning_of_a_chain_is_its_tenants() -> None:
    """Two tenants' chains cannot be taken for each other."""
    assert first_prev("acme") == writers_first_prev("acme").hex()


def test_an_entry_is_read_in_its_one_form_only(made: Made) -> None:
    """Bytes that another reader takes for another entry are none."""
    content = made.document()["entries"][0]["content"]
    fields = fields_of(content)
    for changed in (
        {**fields, "v": 2},
        {**fields, "risk": "1"},
        {**fields, "risk": True},
        {**fields, "tool": 1},
        {**fields, "reasons": "x"},
        {**fields, "reasons": [1]},
        {**fields, "more": ""},
        {name: one for name, one in fields.items() if name != "agent"},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - which of them is in the text for people
            fields_of(canonical(changed).decode())
    with pytest.raises(ValueError, match="canonical"):
        fields_of(content.replace(",", ", ", 1))
    with pytest.raises(ValueError, match="other fields"):
        fields_of("[]")
