"""What an upstream's answers to the gateway's own questions mean."""

from typing import Any

import anyio
import pytest

from gateway.core.jsonvalue import JsonObject
from gateway.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.ports import UpstreamSupport
from gateway.upstream.probing import Probe, agreed_version, discover, handshake_versions, modern_versions


def test_the_question_names_its_version_in_header_and_body_alike() -> None:
    """2026-07-28: they must agree, and capabilities are required."""
    question = discover(3.0)
    meta = question.params["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == question.version == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {}
    assert question.timeout_s == 3.0


@pytest.mark.parametrize(
    ("answer", "versions"),
    [
        ({"result": {"supportedVersions": ["2031-01-01", "2026-07-28"]}}, ("2026-07-28",)),
        ({"result": {"supportedVersions": ["2025-11-25"]}}, ()),
        ({"result": {"supportedVersions": "2026-07-28"}}, ()),
        ({"result": {}}, ()),
        ({"error": {"code": -32022, "message": "", "data": {"supported": ["2026-07-28"]}}}, ("2026-07-28",)),
        ({"error": {"code": -32022, "message": "", "data": "2026-07-28"}}, ()),
        ({"error": {"code": -32601, "message": "", "data": {"supported": ["2026-07-28"]}}}, ()),
    ],
)
def test_only_versions_that_both_name_count(answer: JsonObject, versions: tuple[str, ...]) -> None:
    """An answer that could be read either way is no support."""
    assert modern_versions(answer) == versions


@pytest.mark.parametrize(
    "answer", [{"error": {"code": 1, "message": "secret"}}, {"result": {}}, {"result": {"protocolVersion": ["x"]}}]
)
def test_an_initialisation_without_a_known_version_is_broken(answer: Any) -> None:
    """Nothing can be agreed on, and the upstream's words stay out of the text."""
    with pytest.raises(UpstreamBroken) as caught:
        agreed_version(answer, "upstream x")
    assert "secret" not in str(caught.value)


def test_an_agreed_version_stands_for_the_older_ones_too() -> None:
    """The protocol cannot ask for them; each connection finds out."""
    assert handshake_versions("2025-03-26") == ("2024-11-05", "2025-03-26")


class Asked:
    """Fails the first time, slowly; counts."""

    def __init__(self) -> None:
        self.times = 0
        self.waits = anyio.Event()
        self.goes_on = anyio.Event()

    async def __call__(self) -> UpstreamSupport:
        self.times += 1
        self.waits.set()
        await self.goes_on.wait()
        if self.times == 1:
            raise UpstreamTimeout("no answer", may_have_run=False)
        return UpstreamSupport(handshake=(), modern=("2026-07-28",))


async def test_all_who_wait_for_one_answer_share_its_failure() -> None:
    """A hundred calls to a hung server must not wait for a hundred time-outs in a row."""
    asked = Asked()
    probe = Probe(asked)
    failures: list[UpstreamError] = []

    async def want() -> None:
        try:
            await probe.support()
        except UpstreamError as error:
            failures.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(want)
            await asked.waits.wait()
            asked.goes_on.set()
    assert (len(failures), asked.times) == (3, 1)
    known = await probe.support()
    assert await probe.support() is known
    assert asked.times == 2


async def test_one_who_gives_up_asking_leaves_the_question_to_the_next() -> None:
    """A cancelled question is no answer."""
    asked = Asked()
    probe = Probe(asked)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(probe.support)
            await asked.waits.wait()
            group.cancel_scope.cancel()
        asked.goes_on.set()
        assert (await probe.support()).modern == ("2026-07-28",)
