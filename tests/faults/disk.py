"""A disk that can be filled and freed: a small tmpfs where mounting is allowed, else a limit on the size of files."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

SIZE = 3 * 1024 * 1024


class Disk(Protocol):
    folder: Path

    def fill(self) -> None: ...

    def free(self) -> None: ...


class Mounted:
    """A file system of its own; full is full for everybody."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            for size in (65_536, 4096, 512, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._ballast.unlink()


class Limited:
    """No file may grow beyond what the largest of the store has (RLIMIT_FSIZE); for machines without mount.

    `pid` is the process that the limit is set for, 0 this one.
    """

    pid = 0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._was = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self) -> None:
        largest = max(path.stat().st_size for path in self.folder.rglob("*.db*"))
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (largest, self._was[1]))

    def free(self) -> None:
        with suppress(ProcessLookupError):  # it has ended, and the limit with it
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, self._was)


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """Give a disk of `SIZE` at `folder` and take it away again."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0:
        try:
            yield Mounted(folder)
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    limited = Limited(folder)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        yield limited
    finally:
        limited.free()
        signal.signal(signal.SIGXFSZ, before)
