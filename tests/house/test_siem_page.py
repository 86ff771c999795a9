"""docs/siem.md names every field that an event has, and none that it has not."""

import re
from typing import Any

from gateway.core.audit.entry import EntryType
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.submission import Outcome
from gateway.core.worth import amounts_of
from gateway.errors import UpstreamBroken
from gateway.services.traces import TRACE_ID
from tests.core.test_ocsf import ESCALATE, events, made
from tests.house.documents import ROOT
from tests.services.submitting import DEPLOY, HUMAN, KEY

WHOLE = frozenset({"api.request.data", "unmapped.value"})
"""What is one field however much is in it."""


def fields(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict) and path not in WHOLE:
        return set().union(*(fields(inner, f"{path}.{name}".lstrip(".")) for name, inner in value.items()))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return fields(value[0], f"{path}[]")
    return {path}


async def test_the_table_of_fields_is_that_of_the_events() -> None:
    """Somebody writes rules by it."""
    allowed = made(amounts=amounts_of(TAXONOMY, "USD", dict.fromkeys(TAXONOMY.by_id, 1)))  # type: ignore[arg-type]
    token = TRACE_ID.set("4bf92f3577b34da6a3ce929d0e0e4736")
    await allowed.call("read_file", {"path": "/x"})
    TRACE_ID.reset(token)
    await allowed.modern("resources/read", {"uri": "notes://1"})
    allowed.upstream().fail(UpstreamBroken("it hung up", may_have_run=True), "read_file")
    await allowed.call("read_file", {})
    await allowed.intents.outcome(KEY, (await allowed.intents.submit(KEY, DEPLOY)).record.id, Outcome.COMPLETED)
    held = made(ESCALATE)
    await held.call("read_file", {})
    await held.approvals.resolve(HUMAN, approval_id=held.bodies(EntryType.CALL_DECIDED)[0]["approvalId"], approve=True)
    told = [*await events(allowed), *await events(held)]
    found = set().union(*map(fields, told))
    rows = [line for line in (ROOT / "docs/siem.md").read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows if "--format" not in row for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert named - {"chain", "jsonl", "ocsf"} == found
