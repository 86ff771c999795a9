"""Every event is a valid one of OCSF's class 6003, by its own schema, and says what the entry says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.core.audit.entry import EntryType
from gateway.core.decision import Thresholds
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.ocsf import ocsf_event
from gateway.core.worth import amounts_of
from gateway.errors import UpstreamBroken
from gateway.services.audit_query import shown
from gateway.services.traces import TRACE_ID
from tests.services.submitting import DEPLOY, HUMAN, KEY
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, World, tool

SCHEMA = json.loads((Path(__file__).parents[1] / "fixtures/ocsf_api_activity.json").read_text())
ONLY_ROOTS = """
apiVersion: intended/v1
policySet: test
rules:
  - {id: roots, effect: allow, match: {methods: [roots/list]}, reason: fine}
"""
CONTROL = frozenset({"action_id", "disposition_id", "policy", "risk_score", "is_alert", "confidence_score"})
ESCALATE = ALLOW_ALL.replace("effect: allow", "effect: escalate")
DENY = ALLOW_ALL.replace("effect: allow", "effect: deny")


def made(policy: str = ALLOW_ALL, **more: Any) -> World:
    return World(upstreams=[FakeUpstream(tools=[tool("read_file"), tool("delete_file")])], policy=policy, **more)


async def events(world: World) -> list[dict[str, Any]]:
    """Return all events, each held against the schema."""
    found = []
    async for entry in world.store.read("default"):
        event = ocsf_event(shown(entry), product_version="1.2.3")
        if event is not None:
            jsonschema.Draft202012Validator(SCHEMA).validate(event)
            found.append(json.loads(json.dumps(event)))
    return found


async def test_an_allowed_call_is_told_with_its_decision_and_its_outcome() -> None:
    """Two events of one correlation: what was decided, and what became of it."""
    world = made()
    token = TRACE_ID.set("4bf92f3577b34da6a3ce929d0e0e4736")
    await world.call("read_file", {"path": "/x", "password": "hunter22"})
    TRACE_ID.reset(token)
    decided, completed = await events(world)
    entry = shown([one async for one in world.store.read("default")][-2])
    assert (decided["class_uid"], decided["type_uid"], decided["activity_name"]) == (6003, 600302, "Read")
    assert (decided["action"], decided["disposition"], decided["is_alert"]) == ("Allowed", "Allowed", False)
    assert decided["time"] == 1795348800000
    assert decided["metadata"] == {
        "version": "1.8.0",
        "profiles": ["security_control", "trace"],
        "product": {"name": "Intended MCP gateway", "vendor_name": "Intended", "version": "1.2.3"},
        "uid": entry["id"],
        "event_code": "call.decided",
        "tenant_uid": "default",
        "sequence": entry["seq"],
        "correlation_uid": entry["intentId"],
        "original_time": entry["time"],
    }
    assert decided["trace"] == {"uid": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert decided["actor"]["app_uid"] == "local"
    assert decided["api"] == {
        "operation": "read_file",
        "service": {"name": "default"},
        "group": {"uid": "files.read", "name": "files"},
        "request": {
            "uid": entry["intentId"],
            "flags": ["tools/call"],
            "data": {"path": "/x", "password": "[removed]"},
        },
    }
    assert decided["policy"]["uid"] == "allow-all"
    assert decided["unmapped"]["attestation_list"][0]["fingerprint"]["value"] == entry["hash"]
    assert decided["unmapped"]["trust_tier"] == "T4"
    assert (completed["status_id"], completed["status"], completed["status_code"]) == (1, "Success", "ok")
    assert completed["metadata"]["correlation_uid"] == entry["intentId"]
    assert completed["metadata"]["profiles"] == []
    assert completed["unmapped"]["may_have_run"] is True
    assert not CONTROL & completed.keys()


async def test_a_refused_call_is_a_denied_activity_and_an_alert() -> None:
    """What a SIEM rule looks for."""
    world = made(DENY)
    await world.call("delete_file", {"path": "/x"})
    (event,) = await events(world)
    assert (event["action_id"], event["disposition"], event["is_alert"]) == (2, "Blocked", True)
    assert (event["status"], event["status_code"], event["activity_name"]) == ("Failure", "policy-deny", "Delete")
    assert event["message"] == "DENY delete_file: policy-deny"
    assert "trace" not in event


async def test_a_call_that_waits_for_a_human_and_what_was_said_to_it() -> None:
    """Delayed, then approved; or delayed, then rejected."""
    world = made(ESCALATE)
    await world.call("read_file", {"path": "/x"})
    (approval,) = [body["approvalId"] for body in world.bodies(EntryType.CALL_DECIDED)]
    await world.approvals.resolve(HUMAN, approval_id=approval, approve=True)
    await world.call("read_file", {"path": "/x"})
    await world.call("delete_file", {"path": "/x"})
    refused = world.bodies(EntryType.CALL_DECIDED)[-1]["approvalId"]
    await world.approvals.resolve(HUMAN, approval_id=refused, approve=False)
    await world.call("delete_file", {"path": "/x"})
    waits, runs, done, waits_too, refused_event = await events(world)
    assert (waits["action_id"], waits["action"], waits["disposition"]) == (99, "Escalated", "Delayed")
    assert (waits["status_id"], waits["status"]) == (99, "Waiting for a human")
    assert waits["unmapped"]["approval_id"] == runs["unmapped"]["approval_id"] == approval
    assert (runs["action"], runs["disposition_id"], runs["disposition"]) == ("Allowed", 8, "Approved")
    assert done["status"] == "Success"
    assert waits_too["disposition"] == "Delayed"
    assert (refused_event["action"], refused_event["disposition"]) == ("Denied", "Rejected")


async def test_a_call_that_failed_is_a_failure_with_its_kind() -> None:
    """`upstream-failed` and its words, which the upstream's adapter wrote."""
    world = made()
    await world.call("read_file", {})
    world.upstream().fail(UpstreamBroken("it hung up", may_have_run=True), "read_file")
    await world.call("read_file", {})
    event = (await events(world))[-1]
    assert (event["status_id"], event["status_code"], event["status_detail"]) == (2, "upstream-failed", "it hung up")
    assert event["api"]["response"] == {"error": "upstream-failed"}


