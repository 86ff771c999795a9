"""The way to the service: what is an answer, what is sent again, and how long all of it may take."""

import gzip
import json
from types import MappingProxyType
from typing import Any

import anyio
import httpx
import pytest

from intended import endpoints
from intended.endpoints import Call
from intended.errors import (
    ApiError,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
    ValidationError,
)
from intended.transport import MAX_ANSWER_BYTES, AsyncTransport, Transport
from tests.intended.answering import KEY, Service, aimed, says

READ: Call[Any] = Call(method="GET", path="/thing", read=lambda value: value, repeatable=True)
WRITE: Call[Any] = Call(method="POST", path="/thing", read=lambda value: value, body={"a": 1})


class Waits:
    """Time that passes only where the transport sleeps."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def over(service: Service, waits: Waits | None = None, **changes: Any) -> Transport:
    waits = waits or Waits()
    return Transport(aimed(**changes), transport=service.transport, now=waits.now, sleep=waits.sleep)


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_a_request_carries_the_key_the_tenant_and_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy from the environment would be given the key."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    service = Service(says({}))
    over(service, tenant_id="tenant-a").run(WRITE)
    [request] = service.seen
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-tenant-id"] == "tenant-a"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert service.body == {"a": 1}


def test_a_body_is_written_strictly() -> None:
    """NaN is no JSON; an object that would be turned into a text would be decided as something else."""
    service = Service(says({}))
    for value in (float("nan"), object(), {1, 2}, b"x"):
        with pytest.raises(ValidationError, match="cannot be written as JSON"):
            over(service).run(Call(method="POST", path="/thing", read=lambda value: value, body={"a": value}))
    assert service.seen == []


def test_what_an_answer_held_can_be_sent_again() -> None:
    """Objects of answers are read-only mappings."""
    service = Service(says({}))
    over(service).run(
        Call(method="POST", path="/t", read=dict, body=MappingProxyType({"p": MappingProxyType({"a": 1})}))
    )
    assert service.body == {"p": {"a": 1}}


# --- what is an answer ------------------------------------------------------------------------------------------------


def test_a_refusal_in_ref_s_shape_is_raised_with_its_code() -> None:
    """The program decides by the code, the person reads the message."""
    service = Service(says({"error": "INVALID_INTENT", "message": "action: is empty", "statusCode": 400}, 400))
    with pytest.raises(ValidationError) as caught:
        over(service).run(WRITE)
    assert (caught.value.code, caught.value.message, caught.value.status) == ("INVALID_INTENT", "action: is empty", 400)


def test_a_refusal_in_ops_shape_is_raised_with_its_details() -> None:
    """They name the fields."""
    details = [{"path": ["type"], "message": "Intent type is required"}]
    error = {"code": "VALIDATION_ERROR", "message": "type: Intent type is required", "details": details}
    with pytest.raises(ValidationError) as caught:
        over(Service(says({"error": error}, 400))).run(WRITE)
    assert caught.value.details == details


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"error": 7}', b'{"error": null}'])
def test_a_refusal_in_no_shape_is_still_a_refusal(body: bytes) -> None:
    """Something between us and the service may answer 404 in its own way."""
    with pytest.raises(NotFoundError, match="HTTP_404"):
        over(Service(httpx.Response(404, content=body))).run(READ)


def test_the_key_is_not_in_an_error_even_if_the_service_echoes_it() -> None:
    """Errors are logged by programs that do not know what is in them."""
    service = Service(says({"error": "UNAUTHORIZED", "message": f"unknown key {KEY}", "statusCode": 401}, 401))
    with pytest.raises(ApiError) as caught:
        over(service).run(READ)
    assert KEY not in str(caught.value)
    assert "[key]" in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, json={"error": "INTERNAL_ERROR"}),
        httpx.Response(502, html="<html>bad gateway</html>"),
        httpx.Response(503, json={}),
        httpx.Response(204),
        httpx.Response(202, json={}),
        httpx.Response(301, headers={"location": "http://elsewhere.example/"}),
        httpx.Response(307, headers={"location": "http://elsewhere.example/"}),
        httpx.Response(200, html="<html>log in</html>"),
        httpx.Response(200, json={}, headers={"content-type": "text/plain"}),
        httpx.Response(200, content=b'{"a": 1', headers={"content-type": "application/json"}),
        httpx.Response(200, content=b"", headers={"content-type": "application/json"}),
    ],
    ids=lambda answer: f"{answer.status_code}-{len(answer.content)}",
)
def test_anything_else_is_no_answer(answer: httpx.Response) -> None:
    """Only the promised status with a body that can be read says something."""
    service = Service(answer)
    with pytest.raises(ServiceUnavailableError):
        over(service).run(WRITE)
    assert len(service.seen) == 1, "and a redirect is not followed"


def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    """Announced or not."""
    read = 0

    def pieces() -> Any:
        nonlocal read
        for _ in range(10_000):
            read += 65536
            yield b"x" * 65536

    def endless(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=pieces(), headers={"content-type": "application/json"})

    transport = Transport(aimed(), transport=httpx.MockTransport(endless))
    with pytest.raises(ServiceUnavailableError, match="larger"):
        transport.run(WRITE)
    assert read <= MAX_ANSWER_BYTES + 2 * 65536

    announced = httpx.Response(200, content=b"{}", headers={"content-length": str(MAX_ANSWER_BYTES + 1)})
    with pytest.raises(ServiceUnavailableError, match="larger"):
        over(Service(announced)).run(WRITE)


def test_a_compressed_answer_is_not_unpacked() -> None:
    """None was asked for, and a few bytes could become gigabytes."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    packed = httpx.MockTransport(
        lambda request: httpx.Response(200, headers=headers, stream=httpx.ByteStream(gzip.compress(b"{}")))
    )
    with pytest.raises(ServiceUnavailableError, match="compressed"):
        Transport(aimed(), transport=packed).run(WRITE)


