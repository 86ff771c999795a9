"""The Merkle tree over a chain: RFC 6962 leaf hashes, roots and inclusion proofs.

Owns the tree's arithmetic on hashes (RFC 6962, 2.1). A leaf is the content of an entry, in order of `seq`. Proofs are
computed from leaf hashes on demand: 200,000 take a fifth of a second, so nothing but the entries is stored. Whoever
checks has their own (`verify.py`, `intended/evidence/chain.py`). There are no consistency proofs: that a chain grew
from a checkpoint, its entries show (`intended audit verify --since`), and nobody is given a checkpoint without them.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

__all__ = ["inclusion_proof", "leaf_hash", "tree_root"]


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf (2.1: 0x00 in front keeps it from passing for a node)."""
    return sha256(b"\x00" + content).digest()


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes; of none it is the hash of nothing (2.1).

    Only the roots of complete subtrees are kept. Each trailing one bit of a size is a subtree that is complete with the
    next leaf.
    """
    roots: list[bytes] = []
    for size, leaf in enumerate(leaves):
        node, bits = leaf, size
        while bits & 1:
            node = _node(roots.pop(), node)
            bits >>= 1
        roots.append(node)
    if not roots:
        return sha256(b"").digest()
    *rest, node = roots
    for left in reversed(rest):
        node = _node(left, node)
    return node


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the path from leaf `index` (from 0) to the root over `leaves` (2.1.1). Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError("no such leaf")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(tree_root(leaves[middle:high]))
            high = middle
        else:
            path.append(tree_root(leaves[low:middle]))
            low = middle
    return path[::-1]


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """Return the largest power of two below `size` (2.1)."""
    return 1 << ((size - 1).bit_length() - 1)