@pytest.mark.parametrize("completion", ["in-doubt", "cancelled", "switched-off", "fault"])
async def test_an_end_that_nobody_knows_is_unknown(completion: str) -> None:
    """Neither a success nor a failure: it may have run, unless its entry says that it did not."""
    world = made()
    await world.call("read_file", {})
    entry = shown([one async for one in world.store.read("default")][-1]) | {"reasons": [completion]}
    unsent = entry | {"body": entry["body"] | {"mayHaveRun": False}}
    events = [ocsf_event(one, product_version="1") for one in (entry, unsent)]
    assert [event and (event["status_id"], event["status"]) for event in events] == [(0, "Unknown"), (2, "Failure")]


async def test_a_use_of_a_lease_is_told_as_approved() -> None:
    """A lease is a human's yes, too."""
    world = made()
    await world.call("read_file", {})
    first, *_ = [one async for one in world.store.read("default")]
    entry = shown(first)
    entry["body"]["decision"]["reason"] = "leased"
    event = ocsf_event(entry, product_version="1")
    assert event is not None
    assert (event["action"], event["disposition_id"], event["disposition"]) == ("Allowed", 8, "Approved")


async def test_an_intent_by_rest_is_an_activity_of_its_system_and_its_value_is_told() -> None:
    """Both fronts, one stream."""
    worth = amounts_of(TAXONOMY, "EUR", dict.fromkeys(TAXONOMY.by_id, 5))  # type: ignore[arg-type]
    world = made(amounts=worth)
    record = (await world.intents.submit(KEY, DEPLOY)).record
    from gateway.core.submission import Outcome

    await world.intents.outcome(KEY, record.id, Outcome.COMPLETED)
    decided, completed = await events(world)
    assert decided["api"]["operation"] == "deploy application to production"
    assert decided["resources"] == [{"name": "deploy application to production", "type": "action"}]
    assert decided["dst_endpoint"] == {"svc_name": "github"}
    assert (decided["activity_id"], decided["activity_name"]) == (99, "Execute")
    assert completed["unmapped"]["value"]["cents"] == 500


async def test_resources_and_prompts_are_told_as_what_they_are() -> None:
    """A URI is the resource's own id; a tool is told with the definition that stood behind its name."""
    world = made()
    await world.modern("resources/read", {"uri": "notes://1"})
    await world.modern("prompts/get", {"name": "greet"})
    await world.call("read_file", {})
    first, _, second, _, third, _ = await events(world)
    assert first["resources"] == [{"uid": "notes://1", "type": "MCP resource"}]
    assert second["resources"] == [{"name": "greet", "type": "prompts/get"}]
    assert third["resources"][0]["type"] == "MCP tool"
    assert len(third["resources"][0]["version"]) == 64


async def test_without_arguments_rule_and_system_there_is_an_event_too() -> None:
    """`audit.arguments: digest`, and an intent that names no system and no rule matches."""
    world = made(ONLY_ROOTS, show_arguments=False)
    await world.intents.submit(KEY, replace(DEPLOY, system=""))
    (event,) = await events(world)
    assert event["status_code"] == "no-rule"
    assert "data" not in event["api"]["request"]
    assert "uid" not in event["policy"]
    assert "dst_endpoint" not in event


@pytest.mark.parametrize(
    ("risk", "severity", "level"),
    [
        (0, "Informational", "Info"),
        (29, "Informational", "Info"),
        (30, "Low", "Low"),
        (60, "Medium", "Medium"),
        (75, "High", "High"),
        (90, "Critical", "Critical"),
        (100, "Critical", "Critical"),
        (101, "Critical", "Critical"),
    ],
)
async def test_severity_follows_the_risk(risk: int, severity: str, level: str) -> None:
    """The steps are those at which a tier wants a human, or says no."""
    world = made(thresholds=Thresholds(allow_below=101, deny_from=101))
    await world.call("read_file", {})
    entry = shown([one async for one in world.store.read("default")][-2]) | {"risk": risk}
    event = ocsf_event(entry, product_version="1")
    assert event is not None
    assert (event["severity"], event["risk_level"], event["risk_score"]) == (severity, level, risk)


def test_what_is_neither_a_decision_nor_an_outcome_is_no_activity() -> None:
    """Keys, users and policies have classes of their own; they are in the other formats."""
    assert ocsf_event({"type": EntryType.KEY_CREATED.value}, product_version="1") is None
