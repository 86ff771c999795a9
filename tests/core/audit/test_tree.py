"""The tree is RFC 6962's: held against its recursive definition, and every proof against every wrong one."""

import hashlib
from collections.abc import Sequence

import pytest

from gateway.core.audit.tree import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    tree_root,
)

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
    """RFC 6962, 2.1.1: a proof holds for its leaf, place, size and root only."""
    leaves = LEAVES[:size]
    root = tree_root(leaves)
    for index in range(size):
        proof = inclusion_proof(leaves, index)
        assert proves_inclusion(leaves[index], index=index, size=size, proof=proof, root=root)
        assert not proves_inclusion(LEAVES[-1], index=index, size=size, proof=proof, root=root)
        assert not proves_inclusion(leaves[index], index=index, size=size, proof=[*proof, root], root=root)
        assert not proves_inclusion(leaves[index], index=index, size=size, proof=proof, root=bytes(32))
        assert not proves_inclusion(leaves[index], index=size, size=size, proof=proof, root=root)
        if proof:
            assert not proves_inclusion(leaves[index], index=index, size=size, proof=proof[:-1], root=root)


@pytest.mark.parametrize("size", SIZES)
def test_growth_is_proved_and_a_rewritten_past_is_not(size: int) -> None:
    """RFC 6962, 2.1.2: what was signed once must still be in what is signed later."""
    leaves = LEAVES[:size]
    root = tree_root(leaves)
    for old_size in range(1, size + 1):
        old_root = tree_root(leaves[:old_size])
        proof = consistency_proof(leaves, old_size)
        good = {"old_size": old_size, "old_root": old_root, "size": size, "root": root, "proof": proof}
        assert proves_consistency(**good)
        for wrong in (
            {"old_root": bytes(32)},
            {"root": bytes(32)},
            {"proof": [*proof, root]},
            {"old_size": 0},
            {"old_size": size + 1},
            *([{"proof": proof[:-1]}, {"proof": []}] if proof else []),
        ):
            assert not proves_consistency(**(good | wrong))


def test_there_is_no_proof_of_what_is_not_there() -> None:
    """Ours: an off-by-one must not come out as a proof of something else."""
    with pytest.raises(IndexError):
        inclusion_proof(LEAVES, len(LEAVES))
    with pytest.raises(IndexError):
        consistency_proof(LEAVES, 0)
