"""Clients of other people wait for a human: after the yes each gets one execution and its result, or a pending text."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.admin.address import socket_path
from tests.clients.conftest import AGENTS, CLIENTS, Client, Environments, Everything, GatewayUrl

pytestmark = pytest.mark.clients

POLICY = Path(__file__).parent / "policy.yaml"
ESCALATED = {"name": "slow_compute", "arguments": {"seconds": 0}}
OTHER = {"name": "slow_compute", "arguments": {"seconds": 1}}
"""What nobody has said no to: that is kept for a while, for this very call."""
HOLDS_S = 2.0
LOOK_S = 0.05
SWITCH = "/v1/switches/agent/local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A running gateway as its operator sees it: from another process, by the admin socket."""

    url: str
    data: Path

    @contextmanager
    def resolving(self, verb: str) -> Iterator[list[str]]:
        """Say yes (`approve`) or no (`reject`) to whatever asks, until the block ends; yield what was resolved."""
        done: list[str] = []
        over = threading.Event()

        def resolve() -> None:
            with socket_path(self.data) as place:
                transport = httpx.HTTPTransport(uds=place)
                with httpx.Client(transport=transport, base_url="http://localhost", timeout=10) as human:
                    while not over.wait(LOOK_S):
                        for one in human.get("/v1/approvals").json()["data"]["items"]:
                            answer = human.post(f"/v1/approvals/{one['id']}/{verb}", json={"reason": "seen"})
                            answer.raise_for_status()
                            done.append(one["id"])

        thread = threading.Thread(target=resolve)
        thread.start()
        try:
            yield done
        finally:
            over.set()
            thread.join(20)

    @contextmanager
    def stopping(self) -> Iterator[list[str]]:
        """Throw the agent's switch as soon as a call of it waits, until the block ends; yield what was stopped."""
        done: list[str] = []
        over = threading.Event()

        def stop() -> None:
            with socket_path(self.data) as place:
                transport = httpx.HTTPTransport(uds=place)
                with httpx.Client(transport=transport, base_url="http://localhost", timeout=10) as human:
                    while not over.wait(LOOK_S):
                        if not done and human.get("/v1/approvals").json()["data"]["items"]:
                            human.put(SWITCH, json={"reason": "seen enough"}).raise_for_status()
                            done.append(SWITCH)
                    if done:
                        human.delete(SWITCH, params={"reason": "over"}).raise_for_status()

        thread = threading.Thread(target=stop)
        thread.start()
        try:
            yield done
        finally:
            over.set()
            thread.join(20)


@pytest.fixture(scope="module")
def desk(gateway_url: GatewayUrl, everything: Everything, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("held")
    url = gateway_url(upstreams=everything.upstreams, policies=POLICY, folder=folder, holds_s=HOLDS_S)
    return Desk(url=url, data=folder / "data")


def drive(
    client: Client, environments: Environments, everything: Everything, desk: Desk, verb: str
) -> tuple[dict[str, Any], int, list[str]]:
    """Let the client make one call that escalates; return what it saw, how often it ran, and what was resolved."""
    before = len(everything.called())
    with desk.resolving(verb) as resolved:
        seen = client.drive(environments, desk.url, [ESCALATED])
    return seen["calls"][0], len(everything.called()) - before, resolved


@pytest.mark.parametrize("client", [*CLIENTS, *AGENTS], ids=lambda client: client.name)
def test_after_a_yes_a_client_has_its_result_or_a_pending_text(
    client: Client, environments: Environments, everything: Everything, desk: Desk
) -> None:
    """Whatever it knows of legs, progress and time-outs: none crashes, and nothing runs twice (protocol.md 3.1)."""
    call, runs, resolved = drive(client, environments, everything, desk, "approve")
    assert "raised" not in call, call
    assert len(resolved) == 1
    if call["isError"]:
        assert "Waiting for a human" in call["text"], call
        assert runs == 0
        call, runs, _ = drive(client, environments, everything, desk, "approve")
    assert (call["isError"], runs) == (False, 1), call


@pytest.mark.parametrize("client", [*CLIENTS, *AGENTS], ids=lambda client: client.name)
def test_after_a_no_a_client_has_a_text_that_says_so(
    client: Client, environments: Environments, everything: Everything, desk: Desk
) -> None:
    """Its model can read it, and is not tempted to try again."""
    call, runs, _ = drive(client, environments, everything, desk, "reject")
    assert (call.get("isError"), runs) == (True, 0), call
    assert "Waiting for a human" in call["text"] or "rejected this very call" in call["text"]


@pytest.mark.parametrize("client", [*CLIENTS, *AGENTS], ids=lambda client: client.name)
def test_a_client_whose_agent_is_switched_off_while_it_waits_has_a_text_that_says_so(
    client: Client, environments: Environments, everything: Everything, desk: Desk
) -> None:
    """At once, and for each further call: none of them takes it for a fault of the connection."""
    before = len(everything.called())
    with desk.stopping() as stopped:
        seen = client.drive(environments, desk.url, [OTHER, OTHER])
    assert stopped == [SWITCH], seen
    assert len(everything.called()) == before
    for call in seen["calls"]:
        assert call.get("isError"), call
        assert "Waiting for a human" in call["text"] or "switched off by a human" in call["text"], call
    assert "seen enough" in seen["calls"][-1]["text"]
