"""Builders for intent tests: calls on tools made from plain data."""

from typing import Any

from gateway.core.call import Call, PinnedTool, Review
from gateway.core.intent.classify import classify
from gateway.core.intent.model import Intent, IntentContext, Mapping

PIN = "a" * 64


def definition(name: str, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object", "properties": properties or {}}, **more}


def tool_call(
    name: str,
    arguments: dict[str, Any] | None = None,
    *,
    upstream: str = "srv",
    review: Review = Review.UNREVIEWED,
    properties: dict[str, Any] | None = None,
    pin: str = PIN,
    **more: Any,
) -> Call:
    tool = PinnedTool(
        upstream=upstream, name=name, pin=pin, definition=definition(name, properties, **more), review=review
    )
    return Call(
        method="tools/call",
        upstream=upstream,
        name=name,
        uri="",
        arguments=arguments or {},
        arguments_digest="",
        tool=tool,
    )


def judge(
    name: str,
    arguments: dict[str, Any] | None = None,
    *,
    mappings: tuple[Mapping, ...] = (),
    novel: bool = True,
    inside: tuple[str, ...] = (),
    **more: Any,
) -> Intent:
    context = IntentContext(mappings=mappings, novel=novel, inside_domains=inside)
    return classify(tool_call(name, arguments, **more), context)


def codes(intent: Intent) -> frozenset[str]:
    return frozenset(each.code for each in intent.factors)
