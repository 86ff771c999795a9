"""The one way to the service: bounded, without redirects, repeated only where that is safe.

Owns how much of an answer is read, how long all of it may take, and what counts as an answer. What an answer means is
`endpoints.py`'s; what is done without one is the clients'. The key is in no text that leaves this module.
"""

import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import anyio
import httpx

from intended.deadline import DeadlineTransport
from intended.endpoints import Call
from intended.errors import IntendedError, RateLimitedError, ServiceUnavailableError, ValidationError, api_error
from intended.reading import Nonsense, parse
from intended.target import Target

__all__ = ["AsyncTransport", "Transport"]

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""Of one answer. A full page of 100 intents with their parameters stays far below."""

MAX_MESSAGE_CHARS: Final = 2000
"""Of a service's error message that is passed on."""

CONNECT_S: Final = 5.0
"""For one connection; a service that is there accepts in milliseconds."""

FIRST_PAUSE_S: Final = 0.1
"""Before the first repetition; doubled for each further one."""

CONNECTIONS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A whole HTTP answer."""

    status: int
    content_type: str
    retry_after: str
    body: bytes


class _Attempts:
    """How often one call may be sent, and until when. Repeats only what is repeatable and may go better next time."""

    def __init__(self, call: Call[Any], target: Target, now: float) -> None:
        self.deadline = now + target.timeout
        self._left = target.retries if call.repeatable else 0
        self._pause = FIRST_PAUSE_S

    def pause(self, error: IntendedError, now: float) -> float | None:
        """Return how long to wait before sending again; None: do not."""
        if self._left <= 0 or not isinstance(error, ServiceUnavailableError | RateLimitedError):
            return None
        asked = error.retry_after_s
        pause = self._pause if asked is None else asked
        self._left -= 1
        self._pause *= 2
        return pause if now + pause < self.deadline else None


class Transport:
    """Sends calls and waits for them. Usable from several threads at once."""

    def __init__(
        self,
        target: Target,
        *,
        transport: httpx.BaseTransport | None = None,
        verify: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.target = target
        self._now = now
        self._sleep = sleep
        # The environment is not trusted: a proxy named there would be given the key, a .netrc could replace it.
        self._http = httpx.Client(
            transport=transport
            or DeadlineTransport(verify=verify or _authorities(target), limits=CONNECTIONS, now=now),
            trust_env=False,
        )

    def run(self, call: Call[_T]) -> _T:
        """Return what the service answers.

        Raises:
            ApiError: the service says no (4xx).
            ServiceUnavailableError: there is no answer that can be used, within `timeout` and all repetitions.
        """
        attempts = _Attempts(call, self.target, self._now())
        while True:
            try:
                return _judge(call, self._send(call, attempts.deadline), self.target)
            except IntendedError as error:
                pause = attempts.pause(error, self._now())
                if pause is None:
                    raise
            self._sleep(pause)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, call: Call[Any], deadline: float) -> _Answer:
        left = deadline - self._now()
        request = _request(self._http, call, self.target, left)
        request.extensions["deadline"] = deadline
        try:
            response = self._http.send(request, stream=True, follow_redirects=False)
            try:
                body = bytearray()
                _whole_size(response)
                for chunk in _pieces(response):
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise _too_large()
                    if self._now() > deadline:
                        raise _too_slow(self.target)
                return _answer(response, bytes(body))
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise _too_slow(self.target) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _unreachable(self.target, error) from error


class AsyncTransport:
    """Sends calls and awaits them."""

    def __init__(
        self,
        target: Target,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | None = None,
        sleep: Callable[[float], Any] = anyio.sleep,
    ) -> None:
        self.target = target
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=verify or _authorities(target) or False,  # without TLS there is nothing to verify
            limits=CONNECTIONS,
            trust_env=False,
        )

    async def run(self, call: Call[_T]) -> _T:
        """Return what the service answers; raises as `Transport.run` does."""
        attempts = _Attempts(call, self.target, anyio.current_time())
        while True:
            try:
                return _judge(call, await self._send(call, attempts.deadline), self.target)
            except IntendedError as error:
                pause = attempts.pause(error, anyio.current_time())
                if pause is None:
                    raise
            await self._sleep(pause)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, call: Call[Any], deadline: float) -> _Answer:
        left = deadline - anyio.current_time()
        request = _request(self._http, call, self.target, left)
        try:
            with anyio.fail_after(max(0.0, left)):
                response = await self._http.send(request, stream=True, follow_redirects=False)
                try:
                    body = bytearray()
                    _whole_size(response)
                    async for chunk in _awaited_pieces(response):
                        body += chunk
                        if len(body) > MAX_ANSWER_BYTES:
                            raise _too_large()
                    return _answer(response, bytes(body))
                finally:
                    await response.aclose()
        except (httpx.TimeoutException, TimeoutError) as error:
            raise _too_slow(self.target) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _unreachable(self.target, error) from error


# --- what both share --------------------------------------------------------------------------------------------------


def _authorities(target: Target) -> ssl.SSLContext | None:
    """Return whom to trust with certificates (httpx's, or SSL_CERT_FILE's), None where no TLS is spoken."""
    return httpx.create_ssl_context() if target.base_url.startswith("https:") else None


def _request(http: httpx.Client | httpx.AsyncClient, call: Call[Any], target: Target, left: float) -> httpx.Request:
    """Return the request of a call, with what is left of its time for each wait."""
    headers = {**target.headers, **call.headers}
    content: bytes | None = None
    if call.body is not None:
        headers["content-type"] = "application/json"
        content = _written(call.body)
    left = max(left, 0.001)
    return http.build_request(
        call.method,
        f"{target.base_url}{call.path}",
        params=dict(call.query) or None,
        headers=headers,
        content=content,
        timeout=httpx.Timeout(left, connect=min(left, CONNECT_S)),
    )


def _written(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False, ensure_ascii=False, default=_read_only).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"the request cannot be written as JSON: {error}", code="INVALID_REQUEST") from error


def _read_only(value: object) -> Any:
    """Write a mapping that is not a dict, such as what an earlier answer held; refuse anything else."""
    if hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _whole_size(response: httpx.Response) -> None:
    """Refuse an answer that announces too much, before a byte of it is read."""
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > MAX_ANSWER_BYTES:
        raise _too_large()
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ServiceUnavailableError("the service's answer is compressed, which was not asked for")


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    """Yield the body as it comes. A test's transport may give it whole."""
    if response.is_closed:
        yield response.content
    else:
        yield from response.iter_raw()


