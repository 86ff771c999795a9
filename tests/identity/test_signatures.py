"""Signatures in worker threads: the right ones, for the right waiters, and none of them on the event loop."""

import asyncio
import threading
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.identity.signatures import Signatures
from tests.simulate.signer import pooled

KEY = pooled(0)


class Watched:
    """A key that notes where it is used; `wait` holds its thread, `error` is raised instead of a signature."""

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()
        self.signed: list[bytes] = []
        self.held = threading.Event()
        self.held.set()
        self.error: Exception | None = None

    def sign(self, message: bytes, *how: Any) -> bytes:
        self.threads.add(threading.current_thread())
        self.held.wait(5)
        if self.error is not None:
            raise self.error
        self.signed.append(message)
        return b"signed " + message


def verified(signature: bytes, message: bytes) -> None:
    KEY.public_key().verify(signature, message, PKCS1v15(), SHA256())


async def test_each_waiter_gets_the_signature_of_its_own_message() -> None:
    """Many at once, more than threads and batches."""
    signatures = Signatures(2)
    found: dict[bytes, bytes] = {}

    async def one(message: bytes) -> None:
        found[message] = await signatures.sign(KEY, message)

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, b"%d" % number)
    assert len(found) == 100
    for message, signature in found.items():
        verified(signature, message)


async def test_nothing_is_signed_on_the_event_loop_and_no_more_threads_than_asked_for_are_used() -> None:
    """Every other call would wait for it."""
    signatures, key = Signatures(2), Watched()
    for _ in range(3):
        await asyncio.gather(*[signatures.sign(key, b"x") for _ in range(50)])  # type: ignore[arg-type]
    assert threading.current_thread() not in key.threads
    assert len(key.threads) <= 2
    assert len(key.signed) == 150


async def test_a_thread_that_slept_wakes_up_again() -> None:
    """A signature asked for between the last look and the sleep must not wait for ever."""
    signatures = Signatures(1)
    with anyio.fail_after(5):
        for number in range(200):
            verified(await signatures.sign(KEY, b"%d" % number), b"%d" % number)


async def test_one_that_gives_up_holds_up_nobody_and_is_not_signed_for() -> None:
    """A caller that hangs up costs no signature if its turn has not come."""
    signatures, key = Signatures(1), Watched()
    key.held.clear()
    first = asyncio.ensure_future(signatures.sign(key, b"first"))  # type: ignore[arg-type]
    with anyio.fail_after(5):
        while not key.threads:
            await anyio.lowlevel.checkpoint()
        gone = asyncio.ensure_future(signatures.sign(key, b"gone"))  # type: ignore[arg-type]
        last = asyncio.ensure_future(signatures.sign(key, b"last"))  # type: ignore[arg-type]
        await anyio.lowlevel.checkpoint()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        key.held.set()
        assert (await first, await last) == (b"signed first", b"signed last")
    assert key.signed == [b"first", b"last"]


async def test_one_that_gives_up_while_its_signature_is_made_is_not_told() -> None:
    """Its future is done already; the next one works."""
    signatures, key = Signatures(1), Watched()
    key.held.clear()
    gone = asyncio.ensure_future(signatures.sign(key, b"gone"))  # type: ignore[arg-type]
    with anyio.fail_after(5):
        while not key.threads:
            await anyio.lowlevel.checkpoint()
        gone.cancel()
        key.held.set()
        assert await signatures.sign(key, b"next") == b"signed next"  # type: ignore[arg-type]
    assert key.signed == [b"gone", b"next"]


async def test_a_failure_is_told_to_its_own_waiter_only() -> None:
    """The thread goes on."""
    signatures, key = Signatures(1), Watched()
    key.error = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        await signatures.sign(key, b"x")  # type: ignore[arg-type]
    key.error = None
    assert await signatures.sign(key, b"y") == b"signed y"  # type: ignore[arg-type]


def test_a_loop_that_has_closed_is_not_told() -> None:
    """A gateway that was cut off must not leave a traceback of a thread behind."""
    signatures, key = Signatures(1), Watched()
    key.held.clear()

    async def leave() -> None:
        task = asyncio.ensure_future(signatures.sign(key, b"x"))  # type: ignore[arg-type]
        with anyio.fail_after(5):
            while not key.threads:
                await anyio.lowlevel.checkpoint()
        task.cancel()

    asyncio.run(leave())
    key.held.set()
    signatures._executor.shutdown(wait=True)
    assert (key.signed, signatures._awake) == ([b"x"], 0)
