"""The store from outside: read beside a running gateway, verified against the head that is kept elsewhere."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.errors import StoreRefused
from gateway.records import database_path, reading, verify_chains
from gateway.settings import Settings, UpstreamSettings


def settings_in(folder: Path) -> Settings:
    return Settings(
        port=0,
        data=folder / "data",
        state=folder / "state",
        upstreams={"default": UpstreamSettings(url="http://127.0.0.1:9/mcp")},
    )


@asynccontextmanager
async def gateway_in(folder: Path) -> AsyncIterator[Settings]:
    settings = settings_in(folder)
    async with Gateway.open(settings):
        yield settings


async def started_once(folder: Path) -> Settings:
    async with gateway_in(folder) as settings:
        return settings


async def test_a_running_gateways_chain_is_read_and_verified(tmp_path: Path) -> None:
    """An auditor need not stop it."""
    async with gateway_in(tmp_path) as settings:
        [report] = await verify_chains(settings)
        assert (report.tenant, report.valid) == ("_system", True)
        async with reading(settings) as reader:
            assert len(await reader.last("_system", 100)) == report.count


async def test_one_tenant_may_be_asked_for(tmp_path: Path) -> None:
    """Chains are independent of each other."""
    settings = await started_once(tmp_path)
    assert await verify_chains(settings, "nobody") == []
    assert len(await verify_chains(settings, "_system")) == 1


async def test_a_cut_tail_is_found_by_the_head_copy(tmp_path: Path) -> None:
    """What is left verifies in itself; only the copy knows that there was more."""
    settings = await started_once(tmp_path)
    with closing(sqlite3.connect(database_path(settings))) as connection:
        connection.execute("DELETE FROM entries WHERE seq = (SELECT max(seq) FROM entries)")
        connection.commit()
    [report] = await verify_chains(settings)
    assert [one.kind for one in report.breaks] == ["unexpected-head"]


async def test_a_chain_that_is_gone_as_a_whole_is_found_too(tmp_path: Path) -> None:
    """No entry is left that could be wrong."""
    settings = await started_once(tmp_path)
    with closing(sqlite3.connect(database_path(settings))) as connection:
        connection.execute("DELETE FROM entries")
        connection.commit()
    [report] = await verify_chains(settings)
    assert (report.valid, report.count) == (False, 0)


async def test_an_edited_entry_is_found(tmp_path: Path) -> None:
    """The hash does not fit any more."""
    settings = await started_once(tmp_path)
    with closing(sqlite3.connect(database_path(settings))) as connection:
        forged = "CAST(replace(CAST(content AS TEXT), 'gateway.started', 'gateway.stopped') AS BLOB)"
        connection.execute(f"UPDATE entries SET content = {forged}")
        connection.commit()
    [report] = await verify_chains(settings)
    assert not report.valid


async def test_another_store_at_the_same_place_is_refused(tmp_path: Path) -> None:
    """Its own chain is whole, and it is not the one that was used here."""
    settings = await started_once(tmp_path)
    other = await started_once(tmp_path / "other")
    database_path(settings).write_bytes(database_path(other).read_bytes())
    with pytest.raises(StoreRefused, match="another store"):
        await verify_chains(settings)


async def test_where_no_store_is_nothing_is_made(tmp_path: Path) -> None:
    """Reading must not leave an empty store behind."""
    settings = settings_in(tmp_path)
    with pytest.raises(StoreRefused, match="no audit store"):
        await verify_chains(settings)
    assert not database_path(settings).exists()


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    """With what to do about it."""
    settings = await started_once(tmp_path)
    database_path(settings).write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreRefused) as caught:
        await verify_chains(settings)
    assert caught.value.remedy
