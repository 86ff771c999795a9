"""A gateway that asks another one: what both allow is done, under the other's token; nothing else ever gets there."""

import socket
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
from mcp import Client

from gateway import create_intended_gateway
from gateway.app import Gateway
from gateway.demo.upstream import DemoUpstream, running
from gateway.embedded import IntendedGateway
from gateway.replay import replayed
from gateway.sections import AuthoritySettings
from gateway.serving import serving
from gateway.settings import UpstreamSettings
from tests.remote.house import ALLOW_ALL, AUTHORITY, TO, house, settings_of
from tests.remote.service import KEY, Service, served_at
from tests.services.calling import OPERATOR

NOTES = """
apiVersion: intended/v1
policySet: there
rules:
  - {id: notes, effect: allow, match: {tools: ["notes.*"]}, reason: notes}
"""
HERE_ASKS = ALLOW_ALL.replace("effect: allow", "effect: escalate")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_what_both_allow_is_done_under_the_authority_s_token(tmp_path: Path, mode: str) -> None:
    """The guarded server takes the authority's tokens only, each once; its id is on record here."""
    async with house(tmp_path) as one:
        for _ in range(3):
            assert await one.transfer(12.5, mode) == (False, f"Transferred 12.50 EUR to {TO}.")
        assert one.done == [f"12.50 to {TO}"] * 3
        facts = [entry["body"]["facts"]["remote"] for entry in await one.entries()]
    assert [fact["effect"] for fact in facts] == ["ALLOW"] * 3
    assert len({fact["tokenId"] for fact in facts}) == 3
    assert all(fact["tokenId"].startswith("tok_") for fact in facts)


async def test_what_the_authority_denies_never_gets_there(tmp_path: Path) -> None:
    """Its own reason, its own rung; and the recorded verdict is what the recorded answer gives."""
    async with house(tmp_path) as one:
        failed, text = await one.transfer(5000)
        assert failed
        assert "The authority of this gateway denies it" in text
        [entry] = await one.entries()
        assert (entry["effect"], entry["reasons"][0], entry["body"]["decision"]["rung"]) == (
            "DENY",
            "authority-deny",
            18,
        )
        assert one.done == []
    again = [found async for found in replayed(one.settings, "default")]
    assert [found.same for found in again] == [True]


async def test_what_is_denied_here_is_not_asked_about(tmp_path: Path) -> None:
    """The authority learns nothing of it, and counts nothing."""
    async with house(tmp_path, here=AUTHORITY.replace("100.0", "10.0").replace("1000.0", "11.0")) as one:
        failed, _ = await one.transfer(50)
        assert (failed, one.done) == (True, [])
        async with httpx.AsyncClient(base_url=one.service, headers={"x-api-key": one.human}) as client:
            assert (await client.get("/v1/intents")).json()["data"]["total"] == 0


async def test_what_waits_at_the_authority_is_done_once_after_a_human_s_yes_there(tmp_path: Path) -> None:
    """No approval is opened here; the same call finds the one there, goes through once, and then asks anew."""
    async with house(tmp_path) as one:
        failed, text = await one.transfer(500)
        again, same = await one.transfer(500)
        assert (failed, again, one.done) == (True, True, [])
        [approval] = await one.approve()
        assert approval in text
        assert approval in same
        assert await one.transfer(500) == (False, f"Transferred 500.00 EUR to {TO}.")
        assert one.done == [f"500.00 to {TO}"]
        failed, text = await one.transfer(500)
        assert failed
        assert approval not in text
        assert len(one.done) == 1


async def test_a_human_s_no_there_stands_for_a_while(tmp_path: Path) -> None:
    """Nobody is asked again at once."""
    async with house(tmp_path) as one:
        await one.transfer(500)
        assert len(await one.approve(yes=False)) == 1
        for _ in range(2):
            failed, text = await one.transfer(500)
            assert failed
            assert "denies it" in text
        assert await one.approve() == []
        assert one.done == []


