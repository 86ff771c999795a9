"""One transaction's worth of drafts → rows: places in the chain, conditions, state, open calls, sealed inputs.

Owns what is written and in which order; runs inside a transaction that the writer has begun and will commit. Nothing
that it remembers between transactions (heads, the next `n`) changes before `committed`.
"""

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain

from gateway.core.audit.chain import SALT_BYTES, first_prev, seal
from gateway.core.audit.entry import EntryDraft, Put
from gateway.errors import AuditUnavailable, CanonicalError
from gateway.ports import Appended, Conflict, StateRow
from gateway.store.headcopy import Head
from gateway.store.sealing import Sealer

__all__ = ["Outcome", "Recorded", "Recorder"]

Outcome = Appended | Conflict | AuditUnavailable
_Key = tuple[str, str]
VERSIONS_KEPT = 10_000
"""Versions of state rows remembered between transactions: only this writer changes rows, and nearly every decision
expects the same few (the tenant's switches, the agent's trust): each read lets go of the interpreter's lock."""

_Place = tuple[int, bytes]
"""The last `seq` of a chain and its hash; a plain tuple, because every entry makes one."""

_HEADS = """
WITH RECURSIVE tenants (tenant) AS (
    SELECT min(tenant) FROM entries
    UNION ALL
    SELECT (SELECT min(tenant) FROM entries WHERE tenant > tenants.tenant) FROM tenants WHERE tenant IS NOT NULL
)
SELECT tenant,
       (SELECT max(seq) FROM entries WHERE entries.tenant = tenants.tenant) AS last,
       (SELECT hash FROM entries WHERE entries.tenant = tenants.tenant ORDER BY seq DESC LIMIT 1)
FROM tenants WHERE tenant IS NOT NULL
"""
"""Walks the index from tenant to tenant: one step each instead of one per entry."""


_CHUNKS = (64, *range(32, 0, -1))
"""Rows of one statement, the most that fit first: a batch of up to 32 is one statement. `schema.connect` keeps that
many prepared."""

_BATCH = """
CREATE TEMP VIEW IF NOT EXISTS batch AS
    SELECT *, 0 AS written, x'' AS sealed, 0 AS opens, 0 AS closes FROM entries;
CREATE TEMP TRIGGER IF NOT EXISTS batch_row INSTEAD OF INSERT ON batch
BEGIN
    INSERT INTO entries
    VALUES (new.n, new.tenant, new.seq, new.hash, new.salt, new.intent_id, new.content, new.body);
    INSERT INTO inputs SELECT new.n, new.written, new.sealed WHERE length(new.sealed);
    INSERT OR REPLACE INTO open_calls SELECT new.tenant, new.intent_id, new.seq WHERE new.opens;
    DELETE FROM open_calls WHERE new.closes AND tenant = new.tenant AND intent_id = new.intent_id;
END;
"""
"""Takes what belongs to an entry into its tables. It is this connection's own and no part of the store: each statement
lets go of the interpreter's lock three to five times, and has to win it back from a busy event loop."""


_NOTHING = bytearray()
"""What is neither number nor text goes to SQLite as a bytearray: of each `bytes`, None and bool the sqlite3 module asks
whether somebody adapts it, which costs more than a copy."""
_SALTS_AT_ONCE = 16_384
"""Bytes drawn for salts to come: each draw is a system call and lets go of the interpreter's lock."""


