"""The blocking transport: one deadline for a whole request, however slowly its bytes come."""

import socket
from collections.abc import Sequence
from typing import Any

import httpcore
import httpx
import pytest

from intended.deadline import DeadlineTransport

WAIT_S = 5.0
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Pieces(httpcore.MockStream):
    """A connection that gives one piece for each read; the clock moves with each."""

    def __init__(self, pieces: Sequence[bytes], clock: Clock, step: float) -> None:
        super().__init__(list(pieces))
        self.clock = clock
        self.step = step

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.clock.time += self.step
        return super().read(max_bytes, timeout)


class Peer(httpcore.NetworkBackend):
    """A network with one peer on it."""

    def __init__(self, *pieces: bytes, clock: Clock | None = None, step: float = 0.0) -> None:
        self.clock = clock or Clock()
        self.stream = Pieces(pieces, self.clock, step)

    def connect_tcp(self, *arguments: Any, **keywords: Any) -> httpcore.NetworkStream:
        return self.stream

    def sleep(self, seconds: float) -> None:
        raise AssertionError


def ask(network: Peer | None, url: str = "http://service/", seconds: float = 3.0) -> httpx.Response:
    clock = network.clock if network else Clock()
    transport = DeadlineTransport(verify=None, limits=httpx.Limits(), now=clock, backend=network)
    with httpx.Client(transport=transport, trust_env=False) as client:
        request = client.build_request("GET", url, timeout=WAIT_S)
        request.extensions["deadline"] = clock() + seconds
        return client.send(request)


def test_an_answer_in_time_is_given_whole() -> None:
    """Status, headers and body as httpx's own transport gives them."""
    answer = ask(Peer(HEAD + b"content-length: 2\r\n\r\n{}"))
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "application/json", b"{}")


def test_headers_that_come_too_slowly_end_the_request() -> None:
    """Each read alone is quick enough, all together are not."""
    network = Peer(*(bytes([byte]) for byte in HEAD), step=1.0)
    with pytest.raises(httpx.TimeoutException):
        ask(network)
    assert network.clock.time <= 104


def test_a_body_that_comes_too_slowly_ends_the_request() -> None:
    """The same below the headers."""
    network = Peer(HEAD + b"content-length: 51\r\n\r\n", *[b" "] * 51, step=1.0)
    with pytest.raises(httpx.TimeoutException):
        ask(network)
    assert network.clock.time <= 104


def test_a_deadline_that_is_over_sends_nothing() -> None:
    """A repetition may begin too late."""
    with pytest.raises(httpx.ConnectTimeout):
        ask(Peer(), seconds=-1)


@pytest.mark.parametrize("piece", [b"", b"SSH-2.0-OpenSSH\r\n", HEAD + b"content-length: 9\r\n\r\n{"], ids=repr)
def test_a_peer_that_does_not_speak_http_is_a_transport_error(piece: bytes) -> None:
    """One family of errors for the layer above."""
    with pytest.raises(httpx.TransportError):
        ask(Peer(piece))


def test_nobody_there_is_a_transport_error() -> None:
    """Refused at once, and said so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    with pytest.raises(httpx.TransportError):
        ask(None, url)


def test_a_request_without_a_deadline_is_bounded_by_its_timeouts_only() -> None:
    """The transport adds to httpx's bounds, it does not replace them."""
    network = Peer(HEAD + b"content-length: 2\r\n\r\n{}")
    transport = DeadlineTransport(verify=None, limits=httpx.Limits(), backend=network)
    with httpx.Client(transport=transport, trust_env=False, timeout=WAIT_S) as client:
        assert client.get("http://service/").json() == {}


def test_tls_is_spoken_under_the_same_deadline() -> None:
    """The handshake is part of the request's time."""
    network = Peer(HEAD + b"content-length: 2\r\n\r\n{}")
    assert ask(network, "https://service/").status_code == 200
    slow = Peer(*(bytes([byte]) for byte in HEAD), step=1.0)
    with pytest.raises(httpx.TimeoutException):
        ask(slow, "https://service/")
