"""Kill a process that writes to the embedded store, again and again, and count what was lost.

    python -m tests.faults.store_kill --rounds 1000

Each round forks a writer (16 appends at a time, over two tenants, calls opened and closed), kills it with SIGKILL at
a random moment, and forks a checker that opens the store as a start does, verifies every chain, and looks for each
entry that the writer was told is durable. The parent has no threads, so that forking it is safe. Prints one line of
JSON; exits 1 where anything was lost or broken. SIGKILL says nothing about power loss: `test_store_sync.py` does.
"""

import argparse
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from gateway.core.audit.entry import EntryDraft, EntryType, Put
from gateway.errors import GatewayError
from gateway.ports import Appended
from gateway.services.audit_query import verify
from gateway.store.sqlite.store import StoreOptions, open_store
from gateway.telemetry.clock import SystemClock

WRITERS = 16
STORE_ROUNDS = 15
"""Rounds on one store: later ones begin on a chain with a past, and checking it whole stays quick."""
ROUND_S = 20.0
"""A writer or checker that takes longer has failed."""


def options(folder: Path) -> StoreOptions:
    return StoreOptions(data=folder / "data", state=folder / "state", key=bytes(32))


def draft(tenant: str, call: str, *, opens: bool) -> EntryDraft:
    return EntryDraft(
        tenant=tenant,
        id=f"evt_{call}",
        type=EntryType.CALL_DECIDED if opens else EntryType.CALL_COMPLETED,
        time="2026-11-22T08:00:00.000Z",
        intent_id=f"int_{call}",
        body=b"x" * 300,
        evaluation_input=b"y" * 100 if opens else None,
        opens=opens,
        closes=not opens,
        puts=(Put(key=f"writer/{call.split('-')[1]}", value=call.encode()),),
    )


async def write(folder: Path, acknowledged: int, name: str) -> None:
    """Append until killed; tell the parent of each entry only after its append has returned."""
    store = await open_store(options(folder), SystemClock())

    async def one(writer: int) -> None:
        number = 0
        while True:
            number += 1
            for opens in (True, False):
                tenant = "ab"[writer % 2]
                outcome = await store.append(draft(tenant, f"{name}-{writer}-{number}", opens=opens))
                if isinstance(outcome, Appended):
                    os.write(acknowledged, f"{tenant} {outcome.seq} {outcome.hash.hex()}\n".encode())

    async with anyio.create_task_group() as group:
        for writer in range(WRITERS):
            group.start_soon(one, writer)


async def check(folder: Path, acknowledged: dict[tuple[str, int], str], result: int) -> None:
    """Open the store as a start does, verify it whole, and compare."""
    found: dict[str, Any] = {"broken": 0, "lost": 0, "in_doubt": 0, "wrongly_open": 0}
    try:
        store = await open_store(options(folder), SystemClock())
    except GatewayError as error:
        os.write(result, json.dumps({"refused": str(error)}).encode())
        return
    open_now = {(call.tenant, call.intent_id) for call in store.opening.in_doubt}
    for tenant in await store.tenants():
        report = await verify(store, tenant)
        found["broken"] += report.broken
        should: set[tuple[str, str]] = set()
        async for entry in store.read(tenant):
            fields = json.loads(entry.content)
            (should.add if fields["type"] == "call.decided" else should.discard)((tenant, fields["intentId"]))
            if acknowledged.pop((tenant, entry.seq), entry.hash.hex()) != entry.hash.hex():
                found["lost"] += 1
        found["in_doubt"] += len(should)
        found["wrongly_open"] += len(should ^ {call for call in open_now if call[0] == tenant})
    found["lost"] += len(acknowledged)
    os.write(result, json.dumps(found).encode())
    await store.aclose()


def forked(run: Callable[[], Any]) -> int:
    """Run `run` in a child of its own and end that without the parent's clean-up."""
    child = os.fork()
    if child:
        return child
    try:
        anyio.run(run)
        os._exit(0)
    except BaseException as error:
        os.write(2, f"child failed: {error!r}\n".encode())
        os._exit(1)


def drained(handle: int, *, until: float) -> bytes:
    """Read what the writer says until the moment has come; it must never wait for a full pipe."""
    said = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([handle], [], [], left)[0]:
            said += os.read(handle, 65_536)
    return said


def killed_writer(folder: Path, name: str, after_s: float) -> list[bytes]:
    """Let a writer write for `after_s` from its first acknowledged entry on, kill it, and return what it was told."""
    reading, writing = os.pipe()
    child = forked(lambda: write(folder, writing, name))
    os.close(writing)
    select.select([reading], [], [], ROUND_S)
    told = drained(reading, until=time.monotonic() + after_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as rest:
        return (told + rest.read()).split(b"\n")[:-1]


def checked(folder: Path, acknowledged: dict[tuple[str, int], str]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = forked(lambda: check(folder, acknowledged, writing))
    os.close(writing)
    with os.fdopen(reading, "rb") as result:
        text = result.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text and status == 0 else {"refused": "the checker failed"}


def rounds(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Run `count` rounds on one store and sum up."""
    chance = random.Random(seed)
    names = ("rounds", "acknowledged", "lost", "broken", "refused", "wrongly_open", "rounds_in_doubt")
    total: dict[str, Any] = dict.fromkeys(names, 0)
    for number in range(count):
        if number % STORE_ROUNDS == 0:
            store, acknowledged = folder / str(number), {}
        for line in killed_writer(store, str(number), chance.uniform(0, 0.05)):
            tenant, seq, hash_ = line.decode().split(" ")
            acknowledged[tenant, int(seq)] = hash_
            total["acknowledged"] += 1
        found = checked(store, dict(acknowledged))
        total["rounds"] += 1
        if "refused" in found:
            total["refused"] += 1
            total["why"] = found["refused"]
            continue
        for name in ("lost", "broken", "wrongly_open"):
            total[name] += found[name]
        total["rounds_in_doubt"] += found["in_doubt"] > 0
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        total = {"seed": given.seed} | rounds(Path(folder), given.rounds, given.seed)
    print(json.dumps(total))
    return 1 if total["lost"] or total["broken"] or total["refused"] or total["wrongly_open"] else 0


if __name__ == "__main__":
    sys.exit(main())
