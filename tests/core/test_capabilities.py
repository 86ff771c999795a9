"""Only capabilities that this gateway can gate pass, in either direction."""

import pytest

from gateway.core.capabilities import agent_capabilities, merge_capabilities, server_capabilities

UI = "io.modelcontextprotocol/ui"


def test_an_agents_known_capabilities_pass_untouched() -> None:
    """What is inside of a known capability is between agent and upstream."""
    declared = {"elicitation": {"url": {}}, "roots": {"listChanged": True}, "sampling": {}}
    assert agent_capabilities(declared) == declared


def test_what_the_gateway_cannot_gate_is_struck_out() -> None:
    """Passing it would make us answerable for methods behind it."""
    declared = {
        "tasks": {},
        "experimental": {"x": {}},
        "new": {},
        "extensions": {"com.acme/x": {}, "io.modelcontextprotocol/tasks": {}},
    }
    assert agent_capabilities(declared) == {}
    assert server_capabilities(declared) == {}


def test_an_extension_that_needs_no_gate_passes() -> None:
    """MCP Apps are resources and ordinary tool calls."""
    declared = {"extensions": {UI: {"a": 1}, "com.acme/x": {}}}
    assert agent_capabilities(declared) == {"extensions": {UI: {"a": 1}}}


def test_what_policy_would_never_allow_is_not_offered() -> None:
    """An upstream that is told "no sampling" does not ask and fail."""
    assert agent_capabilities({"sampling": {}, "roots": {}}, refused={"sampling"}) == {"roots": {}}


@pytest.mark.parametrize("declared", [None, [], "all"])
def test_what_is_no_object_declares_nothing(declared: object) -> None:
    """A malformed declaration offers nothing."""
    assert agent_capabilities(declared) == {}


def test_several_upstreams_offer_what_any_of_them_does() -> None:
    """The union: a call goes to the one that has it."""
    merged = merge_capabilities(
        [{"tools": {"listChanged": False}, "logging": {}}, {"tools": {"listChanged": True}, "prompts": None}]
    )
    assert merged == {"tools": {"listChanged": True}, "logging": {}, "prompts": {}}
