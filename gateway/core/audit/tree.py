"""The Merkle tree over a chain: RFC 6962 leaf hashes, roots, inclusion and consistency proofs.

Owns the tree's arithmetic on hashes (RFC 6962, 2.1). A leaf is the content of an entry, in order of `seq`. Proofs are
computed from leaf hashes on demand: 200,000 take a fifth of a second, so nothing but the entries is stored.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

__all__ = [
    "Frontier",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "proves_consistency",
    "proves_inclusion",
    "tree_root",
]


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf (2.1: 0x00 in front keeps it from passing for a node)."""
    return sha256(b"\x00" + content).digest()


class Frontier:
    """A tree that only grows: the roots of its complete subtrees, enough for the next root in a microsecond."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash. Each trailing one bit of the size is a subtree that is now complete with it."""
        node, size = leaf, self.size
        while size & 1:
            node = _node(self._roots.pop(), node)
            size >>= 1
        self._roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root; of an empty tree the hash of nothing (2.1)."""
        if not self._roots:
            return sha256(b"").digest()
        *rest, node = self._roots
        for left in reversed(rest):
            node = _node(left, node)
        return node


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


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


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return what proves that the tree over the first `old_size` leaves grew into this one (2.1.2).

    Raises:
        IndexError: `old_size` is not between 1 and the number of leaves.
    """
    if not 1 <= old_size <= len(leaves):
        raise IndexError("no such size")
    path: list[bytes] = []
    low, high, whole = 0, len(leaves), True
    while old_size != high - low:
        middle = _split(high - low)
        if old_size <= middle:
            path.append(tree_root(leaves[low + middle : high]))
            high = low + middle
        else:
            path.append(tree_root(leaves[low : low + middle]))
            low, old_size, whole = low + middle, old_size - middle, False
    if not whole:
        path.append(tree_root(leaves[low:high]))
    return path[::-1]


def proves_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check an inclusion proof with the algorithm of RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    node, last = leaf, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = _node(sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = _node(node, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and node == root


def proves_consistency(*, old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Check a consistency proof with the algorithm of RFC 9162, 2.1.4.2."""
    if not 1 <= old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    path = list(proof)
    if old_size & (old_size - 1) == 0:  # the old tree is a subtree of the new one, so its root is not in the proof
        path.insert(0, old_root)
    if not path:
        return False
    index, last = old_size - 1, size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old, new = _node(sibling, old), _node(sibling, new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = _node(new, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """Return the largest power of two below `size` (2.1)."""
    return 1 << ((size - 1).bit_length() - 1)
