"""One attempt at a delivery: find out where the URL leads, refuse what is inside, connect to what was found, post.

Owns the connection. A name is resolved once for each attempt, all its addresses must be public unless the operator
allowed the host by name, and the connection goes to an address of that very answer while TLS still proves the name: a
name that answers differently the second time gains nothing. Nothing is asked of proxies or of the environment,
redirects are not followed, connections are not kept, and of an answer only status and `Retry-After` are used.
"""

import logging
import ssl
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from socket import SOCK_STREAM, gaierror
from typing import Final

import anyio
import httpx

from gateway.core.destinations import Destination, is_public, read_destination
from gateway.core.webhooks import Delivery, Posted
from gateway.webhooks.sign import signed

__all__ = ["ATTEMPT_S", "Courier", "Resolve", "resolve"]

ATTEMPT_S: Final = 10.0
"""From the name to the end of the answer. Guides say 15 to 30; who needs longer should answer first, then work."""
CONNECT_S: Final = 4.0
"""For one address; where there are several, the next has its turn within the attempt."""
MAX_ADDRESSES: Final = 3
CLOSE_S: Final = 1.0
RESOLVE_S: Final = 5.0
"""When an endpoint is saved, somebody waits."""
MAX_ANSWER_BYTES: Final = 16 * 1024
"""Of an answer's body, which is read so that the receiver can finish, and dropped."""
MAX_RETRY_AFTER_S: Final = 86_400.0

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
        self._allowed: AbstractSet[str] = frozenset(host.lower() for host in allowed)
        self._resolve = resolve
        self._make_tls = tls or httpx.create_ssl_context
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
        except (OSError, httpx.HTTPError) as error:
            return Posted(reason=f"not reached: {_cause(error)}")
        except Exception as error:  # noqa: BLE001 - what a receiver thinks up must end neither the gateway nor others
            return _unforeseen(error)

    async def _post(self, delivery: Delivery, url: str, secrets: Sequence[str], at: datetime) -> Posted:
        destination = read_destination(url, self._allowed)
        addresses = await self._addresses(destination)
        headers, body = signed(delivery, secrets, at=at)
        sent = {"host": destination.netloc, **headers}
        tls = await self._context() if destination.scheme == "https" else False
        limits = httpx.Limits(max_keepalive_connections=0)
        timeout = httpx.Timeout(None, connect=CONNECT_S)
        async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=timeout, limits=limits) as client:
            for address in addresses[:MAX_ADDRESSES][:-1]:
                try:
                    return await _sent(client, destination, address, sent, body, at)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    continue  # nothing was sent yet
            return await _sent(client, destination, addresses[:MAX_ADDRESSES][-1], sent, body, at)

    async def _addresses(self, destination: Destination) -> Sequence[str]:
        """Return where a host is now. Raises OSError, and Inside."""
        found = await self._resolve(destination.host, destination.port)
        if not found:
            raise OSError("the name has no address")
        if not destination.trusted and not all(is_public(ip_address(one.partition("%")[0])) for one in found):
            raise Inside("leads to this machine or its own network")
        return found

    async def _context(self) -> ssl.SSLContext:
        """Return the certificates to trust; reading them takes 20 ms, so not on the loop, and once."""
        if self._tls is None:
            self._tls = await anyio.to_thread.run_sync(self._make_tls)
        return self._tls


async def _sent(
    client: httpx.AsyncClient,
    destination: Destination,
    address: str,
    headers: dict[str, str],
    body: bytes,
    at: datetime,
) -> Posted:
    """Post to one address of the destination and read the answer."""
    # A request of its own, which the client adds no headers to. The address stands where the name was; Host and TLS
    # still have the name.
    url = httpx.URL(
        scheme=destination.scheme, host=address, port=destination.port, raw_path=destination.target.encode()
    )
    named = {"sni_hostname": destination.host}
    request = httpx.Request("POST", url, headers=headers, content=body, extensions=named)
    answer = await client.send(request, stream=True, follow_redirects=False)
    try:
        await _drained(answer)
    finally:
        with anyio.move_on_after(CLOSE_S, shield=True):
            await answer.aclose()
    if answer.is_success:
        return Posted(status=answer.status_code)
    reason = "answered with a redirect, which is not followed" if answer.is_redirect else "answered with an error"
    return Posted(
        status=answer.status_code, reason=f"{reason} ({answer.status_code})", retry_after_s=_retry_after(answer, at)
    )


async def _drained(answer: httpx.Response) -> None:
    """Read so much of the answer that a usual receiver can finish it; raw, so that nothing unfolds in memory."""
    taken = 0
    try:
        async for part in answer.aiter_raw():
            taken += len(part)
            if taken > MAX_ANSWER_BYTES:
                return
    except httpx.HTTPError:
        return  # its status was whole


def _retry_after(answer: httpx.Response, at: datetime) -> float | None:
    """Return the seconds that a receiver asks to be left alone for; None where it does not, or says it in no way."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - at).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def _unforeseen(error: Exception) -> Posted:
    """Log where it happened, not its message, which may hold anything."""
    places = "".join(traceback.format_tb(error.__traceback__))
    _log.error("unforeseen fault while a webhook was sent: %s\n%s", type(error).__name__, places)
    return Posted(reason=f"not sent: {type(error).__name__}")


def _cause(error: BaseException) -> str:
    """Return what a person can do something with, in our words: a library's text may quote what the receiver sent."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, ssl.SSLCertVerificationError):
            return "its certificate does not prove its name"
        if isinstance(chain, ssl.SSLError):
            return "no TLS connection"
        chain = chain.__cause__ or chain.__context__
    return _WORDS.get(type(error), type(error).__name__)


_WORDS: Final[Mapping[type[BaseException], str]] = {
    httpx.ConnectError: "no connection",
    httpx.ConnectTimeout: f"no connection within {CONNECT_S:.0f} s",
    httpx.ReadError: "the connection broke",
    httpx.WriteError: "the connection broke",
    httpx.RemoteProtocolError: "the connection ended early, or the answer is no HTTP",
    gaierror: "its name is not known",
}
