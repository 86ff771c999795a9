"""Builders for policy tests: bundles from plain data, inputs with everything but the matter at hand filled in."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.core.call import Call
from gateway.core.intent.model import EffectClass, Intent, RiskFactor
from gateway.core.policy.bundle import Bundle
from gateway.core.policy.compile import compile_bundle
from gateway.core.policy.model import PolicyInput
from gateway.core.policy.reading import LoadedDocument, Places, read_document
from gateway.core.principal import Principal, TrustTier

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def document(*rules: Mapping[str, Any], path: str = "p.yaml", **top: Any) -> LoadedDocument:
    data = {"apiVersion": "intended/v1", "policySet": "test", "rules": [dict(rule) for rule in rules], **top}
    return read_document(path, "0" * 64, data, Places())


def bundle(*rules: Mapping[str, Any], **top: Any) -> Bundle:
    return compile_bundle([document(*rules, **top)])


def rule(id: str = "r", effect: str = "allow", when: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "effect": effect, **({"when": when} if when is not None else {}), **more}


def given(
    arguments: Any = None,
    *,
    method: str = "tools/call",
    upstream: str = "default",
    name: str = "tool",
    uri: str = "",
    agent: str = "local",
    tier: TrustTier = TrustTier.T0,
    type: str = "files.read",
    effect: EffectClass = EffectClass.READ,
    confidence: float = 0.9,
    risk: int = 20,
    factors: tuple[str, ...] = (),
    now: datetime = NOON,
    **facts: Any,
) -> PolicyInput:
    return PolicyInput(
        call=Call(
            method=method,
            upstream=upstream,
            name=name,
            uri=uri,
            arguments={} if arguments is None else arguments,
            arguments_digest="",
        ),
        intent=Intent(
            type=type,
            domain=type.partition(".")[0],
            effect_class=effect,
            confidence=confidence,
            evidence=(),
            risk=risk,
            factors=tuple(RiskFactor(code=code, points=0, evidence="") for code in factors),
        ),
        principal=Principal(tenant="default", agent=agent, credential="key"),
        tier=tier,
        score=7,
        now=now,
        **facts,
    )
