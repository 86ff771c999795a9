# ruff: noqa: S608 - every piece of SQL that is put together here is a constant of this file; values are bound
"""The index: questions about many intents and entries, answered from a projection of the chain in a file of its own.

Off the path of a call: nothing is written here when an entry is. Before it answers, the index takes over what the
store has more than it; all of that is SQL over the attached store, so that the event loop and other threads go on.
The file is worth nothing: deleted, damaged, or of another store it is made anew (`sidefile.py`). Evidence is only what
`core/audit/verify.py` says of the chain itself.
"""

import math
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio

from gateway.core.audit.entry import EntryType, StoredEntry
from gateway.core.decision import Effect
from gateway.core.projection import ANY, STATUS_AFTER
from gateway.core.retention import APPROVAL, LEASE
from gateway.errors import StoreError
from gateway.ports import EntryFilter, HeldFilter, HeldRow, IntentFilter, IntentRow, Page
from gateway.store.sqlite.sidefile import SideFile, hash_at

__all__ = ["FILE", "SqliteIndex"]

FILE = "index.sqlite3"
VERSION = 3
"""Of the tables below; a file of another version is made anew."""

BATCH = 250
"""Entries taken over in one transaction, some 6 ms: the store's log cannot be reset while it is read, and what a
transaction sorts and could undo is in memory."""
CACHE_KIB = 256
"""Pages of either file that are kept in memory for one question or one look, in place of SQLite's 2 MB. Entries are
taken over in their order, so that more makes nothing faster; and what such a job takes, the process keeps."""

TAKE_OVER_S = 20.0
"""For what one question may have to take over before it is answered."""

BEHIND = 10_000
"""Entries that may wait for the next question before the index takes them over by itself."""
AT_ONCE = 5_000
"""Entries taken over by itself in one go, some 0.1 s of one core, for which a question waits."""
REST_S = 0.4
"""Between two goes while it is far behind, as after an upgrade that makes the index anew: a fifth of one core, 40 s for
400,000 entries. A question that comes meanwhile takes over what is left at once."""
MANY_PER_S = 1_000
"""Where so many entries are written it leaves the core to them: it could not keep up, and does when calls are fewer."""
LOOK_EVERY_S = 20.0
FIRST_LOOK_S = 5.0
"""After a start, which has enough to do."""

Answer = TypeVar("Answer")
Row = tuple[Any, ...]

_TABLES = """
CREATE TABLE progress (tenant TEXT PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
    tenant TEXT NOT NULL, seq INTEGER NOT NULL, time TEXT NOT NULL, type TEXT NOT NULL,
    agent TEXT NOT NULL, upstream TEXT NOT NULL, PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_by_type ON entries (tenant, type, seq);
CREATE INDEX entries_by_agent ON entries (tenant, agent, seq);
CREATE TABLE intents (
    tenant TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, agent TEXT NOT NULL, domain TEXT NOT NULL,
    type TEXT NOT NULL, status TEXT NOT NULL, effect TEXT NOT NULL, risk INTEGER NOT NULL,
    created TEXT NOT NULL, updated TEXT NOT NULL,
    credited TEXT NOT NULL DEFAULT '', cents INTEGER NOT NULL DEFAULT 0, currency TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX intents_in_order ON intents (tenant, seq);
CREATE INDEX intents_by_status ON intents (tenant, status, seq);
CREATE INDEX intents_by_agent ON intents (tenant, agent, seq);
CREATE INDEX intents_by_credit ON intents (tenant, credited, agent, currency, cents) WHERE credited <> '';
CREATE TABLE held (
    tenant TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, intent TEXT NOT NULL,
    state TEXT NOT NULL, same TEXT NOT NULL, removed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (tenant, kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_in_order ON held (tenant, kind, seq);
CREATE INDEX held_by_state ON held (tenant, kind, state, seq);
CREATE INDEX held_by_group ON held (tenant, kind, same, seq);
CREATE INDEX held_of_intent ON held (tenant, intent, kind, seq);
"""
_PRAGMAS = ("synchronous=OFF", "journal_mode=MEMORY", "temp_store=MEMORY", f"cache_size=-{CACHE_KIB}")

_FIELD = "coalesce(json_extract(content, '$.{}'), '')"
_OF_BODY = "iif(json_valid(body), coalesce(json_extract(body, '$.{}'), ''), '')"
_OF_ROW = "coalesce(json_extract(CAST({} AS TEXT), '$.{}'), '')"
_DECIDED, _COMPLETED = EntryType.CALL_DECIDED, EntryType.CALL_COMPLETED

