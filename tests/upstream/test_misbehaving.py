"""What a misbehaving upstream can do to the gateway: nothing but end its own call, with a clear error."""

from collections.abc import Callable

import anyio
import pytest

from gateway.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from tests.upstream.eras import BROKEN, ERAS, SLOW, Call, handshake
from tests.upstream.misbehaving import Misbehaving


async def _fails(call: Call, server: Misbehaving, tool: str, *, timeout_s: float = 5.0) -> UpstreamError:
    """Call a tool that fails, others meanwhile and one afterwards; return the error."""
    errors: list[UpstreamError] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call, "good")
            with pytest.raises(UpstreamError) as caught:
                await call(tool, timeout_s=timeout_s)
            errors.append(caught.value)
        after = await call("good")
    assert after["result"]["content"][0]["text"] == "well"
    assert server.calls(tool) == 1
    assert server.calls("good") == 4
    return errors[0]


@ERAS
@pytest.mark.parametrize("tool", BROKEN)
async def test_an_answer_that_is_none_ends_its_own_call_as_broken(tool: str, era: Callable[..., object]) -> None:
    """Security 4: clear error, in doubt, exactly one request, others served meanwhile, the next call works."""
    async with Misbehaving() as server, era(server) as call:  # type: ignore[attr-defined]
        if era is handshake and tool == "asks_in_the_stream":
            return
        error = await _fails(call, server, tool)
    assert type(error) is UpstreamBroken
    assert error.may_have_run
    assert str(error).startswith("upstream files")


@ERAS
@pytest.mark.parametrize("tool", sorted(SLOW))
async def test_an_answer_that_does_not_come_ends_at_the_deadline(tool: str, era: Callable[..., object]) -> None:
    """Security 4, upstream hang: the deadline is the call's own, whatever drips meanwhile."""
    async with Misbehaving() as server, era(server) as call:  # type: ignore[attr-defined]
        error = await _fails(call, server, tool, timeout_s=0.2)
        if era is handshake:
            await server.until(lambda: bool(server.seen("notifications/cancelled")))
            cancelled = server.seen("notifications/cancelled")[0].body["params"]
            called = next(request for request in server.requests if request.tool == tool)
            assert cancelled == {"requestId": called.body["id"]}
    assert type(error) is UpstreamTimeout
    assert error.may_have_run
