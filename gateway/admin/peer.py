"""Whose process is at the other end of a unix socket, as the operating system says.

The file's mode keeps other users out already; this holds where the folder was opened up, or the mode means nothing.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Callable
from typing import Final

__all__ = ["peer_problem", "peer_user"]

_UCRED: Final = struct.Struct("3i")
"""`struct ucred` of unix(7): process, user and group."""


def peer_problem(connection: socket.socket, *, user: Callable[[socket.socket], int | None] | None = None) -> str:
    """Return an empty string where the peer runs as this process's user, else why it is refused.

    A peer whose user cannot be known is refused. `user` takes the place of `peer_user`.
    """
    found = (user or peer_user)(connection)
    if found is None:
        return "this system does not say which user is at the other end of the socket"
    if found != os.geteuid():
        return f"user {found} is not the gateway's (user {os.geteuid()})"
    return ""


def peer_user(connection: socket.socket) -> int | None:
    """Return the effective user of the peer when it connected; None where that cannot be known."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            return int(_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1])
        return _by_getpeereid(connection.fileno())
    except (OSError, AttributeError):
        return None


def _by_getpeereid(handle: int) -> int | None:
    """Ask getpeereid(3), which the BSDs and macOS have and Python does not offer."""
    ask = ctypes.CDLL(None).getpeereid
    user, group = ctypes.c_uint(), ctypes.c_uint()
    return user.value if ask(handle, ctypes.byref(user), ctypes.byref(group)) == 0 else None
