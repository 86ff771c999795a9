"""The front's bounds."""

from gateway.downstream.bounds import FrontLimits
from tests.downstream.front import LIMITS


def test_no_open_stream_is_silent_for_fifteen_seconds():
    """2026-07-28 asks for a comment at least that often; the first is due one or two rounds of the usher later."""
    limits = FrontLimits(wire=LIMITS.wire)
    assert limits.keep_alive_s + 2 * limits.attend_after_s < 15
