-- The chain, what lies beside it, and the state that entries read and change.
-- A migration is never edited once it has been released: its SHA-256 is in the ledger of every store.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `content` are the very bytes that were hashed. `n` is the order of writing over all tenants.
CREATE TABLE entries (
    n         INTEGER PRIMARY KEY,
    tenant    TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    salt      BLOB NOT NULL,
    intent_id TEXT NOT NULL,
    content   BLOB NOT NULL,
    body      BLOB NOT NULL,
    UNIQUE (tenant, seq)
) STRICT;

CREATE INDEX entries_of_intent ON entries (tenant, intent_id, seq) WHERE intent_id <> '';

-- Evaluation inputs, sealed, under the `n` of their entry; purged by age. `written` is in seconds since 1970.
CREATE TABLE inputs (
    n       INTEGER PRIMARY KEY,
    written INTEGER NOT NULL,
    sealed  BLOB NOT NULL
) STRICT;

CREATE TABLE open_calls (
    tenant    TEXT NOT NULL,
    intent_id TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    PRIMARY KEY (tenant, intent_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    tenant  TEXT NOT NULL,
    key     TEXT NOT NULL,
    version INTEGER NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

-- The highest version of any deleted row, so that no version of a key ever comes back.
CREATE TABLE state_floor (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO state_floor VALUES (1, 0);

-- What the writer overwrites to find out whether writing is possible at all.
CREATE TABLE probe (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    filler BLOB NOT NULL
) STRICT;
INSERT INTO probe VALUES (1, x'');
