"""Proofs over long chains: the tree in tiles, so that what is kept between two proofs is small.

A tile is the root over 256 entries that follow each other, from a multiple of 256 on. The nodes above complete tiles
are the tree's own (RFC 6962, 2.1, splits at powers of two), so that a path is one within a tile and one over tiles.
Of a chain of 200,000 entries 781 hashes are kept. Whoever makes tiles looks at each entry's hash and link: nothing is
proved of a chain that does not hold.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from gateway.core.audit.tree import inclusion_proof, leaf_hash, tree_root

__all__ = ["TILE", "Broken", "Linked", "link", "path", "root", "tile_of"]

TILE: Final = 256
"""Entries of a tile, as C2SP's tiled logs have it: reading one for a path takes half a millisecond."""

Row = tuple[int, bytes, bytes]
"""An entry's seq, hash and content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """Entries that follow each other as they should: complete tiles, then the leaves of one that is not.

    `joint` is the hash of the last entry of the last complete tile, `last` that of the last entry of all.
    """

    tiles: tuple[bytes, ...]
    rest: tuple[bytes, ...]
    joint: bytes
    last: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The entry that is not what its hash, number or link says."""

    seq: int


def link(rows: Iterable[Row], *, after: int, prev: bytes) -> Linked | Broken:
    """Follow the chain from behind entry `after`, a multiple of 256, whose hash is `prev`."""
    tiles: list[bytes] = []
    rest: list[bytes] = []
    joint = prev
    for expected, (seq, hash_, content) in enumerate(rows, start=after + 1):
        # In canonical JSON a text has its quotes escaped, so that these bytes can only be the member itself.
        linked = b'"prev":"' + prev.hex().encode() + b'"' in content
        if seq != expected or not linked or sha256(content).digest() != hash_:
            return Broken(seq=expected)
        rest.append(leaf_hash(content))
        prev = hash_
        if len(rest) == TILE:
            tiles.append(tree_root(rest))
            rest.clear()
            joint = hash_
    return Linked(tiles=tuple(tiles), rest=tuple(rest), joint=joint, last=prev)


def tile_of(seq: int) -> int:
    """Return the tile (from 0) of an entry (from 1)."""
    return (seq - 1) // TILE


def root(tiles: Sequence[bytes], rest: Sequence[bytes]) -> bytes:
    """Return the root over complete tiles and the leaves behind them."""
    return tree_root(_level(tiles, rest))


def path(seq: int, *, leaves: Sequence[bytes], tiles: Sequence[bytes], rest: Sequence[bytes]) -> list[bytes]:
    """Return the inclusion proof of an entry, `leaves` being those of its tile. Raises IndexError."""
    return inclusion_proof(leaves, (seq - 1) % TILE) + inclusion_proof(_level(tiles, rest), tile_of(seq))


def _level(tiles: Sequence[bytes], rest: Sequence[bytes]) -> Sequence[bytes]:
    return (*tiles, tree_root(rest)) if rest else tiles