_FRESH = """
CREATE TEMP TABLE IF NOT EXISTS fresh (
    seq INTEGER PRIMARY KEY, intent, time, type, agent, upstream, effect, reason, risk, domain, kind, cents, currency,
    held
)
"""
_READ = f"""
INSERT INTO fresh SELECT seq, {_FIELD.format("intentId")}, time, type, {_FIELD.format("agent")},
       {_FIELD.format("upstream")}, effect, {_FIELD.format("reasons[0]")}, coalesce(json_extract(content, '$.risk'), 0),
       iif(type = '{_DECIDED}', {_OF_BODY.format("intent.domain")}, ''),
       iif(type = '{_DECIDED}', {_OF_BODY.format("intent.type")}, ''),
       iif(earns, json_extract(body, '$.value.cents'), NULL), iif(earns, json_extract(body, '$.value.currency'), NULL),
       CASE WHEN type = '{EntryType.LEASE_GRANTED}' THEN {_OF_BODY.format("leaseId")}
       WHEN type = '{_DECIDED}' AND effect = '{Effect.ESCALATE}' THEN {_OF_BODY.format("approvalId")} ELSE '' END
FROM (
    SELECT seq, content, body, type, {_FIELD.format("time")} AS time, {_FIELD.format("effect")} AS effect,
           iif(type = '{_COMPLETED}' AND json_valid(body), json_type(body, '$.value.cents') = 'integer'
               AND json_type(body, '$.value.currency') = 'text', 0) AS earns
    FROM (
        SELECT seq, content, body, {_FIELD.format("type")} AS type FROM (
            SELECT seq, CAST(content AS TEXT) AS content, CAST(body AS TEXT) AS body FROM log.entries
            WHERE tenant = :tenant AND seq > :after AND seq <= :to LIMIT -1
        ) WHERE json_valid(content) LIMIT -1
    ) LIMIT -1
)
"""
"""Reads each entry once: nearly all of the work is to parse it. Without the limits, which limit nothing, SQLite would
put what is inside wherever it is used, and read an entry for every column.

A damaged entry is left out: the chain's own verification tells of it, and the others must stay findable.
"""
_TAKE_ENTRIES = "INSERT OR REPLACE INTO entries SELECT :tenant, seq, time, type, agent, upstream FROM fresh"
_TAKE_INTENTS = f"""
INSERT OR IGNORE INTO intents (tenant, id, seq, agent, domain, type, status, effect, risk, created, updated)
SELECT :tenant, intent, seq, agent, domain, kind, '', '', risk, time, time FROM fresh
WHERE type = '{_DECIDED}' AND intent <> '' ORDER BY seq
"""


def _status_case() -> str:
    """Return `STATUS_AFTER` as SQL over (type, word)."""
    whens = []
    for entry_type, words in STATUS_AFTER.items():
        for word, status in words.items():
            test = "" if word == ANY else f" AND word = '{word}'"
            whens.append((word == ANY, f"WHEN type = '{entry_type}'{test} THEN '{status}'"))
    return "CASE " + " ".join(text for _, text in sorted(whens, key=lambda one: one[0])) + " END"


