"""An entry in its chain: its own form and hash, and its place under a root (RFC 6962, RFC 9162).

Owns what an audit entry v1 is, and the arithmetic of the tree over them, derived here a second time.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from intended.evidence.reading import canonical, read

__all__ = ["fields_of", "first_prev", "included", "leaf", "root_over"]

_TEXTS: Final = (
    "agent",
    "argsDigest",
    "bodyDigest",
    "confidence",
    "effect",
    "id",
    "intentId",
    "policyDigest",
    "prev",
    "tenant",
    "time",
    "tool",
    "type",
    "upstream",
)
_NUMBERS: Final = ("risk", "seq", "v")


def first_prev(tenant: str) -> str:
    """Return what the first entry of a tenant's chain names as the hash before it."""
    return hashlib.sha256(b"so.intended/chain/v1\x00" + tenant.encode()).hexdigest()


def fields_of(content: str) -> dict[str, Any]:
    """Return the fields of an entry v1 in canonical form. Raises ValueError."""
    fields = read(content.encode())
    if type(fields) is not dict or fields.keys() != {*_TEXTS, *_NUMBERS, "reasons"}:
        raise ValueError("it has other fields than an entry")
    texts = [fields[name] for name in _TEXTS]
    if type(fields["reasons"]) is not list or not all(type(one) is str for one in (*texts, *fields["reasons"])):
        raise ValueError("a field that should be text is none")
    if not all(type(fields[name]) is int for name in _NUMBERS) or fields["v"] != 1:
        raise ValueError("a number is none, or it is of another version")
    if canonical(fields).decode() != content:
        raise ValueError("it is not in canonical form")
    return fields


def leaf(content: bytes) -> bytes:
    """Return the hash of an entry as a leaf."""
    return hashlib.sha256(b"\x00" + content).digest()


def included(leaf_hash: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the proof leads from the leaf `index` (from 0) to the root over `size` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, node = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            node = _node(sibling, node)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            node = _node(node, sibling)
        place, last = place // 2, last // 2
    return last == 0 and node == root


def root_over(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaves (RFC 6962, 2.1), by complete subtrees from the left."""
    subtrees: list[tuple[int, bytes]] = []
    for node in leaves:
        size = 1
        while subtrees and subtrees[-1][0] == size:
            node, size = _node(subtrees.pop()[1], node), size * 2
        subtrees.append((size, node))
    if not subtrees:
        return hashlib.sha256(b"").digest()
    root = subtrees[-1][1]
    for _, left in reversed(subtrees[:-1]):
        root = _node(left, root)
    return root


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
