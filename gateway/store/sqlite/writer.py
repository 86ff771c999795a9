"""The one writer: a thread that takes whatever is queued, writes it in one transaction, and tells the event loop.

Owns the queue, the group commit, the bounded wait and the health of the store; what a transaction writes is
`recorder.py`. asyncio instead of anyio, because the hand-over between thread and loop is the hot path: one plain
future per append and one wake-up of the loop per transaction.

**An append that is given up.** Whoever waits longer than `wait_s` gets AuditUnavailable and forwards nothing. The
writer looks for that after it has got the lock and again before it commits: a draft that was given up by then is not
written at all. Only while the commit itself runs both can happen. The entry is then in the chain although its append
failed; `unclaimed` is called with it on the event loop, so that the service can record that nothing was forwarded,
and if the process dies before, the open call is closed as in doubt at the next start. A wait that was cancelled is not
given up: its draft is written, for a caller that hangs up must not suppress an entry.
"""

import asyncio
import contextlib
import ctypes
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue

from gateway.core.ageing import Ageing
from gateway.core.audit.entry import EntryDraft
from gateway.errors import AuditUnavailable
from gateway.ports import Appended, Clock, Conflict, Follower, StateRow
from gateway.store.headcopy import HeadCopy, Heads
from gateway.store.sqlite.files import StoreFiles
from gateway.store.sqlite.inputs import purge
from gateway.store.sqlite.recorder import Outcome, Recorded, Recorder

__all__ = ["Changes", "Unclaimed", "Writer", "probe"]

Changes = Mapping[tuple[str, str], StateRow | None]
Unclaimed = Callable[[EntryDraft, Appended], None]

MAX_WAITING = 10_000
"""Appends that may wait at once; at 20,000 a second this is half a second's worth."""
MAX_BATCH = 256
"""Drafts in one transaction; more gain nothing and make the first of them wait."""
GATHER_FROM = 8
"""So many drafts in one transaction mean that the loop is busy with many calls, whose next drafts are on their way."""
GATHER_S = 0.001
GATHER_TURNS = 4
"""For these the writer waits then, up to so many times, until nearly as many are there as came before. A transaction
costs as much as twenty drafts in it, whatever it holds; without the wait every fourth held less than eight, while most
calls' drafts were a moment away. Fewer clients wait for nothing."""
GATHER_SHARE = 0.9
"""Of the drafts that came before; the last few calls may take long at their upstreams."""
_FORGET = 0.75
"""What a transaction leaves of the number that the one before it set: calls become fewer, too."""
IDLE_S = 1.0
"""Longest sleep of the writer: it writes the copy of the heads and looks at the files this often."""
RETRY_S = 0.2
"""Pause between attempts to write again after a failure."""
HEAD_COPY_S = 1.0
CHECKPOINT_COMMITS = 256
"""Commits between checkpoints, large ones counted for several; keeps the log at about 5 MiB."""
NOTES_S = 1.0
"""Between two transactions of notes: each costs a sync, for which appends wait."""
MAX_NOTES = 10_000
"""Notes that wait for the writer; beyond that the oldest are dropped."""
PURGE_S = 60.0
PROBE_BYTES = 32_768
"""Several pages, so that the probe does not fit where an entry would not."""
_DAY_S = 86_400

_log = logging.getLogger(__name__)


class _Ticket:
    """One append on its way: written to by the loop (`given_up`), looked at by the writer."""

    __slots__ = ("deadline", "draft", "future", "given_up")

    def __init__(self, draft: EntryDraft, future: "asyncio.Future[Appended | Conflict]", deadline: float) -> None:
        self.draft = draft
        self.future = future
        self.deadline = deadline
        self.given_up = False


@dataclass(slots=True, kw_only=True)
class _Times:
    """When the writer did what it does now and then, on the monotonic clock."""

    head_copy: float = 0.0
    notes: float = 0.0
    purge: float = 0.0
    attempt: float = 0.0
    commits: int = 0
    heads_written: bool = True


