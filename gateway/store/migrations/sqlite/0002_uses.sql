-- When credentials were last used: beside the chain, since an entry for each use would drown it.
-- `name` is the credential's public id, `at` RFC 3339.

CREATE TABLE uses (
    name TEXT PRIMARY KEY,
    at   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
