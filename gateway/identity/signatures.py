"""RSA signatures in worker threads, several at a time: what a token costs is mostly the way to a thread and back.

Owns the threads and the waiting line. A hand-over to a thread and back for each signature costs as much again as half
of the signature while the event loop is busy; here a thread that is awake takes what has piled up, and tells of it in
one go. For that it needs asyncio's own futures: anyio hands over one job at a time.
"""

import asyncio
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = ["Signatures"]

BATCH: Final = 8
"""Signatures that a thread makes before it tells of them: two milliseconds, so that nobody waits long for others."""

_PADDING: Final = PKCS1v15()
_HASH: Final = SHA256()


class _Job(NamedTuple):
    future: "asyncio.Future[bytes]"
    private: RSAPrivateKey
    message: bytes


class Signatures:
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2). To be used in one event loop.

    `threads` is how many signatures are made at once. By default half the cores: each makes thousands a second, and the
    event loop and the store want theirs. A thread ends with its owner.
    """

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads or max(1, (os.cpu_count() or 1) // 2)
        self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="sign")
        self._lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._awake = 0

    def sign(self, private: RSAPrivateKey, message: bytes) -> "asyncio.Future[bytes]":
        """Begin to sign; the future has the signature. Cancelling it leaves that unmade, or made for nobody."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        with self._lock:  # held for as long as it takes to pop a few jobs
            self._waiting.append(_Job(future, private, message))
            wake = self._awake < self._threads
            self._awake += wake
        if wake:
            self._executor.submit(self._work, loop)
        return future

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a worker thread: sign until nobody waits."""
        while True:
            with self._lock:
                fair = max(1, min(BATCH, len(self._waiting) // self._threads))
                jobs = [self._waiting.popleft() for _ in range(min(fair, len(self._waiting)))]
                if not jobs:
                    self._awake -= 1
                    return
            made = [(job.future, _signed(job)) for job in jobs if not job.future.cancelled()]
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(_tell, made)


def _signed(job: _Job) -> bytes | Exception:
    try:
        return job.private.sign(job.message, _PADDING, _HASH)
    except Exception as error:  # noqa: BLE001 - whoever waits for it gets it, in its own thread
        return error


def _tell(made: list[tuple["asyncio.Future[bytes]", bytes | Exception]]) -> None:
    for future, outcome in made:
        if future.done():
            continue  # whoever waited has left
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
