"""Arguments that are repeated in headers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import find_invalid_x_mcp_header, validate_mcp_param_headers

from gateway.core.message import Rejection
from gateway.core.paramheaders import check_param_headers, header_marks, invalid_x_mcp_header

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry-Run"},
        "deep": {"type": "object", "properties": {"id": {"type": "string", "x-mcp-header": "Deep"}}},
        "free": {"type": "string"},
    },
}


def check(arguments: dict[str, Any], *sent: tuple[str, str], schema: Any = SCHEMA) -> Rejection | None:
    return check_param_headers(sent, header_marks(schema), arguments)


AGREEING: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "nothing": ({}, []),
    "a text": ({"region": "eu"}, [("mcp-param-region", "eu")]),
    "in other case": ({"region": "eu"}, [("Mcp-Param-REGION", "eu")]),
    "base64": ({"region": "é"}, [("mcp-param-region", "=?base64?w6k=?=")]),
    "an integer": ({"count": 42}, [("mcp-param-count", "42")]),
    "an integer with a point": ({"count": 42}, [("mcp-param-count", "42.0")]),
    "an integral float": ({"count": 42.0}, [("mcp-param-count", "42")]),
    "a negative integer": ({"count": -7}, [("mcp-param-count", "-7")]),
    "true": ({"dry": True}, [("mcp-param-dry-run", "true")]),
    "false": ({"dry": False}, [("mcp-param-dry-run", "false")]),
    "null": ({"region": None}, []),
    "nested": ({"deep": {"id": "1"}}, [("mcp-param-deep", "1")]),
    "nested in no object": ({"deep": "1"}, []),
    "a list, which has no form": ({"region": ["eu"]}, []),
    "not marked": ({"free": "x"}, [("mcp-param-other", "y")]),
    "a float that is no integer": ({"count": 1.5}, [("mcp-param-count", "1.5")]),
}

DIFFERING: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "missing": ({"region": "eu"}, []),
    "other": ({"region": "eu"}, [("mcp-param-region", "us")]),
    "in other case": ({"region": "eu"}, [("mcp-param-region", "EU")]),
    "without argument": ({}, [("mcp-param-region", "eu")]),
    "for null": ({"region": None}, [("mcp-param-region", "")]),
    "for a list": ({"region": ["eu"]}, [("mcp-param-region", "['eu']")]),
    "twice": ({"region": "eu"}, [("mcp-param-region", "eu"), ("Mcp-Param-Region", "eu")]),
    "broken base64": ({"region": "é"}, [("mcp-param-region", "=?base64?w6k?=")]),
    "another integer": ({"count": 42}, [("mcp-param-count", "43")]),
    "an exponent": ({"count": 100}, [("mcp-param-count", "1e2")]),
    "a fraction": ({"count": 42}, [("mcp-param-count", "42.5")]),
    "hundreds of digits": ({"count": 42}, [("mcp-param-count", "0" * 10_000 + "42")]),
    "True": ({"dry": True}, [("mcp-param-dry-run", "True")]),
    "1 for true": ({"dry": True}, [("mcp-param-dry-run", "1")]),
    "nested": ({"deep": {"id": "1"}}, [("mcp-param-deep", "2")]),
}


@pytest.mark.parametrize(("arguments", "sent"), AGREEING.values(), ids=AGREEING)
def test_headers_that_say_what_the_arguments_say_pass(arguments: dict[str, Any], sent: list[tuple[str, str]]) -> None:
    """The rules are those of the official SDK, so that its client passes."""
    assert check(arguments, *sent) is None
    assert validate_mcp_param_headers(SCHEMA, arguments, dict(sent)) is None


@pytest.mark.parametrize(("arguments", "sent"), DIFFERING.values(), ids=DIFFERING)
def test_headers_that_say_something_else_are_refused(arguments: dict[str, Any], sent: list[tuple[str, str]]) -> None:
    """Something in front of the upstream may route on a value that policy never saw."""
    answer = check(arguments, *sent)
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.code) == (400, -32020)
    assert "eu" not in answer.message


def marked(schema: Any, name: str = "p") -> Any:
    return {"type": "object", "properties": {name: schema}}


MARK = {"type": "string", "x-mcp-header": "A"}
INVALID: dict[str, Any] = {
    "at the root": MARK,
    "in items": marked({"type": "array", "items": MARK}),
    "in anyOf": marked({"anyOf": [MARK]}),
    "in $defs": {"$defs": {"a": MARK}},
    "in a conditional": {"if": marked(MARK)},
    "below additionalProperties": {"additionalProperties": marked(MARK)},
    "no text": marked(MARK | {"x-mcp-header": 5}),
    "empty": marked(MARK | {"x-mcp-header": ""}),
    "no token": marked(MARK | {"x-mcp-header": "a b"}),
    "a line end": marked(MARK | {"x-mcp-header": "a\r\nb: c"}),
    "a line end behind": marked(MARK | {"x-mcp-header": "a\n"}),
    "on a number": marked(MARK | {"type": "number"}),
    "on an object": marked(MARK | {"type": "object"}),
    "on several types": marked(MARK | {"type": ["string", "null"]}),
    "on no type": marked({"x-mcp-header": "A"}),
    "twice": {"properties": {"a": MARK, "b": MARK | {"x-mcp-header": "a"}}},
}


@pytest.mark.parametrize("schema", INVALID.values(), ids=INVALID)
def test_an_invalid_mark_is_named_and_no_header_passes_it(schema: Any) -> None:
    """The SDK's server skips the check then; a gate must not."""
    assert invalid_x_mcp_header({"inputSchema": schema}) != ""
    assert find_invalid_x_mcp_header(schema) is not None
    assert isinstance(check({}, schema=schema), Rejection)


@pytest.mark.parametrize(
    "schema",
    [SCHEMA, {}, None, True, [], marked(True), {"properties": []}, {"allOf": {}, "$defs": []}, {"default": MARK},
     marked({"enum": [MARK]}), {"properties": {"x-mcp-header": {"type": "string"}}}],
)  # fmt: skip
def test_a_schema_without_an_invalid_mark_is_fine(schema: Any) -> None:
    """Data is no schema, and odd schemas are judged elsewhere."""
    assert invalid_x_mcp_header({"inputSchema": schema}) == ""
    assert find_invalid_x_mcp_header(schema) is None
    assert invalid_x_mcp_header({}) == ""


VALUES = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=4) | st.just([])
SENT = st.text(alphabet="0123456789-.eE true", max_size=6) | st.integers().map(str) | st.floats(-1e3, 1e3).map(str)


@given(
    st.fixed_dictionaries({}, optional={"region": VALUES, "count": VALUES, "dry": VALUES}),
    st.dictionaries(st.sampled_from(["mcp-param-region", "mcp-param-count", "mcp-param-dry-run"]), SENT),
)
def test_the_check_agrees_with_the_official_sdk(arguments: dict[str, Any], sent: dict[str, str]) -> None:
    """Its client writes what its server checks; stricter here would lose calls, laxer would lose the point."""
    ours = check(arguments, *sent.items())
    assert (ours is None) == (validate_mcp_param_headers(SCHEMA, arguments, sent) is None)
