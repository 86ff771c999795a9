"""Where the admin socket lies, and how it is bound there and found again.

The caller holds the lock on the data folder, so that whatever socket lies there before is a dead gateway's.
"""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import ConfigurationError, Problem

__all__ = ["NAME", "AdminSocket", "bind", "is_answered", "socket_path"]

NAME: Final = "admin.sock"

MAX_PATH_BYTES: Final = 103
"""Of a unix socket's address: 104 with its end on macOS and the BSDs, 108 on Linux."""

PROBE_S: Final = 1.0
"""For a connection to be taken; the system takes it, however busy the gateway is."""

HANDLES: Final = Path("/proc/self/fd")
"""Where Linux has a short name for every open folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSocket:
    """A bound socket, not yet listening. `close` takes its file away."""

    listener: socket.socket
    path: Path
    identity: tuple[int, int]

    def close(self) -> None:
        """Close it, and remove its file where that is still ours."""
        self.listener.close()
        with suppress(OSError):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self.identity:
                self.path.unlink()


@contextmanager
def socket_path(folder: Path) -> Iterator[str]:
    """Yield an address of the admin socket in `folder` that is short enough, good while the context is open.

    Raises:
        ConfigurationError: the folder's path is too long, and this system has no short name for it.
    """
    path = folder / NAME
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    if not HANDLES.is_dir():
        raise ConfigurationError(
            Problem(
                source="settings",
                field="data",
                message=f"{folder} is too long a path for the admin socket: a socket's address has at most"
                f" {MAX_PATH_BYTES} bytes",
                remedy="name a data folder with a shorter path, or the same one relative to the working folder",
            )
        )
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"{HANDLES}/{handle}/{NAME}"
    finally:
        os.close(handle)


def bind(folder: Path) -> AdminSocket:
    """Bind the admin socket of a data folder, for its owner alone.

    Raises:
        ConfigurationError: it cannot be bound.
    """
    path = folder / NAME
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_path(folder) as address:
            _clear(path)
            # On Linux the file is made with the socket's own mode; elsewhere it is the peer's user that keeps others
            # away until the mode is set.
            with suppress(OSError):
                os.fchmod(listener.fileno(), 0o600)
            listener.bind(address)
        path.chmod(0o600)
        found = path.lstat()
    except OSError as error:
        listener.close()
        raise _problem(path, f"the admin socket cannot be bound: {error.strerror}") from error
    except ConfigurationError:
        listener.close()
        raise
    listener.setblocking(False)
    return AdminSocket(listener=listener, path=path, identity=(found.st_dev, found.st_ino))


def is_answered(folder: Path) -> bool:
    """Return whether a gateway answers at the admin socket of `folder`."""
    try:
        with socket_path(folder) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(PROBE_S)
            probe.connect(address)
    except OSError:
        return False
    return True


def _clear(path: Path) -> None:
    """Remove a dead gateway's socket; anything else that lies there is left alone."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise _problem(path, "something that is no socket lies where the admin socket belongs")
    path.unlink()


def _problem(path: Path, message: str) -> ConfigurationError:
    remedy = "see what lies there and that the gateway's user may write to the folder, or choose another with --data"
    return ConfigurationError(Problem(source=str(path), message=message, remedy=remedy))