class Writer:
    """Owns the connection, the files and the thread from `start` to `stop`."""

    def __init__(
        self,
        *,
        connection: sqlite3.Connection,
        recorder: Recorder,
        files: StoreFiles,
        head_copy: HeadCopy,
        store_id: str,
        clock: Clock,
        keep_input_days: int,
        newest: datetime | None,
        wait_s: float,
        changed: Callable[[Changes | None], None],
        unclaimed: Unclaimed | None,
    ) -> None:
        self._connection = connection
        self._recorder = recorder
        self._files = files
        self._head_copy = head_copy
        self._store_id = store_id
        self._clock = clock
        self._keep_input_s = keep_input_days * _DAY_S
        self._wait_s = wait_s
        self._changed = changed
        self._unclaimed = unclaimed
        self._followers: list[Follower] = []
        self._on_loss: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._usual = 0.0
        self._queue: SimpleQueue[_Ticket | None] = SimpleQueue()
        self._waiting: deque[_Ticket] = deque()
        self._notes: deque[tuple[str, str]] = deque(maxlen=MAX_NOTES)
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._problem = ""
        self._final = False
        self.head_copy_problem = ""
        now = clock.monotonic()
        self._ageing = Ageing(newest=newest, now=clock.now(), monotonic=now)
        self._times = _Times(head_copy=now, notes=now - NOTES_S, purge=now - PURGE_S)
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)

    # --- on the event loop ---

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, draft: EntryDraft) -> "asyncio.Future[Appended | Conflict]":
        """Queue a draft; the future ends within `wait_s`. Raises AuditUnavailable where waiting has no sense."""
        problem = self.problem()
        if problem:
            raise AuditUnavailable(f"audit append refused: {problem}")
        if len(self._waiting) >= MAX_WAITING:
            raise AuditUnavailable(f"audit append refused: {MAX_WAITING} appends are waiting already")
        ticket = _Ticket(draft, self._loop.create_future(), self._loop.time() + self._wait_s)
        self._waiting.append(ticket)
        if self._timer is None:
            self._timer = self._loop.call_at(ticket.deadline, self._time_is_up)
        self._queue.put(ticket)
        return ticket.future

    def follow(self, follower: Follower, lost: Callable[[], None] | None = None) -> None:
        """Tell the follower of every entry from now on, and `lost` that some may be durable which it is not told."""
        self._followers.append(follower)
        if lost is not None:
            self._on_loss.append(lost)

    def note(self, name: str, at: str) -> None:
        """Leave a note that is written when there is time."""
        self._notes.append((name, at))

    def problem(self) -> str:
        """Return an empty string while entries can be made durable, else why not."""
        return "the store is closed" if self._closed else self._problem

    def stop(self) -> None:
        """Take no more, and tell the thread to write what is queued and end."""
        self._closed = True
        self._queue.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread, in a thread; returns whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _time_is_up(self) -> None:
        """Let what is here already be delivered first: after a stall of the loop, uvloop runs timers before that."""
        self._loop.call_soon(self._give_up)

    def _give_up(self) -> None:
        """End the waits that are over; the next look is due when the oldest left is."""
        now = self._loop.time()
        waiting = self._waiting
        while waiting and (waiting[0].future.done() or waiting[0].deadline <= now):
            ticket = waiting.popleft()
            if not ticket.future.done():
                # The end of a call is written whenever that becomes possible: dropped, it would leave the call in
                # doubt, and nothing rests on its absence.
                ticket.given_up = not ticket.draft.closes
                ticket.future.set_exception(
                    AuditUnavailable(f"audit append failed: not durable within {self._wait_s} s")
                )
        self._timer = self._loop.call_at(waiting[0].deadline, self._time_is_up) if waiting else None

    def _deliver(self, tickets: list[_Ticket], outcomes: list[Outcome], changes: Changes) -> None:
        """Hand out the outcomes of one transaction; changed state first, so that whoever goes on reads it."""
        if changes:
            self._changed(changes)
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            if self._followers and isinstance(outcome, Appended):
                self._tell(ticket.draft, outcome)
            if not ticket.future.done():
                if isinstance(outcome, AuditUnavailable):
                    ticket.future.set_exception(outcome)
                else:
                    ticket.future.set_result(outcome)
            elif self._unclaimed is not None and isinstance(outcome, Appended):
                # In a step of its own: what goes wrong there must not keep the others waiting.
                self._loop.call_soon(self._unclaimed, ticket.draft, outcome)
        self._forget_done()

    def _forget_done(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0].future.done():
            waiting.popleft()

    def _tell(self, draft: EntryDraft, appended: Appended) -> None:
        """Tell the followers of an entry. The fault of one must not keep anybody waiting for what is durable."""
        for follower in self._followers:
            try:
                follower(draft, appended)
            except Exception as error:  # noqa: BLE001 - whatever it is, the entry stands and its caller goes on
                _log.error("a follower of the chain failed at an entry: %s", type(error).__name__)

    def _fail(self, tickets: list[_Ticket], problem: str) -> None:
        """Tell the waiting that nothing is certain, and forget what was read."""
        self._changed(None)
        for lost in self._on_loss:
            lost()
        for ticket in tickets:
            if not ticket.future.done():
                ticket.future.set_exception(AuditUnavailable(f"audit append failed: {problem}"))
        self._forget_done()

    # --- on the writer's thread ---

    def _run(self) -> None:
        tickets: list[_Ticket] = []
        try:
            going_on = True
            while going_on:
                tickets, going_on = self._next()
                if tickets:
                    self._commit(tickets)
                self._chores(idle=not tickets)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing can be made durable any more
            self._trouble(tickets, f"the writer ended unexpectedly ({type(error).__name__})", final=True)
        finally:
            self._end()

    def _next(self) -> tuple[list[_Ticket], bool]:
        """Wait for drafts and take all that are there; False once the end was asked for."""
        tickets: list[_Ticket] = []
        going_on = self._take(tickets, wait_s=self._pause())
        enough = self._usual * GATHER_SHARE if tickets and self._usual >= GATHER_FROM else 0.0
        for _ in range(GATHER_TURNS):
            if not going_on or len(tickets) >= enough:
                break
            time.sleep(GATHER_S)
            going_on = self._take(tickets, wait_s=0.0)
        self._usual = max(len(tickets), self._usual * _FORGET)
        return tickets, going_on

    def _take(self, tickets: list[_Ticket], *, wait_s: float) -> bool:
        """Add what is queued, waiting for the first; False once the end was asked for."""
        try:
            while len(tickets) < MAX_BATCH:
                one = self._queue.get(timeout=wait_s)
                if one is None:
                    return False
                tickets.append(one)
                wait_s = 0.0
        except Empty:
            pass
        return True

    def _pause(self) -> float:
        if self._final or (self._times.heads_written and not self._problem):
            return IDLE_S
        if self._problem:
            return RETRY_S
        return max(0.01, self._times.head_copy + HEAD_COPY_S - self._clock.monotonic())

    def _commit(self, tickets: list[_Ticket]) -> None:
        """Make the drafts durable, or tell every one of them that they are not."""
        if self._problem:
            self._on_loop(self._fail, tickets, self._problem)
            return
        problem = self._files.problem()
        if problem:
            self._trouble(tickets, problem, final=True)
            return
        try:
            live, recorded = self._write(tickets)
        except sqlite3.Error as error:
            self._failed(tickets, error)
            return
        # Looked at once more before anybody is told: what went into a file that is gone is not durable.
        problem = self._files.remember()
        if problem:
            self._trouble(tickets, problem, final=True)
            return
        self._recorder.committed(recorded)
        self._times.commits += 1 + len(live) // 8
        self._times.heads_written = False
        self._on_loop(self._deliver, live, recorded.outcomes, recorded.rows)

    def _write(self, tickets: list[_Ticket]) -> tuple[list[_Ticket], Recorded]:
        """Write and commit those that are still waited for. Raises sqlite3.Error.

        `executescript` and `commit` let go of the interpreter's lock once, `execute` does five times.
        """
        connection = self._connection
        while True:
            connection.executescript("BEGIN IMMEDIATE")
            tickets = [ticket for ticket in tickets if not ticket.given_up]
            recorded = self._recorder.record([ticket.draft for ticket in tickets], now=self._now())
            if not any(ticket.given_up for ticket in tickets):
                connection.commit()
                return tickets, recorded
            connection.rollback()

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _failed(self, tickets: list[_Ticket], error: sqlite3.Error) -> None:
        """Undo what a failed transaction left, and say why it failed."""
        self._roll_back()
        gone = self._files.remember()  # a failed write may have changed size and time of the log
        self._trouble(tickets, gone or _in_words(error), final=bool(gone) or _is_corrupt(error))

    def _trouble(self, tickets: list[_Ticket], problem: str, *, final: bool) -> None:
        """Go unready and fail the waiting. A final trouble ends with the process, any other when a probe succeeds."""
        self._final = self._final or final
        self._problem = f"{problem}; restart the gateway to have the store checked" if final else problem
        self._times.attempt = self._clock.monotonic()
        self._on_loop(self._fail, tickets, problem)
        if self._final and not self._times.heads_written:
            # What was acknowledged is known now, and only now: the next start finds by it what somebody took away.
            self._copy_heads(self._times.attempt)

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before us: nobody waits any more
            self._loop.call_soon_threadsafe(call, *arguments)

    def _chores(self, *, idle: bool) -> None:
        """What is due now and then; nobody waits for it, and its failing harms no append."""
        if self._final:
            return
        now = self._clock.monotonic()
        if self._problem:
            if now - self._times.attempt >= RETRY_S:
                self._recover(now)
            return
        if idle:
            self._look()
        if not self._times.heads_written and now - self._times.head_copy >= HEAD_COPY_S:
            torn = self._files.torn()
            if torn:
                self._trouble([], torn, final=True)
                return
            self._copy_heads(now)
        if self._notes and now - self._times.notes >= NOTES_S:
            self._write_notes(now)
        if self._times.commits >= CHECKPOINT_COMMITS:
            self._checkpoint("PASSIVE")
        if now - self._times.purge >= PURGE_S:
            self._purge(now)

    def _look(self) -> None:
        problem = self._files.problem()
        if problem:
            self._trouble([], problem, final=True)

    def _recover(self, now: float) -> None:
        """Try whether writing is possible again, by writing."""
        self._times.attempt = now
        problem = self._files.problem()
        if not problem:
            try:
                probe(self._connection)
                self._recorder.reload()
            except sqlite3.Error as error:
                self._failed([], error)
                return
            problem = self._files.remember()
        if problem:
            self._trouble([], problem, final=True)
        else:
            self._problem = ""

    def _copy_heads(self, now: float) -> None:
        self._times.head_copy = now
        try:
            self._head_copy.write(Heads(store_id=self._store_id, heads=self._recorder.heads()))
        except OSError as error:
            problem = f"the copy of the chain heads cannot be written: {error.strerror}"
            if problem != self.head_copy_problem:
                _log.warning("%s; what is cut off the end of the store meanwhile cannot be noticed", problem)
            self.head_copy_problem = problem
            return
        self.head_copy_problem = ""
        self._times.heads_written = True

    def _checkpoint(self, mode: str) -> None:
        """Move the log into the database. A failure is tried again later: the log is durable all the same."""
        self._times.commits = 0
        if self._files.problem():
            return  # noticed at the next append; a checkpoint must not write into a file of someone else
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        self._files.remember(checkpointed=True)

    def _write_notes(self, now: float) -> None:
        """Write what was noted; what cannot be written is dropped: nothing rests on it."""
        self._times.notes = now
        if self._files.problem():
            return  # noticed at the next append; nothing goes into a file of someone else
        notes = {}
        while self._notes:  # the event loop may add to it meanwhile
            name, at = self._notes.popleft()
            notes[name] = at
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO uses VALUES (?, ?)", notes.items())
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
        self._files.remember()

    def _purge(self, now: float) -> None:
        """Delete a slice of the inputs whose time is over, oldest first; goes on at once while there are more."""
        old = int(self._ageing.at(self._clock.now(), now).timestamp())
        more = False
        try:
            more = purge(self._connection, now=old, keep_s=self._keep_input_s)
        except sqlite3.Error:
            self._roll_back()
        self._files.remember()
        if not more:
            self._times.purge = now

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    def _end(self) -> None:
        """Leave everything tidy: heads copied, log moved, files closed in the order that keeps locks intact."""
        if self._final:
            # Closing would move our log into a file that is no longer ours and delete, by its path, a log that may be
            # another's. Only the end of the process may close this one, so it is kept from being collected.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            return
        if not self._problem:
            if not self._times.heads_written:
                self._copy_heads(self._clock.monotonic())
            if self._notes:
                self._write_notes(self._clock.monotonic())
            self._checkpoint("TRUNCATE")
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._files.close()


def probe(connection: sqlite3.Connection) -> None:
    """Write for certain: a full disk still lets a transaction begin. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE probe SET filler = randomblob(?)", (PROBE_BYTES,))
    connection.execute("COMMIT")


def _in_words(error: sqlite3.Error) -> str:
    """Say what SQLite reports; its messages hold no values of ours."""
    return f"{error} ({getattr(error, 'sqlite_errorname', 'sqlite')})"


def _is_corrupt(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
