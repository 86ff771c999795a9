"""The outbox on disk: what a restart finds, and what it says when it cannot be used. The rest is in tests/contracts."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.core.webhooks import Delivery
from gateway.errors import StoreError
from gateway.store.sqlite.outbox import FILE, SqliteOutbox
from gateway.store.sqlite.store import DATABASE, SqliteStore, StoreOptions, open_store
from gateway.telemetry.clock import SystemClock

NOW = "2026-11-22T12:00:00.000Z"
ONE = Delivery(
    tenant="acme",
    endpoint="hook_1",
    id="whk_1",
    lane="int_1",
    event="intent.approved",
    intent_id="int_1",
    body=b"{}",
    created=NOW,
    due=NOW,
)


async def store_in(folder: Path) -> SqliteStore:
    return await open_store(StoreOptions(data=folder / "data", state=folder / "state", wait_s=2.0), SystemClock())


async def test_a_restart_finds_what_was_kept(tmp_path: Path) -> None:
    """Also where nobody closed the file: a killed process does not."""
    store = await store_in(tmp_path)
    try:
        first = SqliteOutbox(tmp_path / "data" / DATABASE)
        await first.put("acme", "hook_1", [ONE], seq=None)
        second = SqliteOutbox(tmp_path / "data" / DATABASE)
        assert await second.get("acme", "hook_1", "whk_1") == ONE
        await second.aclose()
        await second.aclose()
        assert await second.due("hook_1", now=NOW, limit=1) == [ONE]
        await first.aclose()
        await second.aclose()
        assert (tmp_path / "data" / FILE).stat().st_mode & 0o777 == 0o600
    finally:
        await store.aclose()


async def test_deliveries_and_cursor_are_kept_together_or_not_at_all(tmp_path: Path) -> None:
    """A delivery that cannot be kept keeps the cursor where it is."""
    store = await store_in(tmp_path)
    outbox = SqliteOutbox(tmp_path / "data" / DATABASE)
    try:
        bad = [ONE, Delivery(**{name: getattr(ONE, name) for name in ONE.__slots__} | {"id": "whk_2", "body": None})]
        await outbox.unread("acme", "hook_1", after=0, limit=1)
        with pytest.raises(StoreError):
            await outbox.put("acme", "hook_1", bad, seq=0)
        assert await outbox.get("acme", "hook_1", "whk_1") is None
        with closing(sqlite3.connect(tmp_path / "data" / FILE)) as connection:
            assert connection.execute("SELECT count(*) FROM cursors").fetchone() == (0,)
    finally:
        await outbox.aclose()
        await store.aclose()


async def test_a_file_that_is_no_database_is_said_to_be_unusable(tmp_path: Path) -> None:
    """In an error that the delivery waits on, not one that ends the gateway."""
    store = await store_in(tmp_path)
    (tmp_path / "data" / FILE).write_bytes(b"x" * 4096)
    outbox = SqliteOutbox(tmp_path / "data" / DATABASE)
    try:
        with pytest.raises(StoreError, match="outbox cannot be used"):
            await outbox.due("hook_1", now=NOW, limit=1)
    finally:
        await outbox.aclose()
        await store.aclose()
