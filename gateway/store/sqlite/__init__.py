"""The embedded store: SQLite, WAL with synchronous=FULL, one writer thread, group commit."""
