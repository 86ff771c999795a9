"""The bytes of events, and the bounded log of one session."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.downstream.answer import Answer
from gateway.downstream.sse import EventLog, EventStream, event, notification, priming, request
from tests.downstream.front import FakeClock
from tests.downstream.test_answer import Server


def log(limit_bytes: int = 10_000, keep_s: float = 60.0) -> tuple[EventLog, FakeClock]:
    clock = FakeClock()
    return EventLog(limit_bytes=limit_bytes, keep_s=keep_s, clock=clock), clock


def listener() -> Answer:
    return Server().answer()


def numbers(stream: EventStream, after: int = 0) -> list[int]:
    return [number for number, _ in stream.after(after)]


def test_an_event_is_one_event():
    """WHATWG HTML, 9.2.6."""
    assert event(b"{}") == b"event: message\ndata: {}\n\n"
    assert event(b"{}", "a_1") == b"id: a_1\nevent: message\ndata: {}\n\n"
    assert priming("a_0", 1000) == b"id: a_0\nretry: 1000\ndata: \n\n"


@given(st.dictionaries(st.text(), st.text()))
def test_no_text_breaks_out_of_its_event(params):
    """An upstream's text cannot forge an event (research/security.md 2)."""
    for data in (notification("notifications/message", params), request("intended-1", "roots/list", params)):
        frame = event(data, "a_1")
        assert frame.count(b"\n") == 4
        assert b"\r" not in frame
        line = frame.split(b"\n")[2]
        assert json.loads(line.removeprefix(b"data: ")).get("params", {}) == params


def test_no_text_breaks_out_of_its_event_for_a_client_that_splits_lines_its_own_way():
    """Python's and JavaScript's own ideas of a line end are not the standard's; a forged event must not fit in one."""
    params = {"text": "a\u2028data: {}\u2029\u0085\r\n\ndata: {}\x1c\x0b\x0c"}
    frame = event(notification("m", params)).decode()
    assert [line[:6] for line in frame.splitlines()] == ["event:", "data: ", ""]
    assert json.loads(frame.splitlines()[1][6:])["params"] == params


def test_an_event_id_names_a_place_of_its_own_log_only():
    """Made up, foreign and future ids name nothing."""
    events, _ = log()
    stream = events.open("tok_en")
    stream.append(b"1")
    stream.append(b"2")
    assert events.find("tok_en_0") == (stream, 0)
    assert events.find(stream.place(2)) == (stream, 2)
    for wrong in ("tok_en_3", "tok_en_03", "tok_en_", "tok_en", "tok_en_\u0662", "tok_en_" + "1" * 5000, "", "_"):
        assert events.find(wrong) is None


def test_old_events_go_first_whichever_stream_they_are_of():
    """Bounded in bytes over all streams; a stream that is finished goes with its last event."""
    events, _ = log(limit_bytes=100)
    first, second = events.open("a"), events.open("b")
    first.append(b"x" * 20)
    first.append(b"y", last=True)
    assert events.find("a_0")
    second.append(b"z" * 30)
    assert numbers(first) == [2]
    assert events.held_bytes <= 100
    second.append(b"z" * 30)
    assert events.find("a_0") is None
    assert events.find("b_0") == (second, 0)


def test_old_events_go_with_time():
    """Bounded in seconds; a stream that is not finished stays, for what is to come."""
    events, clock = log(keep_s=10)
    stream = events.open("a")
    stream.append(b"1")
    clock.seconds += 11
    assert events.find("a_1") == (stream, 1)
    assert numbers(stream) == []
    assert events.held_bytes == 0
    stream.append(b"2", last=True)
    assert numbers(stream) == [2]


async def test_an_event_larger_than_the_log_is_kept_for_a_listener_only():
    """Who listens gets it; for nobody it would only be memory."""
    events, _ = log(limit_bytes=50)
    stream = events.open("a")
    await stream.attach(listener())
    stream.append(b"x" * 100)
    assert numbers(stream) == [1]
    stream.listener = None
    stream.append(b"x" * 100)
    assert numbers(stream) == []
    assert b"sorry" in stream.append(b"x" * 100, last=True, otherwise=b"sorry")
    assert numbers(stream) == [3]
    assert b"x" * 40 in events.open("b").append(b"x" * 40, otherwise=b"sorry")


async def test_a_newer_listener_ends_the_one_before():
    """One stream is never sent twice at once."""
    events, _ = log()
    stream = events.open("a")
    before, after = listener(), listener()
    await before.open()
    await stream.attach(before)
    await stream.attach(before)
    assert before.streaming
    await stream.attach(after)
    assert before.complete
    stream.detach(before)
    assert stream.listener is after
    stream.detach(after)
    assert stream.listener is None


def test_a_closed_log_forgets_everything():
    """The end of its session."""
    events, _ = log()
    stream = events.open("a")
    stream.append(b"1")
    events.close()
    assert stream.finished
    assert (events.find("a_0"), events.held_bytes) == (None, 0)
