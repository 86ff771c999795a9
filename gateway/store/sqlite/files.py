"""The files under the store: the exclusive lock on the data folder, and whether the files are still the same.

SQLite goes on "successfully" when its files have been deleted or replaced under the open handle (research, security
0.5), so the store compares what lies at the paths with what it wrote last: device, inode and link count, and also size
and time of change, since a copy written over a file keeps its inode. Only the store itself changes these files: the
database by a checkpoint, the log by a commit.
"""

import contextlib
import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StoreInUse, StoreRefused

__all__ = ["LOCK", "FolderLock", "StoreFiles", "private_folder"]

LOCK = "lock"
"""The file in a data folder that whoever opens a store takes first."""

_Stamp = tuple[int, int, int, int, int]

_INDEX = struct.Struct("=14xHI")
"""Of the index of the log (https://sqlite.org/walformat.html, 2.1): the size of a page, and how many frames it has."""
_LOG_HEAD, _FRAME_HEAD = 32, 24


def private_folder(folder: Path) -> None:
    """Make the folder, for the owner only. Raises StoreRefused."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreRefused(
            f"the folder {folder} cannot be made: {error.strerror}",
            remedy="choose a folder that the gateway's user may write to",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLock:
    """The exclusive lock on a data folder. It ends with the process, however that ends."""

    handle: int

    @classmethod
    def acquire(cls, folder: Path) -> "FolderLock":
        """Take the lock without waiting.

        Raises:
            StoreInUse: another process holds it.
            StoreRefused: the folder cannot be written.
        """
        path = folder / LOCK
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreRefused(
                f"the data folder {folder} cannot be written: {error.strerror}",
                remedy="make it writable for the gateway's user, or choose another with `--data`",
            ) from error
        try:
            # flock and not a record lock: those end when any handle of the file is closed in this process.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            raise StoreInUse(
                f"another gateway (process {holder}) uses the data folder {folder}",
                remedy="stop that one first, or give this one a data folder of its own with `--data`",
            ) from error
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(handle)
            raise StoreRefused(
                f"the data folder {folder} cannot be written: {error.strerror}",
                remedy="free some space on its disk, or choose another with `--data`",
            ) from error
        return cls(handle=handle)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self.handle)


class StoreFiles:
    """Remembers the database, its write-ahead log and its shared index as the writer left them.

    Keeps a handle on the database of its own, so that the inode cannot be given to another file meanwhile. Close only
    after SQLite has: closing any handle of a file drops SQLite's record locks on it.
    """

    def __init__(self, database: Path) -> None:
        self._database = os.fspath(database)
        self._log = self._database + "-wal"
        self._index = self._database + "-shm"
        self._handle = os.open(self._database, os.O_RDONLY)
        held = os.fstat(self._handle)
        self._held = (held.st_dev, held.st_ino)
        self._database_was: _Stamp = (0, 0, 0, 0, 0)
        self._log_was: _Stamp = (0, 0, 0, 0, 0)
        self._index_was: tuple[int, int] = (0, 0)
        self._index_handle: int | None = None

    def remember(self, *, checkpointed: bool = False) -> str:
        """Take the files as they are after a write of ours. Returns an empty string, or why they are not ours.

        Only a checkpoint changes the database. Taking it as it is after a commit too would take over whatever somebody
        else has written into it while we committed; under load that is most of the time.
        """
        try:
            database, log, index = os.stat(self._database), os.stat(self._log), os.stat(self._index)
        except OSError as error:
            return _gone(error)
        if (database.st_dev, database.st_ino) != self._held:
            return "the store's database file was replaced"
        if not checkpointed and self._database_was[1] != 0 and _stamp(database) != self._database_was:
            return "the store's database file was changed by someone else"
        if self._log_was[1] not in (0, log.st_ino) or self._index_was[1] not in (0, index.st_ino):
            return "a file beside the store's database was replaced"
        self._database_was, self._log_was = _stamp(database), _stamp(log)
        self._index_was = (index.st_dev, index.st_ino)
        return ""

    def problem(self) -> str:
        """Return an empty string while everything is as the last `remember` left it, else what has happened."""
        try:
            database, log, index = os.stat(self._database), os.stat(self._log), os.stat(self._index)
        except OSError as error:
            return _gone(error)
        if _stamp(database) != self._database_was:
            return "the store's database file was replaced or changed by someone else"
        if _stamp(log) != self._log_was:
            return "the store's write-ahead log was replaced or changed by someone else"
        if (index.st_dev, index.st_ino) != self._index_was:
            return "the store's shared index file was replaced"
        return ""

    def torn(self) -> str:
        """Return an empty string while the log has no hole before its last frame, as far as the file system tells.

        Whoever cuts the log while a commit runs leaves no other trace: the commit writes behind what is missing, and
        then the size is right again. Part of the writer's thread, between two transactions.
        """
        try:
            if self._index_handle is None:  # closed only after SQLite has closed its own: its locks are on this file
                self._index_handle = os.open(self._index, os.O_RDONLY)
            page, frames = _INDEX.unpack(os.pread(self._index_handle, _INDEX.size, 0))
            log = os.open(self._log, os.O_RDONLY)
            try:
                hole = os.lseek(log, 0, os.SEEK_HOLE) if frames else 0
            finally:
                os.close(log)
        except (OSError, struct.error):
            return ""  # noticed by `problem`, which says what is wrong
        end = _LOG_HEAD + frames * (_FRAME_HEAD + (65_536 if page == 1 else page))
        return "the store's write-ahead log was cut by someone else" if frames and hole < end else ""

    def close(self) -> None:
        """Give the handles back, after SQLite has closed its own."""
        for handle in (self._handle, self._index_handle):
            if handle is not None:
                with contextlib.suppress(OSError):
                    os.close(handle)


def _stamp(status: os.stat_result) -> _Stamp:
    return (status.st_dev, status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns)


def _gone(error: OSError) -> str:
    return f"a file of the store was deleted or cannot be seen ({error.strerror})"
