"""The admin server's HTTP protocol: any other with a look at the peer's user before anything is read from it.

Built on asyncio, because uvicorn's protocol is an asyncio protocol.
"""

import logging
import socket
from asyncio import BaseTransport, Protocol
from collections.abc import Callable
from typing import Any, cast

from gateway.admin.application import App, refusing
from gateway.admin.peer import peer_problem

__all__ = ["guarded"]

_log = logging.getLogger(__name__)


def guarded(base: type[Protocol], *, problem: Callable[[socket.socket], str] = peer_problem) -> type[Protocol]:
    """Return `base`, a protocol class of uvicorn's, with an application of its own for peers that `problem` refuses."""

    class Guarded(base):  # type: ignore[valid-type,misc] # a class made of its argument
        """Looks at the peer once, when it connects."""

        app: App

        def connection_made(self, transport: BaseTransport) -> None:
            """Take the application away from who is not the gateway's own user."""
            why = problem(transport.get_extra_info("socket"))
            if why:
                _log.warning("the admin socket refused a connection: %s", why)
                self.app = refusing(403, "FORBIDDEN", f"The admin socket is its owner's alone: {why}.")
            super().connection_made(transport)

    return cast("type[Any]", Guarded)