# --- what is sent again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("no"), httpx.ReadTimeout("slow"), httpx.Response(500), httpx.Response(503)],
    ids=["connect", "timeout", "500", "503"],
)
def test_what_only_reads_is_asked_again(failure: httpx.Response | Exception) -> None:
    """Asking twice does no more than asking once."""
    waits = Waits()
    service = Service(failure, failure, says({"a": 1}))
    assert over(service, waits).run(READ) == {"a": 1}
    assert waits.slept == [0.1, 0.2]


def test_what_does_something_is_sent_once() -> None:
    """Whether it was done cannot be known once the answer is lost."""
    service = Service(httpx.ReadTimeout("slow"), says({}))
    with pytest.raises(ServiceUnavailableError):
        over(service).run(WRITE)
    assert len(service.seen) == 1


def test_an_intent_with_an_idempotency_key_may_be_sent_again_and_one_without_may_not() -> None:
    """The service answers the second with the first one's state."""
    for key, tries in (("order-1", 3), (None, 1)):
        service = Service(httpx.Response(503))
        with pytest.raises(ServiceUnavailableError):
            over(service).run(endpoints.submit_intent("deploy", "ci", None, None, key))
        assert len(service.seen) == tries


def test_refusals_are_not_repeated() -> None:
    """The same request gets the same no."""
    for status in (400, 401, 403, 404, 409, 413):
        service = Service(says({"error": "X", "message": "no"}, status))
        with pytest.raises(ApiError):
            over(service).run(READ)
        assert len(service.seen) == 1


def test_a_rate_limit_is_waited_for_as_long_as_the_service_says() -> None:
    """Coming back earlier only counts as another request."""
    waits = Waits()
    limited = says({"error": {"code": "RATE_LIMITED", "message": "Too many requests"}}, 429, {"retry-after": "3"})
    assert over(Service(limited, says({"a": 1})), waits).run(READ) == {"a": 1}
    assert waits.slept == [3.0]


