"""Proofs by tiles are those of the tree itself, over chains of every length; a chain that does not hold has none."""

from dataclasses import replace

import pytest

from gateway.core.audit.chain import first_prev, seal
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.audit.tiles import TILE, Broken, Linked, Row, link, path, root, tile_of
from gateway.core.audit.tree import inclusion_proof, leaf_hash, tree_root
from intended.evidence.chain import included

LONGEST = 2 * TILE + 3


def chain(count: int = LONGEST) -> list[Row]:
    """Return a chain."""
    rows: list[Row] = []
    prev = first_prev("acme")
    for seq in range(1, count + 1):
        draft = EntryDraft(tenant="acme", id=f"evt_{seq}", type=EntryType.KEY_CREATED, time="2026-01-01T00:00:00.000Z")
        content, prev = seal(replace(draft, tool='"prev":"x"'), seq=seq, prev=prev, salt=b"")
        rows.append((seq, prev, content))
    return rows


CHAIN = chain()
START = first_prev("acme")


@pytest.mark.parametrize("size", [1, 2, TILE - 1, TILE, TILE + 1, 2 * TILE - 1, 2 * TILE, 2 * TILE + 1, LONGEST])
def test_a_proof_over_tiles_is_the_one_of_the_tree(size: int) -> None:
    """RFC 6962, 2.1.1: a stranger checks it with the plain algorithm and knows of no tiles."""
    found = link(CHAIN[:size], after=0, prev=START)
    assert isinstance(found, Linked)
    leaves = [leaf_hash(content) for _, _, content in CHAIN[:size]]
    whole = tree_root(leaves)
    assert root(found.tiles, found.rest) == whole
    assert (len(found.tiles), len(found.rest), found.last) == (*divmod(size, TILE), CHAIN[size - 1][1])
    for seq in {1, min(2, size), (size + 1) // 2, max(size - 1, 1), size}:
        start = tile_of(seq) * TILE
        proof = path(seq, leaves=leaves[start : start + TILE], tiles=found.tiles, rest=found.rest)
        assert proof == inclusion_proof(leaves, seq - 1)
        assert included(leaves[seq - 1], index=seq - 1, size=size, proof=proof, root=whole)


def test_a_chain_is_followed_on_from_a_tile() -> None:
    """What was read once is not read again."""
    whole = link(CHAIN, after=0, prev=START)
    begun = link(CHAIN[: TILE + 9], after=0, prev=START)
    assert isinstance(whole, Linked)
    assert isinstance(begun, Linked)
    assert begun.joint == CHAIN[TILE - 1][1]
    went_on = link(CHAIN[TILE:], after=TILE, prev=begun.joint)
    assert isinstance(went_on, Linked)
    assert ((*begun.tiles, *went_on.tiles), went_on.rest, went_on.last) == (whole.tiles, whole.rest, whole.last)
    assert link([], after=TILE, prev=begun.joint) == Linked(tiles=(), rest=(), joint=begun.joint, last=begun.joint)


def test_a_chain_that_does_not_hold_is_not_linked() -> None:
    """Nothing may be vouched for that `verify` would call broken."""
    seq, hash_, content = CHAIN[4]
    edited = content.replace(b"evt_5", b"evt_6")
    bad = {
        "edited": (seq, hash_, edited),
        "rewritten without its successor": (seq, leaf_hash(edited), edited),
        "another number": (seq + 1, hash_, content),
        "another's place": CHAIN[5],
    }
    for why, row in bad.items():
        assert link([*CHAIN[:4], row, *CHAIN[5:9]], after=0, prev=START) == Broken(seq=5), why
    assert link([*CHAIN[:4], *CHAIN[5:9]], after=0, prev=START) == Broken(seq=5)
    assert link(CHAIN, after=0, prev=first_prev("other")) == Broken(seq=1)


def test_what_is_not_in_the_chain_has_no_proof() -> None:
    """A path that leads nowhere must not be made up."""
    found = link(CHAIN[:3], after=0, prev=START)
    assert isinstance(found, Linked)
    with pytest.raises(IndexError):
        path(4, leaves=found.rest, tiles=found.tiles, rest=found.rest)