async def test_where_both_ask_for_a_human_both_are_asked(tmp_path: Path) -> None:
    """The one here first; the yes there is fetched only when it can be used, for its token lives a short while."""
    async with house(tmp_path, here=HERE_ASKS) as one:
        first = await one.transfer(500)
        assert first[0]
        assert len(await one.approve()) == 1
        second = await one.transfer(500)
        assert (second[0], one.done) == (True, [])
        [waiting] = one.gateway.known.approvals.open("default")
        await one.gateway.known.approvals.resolve(OPERATOR, approval_id=waiting, approve=True)
        assert await one.transfer(500) == (False, f"Transferred 500.00 EUR to {TO}.")
        assert one.done == [f"500.00 to {TO}"]


async def test_64_calls_at_once_are_each_decided_on_their_own(tmp_path: Path) -> None:
    """Every second one is denied there; exactly the others are done, each under a token of its own."""
    async with house(tmp_path, timeout_s=30) as one:
        answers: dict[int, bool] = {}

        async def call(number: int) -> None:
            answers[number] = (await one.transfer(number if number % 2 else number + 5000, "legacy"))[0]

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(64):
                    tasks.start_soon(call, number)
        assert sorted(number for number, failed in answers.items() if not failed) == list(range(1, 65, 2))
        assert sorted(one.done) == sorted(f"{number:.2f} to {TO}" for number in range(1, 65, 2))


async def test_an_authority_that_dies_is_told_by_readiness_and_heals_by_itself(tmp_path: Path) -> None:
    """Nothing reaches the server meanwhile, and each call is denied within the deadline."""
    service = Service()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    upstream = DemoUpstream()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(running(upstream))
        settings = settings_of(
            tmp_path,
            ALLOW_ALL,
            upstreams={"default": UpstreamSettings(url=address)},
            authority=AuthoritySettings(url=f"http://127.0.0.1:{port}", key=KEY, tenant="acme", timeout_s=2),
        )
        gateway = await stack.enter_async_context(Gateway.open(settings))
        served = await stack.enter_async_context(serving(gateway, settings))

        async def search() -> tuple[bool, str]:
            async with Client(f"{served.url}/mcp") as client:
                answer = await client.call_tool("notes.search", {"q": "x"})
            return bool(answer.is_error), str(answer.content)

        async def ready() -> int:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{served.url}/readyz")).status_code

        for times in (1, 2):
            failed, text = await search()
            assert (failed, "authority of this gateway cannot be asked" in text) == (True, True)
            assert (await ready(), len(upstream.record)) == (503, times - 1)
            async with served_at(service, port):
                assert (await search())[0] is False
                assert (await ready(), len(upstream.record)) == (200, times)


async def test_a_program_s_gateway_asks_with_the_program_s_key(tmp_path: Path) -> None:
    """`create_intended_gateway(api_key=…, tenant_id=…, upstream=…, authority=URL)`, by the official client."""
    upstream = DemoUpstream()
    async with running(upstream) as address, house(tmp_path, there=NOTES) as one:

        def create() -> IntendedGateway:
            return create_intended_gateway(
                api_key=one.key,
                tenant_id="acme",
                upstream=address,
                authority=one.service,
                agent="bot",
                tier="T4",
                data=tmp_path / "embedded" / "data",
                state=tmp_path / "embedded" / "state",
            )

        embedded = await anyio.to_thread.run_sync(create)
        try:
            async with Client(embedded.url) as client:
                allowed = await client.call_tool("notes.search", {"q": "invoice"})
                denied = await client.call_tool("files.read", {"path": "/workspace/readme.txt"})
        finally:
            await anyio.to_thread.run_sync(embedded.close)
        assert (bool(allowed.is_error), bool(denied.is_error), upstream.record) == (False, True, ["notes.search"])
        async with httpx.AsyncClient(base_url=one.service, headers={"x-api-key": one.human}) as client:
            intents = (await client.get("/v1/intents")).json()["data"]["items"]
    assert len(intents) == 2
    assert {intent["agentId"] for intent in intents} == {intents[0]["agentId"]}


async def test_a_wrong_key_denies_everything(tmp_path: Path) -> None:
    """401 is no answer; the text says so to the agent without the key."""
    async with house(tmp_path, key="mrt_live_" + "x" * 32) as one:
        failed, text = await one.transfer(12.5)
        assert (failed, one.done) == (True, [])
        assert "does not take the key (HTTP 401)" in text
        assert "xxx" not in text
