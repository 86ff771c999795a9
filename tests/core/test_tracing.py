"""Trace context is read and written as W3C says, and what cannot be read passes; spans tell no argument or result."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tracing import (
    MAX_STATE_CHARS,
    MAX_TARGET_CHARS,
    TraceContext,
    carried,
    context_of,
    decision_attributes,
    error_of,
    held_of,
    read_context,
    request_attributes,
    span_name,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
OURS = TraceContext(trace_id=TRACE, span_id="1" * 16, flags=1, state="rojo=1")


def test_a_context_is_read_with_what_vendors_added() -> None:
    """SEP-414: unprefixed members of `_meta`."""
    read = context_of({"_meta": {"traceparent": PARENT, "tracestate": "rojo=1,congo=2"}})
    assert read == TraceContext(trace_id=TRACE, span_id=SPAN, flags=1, state="rojo=1,congo=2")
    assert read.traceparent == PARENT


@pytest.mark.parametrize(
    "parent",
    [
        None,
        5,
        "",
        "nonsense",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"{PARENT}-more",
        f"{PARENT}\n",
        f" {PARENT}",
    ],
)
def test_what_is_no_context_is_none_and_passes_as_it_is(parent: object) -> None:
    """W3C 3.2.2.3 to 3.2.2.5; our span then begins a trace, and the agent's `_meta` is nobody's to mend."""
    assert read_context(parent) is None
    params = {"_meta": {"traceparent": parent, "tracestate": "a=1"}}
    assert context_of(params) is None
    assert carried(params, OURS) is params


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """W3C, 2.2.1.2: it may have more behind its flags."""
    assert read_context(f"01-{TRACE}-{SPAN}-03-what") == TraceContext(trace_id=TRACE, span_id=SPAN, flags=3)


@pytest.mark.parametrize(
    "state",
    [
        *(None, 7, "x=" + "y" * (MAX_STATE_CHARS - 1)),
        *("no member", "a=1,a=2", "A=1", "a=1=2", "a=1\n", "a=\x1b[2J", "a=1\u2028b", "a=\u00e9", "a=", "@b=1"),
        ",".join(f"a{number}=1" for number in range(33)),
    ],
)
def test_a_state_that_is_none_or_too_long_is_left_behind(state: object) -> None:
    """It is a stranger's text that everybody behind us would carry."""
    assert read_context(PARENT, state) == TraceContext(trace_id=TRACE, span_id=SPAN, flags=1)


@pytest.mark.parametrize(
    ("meta", "written"),
    [
        (None, {"traceparent": OURS.traceparent, "tracestate": "rojo=1"}),
        ({}, {"traceparent": OURS.traceparent, "tracestate": "rojo=1"}),
        (
            {"traceparent": PARENT, "tracestate": "old=1", "baggage": "user=1", "progressToken": 7},
            {"traceparent": OURS.traceparent, "tracestate": "rojo=1", "baggage": "user=1", "progressToken": 7},
        ),
    ],
)
def test_our_context_is_written_beside_whatever_else_is_there(meta: object, written: object) -> None:
    """Baggage and what others put into `_meta` pass; the recorded value is not touched."""
    params = {"name": "x"} if meta is None else {"name": "x", "_meta": meta}
    before = orjson.dumps(params)
    assert carried(params, OURS) == {"name": "x", "_meta": written}
    assert orjson.dumps(params) == before


def test_without_a_state_of_ours_the_agent_s_does_not_stay() -> None:
    """It would belong to another parent."""
    context = TraceContext(trace_id=TRACE, span_id=SPAN, flags=0)
    assert carried({"_meta": {"traceparent": PARENT, "tracestate": "a=1"}}, context) == {
        "_meta": {"traceparent": f"00-{TRACE}-{SPAN}-00"}
    }


