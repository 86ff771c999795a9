"""Proofs that entries are in the chain: one checkpoint, and the path of each entry to its root.

Owns what is kept of each chain between two proofs (`core/audit/tiles.py`): a hash for 256 entries, in memory, made anew
from the chain after a start. A chain that does not hold is not vouched for.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from gateway.core.audit.chain import first_prev
from gateway.core.audit.tiles import TILE, Broken, Linked, link, path, root, tile_of
from gateway.core.audit.tree import leaf_hash, tree_root
from gateway.core.evidence import Checkpoint
from gateway.errors import Unavailable
from gateway.ports import AuditReader, ChainRows, Content

__all__ = ["Inclusion", "Proven"]

PROVE_S = 65.0
"""For one proof, those that it waits for included; after a start the whole chain is read for the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A checkpoint and, by sequence number, the leaf and the proof of each entry that was asked for."""

    checkpoint: Checkpoint
    leaves: Mapping[int, bytes]
    proofs: Mapping[int, list[bytes]]


@dataclass(slots=True)
class _Known:
    """What is kept of one chain."""

    tiles: list[bytes] = field(default_factory=list)
    joint: bytes = b""
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Inclusion:
    """Proves entries of any tenant's chain."""

    def __init__(self, *, reader: AuditReader, rows: ChainRows) -> None:
        self._reader = reader
        self._rows = rows
        self._known: defaultdict[str, _Known] = defaultdict(_Known)

    async def prove(self, tenant: str, seqs: Iterable[int]) -> Proven:
        """Prove entries of the tenant's chain as it is now.

        Raises:
            Unavailable: the chain does not hold, or is not read in time.
            StoreError: it cannot be read.
        """
        with anyio.move_on_after(PROVE_S):
            known = self._known[tenant]
            async with known.lock:
                return await self._prove(tenant, known, sorted(set(seqs)))
        raise Unavailable("The audit chain could not be read in time; try again.")

    async def _prove(self, tenant: str, known: _Known, seqs: list[int]) -> Proven:
        size, head = await self._reader.head(tenant)
        rest = await self._grow(tenant, known, size, head)
        leaves: dict[int, bytes] = {}
        proofs: dict[int, list[bytes]] = {}
        tile, run = -1, rest
        for seq in seqs:
            if tile_of(seq) != tile:
                tile = tile_of(seq)
                run = await self._leaves(tenant, known, tile, rest)
            try:
                proofs[seq] = path(seq, leaves=run, tiles=known.tiles, rest=rest)
            except IndexError:
                raise _broken(seq) from None
            leaves[seq] = run[(seq - 1) % TILE]
            await anyio.lowlevel.checkpoint()  # over a long chain a path takes a millisecond
        checkpoint = Checkpoint(size=size, root=root(known.tiles, rest), head=head)
        return Proven(checkpoint=checkpoint, leaves=leaves, proofs=proofs)

    async def _grow(self, tenant: str, known: _Known, size: int, head: bytes) -> tuple[bytes, ...]:
        """Take over what the chain has more; return the leaves behind the last complete tile."""
        after = len(known.tiles) * TILE
        prev = known.joint or first_prev(tenant)

        def follow(rows: Iterator[Content]) -> Linked | Broken:
            return link(rows, after=after, prev=prev)

        found = await self._rows.fold(tenant, after=after, up_to=size, fold=follow)
        if isinstance(found, Broken):
            raise _broken(found.seq)
        if after + len(found.tiles) * TILE + len(found.rest) != size or found.last != head:
            raise _broken(size)
        known.tiles.extend(found.tiles)
        known.joint = found.joint
        return found.rest

    async def _leaves(self, tenant: str, known: _Known, tile: int, rest: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return the leaves of a tile, which must be those that it was made of."""
        if tile >= len(known.tiles):
            return rest
        after = tile * TILE
        leaves = await self._rows.fold(tenant, after=after, up_to=after + TILE, fold=_leaf_hashes)
        if tree_root(leaves) != known.tiles[tile]:
            raise _broken(after + 1)
        return leaves


def _leaf_hashes(rows: Iterator[Content]) -> tuple[bytes, ...]:
    return tuple(leaf_hash(content) for _, _, content in rows)


def _broken(seq: int) -> Unavailable:
    msg = (
        f"The audit chain does not hold at entry {seq}: no evidence is made of it. `intended audit verify` tells more."
    )
    return Unavailable(msg)