@dataclass(slots=True, kw_only=True)
class Recorded:
    """What one transaction adds.

    `rows` are the state rows it leaves, None where it deleted one; `found` is what it read of others.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    heads: dict[str, _Place] = field(default_factory=dict)
    rows: dict[_Key, StateRow | None] = field(default_factory=dict)
    versions: dict[_Key, int] = field(default_factory=dict)
    found: dict[_Key, bytes | None] = field(default_factory=dict)
    batch: list[tuple[object, ...]] = field(default_factory=list)
    next_n: int = 0
    floor: int = 0


class Recorder:
    """The writer's memory of the chain, and the statements that extend it."""

    def __init__(self, connection: sqlite3.Connection, sealer: Sealer | None) -> None:
        self._connection = connection
        self._sealer = sealer
        self._heads: dict[str, _Place] = {}
        self._next_n = 1
        self._floor = 0
        self._versions: dict[_Key, int] = {}
        self._salts = b""
        connection.executescript(_BATCH)
        self.reload()

    def reload(self) -> None:
        """Read heads and counters anew: at start, and after a failure whose extent is not known."""
        rows = self._connection.execute(_HEADS)
        self._heads = {tenant: (seq, hash_) for tenant, seq, hash_ in rows}
        self._next_n = self._number("SELECT coalesce(max(n), 0) + 1 FROM entries")
        self._floor = self._number("SELECT version FROM state_floor")
        self._versions.clear()

    def heads(self) -> dict[str, Head]:
        """Return the heads as of the last `committed`."""
        return {tenant: Head(seq=seq, hash=hash_) for tenant, (seq, hash_) in self._heads.items()}

    def record(self, drafts: Sequence[EntryDraft], *, now: int) -> Recorded:
        """Write the drafts in their order. A conflict or an unusable draft leaves nothing and harms no other.

        Raises:
            sqlite3.Error: the transaction cannot go on; roll it back.
        """
        recorded = Recorded(next_n=self._next_n, floor=self._floor)
        salts = self._draw(SALT_BYTES * len(drafts))
        for number, draft in enumerate(drafts):
            salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
            try:
                recorded.outcomes.append(self._one(recorded, draft, salt, now))
            except (CanonicalError, ValueError, TypeError) as error:
                refusal = AuditUnavailable("the entry cannot be recorded: it has no canonical form")
                refusal.__cause__ = error
                recorded.outcomes.append(refusal)
        self._write(recorded)
        return recorded

    def committed(self, recorded: Recorded) -> None:
        """Take what `record` wrote as the new state of things."""
        self._heads.update(recorded.heads)
        self._next_n = recorded.next_n
        self._floor = recorded.floor
        if len(self._versions) + len(recorded.versions) > VERSIONS_KEPT:
            self._versions.clear()
        self._versions.update(recorded.versions)

    def _draw(self, size: int) -> bytes:
        """Return so many random bytes, none of which is ever returned again."""
        if len(self._salts) < size:
            self._salts = os.urandom(max(size, _SALTS_AT_ONCE))
        drawn, self._salts = self._salts[:size], self._salts[size:]
        return drawn

    def _one(self, recorded: Recorded, draft: EntryDraft, salt: bytes, now: int) -> Outcome:
        """Place one draft; everything that can go wrong with it does so before anything is noted down."""
        tenant = draft.tenant
        for expect in draft.expects:
            if self._version(recorded, tenant, expect.key) != expect.version:
                return Conflict(key=expect.key)
        for one in draft.unchanged:
            if self._held(recorded, tenant, one.key) != one.value:
                return Conflict(key=one.key)
        for put in draft.puts:
            self._version(recorded, tenant, put.key)
        puts = draft.puts
        if draft.counts:
            counted = self._counted(recorded, draft)
            if isinstance(counted, Conflict):
                return counted
            puts += counted
        last, prev = recorded.heads.get(tenant) or self._heads.get(tenant) or (0, first_prev(tenant))
        seq = last + 1
        content, hash_ = seal(draft, seq=seq, prev=prev, salt=salt)
        n = recorded.next_n
        row = (
            n,
            tenant,
            seq,
            bytearray(hash_),
            bytearray(salt),
            draft.intent_id,
            bytearray(content),
            bytearray(draft.body),
            now,
            self._sealed(draft),
            1 if draft.opens else 0,
            1 if draft.closes else 0,
        )
        recorded.next_n = n + 1
        recorded.heads[tenant] = (seq, hash_)
        recorded.batch.append(row)
        if puts:
            self._put(recorded, tenant, puts)
        return Appended(seq=seq, hash=hash_)

    def _sealed(self, draft: EntryDraft) -> bytearray:
        """Return the evaluation input as it is kept; nothing where there is none to keep."""
        if draft.evaluation_input is None or self._sealer is None:
            return _NOTHING
        return bytearray(
            self._sealer.seal(draft.evaluation_input, tenant=draft.tenant, intent_id=draft.intent_id, entry_id=draft.id)
        )

    def _counted(self, recorded: Recorded, draft: EntryDraft) -> tuple[Put, ...] | Conflict:
        """Return the counters as the entry leaves them. Raises ValueError where a row holds no number."""
        puts = []
        for count in draft.counts:
            held = self._held(recorded, draft.tenant, count.key)
            number = 0 if held is None else int(held)
            if number >= count.most:
                return Conflict(key=count.key)
            puts.append(Put(key=count.key, value=b"%d" % (number + 1)))
        return tuple(puts)

    def _held(self, recorded: Recorded, tenant: str, key: str) -> bytes | None:
        """Return the row's value as the transaction sees it, None where there is none. Its version is known then."""
        place = (tenant, key)
        if place in recorded.rows:
            written = recorded.rows[place]
            return None if written is None else written.value
        if place not in recorded.found:
            query = "SELECT version, value FROM state WHERE tenant = ? AND key = ?"
            version, value = self._connection.execute(query, (tenant, key)).fetchone() or (0, None)
            recorded.versions[place], recorded.found[place] = version, value
        return recorded.found[place]

    def _version(self, recorded: Recorded, tenant: str, key: str) -> int:
        """Return the row's version as the transaction sees it, 0 where there is none."""
        place = (tenant, key)
        known = recorded.versions.get(place)
        if known is None:
            known = self._versions.get(place)
            if known is None:
                query = "SELECT version FROM state WHERE tenant = ? AND key = ?"
                row = self._connection.execute(query, place).fetchone()
                known = row[0] if row else 0
            recorded.versions[place] = known
        return known

    def _put(self, recorded: Recorded, tenant: str, puts: tuple[Put, ...]) -> None:
        for put in puts:
            place = (tenant, put.key)
            version = recorded.versions[place]
            if put.value is not None:
                version = (version or recorded.floor) + 1
                recorded.versions[place] = version
                recorded.rows[place] = StateRow(key=put.key, version=version, value=put.value)
            elif version:
                recorded.floor = max(recorded.floor, version)
                recorded.versions[place] = 0
                recorded.rows[place] = None

    def _write(self, recorded: Recorded) -> None:
        self._many("INSERT INTO batch VALUES {}", recorded.batch)
        if recorded.rows:
            kept = [(place[0], row.key, row.version, row.value) for place, row in recorded.rows.items() if row]
            self._many("INSERT OR REPLACE INTO state VALUES {}", kept)
            deleted = [place for place, row in recorded.rows.items() if row is None]
            # Of a bare list of pairs SQLite (3.40) goes through the whole table, of a query it looks each up.
            self._many("DELETE FROM state WHERE (tenant, key) IN (SELECT * FROM (VALUES {}))", deleted)
        if recorded.floor != self._floor:
            self._connection.execute("UPDATE state_floor SET version = ?", (recorded.floor,))

    def _many(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Run a statement for many rows at a time.

        Each run lets go of the interpreter's lock and has to win it back from a busy event loop, so that one run per
        row (`executemany`) costs more than the rows themselves.
        """
        at = 0
        for size in _CHUNKS:
            while size <= len(rows) - at:
                values = list(chain.from_iterable(rows[at : at + size]))
                # As `executemany` of one, since `execute` lets go of the lock once more, to ask for the last row's id.
                self._connection.executemany(_for_rows(statement, len(rows[0]), size), (values,))
                at += size

    def _number(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])


@cache
def _for_rows(statement: str, columns: int, size: int) -> str:
    """Return the statement with places for so many rows."""
    row = f"({', '.join('?' * columns)})"
    return statement.format(", ".join([row] * size))
