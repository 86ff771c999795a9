"""Capabilities on their way through: what this gateway can gate passes, everything else is struck out.

A capability that is passed makes the gateway answerable for the methods behind it, so an unknown one is dropped in
both directions (research/protocol.md 1.6). Values inside a known capability pass untouched.
"""

from collections.abc import Iterable, Sequence

from gateway.core.jsonvalue import JsonObject, JsonValue

__all__ = ["agent_capabilities", "merge_capabilities", "server_capabilities"]

EXTENSIONS = frozenset({"io.modelcontextprotocol/ui"})
"""Extensions that need nothing of a gateway but to be passed: MCP Apps are resources and ordinary tool calls."""

OF_AGENTS = frozenset({"roots", "sampling", "elicitation"})
OF_SERVERS = frozenset({"tools", "prompts", "resources", "completions", "logging"})


def agent_capabilities(declared: JsonValue, *, refused: Iterable[str] = ()) -> JsonObject:
    """Return what an upstream is told that the agent can do: agent ∩ gateway ∩ policy.

    `refused` are the capabilities behind whose requests policy would always say no.
    """
    return _known(declared, OF_AGENTS - frozenset(refused))


def server_capabilities(declared: JsonValue) -> JsonObject:
    """Return what an agent is told that an upstream can do: upstream ∩ gateway."""
    return _known(declared, OF_SERVERS)


def merge_capabilities(several: Sequence[JsonObject]) -> JsonObject:
    """Return the union for a path that serves several upstreams; of a capability's flags one yes is a yes."""
    merged: JsonObject = {}
    for capabilities in several:
        for name, value in capabilities.items():
            known = merged.setdefault(name, {})
            if isinstance(value, dict):
                merged[name] = known | {flag: known.get(flag) or setting for flag, setting in value.items()}
    return merged


def _known(declared: JsonValue, names: frozenset[str]) -> JsonObject:
    if not isinstance(declared, dict) or not declared:
        return {}
    known = {name: value for name, value in declared.items() if name in names}
    extensions = declared.get("extensions")
    if isinstance(extensions, dict):
        kept = {name: value for name, value in extensions.items() if name in EXTENSIONS}
        if kept:
            known["extensions"] = kept
    return known
