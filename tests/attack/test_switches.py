"""A kill switch thrown from outside at a running gateway under load: after its answer no byte of a call leaves."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
from mcp import Client

from gateway.admin.address import socket_path
from tests.attack.agent import Agent, Answer, call, open_session, tool
from tests.attack.guarded import Guarded, guarded
from tests.attack.spy import Received, Spy, spying

THREADS = 20
MORE = 3
"""Calls that each thread makes after the switch, at least."""
WARM = 40
"""Calls that have arrived before it is thrown."""
JOIN_S = 30.0
LEG_S = 30
HANDSHAKE = "2025-11-25"
ESCALATE = """\
apiVersion: intended/v1
policySet: attack
rules:
  - {id: ask, effect: escalate, match: {tools: [echo]}, reason: money}
"""


@contextmanager
def human(served: Guarded) -> Iterator[httpx.Client]:
    """Return the operator of a gateway, in another process as far as that can tell."""
    with socket_path(served.folder / "data") as place:
        transport = httpx.HTTPTransport(uds=place)
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=10) as client:
            yield client


def throw(client: httpx.Client, place: str) -> None:
    answer = client.put(f"/v1/switches/{place}", json={"reason": "runs amok"})
    assert answer.status_code == 200, answer.text


def classic(agent: Agent, headers: list[tuple[str, str]], number: int) -> Answer:
    body = call("tools/call", {"name": "echo", "arguments": {"n": number}}, identifier=number)
    return agent.post(body, headers)


@contextmanager
def connected(served: Guarded) -> Iterator[Agent]:
    with closing(served.agent()) as agent:
        yield agent


@contextmanager
def caller(served: Guarded, number: int) -> Iterator[Callable[[int], Answer]]:
    """Return how one thread calls: every second one in the handshake era, in a session that was open before."""
    with connected(served) as agent:
        if number % 2:
            headers = open_session(agent, HANDSHAKE)
            yield lambda turn: classic(agent, headers, turn)
        else:
            yield lambda turn: tool(agent, "echo", {"n": f"{number}.{turn}"})


def called(served: Guarded) -> str:
    """Return what one call is answered."""
    with connected(served) as agent:
        return str(tool(agent, "echo", {}).message)


def drained(spy: Spy) -> int:
    """Return how many calls have arrived, once everything that was on its way has been read."""
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", spy.port), timeout=5) as probe:
            probe.sendall(b"GET /mcp HTTP/1.1\r\nHost: spy\r\n\r\n")
            probe.recv(1024)
    return len(spy.acts())


@pytest.mark.parametrize("place", ["agent/local", "upstream/default"])
def test_after_the_answer_not_one_call_of_twenty_threads_is_forwarded(place: str, tmp_path: Path) -> None:
    """By the upstream's own record, and by the order of the chain."""
    warm, thrown = threading.Event(), threading.Event()
    refused: list[Any] = []

    def lie(request: Received) -> bytes | None:
        if len(spy.acts()) >= WARM:
            warm.set()
        return None

    with spying() as spy, guarded(tmp_path, f"default={spy.url}") as served:
        spy.lie = lie

        def run(number: int) -> None:
            turn, after = 0, 0
            with caller(served, number) as ask:
                while after < MORE:
                    turn += 1
                    late = thrown.is_set()
                    answer = ask(turn)
                    if late:
                        after += 1
                        refused.append(answer.message)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        assert warm.wait(JOIN_S)
        with human(served) as client:
            throw(client, place)
        thrown.set()
        arrived = drained(spy)
        for thread in threads:
            thread.join(JOIN_S)
        assert drained(spy) == arrived, "something was forwarded after the answer"
        assert len(refused) >= THREADS * MORE
        assert all("switched-off" in json.dumps(one) for one in refused)
        entries = served.entries()
        served.stop()
    entries.sort(key=lambda one: one["seq"])
    kinds = [(one["type"], one.get("effect", "")) for one in entries]
    at = [kind for kind, _ in kinds].index("switch.changed")
    assert ("call.decided", "ALLOW") not in kinds[at:]
    allowed = kinds[:at].count(("call.decided", "ALLOW"))
    completed = [one["reasons"][0] for one in entries if one["type"] == "call.completed"]
    assert len(completed) == allowed, "each call that was allowed has its end on record"
    assert completed.count("ok") <= arrived <= allowed


def raw_modern(served: Guarded) -> str:
    with connected(served) as agent:
        return json.dumps(tool(agent, "echo", {"n": 1}).message)


def raw_handshake(served: Guarded) -> str:
    with connected(served) as agent:
        return json.dumps(classic(agent, open_session(agent, HANDSHAKE), 2).message)


def sdk(mode: Literal["auto", "legacy"], number: int) -> Callable[[Guarded], str]:
    """Return a call by the Python SDK, which knows nothing of gateways."""

    async def ask(served: Guarded) -> str:
        async with Client(f"http://127.0.0.1:{served.port}/mcp", mode=mode) as client:
            return str(await client.call_tool("echo", {"n": number}))

    return lambda served: anyio.run(ask, served)


HELD = {"modern": raw_modern, "handshake": raw_handshake, "sdk": sdk("auto", 3), "sdk before": sdk("legacy", 4)}


def test_a_held_call_is_answered_the_moment_that_it_is_switched_off(tmp_path: Path) -> None:
    """In both eras, long before its leg would have ended; the approval says so to whoever looks at it."""
    answers: dict[str, str] = {}
    config = f"holds: {{leg_s: {LEG_S}, hold_s: {LEG_S}}}\n"
    with spying() as spy:
        upstreams = f"upstreams: {{default: {{url: '{spy.url}'}}}}\n"
        with guarded(tmp_path, policy=ESCALATE, config=config + upstreams) as served, human(served) as client:

            def run(who: str) -> None:
                answers[who] = HELD[who](served)

            threads = [threading.Thread(target=run, args=(who,)) for who in HELD]
            for thread in threads:
                thread.start()
            waiting: list[Any] = []
            while len(waiting) < len(threads):
                waiting = client.get("/v1/approvals").json()["data"]["items"]
            began = time.monotonic()
            throw(client, "agent/local")
            for thread in threads:
                thread.join(JOIN_S)
            took = time.monotonic() - began
            shown = [client.get(f"/v1/approvals/{one['id']}").json()["data"]["status"] for one in waiting]
            late = client.post(f"/v1/approvals/{waiting[0]['id']}/approve", json={"reason": "too late"})
        assert set(answers) == set(HELD)
        for who, told in answers.items():
            assert "runs amok" in told, (who, told)
        assert took < LEG_S / 3
        assert shown == ["cancelled"] * len(HELD)
        assert late.status_code == 400, late.text
        assert spy.acts() == []


def test_a_switch_outlives_the_gateway_that_it_was_thrown_at(tmp_path: Path) -> None:
    """Whoever restarts it in the morning does not let the agent go."""
    with spying() as spy:
        with guarded(tmp_path, f"default={spy.url}") as served:
            assert "done" in called(served)
            done = served.intended("switch", "throw", "agent", "local", "--reason", "runs amok", "--state", "state")
            assert "intended switch release agent local" in done.stderr
            served.process.kill()
        (tmp_path / "policies" / "attack.yaml").unlink()
        (tmp_path / "policies").rmdir()
        spy.forget()
        with guarded(tmp_path, f"default={spy.url}") as served:
            assert "runs amok" in called(served)
            assert spy.acts() == []
            served.intended("switch", "release", "agent", "local", "--reason", "fixed", "--state", "state")
            assert "done" in called(served)
