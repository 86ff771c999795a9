"""One question on the wire: a request to the authority and its whole answer, or why there is none.

Owns the connection and its bounds: certificates are checked, nothing is asked of proxies or of the environment,
redirects are not followed, an answer is of bounded size and read in one strict way, and all of it ends at the deadline.
What questions and answers mean is `authority.py`'s.
"""

from types import TracebackType
from typing import Final

import anyio
import httpx
import orjson

from gateway.core.jsonvalue import JsonObject, JsonValue
from gateway.core.strictjson import Unreadable, read_answer

__all__ = ["MAX_ANSWER_BYTES", "Exchange", "NoAnswer", "Response"]

MAX_ANSWER_BYTES: Final = 256 * 1024
"""A decision has a few KiB, a JWK set of a dozen keys less than ten."""

DEPTH: Final = 32

CONNECTIONS: Final = 64
"""At once, and kept open between two questions. More questions than that wait for one, within their deadline."""

HEALTHY: Final = frozenset({200, 400, 403, 404, 409, 413, 415})
"""Statuses with which an authority that works answers; what they mean for a question is another matter."""


class NoAnswer(Exception):
    """There is no answer that could be used. The text names no address: it is told to agents."""


class Response:
    """A whole answer: its status and the JSON in it."""

    __slots__ = ("document", "status")

    def __init__(self, status: int, document: JsonValue) -> None:
        self.status = status
        self.document = document


class Exchange:
    """Requests to one authority, each within `timeout_s`. To be closed."""

    def __init__(self, url: str, *, key: str, tenant: str, timeout_s: float) -> None:
        self._base = url.rstrip("/")
        self._timeout_s = timeout_s
        self._proof = {"authorization": f"Bearer {key}", "x-tenant-id": tenant}
        self._client = httpx.AsyncClient(
            verify=httpx.create_ssl_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - the whole exchange has a deadline
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "intended-gateway"},
        )

    async def __aenter__(self) -> "Exchange":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(self._timeout_s):
            await self._client.aclose()

    async def send(self, method: str, path: str, body: JsonObject | None = None, *, proved: bool = True) -> Response:
        """Return the answer to one request, which is sent once. `proved`: with the key.

        Raises:
            NoAnswer: none came in time, or none that could be used.
        """
        headers = dict(self._proof) if proved else {}
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            content = None if body is None else orjson.dumps(body)
            with anyio.fail_after(self._timeout_s):
                async with self._client.stream(method, self._base + path, headers=headers, content=content) as answer:
                    return await _whole(answer)
        except TimeoutError:
            raise NoAnswer(f"it gave no answer within {self._timeout_s:g} s") from None
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(f"it was not reached, or the connection broke ({type(error).__name__})") from error
        except orjson.JSONEncodeError as error:
            raise NoAnswer("it cannot be asked about a number that is beyond 64 bits") from error


async def _whole(answer: httpx.Response) -> Response:
    """Read an answer to its end. Raises NoAnswer."""
    if answer.status_code == 401:
        raise NoAnswer("it does not take the key (HTTP 401)")
    if answer.status_code not in HEALTHY:
        raise NoAnswer(f"it answered HTTP {answer.status_code}")
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise NoAnswer("it answered in an encoding that was not asked for")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/jwk-set+json"):
        raise NoAnswer("its answer is no JSON")
    parts, size = [], 0
    async for part in answer.aiter_raw():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise NoAnswer("its answer is too large")
        parts.append(part)
    try:
        return Response(answer.status_code, read_answer(b"".join(parts), depth=DEPTH))
    except Unreadable as error:
        raise NoAnswer("its answer is no JSON") from error
