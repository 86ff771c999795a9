"""The documents' webhooks: each event happens, arrives in its document's shape, and verifies with that document's way.

One story is told to a gateway, and what arrives at a receiver is kept for all tests. The guide's Express receiver
itself runs in `tests/clients/test_documents_webhooks.py`.
"""

import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from gateway.app import Gateway
from gateway.core.audit.entry import EntryDraft, EntryType
from gateway.core.principal import Role, TrustTier
from gateway.parts import store_options
from gateway.services.operator import operator
from gateway.settings import Settings, TierSettings, WebhookSettings
from gateway.store.sqlite.store import DATABASE, TAIL_ENTRIES, open_store
from gateway.telemetry.clock import SystemClock
from tests.documents.rows import OPS, REF, Row, rows_of
from tests.ecmascript import stringify
from tests.webhooks.receiver import Got, Receiver, receiver

TENANT = "tenant123"
POLICY = """
apiVersion: intended/v1
policySet: webhooks
rules:
  - {id: allow, effect: allow, match: {methods: [intent], intents: [billing.send_invoice]}, reason: harmless}
  - {id: deny, effect: deny, match: {methods: [intent], intents: [billing.apply_credit]}, reason: never}
  - {id: ask, effect: escalate, match: {methods: [intent], intents: [billing.process_refund]}, reason: money}
"""


def settings(folder: Path) -> Settings:
    (folder / "policy.yaml").write_text(POLICY)
    return Settings(
        port=0,
        data=folder / "data",
        state=folder / "state",
        policies=folder / "policy.yaml",
        tiers=TierSettings(default=TrustTier.T4),
        webhooks=WebhookSettings(allow_hosts=("127.0.0.1",)),
    )


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    async with Gateway.open(settings(folder)) as gateway:
        made = await gateway.known.keys.create(operator(TENANT), tenant=TENANT, name="all", role=Role.ADMIN)
        transport = httpx.ASGITransport(gateway.asgi)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1", headers={"x-api-key": made.secret}
        ) as client:
            yield gateway, client


async def arrived(one: Receiver, count: int) -> None:
    with anyio.fail_after(15):
        while len(one.got) < count:  # noqa: ASYNC110 - the receiver is another program's part
            await anyio.sleep(0.02)


async def submit(client: httpx.AsyncClient, kind: str) -> str:
    body = {"type": f"billing.{kind}", "domain": "billing", "agentId": "billing-agent", "params": {"amount": 1}}
    answer = await client.post("/v1/intents", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["intentId"])


async def approve(gateway: Gateway, intent: str, *, yes: bool) -> None:
    human = await gateway.known.people.create(operator(TENANT), name=f"jane {intent}", role=Role.OPERATOR)
    code = (await gateway.known.people.login_code(operator(TENANT), human.id)).code
    session = (await gateway.known.people.open_session(code)).secret
    transport = httpx.ASGITransport(gateway.asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        body = {"intentId": intent, "decision": "approve" if yes else "reject", "rationale": "looked at it"}
        answer = await client.post("/authority/approval", json=body, headers={"x-portal-session-id": session})
    assert answer.status_code == 200, answer.text


async def told(folder: Path) -> tuple[list[tuple[str, Got]], dict[str, str]]:
    """Return what arrived, each with its secret, and the intents by what became of them."""
    async with receiver() as one, opened(folder) as (gateway, client):
        made = (await client.post("/webhooks", json={"url": one.url})).json()
        assert (await client.post("/v1/agents", json={"name": "Billing Agent"})).status_code == 201
        intents = {"allowed": await submit(client, "send_invoice"), "denied": await submit(client, "apply_credit")}
        intents["approved"] = await submit(client, "process_refund")
        intents["rejected"] = await submit(client, "process_refund")
        await approve(gateway, intents["approved"], yes=True)
        await approve(gateway, intents["rejected"], yes=False)
        for name, outcome in (("allowed", {"status": "completed"}), ("approved", {"status": "failed", "error": "x"})):
            answer = await client.post(f"/v1/intents/{intents[name]}/outcome", json=outcome)
            assert answer.status_code == 200, answer.text
        await arrived(one, 19)
        return [(made["secret"], got) for got in one.got], intents


async def broken(folder: Path) -> list[tuple[str, Got]]:
    """Return what arrived of a chain that was changed while no gateway ran, before what a start looks at again."""
    place = settings(folder)
    store = await open_store(store_options(place), SystemClock())

    async def append(number: int) -> None:
        await store.append(entry(number))

    async with anyio.create_task_group() as tasks:
        for number in range(TAIL_ENTRIES + 10):
            tasks.start_soon(append, number)
    await store.aclose()
    with closing(sqlite3.connect(folder / "data" / DATABASE)) as connection:
        connection.execute("UPDATE entries SET body = x'7b7d' WHERE tenant = ? AND seq = 2", (TENANT,))
        connection.commit()
    async with receiver() as one, opened(folder) as (_, client):
        made = (await client.post("/webhooks", json={"url": one.url})).json()
        assert (await client.get("/v1/audit/verify")).json()["data"]["valid"] is False
        await arrived(one, 1)
        return [(made["secret"], got) for got in one.got]


def entry(number: int) -> EntryDraft:
    body = b'{"number":%d}' % number
    return EntryDraft(
        tenant=TENANT, id=f"evt_{number}", type=EntryType.TOOL_PINNED, time="2026-11-22T12:00:00.000Z", body=body
    )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[str, Got]], dict[str, str]]:
    got, intents = anyio.run(told, tmp_path_factory.mktemp("told"))
    return [*got, *anyio.run(broken, tmp_path_factory.mktemp("broken"))], intents