def test_a_meta_that_is_no_object_passes() -> None:
    """Refusing it is the wire's business."""
    assert carried({"_meta": 5}, OURS) == {"_meta": 5}
    assert context_of({"_meta": 5}) is None


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255))
def test_what_is_written_is_read_again(trace: int, span: int, flags: int) -> None:
    """Our own parent names are everybody's."""
    context = TraceContext(trace_id=f"{trace:032x}", span_id=f"{span:016x}", flags=flags)
    assert read_context(context.traceparent) == context


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading(text: str) -> None:
    """It comes from agents."""
    found = read_context(text)
    assert found is None or len(found.trace_id) == 32


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "echo"}, "tools/call echo"),
        ("prompts/get", {"name": "greet"}, "prompts/get greet"),
        ("tools/list", {"name": "echo"}, "tools/list"),
        ("tools/call", {"name": 5}, "tools/call"),
        ("resources/read", {"uri": "notes://1"}, "resources/read"),
        ("tools/call", {"name": "x" * 5000}, "tools/call " + "x" * MAX_TARGET_CHARS),
    ],
)
def test_a_span_is_named_by_method_and_target(method: str, params: dict, name: str) -> None:
    """The MCP conventions: no URI, which is another one each time; and no name is longer than a name may be."""
    assert span_name(method, params) == name


def test_a_tool_call_is_told_without_its_arguments() -> None:
    """They are opt-in; what is told then is redacted."""
    params = {"name": "pay", "arguments": {"to": "ACME", "password": "hunter22"}}
    told = request_attributes("tools/call", params, version="2026-07-28", arguments=False)
    assert told == {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": "2026-07-28",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "pay",
    }
    whole = request_attributes("tools/call", params, version="", arguments=True)
    assert orjson.loads(whole["gen_ai.tool.call.arguments"]) == {"to": "ACME", "password": "[removed]"}
    none = request_attributes("tools/call", {"name": "pay"}, version="", arguments=True)
    assert "gen_ai.tool.call.arguments" not in none


def test_prompts_and_resources_are_told_by_name_and_uri() -> None:
    """A key in a URI is removed."""
    assert request_attributes("prompts/get", {"name": "greet"}, version="", arguments=True) == {
        "mcp.method.name": "prompts/get",
        "gen_ai.prompt.name": "greet",
    }
    told = request_attributes(
        "resources/read", {"uri": "https://x.example/?api_key=sk-abcdefghijklmnop1234"}, version="", arguments=True
    )
    assert "sk-abcdef" not in str(told["mcp.resource.uri"])
    assert "gen_ai.operation.name" not in told


def test_a_decision_is_told_by_what_there_is_of_it() -> None:
    """An empty attribute would be a claim."""
    told = decision_attributes(
        effect="DENY", decision_id="int_1", reason="policy-deny", rule="", tier="T0", approval_id=""
    )
    assert told == {
        "intended.decision": "DENY",
        "intended.decision.id": "int_1",
        "intended.decision.reason": "policy-deny",
        "intended.tier": "T0",
    }


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"result": {"content": []}}, {}),
        ({"result": {"isError": False}}, {}),
        ({"result": {"isError": True}}, {"error.type": "tool_error"}),
        (
            {"error": {"code": -32602, "message": "no such thing as hunter22"}},
            {"error.type": "-32602", "rpc.response.status_code": "-32602"},
        ),
        ({}, {}),
    ],
)
def test_a_failure_is_told_by_its_kind_and_never_in_its_words(message: dict, told: dict) -> None:
    """An upstream's text may quote an argument."""
    assert error_of(message) == told


def test_a_call_that_comes_back_and_still_waits_is_told_by_its_approval() -> None:
    """Nothing is decided for it, so that nothing else says so."""
    record = {"outcome": "pending", "id": "int_1", "reason": "policy-escalate", "rule": "r", "approval": "apr_1"}
    assert held_of({"result": {"_meta": {"so.intended/decision": record}}}) == {
        "intended.decision": "ESCALATE",
        "intended.decision.id": "int_1",
        "intended.decision.reason": "policy-escalate",
        "intended.policy.id": "r",
        "intended.approval.id": "apr_1",
    }


@pytest.mark.parametrize(
    "message",
    [
        {"error": {"code": 1}},
        {"result": {}},
        {"result": {"_meta": 5}},
        {"result": {"_meta": {"so.intended/decision": 5}}},
        {"result": {"_meta": {"so.intended/decision": {"outcome": "deny"}}}},
    ],
)
def test_any_other_answer_waits_for_nobody(message: dict) -> None:
    """A refusal is told by its decision."""
    assert held_of(message) == {}
