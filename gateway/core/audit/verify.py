"""The independent verifier of a chain: derives everything a second time and shares no code with the writer.

Owns the meaning of a broken chain. Takes the entries of one tenant in stored order, one at a time, and needs no more
memory for a million than for one. Uses only the standard library: own canonical form, own hashes, own RFC 6962 root.
A chain that was rewritten as a whole is consistent in itself; only a head or checkpoint from elsewhere (`expected`)
tells.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.core.audit.entry import StoredEntry

__all__ = ["Break", "BreakKind", "ExpectedHead", "Report", "Verifier"]

MAX_BREAKS = 1000
"""Breaks that are kept; `Report.broken` counts them all."""
_TEXTS = (
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
_FIELDS = frozenset((*_TEXTS, "reasons", "risk", "seq", "v"))
_VERSION = 1
_LARGEST = 2**53 - 1


class BreakKind(StrEnum):
    """What is wrong with an entry; the first of these that applies is reported."""

    EDITED = "edited-content"
    """The bytes do not have the hash that is stored with them."""
    FORM = "not-canonical"
    """The bytes are no entry v1 in canonical form."""
    TENANT = "wrong-tenant"
    GAP = "gap"
    REORDER = "reorder"
    """An entry that comes twice, too late, or lies at another's place."""
    START = "wrong-first-prev"
    LINK = "broken-link"
    BODY = "body-mismatch"
    HEAD = "unexpected-head"
    """The chain does not hold the expected head: its tail was cut, or it was rewritten."""
    ROOT = "unexpected-root"
    """The entries up to the expected head are others than those of the checkpoint, though it ends with the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One place where the chain does not hold, with what should be there and what is."""

    seq: int
    kind: BreakKind
    expected: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedHead:
    """What someone outside remembers of the chain: the hash of the entry at `seq`, by a checkpoint also the root."""

    seq: int
    hash: bytes
    root: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The finding about one chain. `broken` counts every break, `breaks` holds the first of them.

    `root` is the RFC 6962 root over the contents in the order in which they came.
    """

    tenant: str
    count: int
    head_seq: int
    head_hash: bytes
    root: bytes
    broken: int
    breaks: tuple[Break, ...]

    @property
    def valid(self) -> bool:
        """True where nothing is wrong."""
        return self.broken == 0


class Verifier:
    """Takes the entries of one tenant, then reports.

    `after` and `prev` let it begin in the middle: number and hash of the entry before the first one, the hash None
    where it is not to be had. Each of `expected` is checked when its number comes by.
    """

    def __init__(
        self, tenant: str, *, expected: Iterable[ExpectedHead] = (), after: int = 0, prev: bytes | None = None
    ) -> None:
        self._tenant = tenant
        self._expected = list(expected)
        self._start = hashlib.sha256(b"so.intended/chain/v1\x00" + tenant.encode("utf-8", "surrogatepass")).digest()
        self._seq = after
        self._hash = prev if after else self._start
        self._count = 0
        self._breaks: list[Break] = []
        self._broken = 0
        self._tree: list[tuple[int, bytes]] = []
        self._meet(after, self._hash or b"")

    def feed(self, entry: StoredEntry) -> None:
        """Take the next entry."""
        self._count += 1
        self._grow(entry.content)
        problem = self._content_problem(entry) or self._place_problem(entry)
        if problem is not None:
            self._note(problem)
        if entry.seq > self._seq:
            self._seq, self._hash = entry.seq, entry.hash
        self._meet(entry.seq, entry.hash)

    def report(self) -> Report:
        """Return the finding, after the last entry."""
        extra = [self._break(one.seq, BreakKind.HEAD, one.hash.hex(), "no such entry") for one in self._expected]
        return Report(
            tenant=self._tenant,
            count=self._count,
            head_seq=self._seq,
            head_hash=self._hash or b"",
            root=self._root(),
            broken=self._broken + len(extra),
            breaks=(*self._breaks, *extra),
        )

    # --- one entry ---

    def _content_problem(self, entry: StoredEntry) -> Break | None:
        """Check what the entry says of itself."""
        actual = hashlib.sha256(entry.content).digest()
        if actual != entry.hash:
            return self._break(entry.seq, BreakKind.EDITED, entry.hash.hex(), actual.hex())
        fields = _read(entry.content)
        if isinstance(fields, str):
            return self._break(entry.seq, BreakKind.FORM, "entry v1 in canonical form", fields)
        for tenant in (entry.tenant, fields["tenant"]):
            if tenant != self._tenant:
                return self._break(entry.seq, BreakKind.TENANT, self._tenant, tenant)
        if fields["seq"] != entry.seq:
            return self._break(entry.seq, BreakKind.REORDER, str(entry.seq), str(fields["seq"]))
        return self._link_problem(entry, fields) or self._body_problem(entry, fields)

    def _place_problem(self, entry: StoredEntry) -> Break | None:
        """Check that the entry comes next."""
        if entry.seq > self._seq + 1:
            return self._break(self._seq + 1, BreakKind.GAP, str(self._seq + 1), str(entry.seq))
        if entry.seq <= self._seq:
            return self._break(entry.seq, BreakKind.REORDER, str(self._seq + 1), str(entry.seq))
        return None

    def _link_problem(self, entry: StoredEntry, fields: dict[str, Any]) -> Break | None:
        if entry.seq != self._seq + 1 or self._hash is None:
            return None  # it does not follow what came before it; the place is the problem then
        if fields["prev"] == self._hash.hex():
            return None
        kind = BreakKind.START if entry.seq == 1 else BreakKind.LINK
        return self._break(entry.seq, kind, self._hash.hex(), fields["prev"])

    def _body_problem(self, entry: StoredEntry, fields: dict[str, Any]) -> Break | None:
        actual = hashlib.sha256(entry.salt + entry.body).hexdigest()
        if actual == fields["bodyDigest"]:
            return None
        return self._break(entry.seq, BreakKind.BODY, fields["bodyDigest"], actual)

    # --- the whole ---

    def _meet(self, seq: int, found: bytes) -> None:
        """Compare what is here with what is expected here, once."""
        for one in [one for one in self._expected if one.seq == seq]:
            self._expected.remove(one)
            if found != one.hash:
                self._note(self._break(seq, BreakKind.HEAD, one.hash.hex(), found.hex()))
            elif one.root is not None and self._root() != one.root:
                self._note(self._break(seq, BreakKind.ROOT, one.root.hex(), self._root().hex()))

    def _break(self, seq: int, kind: BreakKind, expected: str, found: str) -> Break:
        return Break(seq=seq, kind=kind, expected=expected, found=found)

    def _note(self, problem: Break) -> None:
        self._broken += 1
        if len(self._breaks) < MAX_BREAKS:
            self._breaks.append(problem)

    def _grow(self, leaf: bytes) -> None:
        """Add a leaf to the complete subtrees, largest first, as (number of leaves, root); RFC 6962, 2.1."""
        size, node = 1, hashlib.sha256(b"\x00" + leaf).digest()
        while self._tree and self._tree[-1][0] == size:
            node = hashlib.sha256(b"\x01" + self._tree.pop()[1] + node).digest()
            size *= 2
        self._tree.append((size, node))

    def _root(self) -> bytes:
        if not self._tree:
            return hashlib.sha256(b"").digest()
        node = self._tree[-1][1]
        for _, left in reversed(self._tree[:-1]):
            node = hashlib.sha256(b"\x01" + left + node).digest()
        return node


def _read(content: bytes) -> dict[str, Any] | str:
    """Return the fields of an entry v1, or in words why the bytes are none."""
    try:
        fields = json.loads(content.decode("utf-8"))
        again = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        return f"no JSON ({type(error).__name__})"
    if again != content:
        return "JSON in another form"
    if type(fields) is not dict or fields.keys() != _FIELDS:
        return "other fields"
    if not all(type(fields[name]) is str for name in _TEXTS):
        return "a field that should be text and is not"
    reasons = fields["reasons"]
    if type(reasons) is not list or not all(type(reason) is str for reason in reasons):
        return "reasons that are no list of texts"
    if not all(_is_number(fields[name]) for name in ("risk", "seq", "v")) or fields["v"] != _VERSION:
        return "a number out of bounds, or another version"
    return fields


def _is_number(value: object) -> bool:
    return type(value) is int and -_LARGEST <= value <= _LARGEST