def events(got: list[tuple[str, Got]]) -> list[dict[str, Any]]:
    return [json.loads(one.body) for _, one in got]


def example(row: Row) -> dict[str, Any]:
    return json.loads(row.text.removeprefix("json\n"))


def digest(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("row", rows_of("test_an_event_of_the_documents_arrives"), ids=lambda row: row.id)
def test_an_event_of_the_documents_arrives(row: Row, story: Any) -> None:
    """With the members of its document's example."""
    got, _ = story
    name = row.id.removeprefix("webhook-event/")
    found = [one for one in events(got) if one["event"] == name]
    assert found, name
    for one in found:
        if row.document == OPS:
            assert list(one) == ["id", "timestamp", "tenantId", "event", "data"]
            assert re.fullmatch(r"whk_[0-9A-HJKMNP-TV-Z]{26}", one["id"])
            assert one["tenantId"] == TENANT
        else:
            assert (next(iter(one)), list(one)[-1]) == ("event", "signature")


@pytest.mark.parametrize("row", rows_of("test_the_body_of_the_documents"), ids=lambda row: row.document)
def test_the_body_of_the_documents(row: Row, story: Any) -> None:
    """Every member of the example is there, of the same kind, and in its order."""
    wanted = example(row)
    [found] = [
        one
        for one in events(story[0])
        if one["event"] == wanted["event"] and story[1]["approved" if row.document == OPS else "allowed"] in str(one)
    ]
    if row.document == OPS:
        assert list(found) == list(wanted)
        assert wanted["data"].keys() <= found["data"].keys()
        assert found["data"]["status"] == "approved"
        assert found["data"]["approvedBy"].startswith("usr_")
        assert found["data"]["type"] == "billing.process_refund"
    else:
        assert list(found) == list(wanted)
        assert found["decision"] == "ALLOW"
        assert 0 <= found["riskScore"] <= 100
        assert found["signature"].startswith("sha256=")


def test_the_events_of_each_intent_come_in_order(story: Any) -> None:
    """The table of the contract, section 5, line by line."""
    got, intents = story
    seen = {
        name: [one["event"] for one in events(got) if one.get("intentId", one.get("data", {}).get("intentId")) == id_]
        for name, id_ in intents.items()
    }
    assert seen == {
        "allowed": ["intent.submitted", "decision.completed", "intent.completed"],
        "denied": ["intent.submitted", "decision.completed", "decision.denied"],
        "approved": [
            "intent.submitted",
            "decision.completed",
            "decision.escalated",
            "intent.approved",
            "decision.approved",
            "intent.failed",
        ],
        "rejected": [
            "intent.submitted",
            "decision.completed",
            "decision.escalated",
            "intent.rejected",
            "decision.denied",
        ],
    }


@pytest.mark.parametrize("document", [OPS, REF])
def test_every_delivery_verifies_as_the_document_says(document: str, story: Any) -> None:
    """By the guide's rule, which serialises the parsed body again, and by the reference's."""
    for secret, one in story[0]:
        again = stringify(json.loads(one.body)).encode()
        assert again == one.body
        if document == OPS:
            assert hmac.compare_digest(one.headers["x-intendedops-signature"], digest(secret, again))
        else:
            assert hmac.compare_digest(one.headers["x-meritt-signature"], f"sha256={digest(secret, one.body)}")


def test_a_change_of_tier_is_told_with_what_it_was(story: Any) -> None:
    """The contract, section 5: who was trusted with everything and asked for what is forbidden, is not any more."""
    got, _ = story
    [data] = [one["data"] for one in events(got) if one["event"] == "agent.trust.changed"]
    assert list(data) == ["agentId", "previousTier", "tier", "score"]
    assert data["agentId"].startswith("agt_")
    assert (data["previousTier"], data["tier"]) == ("T4", "T0")
    assert 0 <= data["score"] < 20
