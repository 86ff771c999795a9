"""The tree is RFC 6962's: held against its recursive definition, and every proof against every wrong one."""

import hashlib
from collections.abc import Sequence

import pytest

from gateway.core.audit.tree import inclusion_proof, leaf_hash, tree_root
from intended.evidence.chain import included

SIZES = range(1, 20)
LEAVES = [leaf_hash(bytes([number])) for number in range(max(SIZES) + 1)]
KNOWN = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
"""The leaves that implementations of RFC 6962 test with (certificate-transparency's own vectors)."""


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = max(2**power for power in range(10) if 2**power < len(leaves))
    left, right = by_definition(leaves[:split]), by_definition(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("size", [0, *SIZES])
def test_the_root_is_the_one_of_the_definition(size: int) -> None:
    """RFC 6962, 2.1: anybody must come to the same root."""
    assert tree_root(LEAVES[:size]) == by_definition(LEAVES[:size])


def test_the_root_is_the_one_that_others_publish() -> None:
    """Golden: the roots of the certificate-transparency test vectors for one and for eight leaves."""
    leaves = [leaf_hash(bytes.fromhex(text)) for text in KNOWN]
    assert tree_root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert tree_root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proved_and_nothing_else(size: int) -> None:
    """RFC 6962, 2.1.1: a proof holds for its leaf, place, size and root only, for a verifier with code of its own."""
    leaves = LEAVES[:size]
    root = tree_root(leaves)
    for index in range(size):
        proof = inclusion_proof(leaves, index)
        assert included(leaves[index], index=index, size=size, proof=proof, root=root)
        assert not included(LEAVES[-1], index=index, size=size, proof=proof, root=root)
        assert not included(leaves[index], index=index, size=size, proof=[*proof, root], root=root)
        assert not included(leaves[index], index=index, size=size, proof=proof, root=bytes(32))
        assert not included(leaves[index], index=size, size=size, proof=proof, root=root)
        if proof:
            assert not included(leaves[index], index=index, size=size, proof=proof[:-1], root=root)


def test_there_is_no_proof_of_what_is_not_there() -> None:
    """Ours: an off-by-one must not come out as a proof of something else."""
    with pytest.raises(IndexError):
        inclusion_proof(LEAVES, len(LEAVES))