_MOVE_INTENTS = f"""
UPDATE intents SET status = moved.status, updated = moved.time
FROM (
    SELECT intent, status, time, max(seq) FROM (
        SELECT intent, time, seq, {_status_case()} AS status
        FROM (SELECT seq, intent, time, type, iif(type = '{_DECIDED}', effect, reason) AS word FROM fresh)
    ) WHERE status IS NOT NULL GROUP BY intent
) AS moved WHERE intents.tenant = :tenant AND intents.id = moved.intent
"""
"""Of several entries of an intent the last decides: beside `max`, SQLite's bare columns are those of its row."""
_JUDGE_INTENTS = f"""
UPDATE intents SET effect = judged.effect, risk = judged.risk
FROM (SELECT intent, effect, risk, max(seq) FROM fresh WHERE type = '{_DECIDED}' GROUP BY intent) AS judged
WHERE intents.tenant = :tenant AND intents.id = judged.intent
"""
_CREDIT_INTENTS = """
UPDATE intents SET credited = earned.time, cents = earned.cents, currency = earned.currency
FROM (SELECT intent, time, cents, currency, min(seq) FROM fresh WHERE cents IS NOT NULL GROUP BY intent) AS earned
WHERE intents.tenant = :tenant AND intents.id = earned.intent AND intents.credited = ''
"""
"""An intent earns once, whatever else is told of it."""
_HOLD = f"""
INSERT OR IGNORE INTO held (tenant, kind, id, seq, intent, state, same)
SELECT :tenant, iif(type = '{EntryType.LEASE_GRANTED}', '{LEASE}', '{APPROVAL}'), held, seq, intent, '', '' FROM fresh
WHERE held <> '' ORDER BY seq
"""
"""An approval is opened by the decision that escalates, a lease granted by an entry of its own."""
_MOVE_HELD = f"""
UPDATE held SET state = {_OF_ROW.format("row.value", "state")}, same = {_OF_ROW.format("row.value", "about.group")}
FROM log.state AS row
WHERE held.tenant = :tenant AND held.intent IN (
    SELECT intent_id FROM log.entries WHERE tenant = :tenant AND seq > :after AND seq <= :to AND intent_id <> ''
) AND row.tenant = :tenant AND row.key = held.kind || ':' || held.id
"""
"""Whatever changes an approval or a lease is an entry of its intent; the row says how it stands after that."""
_LET_GO = f"""
INSERT INTO held (tenant, kind, id, seq, intent, state, same, removed)
SELECT :tenant, json_extract(body, '$.kind'), {_OF_ROW.format("one.value", "id")}, seq,
       {_OF_ROW.format("one.value", "row.intentId")} || {_OF_ROW.format("one.value", "row.intent_id")},
       {_OF_ROW.format("one.value", "row.state")}, {_OF_ROW.format("one.value", "row.about.group")}, seq
FROM (
    SELECT told.seq AS seq, CAST(told.body AS TEXT) AS body FROM main.entries AS kind
    JOIN log.entries AS told ON told.tenant = kind.tenant AND told.seq = kind.seq
    WHERE kind.tenant = :tenant AND kind.type = '{EntryType.ROWS_REMOVED}' AND kind.seq > :after AND kind.seq <= :to
) AS gone, json_each(iif(json_valid(gone.body), gone.body, '{{}}'), '$.kept') AS one
WHERE true
ON CONFLICT (tenant, kind, id) DO UPDATE SET state = excluded.state, same = excluded.same, removed = excluded.removed
"""
"""Rows that were removed are told by the entry that removed them."""
_KEPT = """
(SELECT one.value FROM log.entries AS e, json_each(CAST(e.body AS TEXT), '$.kept') AS one
 WHERE e.tenant = held.tenant AND e.seq = held.removed AND json_extract(one.value, '$.id') = held.id)
"""
_HELD = f"SELECT id, iif(removed, {_KEPT}, NULL) FROM held"
_TAKE = (
    *("DELETE FROM fresh", _READ, _TAKE_ENTRIES, _TAKE_INTENTS, _MOVE_INTENTS, _JUDGE_INTENTS, _CREDIT_INTENTS),
    *(_HOLD, _MOVE_HELD, _LET_GO),
)
_HEADS = """
WITH RECURSIVE tenants (tenant) AS (
    SELECT min(tenant) FROM log.entries
    UNION ALL
    SELECT (SELECT min(tenant) FROM log.entries WHERE tenant > tenants.tenant) FROM tenants WHERE tenant IS NOT NULL
)
SELECT tenant, (SELECT max(seq) FROM log.entries AS own WHERE own.tenant = tenants.tenant)
FROM tenants WHERE tenant IS NOT NULL
"""
"""As in `recorder.py`: a step for each tenant instead of one for each entry."""
_INTENT = "SELECT id, agent, domain, type, status, effect, risk, created, updated FROM intents"


