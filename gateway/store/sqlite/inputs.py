"""Removing the sealed evaluation inputs whose time is over, a slice at a time.

Owns which inputs that are; when a slice is due is the writer's, by which time they are old `core/ageing.py`'s. Nothing
else of an entry is ever removed.
"""

import sqlite3
from typing import Final

__all__ = ["PURGE_LOOK", "PURGE_ROWS", "purge"]

PURGE_ROWS: Final = 200
"""Inputs looked at in one slice: a few milliseconds of the writer's time."""

PURGE_LOOK: Final = 10_000
"""Inputs passed over in one slice, some ten milliseconds: those that a wrong clock has dated to the future."""

_PURGE = """
DELETE FROM inputs WHERE n <= (
    SELECT max(n) FROM (
        SELECT n, written FROM (SELECT n, written FROM inputs ORDER BY n LIMIT :look) WHERE written <= :now LIMIT :rows
    ) WHERE written < :cut
) AND (written < :cut OR written > :now)
"""
"""Only looks at the oldest few: rows are written in the order of time, so that the first that is kept ends the work.

Those from the future were written while the clock was wrong. They go with what came after them; by their own date they
would be kept for as long as the clock was ahead, and everything behind them, too.
"""


def purge(connection: sqlite3.Connection, *, now: int, keep_s: int) -> bool:
    """Remove what is older than `keep_s` by then; returns whether there may be more. Raises sqlite3.Error."""
    bounds = {"look": PURGE_LOOK, "rows": PURGE_ROWS, "now": now, "cut": now - keep_s}
    connection.execute("BEGIN IMMEDIATE")
    purged = connection.execute(_PURGE, bounds).rowcount
    connection.execute("COMMIT")
    return purged >= PURGE_ROWS
