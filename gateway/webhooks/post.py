"""One delivery on the wire: connect to an address that was found and allowed before, post, read what is answered.

Owns the connection. Nothing is asked of proxies or of the environment, redirects are not followed, connections are not
kept, and of an answer only status and `Retry-After` are used. Where a delivery may lead is `courier.py`.
"""

import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import anyio
import httpx

from gateway.core.destinations import Destination
from gateway.core.webhooks import Posted

__all__ = ["MAX_ANSWER_BYTES", "post", "trusted"]

CONNECT_S: Final = 4.0
"""For one address; where there are several, the next has its turn within the attempt."""
CLOSE_S: Final = 1.0
MAX_ANSWER_BYTES: Final = 16 * 1024
"""Of an answer's body, which is read so that the receiver can finish, and dropped."""
MAX_RETRY_AFTER_S: Final = 86_400.0


def trusted() -> ssl.SSLContext:
    """Return the certificates to trust where the caller has none of its own."""
    return httpx.create_ssl_context()


async def post(
    destination: Destination,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    tls: ssl.SSLContext,
    at: datetime,
) -> Posted:
    """Post to the first address that can be connected to. `tls` is for `https` only."""
    sent = {"host": destination.netloc, **headers}
    limits = httpx.Limits(max_keepalive_connections=0)
    timeout = httpx.Timeout(None, connect=CONNECT_S)
    try:
        async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=timeout, limits=limits) as client:
            for address in addresses[:-1]:
                try:
                    return await _sent(client, destination, address, sent, body, at)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    continue  # nothing was sent yet
            return await _sent(client, destination, addresses[-1], sent, body, at)
    except (OSError, httpx.HTTPError) as error:
        return Posted(reason=f"not reached: {_cause(error)}")


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
}