@pytest.mark.parametrize("retry_after", ["42", "99999999999999", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_rate_limit_beyond_the_time_out_is_told_at_once(retry_after: str) -> None:
    """A caller that asked for five seconds is not kept for forty. A date is not read: the usual pause is made."""
    waits = Waits()
    limited = says({"error": "RATE_LIMITED", "message": "Too many requests"}, 429, {"retry-after": retry_after})
    with pytest.raises(RateLimitedError) as caught:
        over(Service(limited), waits).run(READ)
    assert caught.value.retry_after_s == (42.0 if retry_after == "42" else None)
    assert sum(waits.slept) < 5


def test_repetitions_end_with_the_time_out() -> None:
    """All of them together take no longer than the caller allows."""
    waits = Waits()
    service = Service(httpx.Response(503))
    with pytest.raises(ServiceUnavailableError):
        over(service, waits, timeout=0.25, retries=50).run(READ)
    assert sum(waits.slept) < 0.25
    assert len(service.seen) == 2


def test_retries_can_be_switched_off() -> None:
    """`retries=0` sends everything once."""
    service = Service(httpx.Response(503))
    with pytest.raises(ServiceUnavailableError):
        over(service, retries=0).run(READ)
    assert len(service.seen) == 1


def test_a_body_that_dribbles_ends_with_the_time_out() -> None:
    """Bytes that come in time one by one must not add up to hours."""
    waits = Waits()

    def dribble() -> Any:
        for _ in range(100):
            waits.time += 1
            yield b" "

    handler = httpx.MockTransport(
        lambda request: httpx.Response(200, content=dribble(), headers={"content-type": "application/json"})
    )
    with pytest.raises(ServiceUnavailableError, match="within 5 s"):
        Transport(aimed(), transport=handler, now=waits.now, sleep=waits.sleep).run(WRITE)
    assert waits.time < 8


# --- the awaiting twin ------------------------------------------------------------------------------------------------


async def test_the_awaiting_transport_judges_the_same_way() -> None:
    """One table for both; only the waiting differs."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    service = Service(httpx.ConnectError("no"), httpx.Response(502), says({"a": 1}))
    transport = AsyncTransport(aimed(), transport=service.transport, sleep=sleep)
    assert await transport.run(READ) == {"a": 1}
    assert slept == [0.1, 0.2]
    service.answers = [httpx.Response(301, headers={"location": "http://elsewhere.example/"})]
    with pytest.raises(ServiceUnavailableError, match="redirect"):
        await transport.run(WRITE)
    service.answers = [says({"error": "CONFLICT", "message": "no"}, 409)]
    with pytest.raises(ApiError, match="CONFLICT"):
        await transport.run(WRITE)
    service.answers = [httpx.Response(200, content=b"x" * (MAX_ANSWER_BYTES + 1))]
    with pytest.raises(ServiceUnavailableError, match="larger"):
        await transport.run(WRITE)
    await transport.close()


async def test_the_awaiting_transport_gives_up_on_an_endless_body() -> None:
    """Without a length in its head."""

    async def pieces() -> Any:
        while True:
            yield b"x" * 65536

    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=pieces()))
    with pytest.raises(ServiceUnavailableError, match="larger"):
        await AsyncTransport(aimed(), transport=transport).run(WRITE)


async def test_the_awaiting_transport_is_cancelled_at_its_time_out() -> None:
    """Whatever the service is doing."""

    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await anyio.sleep_forever()
            raise AssertionError

    with pytest.raises(ServiceUnavailableError, match=r"within 0\.05 s"):
        await AsyncTransport(aimed(timeout=0.05), transport=Silent()).run(WRITE)


async def test_the_awaiting_transport_wraps_what_it_cannot_reach() -> None:
    """As the blocking one does."""
    service = Service(httpx.ConnectError("no"))
    with pytest.raises(ServiceUnavailableError, match="cannot be reached"):
        await AsyncTransport(aimed(), transport=service.transport).run(WRITE)


def test_the_body_of_a_request_is_what_was_given() -> None:
    """Text is sent as UTF-8, not escaped: what is decided is what was said."""
    service = Service(says({}))
    over(service).run(Call(method="POST", path="/t", read=dict, body={"a": "zahle 5 € 📦"}))
    assert service.seen[0].content.decode() == json.dumps({"a": "zahle 5 € 📦"}, ensure_ascii=False)
