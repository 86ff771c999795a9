"""What lies beside an entry: enough to recompute the verdict, nothing secret in what may be shown."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import orjson
from hypothesis import given as forall
from hypothesis import strategies as st

from gateway.core.agents import Restriction
from gateway.core.approvals import Granted
from gateway.core.audit import body as body_module
from gateway.core.audit.body import (
    KEPT,
    completed_body,
    decided,
    decided_body,
    evaluation_input,
    shown_place,
    timestamp,
)
from gateway.core.call import Call, Told
from gateway.core.decide import decide
from gateway.core.decision import Effect, Reason, Stop
from gateway.core.facts import Grounds
from gateway.core.intent.classify import classify
from gateway.core.intent.model import IntentContext
from gateway.core.leases import Leased
from gateway.core.pinning import pin_tool
from gateway.core.principal import TrustTier
from gateway.core.remote import Remote, read_remote
from gateway.core.trust.model import VERSION
from tests.core.test_decide import ALLOW, facts

TOOL = pin_tool("u", {"name": "t", "inputSchema": {"type": "object"}})
CALL = Call(
    method="tools/call",
    upstream="u",
    name="t",
    uri="",
    arguments={"path": "/x", "password": "hunter2"},
    arguments_digest="",
    tool=TOOL,
)


def test_a_timestamp_is_utc_with_milliseconds() -> None:
    """RFC 3339 with `Z`, whatever zone the moment came in (contract, section 1)."""
    moment = datetime(2026, 11, 22, 13, 0, 0, 1999, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(moment) == "2026-11-22T12:00:00.001Z"
    assert timestamp(datetime(2026, 1, 2, tzinfo=UTC)) == "2026-01-02T00:00:00.000Z"


@forall(st.datetimes(timezones=st.just(UTC)))
def test_a_timestamp_is_cut_and_never_rounded_at_any_moment(moment: datetime) -> None:
    """Ours: the quick way writes what the standard library writes."""
    assert timestamp(moment) == f"{moment.isoformat(timespec='milliseconds')[:23]}Z"


def test_a_body_shows_the_decision_and_its_facts_but_no_secret() -> None:
    """An auditor reads it; so may others."""
    given = facts(ALLOW)
    intent = classify(CALL, IntentContext())
    body = decided_body(CALL, intent, decide(CALL, intent, given), given, show_arguments=True)
    shown = orjson.loads(body)
    assert b"hunter2" not in body
    assert shown["call"]["pin"] == TOOL.pin
    assert shown["call"]["arguments"]["path"] == "/x"
    assert shown["decision"]["rules"][0]["id"] == "yes"
    assert shown["facts"]["policyDigest"] == given.bundle.digest


def test_arguments_can_be_left_out_of_a_body() -> None:
    """The setting `audit.arguments: digest`."""
    given = facts(ALLOW)
    intent = classify(CALL, IntentContext())
    shown = orjson.loads(decided_body(CALL, intent, decide(CALL, intent, given), given, show_arguments=False))
    assert "arguments" not in shown["call"]


def test_the_evaluation_input_is_whole() -> None:
    """What is encrypted beside the entry is what was decided on."""
    whole = orjson.loads(evaluation_input(CALL, facts(ALLOW)))
    assert whole["call"]["arguments"] == CALL.arguments
    assert whole["facts"]["tier"] == 1


def test_the_answers_of_a_round_are_recorded_like_arguments() -> None:
    """They are sent like arguments; a body shows them without secrets, or not at all."""
    call = replace(CALL, answers={"q": {"content": {"password": "hunter2", "n": 1}}})
    given = facts(ALLOW)
    intent = classify(call, IntentContext())
    shown, hidden = (
        decided_body(call, intent, decide(call, intent, given), given, show_arguments=show) for show in (True, False)
    )
    assert orjson.loads(shown)["call"]["answers"]["q"]["content"]["n"] == 1
    assert b"hunter2" not in shown + hidden
    assert "answers" not in orjson.loads(hidden)["call"]
    assert orjson.loads(evaluation_input(call, given))["call"]["answers"] == call.answers


def test_a_call_without_tool_has_no_pin() -> None:
    """Resources and prompts are not pinned."""
    call = Call(method="resources/read", upstream="u", name="", uri="x://1", arguments={}, arguments_digest="")
    assert "pin" not in orjson.loads(evaluation_input(call, facts(ALLOW)))["call"]


def test_a_completed_body_is_its_details() -> None:
    """How the call ended, never what it returned."""
    assert orjson.loads(completed_body({"completion": "ok"})) == {"completion": "ok"}


def test_body_and_evaluation_input_are_each_one_value_encoded_in_one_piece() -> None:
    """Ours: what is kept encoded from call to call is byte for byte what encoding the whole would give."""
    given = facts(ALLOW)
    for _ in range(2):
        intent = classify(CALL, IntentContext())
        body, whole = decided(CALL, intent, decide(CALL, intent, given), given, show_arguments=True)
        assert body == decided_body(CALL, intent, decide(CALL, intent, given), given, show_arguments=True)
        assert whole == evaluation_input(CALL, given)
        assert body == orjson.dumps(orjson.loads(body))
        assert whole == orjson.dumps(orjson.loads(whole))
        assert [*orjson.loads(body)] == ["call", "decision", "intent", "facts"]


def test_another_decision_or_intent_is_never_written_as_one_that_is_kept() -> None:
    """Ours: kept by identity, with the value; and bounded, since some policies decide each call anew."""
    given = facts(ALLOW)
    intent = classify(CALL, IntentContext())
    decision = decide(CALL, intent, given)
    for number in range(KEPT + 10):
        body = decided_body(
            CALL, replace(intent, risk=number, type=f"t{number}"), replace(decision, rung=number), given,
            show_arguments=False,
        )  # fmt: skip
        shown = orjson.loads(body)
        assert (shown["intent"]["type"], shown["decision"]["rung"]) == (f"t{number}", number)
    assert len(body_module._DECISIONS) <= KEPT
    assert len(body_module._INTENTS) <= KEPT


SECRET = "ghp_" + "a1" * 20
INTENT = Call(
    method="intent",
    upstream="github",
    name=f"deploy with {SECRET}",
    uri="",
    arguments={"repo": "acme/shop"},
    arguments_digest="",
    told=Told(type="deployment.deploy", description=f"uses {SECRET}", justification="release"),
)


def test_what_a_program_says_of_its_intent_is_recorded_whole_and_shown_without_secrets() -> None:
    """The recomputation needs every word; an auditor must not read a key in one."""
    given = facts(ALLOW)
    intent = classify(INTENT, IntentContext())
    body, whole = decided(INTENT, intent, decide(INTENT, intent, given), given, show_arguments=True)
    assert SECRET.encode() not in body
    assert orjson.loads(body)["call"]["told"]["justification"] == "release"
    assert orjson.loads(whole)["call"]["told"] == {
        "type": "deployment.deploy",
        "action": "",
        "description": f"uses {SECRET}",
        "justification": "release",
    }
    bare = decided_body(INTENT, intent, decide(INTENT, intent, given), given, show_arguments=False)
    assert orjson.loads(bare)["call"]["told"] == {"type": "deployment.deploy"}


def test_the_place_of_a_call_is_the_upstreams_word_and_that_of_an_intent_is_looked_through() -> None:
    """An entry is kept for good."""
    assert shown_place(CALL) == ("u", "t")
    assert shown_place(INTENT)[0] == "github"
    assert SECRET not in shown_place(INTENT)[1]


def test_a_declaration_and_a_yes_are_facts_on_record() -> None:
    """A decision that rests on them can be made again."""
    given = replace(
        facts(ALLOW),
        restriction=Restriction(domains=frozenset({"files", "code"})),
        approval=Granted(id="apr_1", rules=frozenset({("ask", "d")})),
        lease=Leased(id="lse_1", rules=frozenset({("ask", "d")}), risk=7, factors=frozenset({"payment"}), tier=2),
        stop=Stop(reason=Reason.SWITCHED_OFF, explanation="stopped"),
        grounds=Grounds(up_to=7, start=TrustTier.T0, ceiling=TrustTier.T2),
        failures_in_row=3,
    )
    told = orjson.loads(evaluation_input(CALL, given))["facts"]
    assert told["failuresInRow"] == 3
    assert told["restriction"] == {"domains": ["code", "files"], "intentTypes": []}
    assert told["approval"] == {"id": "apr_1", "rules": [["ask", "d"]]}
    assert told["lease"] == {"id": "lse_1", "rules": [["ask", "d"]], "risk": 7, "factors": ["payment"], "tier": 2}
    assert told["stop"] == {"reason": "switched-off", "explanation": "stopped"}
    assert told["trust"] == {"upTo": 7, "start": "T0", "ceiling": "T2", "model": VERSION}


def test_a_decision_names_its_trace_where_there_is_one() -> None:
    """Most gateways make none, and their entries are as they were."""
    given = facts(ALLOW)
    intent = classify(CALL, IntentContext())
    decision = decide(CALL, intent, given)
    traced, _ = decided(CALL, intent, decision, given, show_arguments=False, trace="4bf9")
    plain, _ = decided(CALL, intent, decision, given, show_arguments=False)
    assert orjson.loads(traced) == orjson.loads(plain) | {"trace": "4bf9"}


def test_what_a_remote_authority_said_is_part_of_what_was_rested_on() -> None:
    """A verdict is recomputed from it; the token itself is nowhere."""
    remote = Remote(effect=Effect.ALLOW, reason=Reason.AUTHORITY_ALLOW, explanation="fine", token_id="tok_1")
    given = replace(facts(ALLOW), remote=remote)
    told = orjson.loads(evaluation_input(CALL, given))["facts"]["remote"]
    assert read_remote(told) == remote
    assert "remote" not in orjson.loads(evaluation_input(CALL, facts(ALLOW)))["facts"]
