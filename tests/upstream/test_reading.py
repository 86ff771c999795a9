"""Which statuses, media types and framings are an answer."""

from collections.abc import Callable

import anyio
import pytest

from gateway.errors import SessionLost, UpstreamError, UpstreamRefused
from tests.upstream.eras import ERAS, REFUSED, WELL, handshake, modern
from tests.upstream.misbehaving import Misbehaving


@ERAS
@pytest.mark.parametrize("tool", sorted(REFUSED))
async def test_a_status_that_is_no_answer_ends_the_call_as_refused(tool: str, era: Callable[..., object]) -> None:
    """The operator must see which status came; the upstream's own challenge and body go nowhere."""
    async with Misbehaving() as server, era(server) as call:  # type: ignore[attr-defined]
        with pytest.raises(UpstreamError) as caught:
            await call(tool)
        assert server.calls(tool) == 1
    error = caught.value
    if era is handshake and tool == "status_404":
        assert type(error) is SessionLost
    else:
        assert isinstance(error, UpstreamRefused)
        assert error.status == REFUSED[tool]
    assert error.may_have_run
    assert "secret place" not in str(error)


@ERAS
@pytest.mark.parametrize("tool", sorted(WELL - {"error_with_404", "good_then_a_second_answer_later"}))
async def test_an_odd_but_sound_answer_is_an_answer(tool: str, era: Callable[..., object]) -> None:
    """Transparency: streams, bodies that last until the end of the connection and interim answers are HTTP too."""
    async with Misbehaving() as server, era(server) as call:  # type: ignore[attr-defined]
        for _ in range(2):
            with anyio.fail_after(5):
                answer = await call(tool)
            assert answer["result"]["content"][0]["text"] == "well"
        assert server.calls(tool) == 2


async def test_an_error_that_comes_with_an_http_error_status_is_the_answer() -> None:
    """2026-07-28: unknown methods are answered with 404 and the JSON-RPC error in the body."""
    async with Misbehaving() as server, modern(server) as call:
        assert await call("error_with_404") == {"error": {"code": -32601, "message": "no"}}
