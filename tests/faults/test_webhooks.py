"""Receivers that fail, hang, redirect and reset, and a gateway that is killed in between: nothing is lost.

The gateway is a process of its own, killed with SIGKILL while deliveries are under way, and started again on the same
data. Each event must arrive at least once, under one id, and those of one intent in their order.
"""

import json
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx

from tests.documents import live
from tests.documents.test_webhooks import POLICY
from tests.webhooks.receiver import OK, Behave, Receiver, answering, receiver
from tests.webhooks.test_courier import hang_up, reset

TENANT = "acme"
INTENTS = 12
EVENTS = ["intent.submitted", "decision.completed", "intent.completed"]

REDIRECT = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n"
FAILURE = b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"


@contextmanager
def started(folder: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Run a gateway, and kill it at the end."""
    process = subprocess.Popen(
        live.command(folder, "run", "http://127.0.0.1:9/mcp", "--port", "0", "--policies", str(folder / "policy.yaml")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=live.environment(
            INTENDED_GATEWAY_WEBHOOKS__ALLOW_HOSTS='["127.0.0.1"]', INTENDED_GATEWAY_TIERS__DEFAULT="T4"
        ),
    )
    try:
        yield live._address(process), process
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=live.PROCESS_S)


async def seen(one: Receiver, count: int) -> None:
    with anyio.fail_after(live.PROCESS_S):
        while len(one.got) < count:  # noqa: ASYNC110 - the gateway is another process
            await anyio.sleep(0.02)


async def submit(url: str, key: str, count: int) -> list[str]:
    """Submit intents and report that they were executed; return their ids."""
    made = []
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=30) as client:
        for _ in range(count):
            body = {"action": "billing.send_invoice", "actor": "billing-agent"}
            answer = await client.post("/intent", json=body)
            assert answer.json()["decision"] == "ALLOW", answer.text
            made.append(answer.json()["intentId"])
            done = await client.post(f"/intent/{made[-1]}/outcome", json={"status": "completed"})
            assert done.status_code == 200, done.text
    return made


async def hang(_: object) -> None:
    """Take the request and say nothing, for longer than the gateway lives."""
    await anyio.sleep_forever()


TROUBLE: list[Behave] = [answering(FAILURE), answering(REDIRECT), hang, reset, hang_up]


async def test_a_receiver_in_every_kind_of_trouble_gets_everything_after_a_kill(tmp_path: Path) -> None:
    """Issue, "What it must show": nothing lost, order per intent kept."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    key = await anyio.to_thread.run_sync(live.make_admin_key, tmp_path, TENANT)
    async with receiver(answering(OK), answering(OK), *TROUBLE) as one:
        with started(tmp_path) as (url, _):
            async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=30) as client:
                assert (await client.post("/webhooks", json={"url": one.url})).status_code == 201
            intents = await submit(url, key, INTENTS)
            await seen(one, 2 + len(TROUBLE))  # two arrived, the others are in trouble
        before = len(one.got)
        one.ways = [answering(OK)]
        with started(tmp_path) as (url, _):
            intents += await submit(url, key, 1)
            ids: dict[tuple[str, str], set[str]] = defaultdict(set)
            with anyio.fail_after(live.PROCESS_S):
                while len(ids) < len(EVENTS) * len(intents):
                    await anyio.sleep(0.05)
                    ids = _ids(one)
    assert len(one.got) > before
    assert {intent for intent, _ in ids} == set(intents)
    assert all(len(found) == 1 for found in ids.values()), "one id for each event, however often it came"
    for intent in intents:
        order = [json.loads(got.body)["event"] for got in one.got if intent in got.body.decode()]
        assert list(dict.fromkeys(order)) == EVENTS


def _ids(one: Receiver) -> dict[tuple[str, str], set[str]]:
    """Return the delivery ids by intent and event."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for got in one.got:
        body = json.loads(got.body)
        intent = body.get("intentId") or body.get("data", {}).get("intentId")
        if intent is not None:
            found[intent, body["event"]].add(got.headers["webhook-id"])
    return found