class SqliteIndex:
    """Implements `ports.RecordIndex` over one store. Used from one event loop; works in threads, one at a time."""

    def __init__(self, store: Path) -> None:
        self._file = SideFile(
            store, FILE, version=VERSION, tables=_TABLES, pragmas=_PRAGMAS, log_pragmas=(f"cache_size=-{CACHE_KIB}",)
        )
        self._lock = anyio.Lock()
        self._seen: int | None = None
        self._pause = LOOK_EVERY_S

    async def intents(self, tenant: str, wanted: IntentFilter, *, page: int, page_size: int) -> Page[IntentRow]:
        """As `ports.RecordIndex.intents`."""
        where, values = _intents_where(tenant, wanted)

        def ask(connection: sqlite3.Connection) -> Page[IntentRow]:
            total = connection.execute(f"SELECT count(*) FROM intents {where}", values).fetchone()[0]
            found = connection.execute(
                f"{_INTENT} {where} ORDER BY seq DESC LIMIT ? OFFSET ?", (*values, page_size, (page - 1) * page_size)
            )
            return Page(items=tuple(map(_intent_row, found)), total=total)

        return await self._ask(tenant, ask)

    async def entries(self, tenant: str, wanted: EntryFilter, *, page: int, page_size: int) -> Page[StoredEntry]:
        """As `ports.RecordIndex.entries`. Evaluation inputs are not read."""
        where, values = _entries_where(tenant, wanted)

        def ask(connection: sqlite3.Connection) -> Page[StoredEntry]:
            total = connection.execute(f"SELECT count(*) FROM entries AS e {where}", values).fetchone()[0]
            found = connection.execute(
                f"""
                SELECT seq, hash, content, salt, body FROM log.entries WHERE tenant = ? AND seq IN (
                    SELECT seq FROM entries AS e {where} ORDER BY seq DESC LIMIT ? OFFSET ?
                ) ORDER BY seq DESC
                """,
                (tenant, *values, page_size, (page - 1) * page_size),
            )
            return Page(items=tuple(_entry(tenant, row) for row in found), total=total)

        return await self._ask(tenant, ask)

    async def intent_counts(self, tenant: str, wanted: IntentFilter) -> Mapping[tuple[str, str, str], int]:
        """As `ports.RecordIndex.intent_counts`."""
        where, values = _intents_where(tenant, wanted)
        query = f"SELECT agent, type, status, count(*) FROM intents {where} GROUP BY 1, 2, 3"

        def ask(connection: sqlite3.Connection) -> Mapping[tuple[str, str, str], int]:
            return {(agent, kind, status): count for agent, kind, status, count in connection.execute(query, values)}

        return await self._ask(tenant, ask)

    async def earned(self, tenant: str, *, agent: str = "", since: str = "") -> Mapping[str, int]:
        """As `ports.RecordIndex.earned`."""
        where, values = _where(tenant, {"agent = ?": agent, "credited >= ?": since})
        query = f"SELECT currency, sum(cents) FROM intents {where} AND credited <> '' GROUP BY 1"

        def ask(connection: sqlite3.Connection) -> Mapping[str, int]:
            return dict(connection.execute(query, values).fetchall())

        return await self._ask(tenant, ask)

    async def held(self, tenant: str, wanted: HeldFilter, *, page: int, page_size: int) -> Page[HeldRow]:
        """As `ports.RecordIndex.held`."""
        where, values = _where(tenant, {"kind = ?": wanted.kind, "state = ?": wanted.state, "same = ?": wanted.group})

        def ask(connection: sqlite3.Connection) -> Page[HeldRow]:
            total = connection.execute(f"SELECT count(*) FROM held {where}", values).fetchone()[0]
            found = connection.execute(
                f"{_HELD} {where} ORDER BY seq DESC LIMIT ? OFFSET ?", (*values, page_size, (page - 1) * page_size)
            )
            return Page(items=tuple(map(_held_row, found)), total=total)

        return await self._ask(tenant, ask)

    async def held_one(self, tenant: str, kind: str, *, id: str = "", intent_id: str = "") -> HeldRow | None:
        """As `ports.RecordIndex.held_one`."""
        if not (id or intent_id):
            return None
        where, values = _where(tenant, {"kind = ?": kind, "id = ?": id, "intent = ?": intent_id})

        def ask(connection: sqlite3.Connection) -> HeldRow | None:
            row = connection.execute(f"{_HELD} {where} ORDER BY seq DESC LIMIT 1", values).fetchone()
            return None if row is None else _held_row(row)

        return await self._ask(tenant, ask)

    async def run(self) -> None:
        """Keep the index from falling far behind while nobody asks; ends when cancelled."""
        await anyio.sleep(FIRST_LOOK_S)
        while True:
            behind = False
            # A problem is met by the next question, too, and told to whoever asks.
            with suppress(StoreError):
                behind = await self._file.ask(self._lock, self._catch_up_all, failed="the index cannot be kept up")
            self._pause = REST_S if behind else LOOK_EVERY_S
            await anyio.sleep(self._pause)

    async def _ask(self, tenant: str, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Take over what is new, then answer. Raises StoreError."""
        return await self._file.ask(
            self._lock, lambda connection: _answer(connection, tenant, ask), failed="the index cannot be read"
        )

    def _catch_up_all(self, connection: sqlite3.Connection) -> bool:
        """Take over some of what is new, in a thread, unless calls are many; returns whether to go on at once."""
        heads = connection.execute(_HEADS).fetchall()
        before, self._seen = self._seen, sum(head for _, head in heads)
        if before is not None and self._seen - before > MANY_PER_S * self._pause:
            return False
        left = AT_ONCE
        for tenant, head in heads:
            while head - _progress(connection, tenant)[0] > BEHIND:
                if left <= 0:
                    return True
                left -= _take_over(connection, tenant)
        return False


# --- in a thread ------------------------------------------------------------------------------------------------------


def _answer(connection: sqlite3.Connection, tenant: str, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
    began, taken = time.monotonic(), 0
    while more := _take_over(connection, tenant):
        taken += more
        spent = time.monotonic() - began
        if spent > TAKE_OVER_S:
            head = connection.execute("SELECT max(seq) FROM log.entries WHERE tenant = ?", (tenant,)).fetchone()[0]
            left_s = math.ceil((head - _progress(connection, tenant)[0]) * spent / taken)
            raise StoreError(
                f"the index is not up to date after {TAKE_OVER_S:.0f} s; ask again, it goes on", retry_after_s=left_s
            )
    return ask(connection)


def _progress(connection: sqlite3.Connection, tenant: str) -> tuple[int, bytes]:
    row = connection.execute("SELECT seq, hash FROM progress WHERE tenant = ?", (tenant,)).fetchone()
    return row or (0, b"")


def _take_over(connection: sqlite3.Connection, tenant: str) -> int:
    """Take over the next entries of the tenant and return how many; what no longer fits the chain is forgotten."""
    connection.execute("BEGIN IMMEDIATE")
    after, known = _progress(connection, tenant)
    if after and hash_at(connection, tenant, after) != known:  # another store, or one from a backup
        for table in ("entries", "intents", "held"):
            connection.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))
        after = 0
    found = connection.execute(
        "SELECT max(seq) FROM (SELECT seq FROM log.entries WHERE tenant = ? AND seq > ? ORDER BY seq LIMIT ?)",
        (tenant, after, BATCH),
    ).fetchone()[0]
    to = after if found is None else int(found)
    if to > after:
        span = {"tenant": tenant, "after": after, "to": to}
        connection.execute(_FRESH)
        for statement in _TAKE:
            connection.execute(statement, span)
        place = (tenant, to, hash_at(connection, tenant, to))
        connection.execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?)", place)
    connection.execute("COMMIT")
    return to - after


def _intents_where(tenant: str, wanted: IntentFilter) -> tuple[str, tuple[object, ...]]:
    return _where(
        tenant,
        {
            "status = ?": wanted.status,
            "agent = ?": wanted.agent,
            "domain = ?": wanted.domain,
            "type = ?": wanted.intent_type,
            "created >= ?": wanted.since,
            "created < ?": wanted.until,
        },
    )


def _entries_where(tenant: str, wanted: EntryFilter) -> tuple[str, tuple[object, ...]]:
    return _where(
        tenant,
        {
            "type = ?": wanted.type,
            "agent = ?": wanted.agent,
            "upstream = ?": wanted.upstream,
            "time >= ?": wanted.since,
            "time < ?": wanted.until,
            "seq < ?": wanted.before,
        },
    )


def _where(tenant: str, tests: Mapping[str, object]) -> tuple[str, tuple[object, ...]]:
    """Return the WHERE of the tests that ask for something, and its values."""
    asked: Sequence[tuple[str, object]] = [(test, value) for test, value in tests.items() if value]
    return " AND ".join(["WHERE tenant = ?", *(test for test, _ in asked)]), (tenant, *(value for _, value in asked))


def _intent_row(row: Row) -> IntentRow:
    names = ("id", "agent", "domain", "type", "status", "effect", "risk", "created", "updated")
    return IntentRow(**dict(zip(names, row, strict=True)))


def _held_row(row: Row) -> HeldRow:
    id_, kept = row
    return HeldRow(id=id_, kept=None if kept is None else kept.encode())


def _entry(tenant: str, row: Row) -> StoredEntry:
    seq, hash_, content, salt, body = row
    return StoredEntry(tenant=tenant, seq=seq, hash=hash_, content=content, salt=salt, body=body)
