"""A request that can be read in two ways is refused, and what follows it is thrown away."""

import random

import anyio
import pytest

from tests.downstream.limited import HEAD, WAIT_S, WHOLE, Application, converse, serving, status

BAD_HEADS = {
    "length and chunked": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked and length": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    "the same length twice": (HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    "a length list": (HEAD + b"Content-Length: 5, 5\r\n\r\nhello", 400),
    "a signed length": (HEAD + b"Content-Length: +5\r\n\r\nhello", 400),
    "a negative length": (HEAD + b"Content-Length: -5\r\n\r\nhello", 400),
    "a hexadecimal length": (HEAD + b"Content-Length: 0x5\r\n\r\nhello", 400),
    "a huge length": (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nhello", 400),
    "xchunked": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "gzip before chunked": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a space before the colon": (HEAD + b"Content-Length : 5\r\n\r\nhello", 400),
    "a folded header": (HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", 400),
    "a header that begins folded": (b"POST /mcp HTTP/1.1\r\n Host: x\r\nContent-Length: 0\r\n\r\n", 400),
    "bare line feeds": (b"POST /mcp HTTP/1.1\nHost: x\nContent-Length: 0\n\n", 400),
    "one bare line feed": (HEAD + b"X: a\nContent-Length: 0\r\n\r\n", 400),
    "a bare carriage return": (HEAD + b"X: a\rContent-Length: 0\r\n\r\n", 400),
    "NUL in a header": (HEAD + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n", 400),
    "no Host": (b"POST /mcp HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
    "two Hosts": (HEAD + b"Host: y\r\nContent-Length: 0\r\n\r\n", 400),
    "CONNECT": (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "TRACE": (b"TRACE /mcp HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "no method": (b"FROBNICATE /mcp HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "an absolute target": (b"POST http://x/mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "two slashes": (b"POST //mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a fragment": (b"POST /mcp#x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "a space in the target": (b"POST /m cp HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
    "an upgrade": (HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "another version": (b"POST /mcp HTTP/3.7\r\nHost: x\r\n\r\n", 400),
    "10000 headers": (HEAD + b"A: b\r\n" * 10_000 + b"\r\n", 431),
    "21 headers": (HEAD + b"A: b\r\n" * 20 + b"\r\n", 431),
    "a header line of 1 MiB": (HEAD + b"A: " + b"b" * 1024 * 1024 + b"\r\n\r\n", 431),
    "a header name of 1 MiB": (HEAD + b"b" * 1024 * 1024 + b": b\r\n\r\n", 431),
    "a target of 1 MiB": (b"POST /" + b"b" * 1024 * 1024 + b" HTTP/1.1\r\n\r\n", 431),
    "1 MiB of empty lines": (b"\r\n" * 512 * 1024, 431),
}


@pytest.mark.parametrize(("sent", "expected"), BAD_HEADS.values(), ids=BAD_HEADS)
async def test_a_head_with_two_readings_is_refused_before_the_application(sent: bytes, expected: int) -> None:
    """What another hop could frame otherwise is how a request is smuggled past the gate."""
    async with serving(header_timeout_s=5.0, body_timeout_s=5.0) as application:
        answer = await converse(application, sent)
    assert (status(answer), answer.count(b"HTTP/1.1 "), application.seen) == (expected, 1, [])
    assert b"connection: close\r\n" in answer


BAD_BODIES = {
    "a chunk size that is none": b"zz\r\nhi\r\n0\r\n\r\n",
    "a negative chunk size": b"-2\r\nhi\r\n0\r\n\r\n",
    "a signed chunk size": b"+2\r\nhi\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": b"fffffffffffffffff\r\nhi\r\n0\r\n\r\n",
    "a chunk longer than said": b"2\r\nhello\r\n0\r\n\r\n",
    "a chunk size behind a bare line feed": b"2\nhi\r\n0\r\n\r\n",
    "an endless chunk extension": b"2;" + b"x" * 200_000,
    "a trailer": b"2\r\nhi\r\n0\r\nMcp-Name: other\r\n\r\n",
    "a trailer that repeats a header": b"2\r\nhi\r\n0\r\nHost: other\r\n\r\n",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_chunked_body_with_two_readings_never_reaches_the_application_whole(body: bytes) -> None:
    """uvicorn would add trailers to the headers, and bound nothing of this."""
    async with serving(body_timeout_s=5.0) as application:
        answer = await converse(application, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", body)
        if application.seen:
            with anyio.fail_after(WAIT_S):
                await application.ended.wait()
    assert (status(answer), answer.count(b"HTTP/1.1 "), application.bodies) == (400, 1, [])
    assert all((b"mcp-name", b"other") not in scope["headers"] for scope in application.seen)


@pytest.mark.parametrize("name", ["pipelined", "junk"])
async def test_what_follows_an_unanswered_request_is_thrown_away(name: str) -> None:
    """A second request is never run on the word of how the first one was framed."""
    more = {"pipelined": WHOLE.replace(b"/mcp", b"/second"), "junk": b"\x00\x01 what?\r\n\r\n"}[name]
    async with serving() as application:
        answer = await converse(application, WHOLE.replace(b"Connection: close\r\n", b"") + more)
    assert (status(answer), answer.count(b"HTTP/1.1 ")) == (200, 1)
    assert [scope["path"] for scope in application.seen] == ["/mcp"]


async def test_bytes_behind_a_held_request_are_bounded() -> None:
    """While a call waits for a human, its connection is no sink for gigabytes."""
    async with serving(header_timeout_s=5.0) as application:
        request = HEAD.replace(b"/mcp", b"/hold") + b"Content-Length: 2\r\n\r\nhi"
        answer = await converse(application, request, *[WHOLE + b"x" * 50_000] * 6)
        with anyio.fail_after(WAIT_S):
            while not application.bodies:
                await anyio.lowlevel.checkpoint()
    assert (answer, [scope["path"] for scope in application.seen]) == (b"", ["/hold"])


def mutated(source: random.Random, request: bytes) -> bytes:
    """Return the request with a few bytes changed, left out, doubled or swapped for telling ones."""
    bytes_of = bytearray(request)
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(bytes_of))
        piece = source.choice(
            [
                b"",
                b"\r",
                b"\n",
                b"\r\n",
                b"\x00",
                b" ",
                b":",
                b",",
                b"\t",
                b"0",
                b"f",
                b";",
                b"/",
                bytes([source.randrange(256)]),
            ]
        )
        span = source.choice([0, 1, 1, 2, 10])
        bytes_of[place : place + span] = piece + (request[place : place + span] if source.random() < 0.3 else b"")
    return bytes(bytes_of)


async def test_no_mutation_of_a_request_is_more_than_one_request_or_stops_the_server() -> None:
    """Whatever a stranger finds between two readings of HTTP ends here."""
    source = random.Random(20261122)
    chunked = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    answers: list[bytes] = []

    async def attempt(application: Application, sent: bytes) -> None:
        answers.append(await converse(application, sent))

    async with serving() as application:
        async with anyio.create_task_group() as tasks:
            for _ in range(300):
                tasks.start_soon(attempt, application, mutated(source, source.choice([WHOLE, chunked])))
        assert status(await converse(application, WHOLE)) == 200
    assert len(answers) == 300
    assert all(answer.count(b"HTTP/1.1 ") <= 1 for answer in answers)
    assert {status(answer) for answer in answers if answer} <= {200, 400, 405, 408, 431}
    assert len(application.seen) <= 301
