"""Lines are found however the bytes were cut, and never grow without bound."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.lines import LineParser, TooLong

DATA = b'{"a":1}\n\r\n  \n{"b":\xc3\xa4}\r\n' + b"x" * 5000 + b"\nend\nunfinished"


@given(cuts=st.lists(st.integers(0, len(DATA)), max_size=30))
def test_lines_read_the_same_wherever_they_are_cut(cuts: list[int]) -> None:
    """A pipe may cut anywhere; blank lines are nothing, a line over the bound is known by its ends."""
    parser = LineParser(100)
    pieces = [DATA[start:end] for start, end in pairwise([0, *sorted(cuts), len(DATA)])]
    lines = [line for piece in pieces for line in parser.feed(piece)]
    first, second, long, last = lines
    assert (first, second, last) == (b'{"a":1}', b'{"b":\xc3\xa4}\r', b"end")
    assert isinstance(long, TooLong)
    assert long.end == b"x" * 1024
    assert set(long.start) == {ord("x")}


def test_a_line_that_never_ends_is_not_kept() -> None:
    """Memory: a child may write without end."""
    parser = LineParser(1000)
    for _ in range(1000):
        assert parser.feed(b"x" * 1000) == []
    assert sum(map(len, parser._parts)) + len(parser._start) + len(parser._end) <= 3 * 1024