async def _awaited_pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    if response.is_closed:
        yield response.content
    else:
        async for chunk in response.aiter_raw():
            yield chunk


def _answer(response: httpx.Response, body: bytes) -> _Answer:
    return _Answer(
        status=response.status_code,
        content_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
        retry_after=response.headers.get("retry-after", ""),
        body=body,
    )


def _judge(call: Call[_T], answer: _Answer, target: Target) -> _T:
    """Return what the answer says, or raise what it means.

    1. 4xx: the service says no.
    2. Any other status that the route does not promise: no answer.
    3. A promised status with a body that is not what the route promises: no answer either.
    """
    if 400 <= answer.status < 500:
        raise _refused(answer, target)
    if answer.status not in call.statuses:
        raise ServiceUnavailableError(
            f"the service at {target.base_url} answered HTTP {answer.status}"
            + (", a redirect, which is not followed" if 300 <= answer.status < 400 else ""),
            status=answer.status,
            retry_after_s=_seconds(answer.retry_after),
        )
    try:
        if not _is_json(answer.content_type):
            raise Nonsense("it is not JSON")
        return call.read(parse(answer.body))
    except Nonsense as error:
        raise ServiceUnavailableError(
            f"the answer of {target.base_url} cannot be used: {error}", status=answer.status
        ) from error


def _refused(answer: _Answer, target: Target) -> IntendedError:
    """Return the error for a 4xx answer in either dialect's shape; one that has neither still is a refusal."""
    code, message, details = f"HTTP_{answer.status}", "the service refused the request", None
    try:
        found = parse(answer.body)
    except Nonsense:
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, dict):
        code, message, details = error.get("code", code), error.get("message", message), error.get("details")
    elif isinstance(error, str) and isinstance(found, dict):
        code, message = error, found.get("message", message)
    return api_error(
        answer.status,
        target.hide(str(code)[:100]),
        target.hide(str(message)[:MAX_MESSAGE_CHARS]),
        details,
        _seconds(answer.retry_after),
    )


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


def _seconds(retry_after: str) -> float | None:
    """Return the seconds of a Retry-After header. A date is not read: clocks differ."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10 else None


def _too_large() -> ServiceUnavailableError:
    return ServiceUnavailableError(f"the service's answer is larger than {MAX_ANSWER_BYTES} bytes")


def _too_slow(target: Target) -> ServiceUnavailableError:
    return ServiceUnavailableError(f"the service at {target.base_url} gave no answer within {target.timeout:g} s")


def _unreachable(target: Target, error: Exception) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"the service at {target.base_url} cannot be reached ({type(error).__name__}); is it running, and is"
        " base_url or INTENDED_API_URL right?"
    )
