"""Event streams mean the same however the bytes were cut, and never grow without bound."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.upstream.sse import EventTooLarge, SseEvent, SseParser

STREAM = (
    b"\xef\xbb\xbf: a comment\r\n"
    b'id: 1\nretry: 250\ndata: {"a":\ndata: 1}\n\n'
    b"event: message\r\ndata: two\r\n\r\n"
    b"event: other\rdata:three\r\r"
    b"id: 7\ndata:\n\n"
    b"ignored: x\nid: 8\n\n"
    b"id: bad\0id\nretry: soon\ndata: \xc3\xa4\n\n"
    b"data: unfinished"
)
EVENTS = [
    SseEvent("", b'{"a":\n1}'),
    SseEvent("", b"two"),
    SseEvent("other", b"three"),
    SseEvent("", b""),
    SseEvent("", b"\xc3\xa4"),
]


def _read(pieces: list[bytes]) -> tuple[list[SseEvent], str, int | None]:
    parser = SseParser(10_000)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events, parser.last_id, parser.retry_ms


@pytest.mark.parametrize("size", range(1, len(STREAM) + 1))
def test_a_stream_reads_the_same_in_pieces_of_every_size(size: int) -> None:
    """TCP may cut anywhere: also between CR and LF, inside the byte order mark and inside a character."""
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert _read(pieces) == (EVENTS, "8", 250)


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
@settings(max_examples=200)
def test_a_stream_reads_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    """The same, with uneven pieces, empty ones included."""
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(places)]
    assert _read(pieces) == (EVENTS, "8", 250)


@pytest.mark.parametrize("data", [b"data: " + b"x" * 200, b"data: x\n" * 50, b"data:\n" * 50, b"x" * 200])
def test_an_event_over_the_bound_is_refused_before_it_is_whole(data: bytes) -> None:
    """Memory: neither one long line, nor many short ones, nor empty ones may grow."""
    parser = SseParser(100)

    def feed_all() -> None:
        for place in range(len(data)):
            parser.feed(data[place : place + 1])

    with pytest.raises(EventTooLarge):
        feed_all()


def test_many_small_events_are_no_large_one() -> None:
    """The bound is for one event; comments and finished events do not count."""
    parser = SseParser(100)
    assert len(parser.feed(b": comment\ndata: x\n\n" * 1000)) == 1000


@pytest.mark.parametrize("value", [b"x" * 2000, b"a\x01b"])
def test_an_id_that_could_not_be_sent_back_is_ignored(value: bytes) -> None:
    """It would become a request header."""
    parser = SseParser(10_000)
    parser.feed(b"id: good\ndata: x\n\nid: " + value + b"\ndata: x\n\n")
    assert parser.last_id == "good"


def test_a_wait_that_a_stranger_names_is_bounded() -> None:
    """`retry:` ends up in a timer."""
    parser = SseParser(10_000)
    parser.feed(b"retry: 9999999999\n")
    assert parser.retry_ms == 3_600_000
