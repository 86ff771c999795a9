"""One attempt at a delivery: find out where the URL leads, refuse what is inside, connect to what was found, post.

Owns where an attempt may lead. A name is resolved once for each attempt, all its addresses must be public unless the
operator allowed the host by name, and the connection goes to an address of that very answer while TLS still proves the
name: a name that answers differently the second time gains nothing. The connection itself is `post.py`, which is only
imported when something is sent: its HTTP client brings a command line of its own along, an eighth of the gateway's
start.
"""

import logging
import ssl
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from importlib import import_module
from ipaddress import ip_address
from socket import SOCK_STREAM, gaierror
from typing import Final

import anyio

from gateway.core.destinations import Destination, is_public, read_destination
from gateway.core.webhooks import Delivery, Posted
from gateway.webhooks.sign import signed

__all__ = ["ATTEMPT_S", "Courier", "Resolve", "resolve"]

ATTEMPT_S: Final = 10.0
"""From the name to the end of the answer. Guides say 15 to 30; who needs longer should answer first, then work."""
MAX_ADDRESSES: Final = 3
RESOLVE_S: Final = 5.0
"""When an endpoint is saved, somebody waits."""

_log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → addresses, in the order in which they should be tried. Raises OSError."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Inside(ValueError):
    """A name leads to this machine or its own network."""


class Courier:
    """Implements `services/webhooks.py`'s `Courier`. `allowed` are the hosts that the operator allowed by name."""

    def __init__(
        self, allowed: Iterable[str], *, resolve: Resolve = resolve, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        self._allowed: AbstractSet[str] = frozenset(host.lower().strip("[]") for host in allowed)
        self._resolve = resolve
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None

    async def check(self, url: str) -> str:
        """Return why a URL must not be used, or an empty string. A name that nobody knows now may be known later."""
        try:
            destination = read_destination(url, self._allowed)
            if not destination.trusted:
                with anyio.move_on_after(RESOLVE_S):
                    await self._addresses(destination)
        except ValueError as error:
            return str(error)
        except OSError:
            return ""
        return ""

    def origin(self, url: str) -> str:
        """Return what of a URL may be recorded for good; empty where it may not be used any more."""
        try:
            return read_destination(url, self._allowed).origin
        except ValueError:
            return ""

    async def deliver(self, delivery: Delivery, *, url: str, secrets: Sequence[str], at: datetime) -> Posted:
        """Try once; never raises. `secrets` are the endpoint's, the newest first."""
        try:
            with anyio.fail_after(ATTEMPT_S):
                return await self._post(delivery, url, secrets, at)
        except TimeoutError:
            return Posted(reason=f"no answer within {ATTEMPT_S:.0f} s")
        except ValueError as error:
            return Posted(reason=f"not sent: the URL {error}")
        except gaierror:
            return Posted(reason="not reached: its name is not known")
        except OSError as error:
            return Posted(reason=f"not reached: {type(error).__name__}")
        except Exception as error:  # noqa: BLE001 - what a receiver thinks up must end neither the gateway nor others
            return _unforeseen(error)

    async def _post(self, delivery: Delivery, url: str, secrets: Sequence[str], at: datetime) -> Posted:
        destination = read_destination(url, self._allowed)
        addresses = await self._addresses(destination)
        headers, body = signed(delivery, secrets, at=at)
        posting = await anyio.to_thread.run_sync(import_module, "gateway.webhooks.post")
        tls = await self._context(posting.trusted)  # also without TLS: a client without one makes its own, in 4 ms
        posted: Posted = await posting.post(destination, addresses[:MAX_ADDRESSES], headers, body, tls=tls, at=at)
        return posted

    async def _addresses(self, destination: Destination) -> Sequence[str]:
        """Return where a host is now. Raises OSError, and Inside."""
        found = await self._resolve(destination.host, destination.port)
        if not found:
            raise OSError("the name has no address")
        if not destination.trusted and not all(is_public(ip_address(one.partition("%")[0])) for one in found):
            raise Inside("leads to this machine or its own network")
        return found

    async def _context(self, usual: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        """Return the certificates to trust; reading them takes 20 ms, so not on the loop, and once."""
        if self._tls is None:
            self._tls = await anyio.to_thread.run_sync(self._make_tls or usual)
        return self._tls


def _unforeseen(error: Exception) -> Posted:
    """Log where it happened, not its message, which may hold anything."""
    places = "".join(traceback.format_tb(error.__traceback__))
    _log.error("unforeseen fault while a webhook was sent: %s\n%s", type(error).__name__, places)
    return Posted(reason=f"not sent: {type(error).__name__}")
