"""The guide's Express receiver, run by Node as written, against deliveries as the gateway sends them.

Express itself is not installed here: `app` and its JSON body parser are a few lines that do what Express does with
them, which is to parse the body and to hand over the object.
"""

import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.core.events import EVENTS, Event, body_of, compact
from gateway.core.webhooks import Delivery, make_secret
from gateway.webhooks.sign import signed
from tests.clients.conftest import CALL_SECONDS, Environments
from tests.documents import live
from tests.documents.rows import Row, rows_of

pytestmark = pytest.mark.clients

SECRET = make_secret("x")
DATA = {
    "intentId": "int_1",
    "type": "billing.send_invoice",
    "note": 'ü "\\\u2028\u0007\x7f',
    "n": 1e21,
    "s": 1e-7,
    "i": 5.0,
}

BEFORE = """
import { readFileSync } from 'node:fs';
const routes: any = {};
const app = { post: (path: string, handle: any) => { routes[path] = handle; } };
"""
"""What the snippet takes for granted."""

AFTER = """
for (const { headers, body } of JSON.parse(readFileSync('deliveries.json', 'utf8'))) {
  let status = 0;
  const res: any = { status: (code: number) => { status = code; return res; }, send: () => {} };
  routes['/webhooks/intendedops']({ headers, body: JSON.parse(body) }, res);
  console.log(`status ${status}`);
}
"""


def delivery(name: str) -> Delivery:
    event = Event(tenant="acme", name=name, time="2026-03-22T14:30:00.000Z", lane="x", data=DATA)
    fields = dict.fromkeys(("tenant", "endpoint", "lane", "intent_id", "created", "due"), "x")
    return Delivery(**fields, id="whk_1", event=name, body=body_of(event, "whk_1"))


def run(environments: Environments, folder: Path, code: str, **variables: str) -> list[str]:
    (folder / "snippet.mts").write_text(code, encoding="utf-8")
    ran = subprocess.run(
        [environments.node, "--no-warnings", "--experimental-transform-types", "snippet.mts"],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=CALL_SECONDS,
        env=live.environment(**variables),
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split("\n")[:-1]


def sent(name: str, changed: bytes | None = None) -> Mapping[str, object]:
    headers, body = signed(delivery(name), [SECRET], at=datetime(2026, 11, 22, tzinfo=UTC))
    return {"headers": headers, "body": (changed or body).decode()}


@pytest.mark.parametrize("row", rows_of("test_the_guides_receiver_runs_as_written"), ids=lambda row: row.id)
def test_the_guides_receiver_runs_as_written(row: Row, environments: Environments, tmp_path: Path) -> None:
    """It takes every event of both families, and refuses a body that was changed by one character."""
    deliveries = [*map(sent, EVENTS), sent("intent.approved", b'{"id":"whk_1","event":"intent.rejected"}')]
    (tmp_path / "deliveries.json").write_text(json.dumps(deliveries), encoding="utf-8")
    printed = run(environments, tmp_path, BEFORE + row.text + AFTER, WEBHOOK_SECRET=SECRET)
    statuses = [line for line in printed if line.startswith("status ")]
    assert statuses == ["status 200"] * len(EVENTS) + ["status 401"]


def test_node_writes_the_same_bytes(environments: Environments, tmp_path: Path) -> None:
    """`JSON.stringify(JSON.parse(body))`, for values on which writers of JSON disagree."""
    numbers = [0.1, -0.0, 1e21, 1e20, 123456789012345680000, 5e-324, 1.7976931348623157e308, 1e-6, 1e-7, 2**53 + 2, 4.5]
    texts = ["\u0000\u001f\u007f\u0080\u2028\u2029\ufeff\ufffd", '"\\/', "\U0001f600", "\b\t\n\f\r"]
    values = [*numbers, *texts, {"m": {"n": [None, True, {}]}}]
    bodies = [compact(value).decode() for value in values]
    (tmp_path / "bodies.json").write_text(json.dumps(bodies), encoding="utf-8")
    code = """
import { readFileSync } from 'node:fs';
for (const body of JSON.parse(readFileSync('bodies.json', 'utf8'))) {
  console.log(JSON.stringify(JSON.stringify(JSON.parse(body))));
}
"""
    printed = run(environments, tmp_path, code)
    assert [json.loads(line) for line in printed] == bodies
