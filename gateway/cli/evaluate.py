"""`intended eval`: decide one call from the command line and explain the answer. Nothing is recorded or called."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.exits import Exit
from gateway.cli.output import Format, FormatOption, data, visible

if TYPE_CHECKING:
    from gateway.core.policy.bundle import Bundle
    from gateway.services.explain import Explanation

__all__ = ["evaluate", "explanation"]

MAX_INPUT_BYTES = 4 * 1024 * 1024
"""What a gateway takes as one message by default."""


def evaluate(
    tool: Annotated[
        str,
        typer.Argument(metavar="TOOL", help="The tool by its upstream's own name (or the prompt, or the action)."),
    ] = "",
    arguments: Annotated[
        str, typer.Argument(metavar="ARGUMENTS", help="The arguments as JSON; `-` reads them from standard input.")
    ] = "{}",
    upstream: Annotated[
        str | None, typer.Option(help="Id of the upstream [default: default], or the system of an intent.")
    ] = None,
    agent: Annotated[str, typer.Option(help="Who asks.")] = "local",
    tier: Annotated[options.TierName | None, typer.Option(help="Trust tier [default: as configured].")] = None,
    method: Annotated[str, typer.Option(help="The MCP method, or `intent` for a REST one.")] = "tools/call",
    uri: Annotated[str, typer.Option(help="The resource, for resources/read.")] = "",
    definition: Annotated[Path | None, typer.Option(help="The tool as its upstream lists it (JSON file).")] = None,
    budget: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SPENT", help="What a budget has spent already [default: nothing].")
    ] = None,
    used_before: Annotated[bool, typer.Option("--used-before", help="The agent was allowed this before.")] = False,
    failures: Annotated[int, typer.Option(min=0, help="The agent's failures in a row.")] = 0,
    policies: options.Policies = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Decide one call and explain it: exit 0, 10 or 11."""
    from gateway.cli.judging import bundle_of, judge_once, principal, tier_of
    from gateway.core.call import INTENT_METHOD
    from gateway.core.decision import Effect
    from gateway.services.explain import Question

    checked = _method(method, tool, uri)
    spent = [_spent(text) for text in budget or ()]
    settings = options.settle(options.Flags(policies=policies or ()), config).settings
    bundle = bundle_of(settings)
    budgets, counts = _given(bundle, spent)
    question = Question(
        principal=principal(agent),
        tier=tier_of(agent, settings, _tier(tier)),
        method=checked,
        upstream=upstream if upstream is not None else "" if checked == INTENT_METHOD else "default",
        name=tool,
        uri=uri,
        arguments=_arguments(arguments),
        definition=_definition(definition, tool),
        novel=not used_before,
        budgets=budgets,
        counts=counts,
        failures_in_row=failures,
    )
    judged = judge_once(question, settings, bundle)
    explained = explanation(judged)
    if output is Format.TABLE:
        for line in _lines(explained):
            print(visible(line))
    else:
        data(explained, output)
    exits = {Effect.ALLOW: Exit.OK, Effect.DENY: Exit.DENY, Effect.ESCALATE: Exit.ESCALATE}
    raise typer.Exit(exits[judged.decision.effect])


def explanation(judged: "Explanation") -> dict[str, Any]:
    """Return the judgement as plain data, the arguments left out."""
    from gateway.core.budgets import MILLIONTHS

    decision, intent, facts = judged.decision, judged.intent, judged.facts
    return {
        "decision": decision.effect.value,
        "reason": decision.reason.value,
        "rung": decision.rung,
        "explanation": decision.explanation,
        "rules": [
            {"id": rule.id, "policySet": rule.policy_set, "effect": rule.effect.value, "reason": rule.reason}
            for rule in decision.rules
        ],
        "conditions": dict(decision.conditions),
        "budgets": {
            name: {"spent": spent, "adds": decision.charges.get(name, 0) / (MILLIONTHS if name in facts.budgets else 1)}
            for name, spent in {**facts.budgets, **facts.counts}.items()
        },
        "faults": dict(judged.faults),
        "intent": {
            "type": intent.type,
            "domain": intent.domain,
            "effect": intent.effect_class.value,
            "confidence": intent.confidence,
            "evidence": [{"source": item.source, "detail": item.detail} for item in intent.evidence],
        },
        "risk": intent.risk,
        "riskFactors": [
            {"code": factor.code, "points": factor.points, "evidence": factor.evidence} for factor in intent.factors
        ],
        "agent": facts.principal.agent,
        "tier": {
            "name": facts.tier.name,
            "allowBelow": facts.thresholds.allow_below,
            "denyFrom": facts.thresholds.deny_from,
        },
        "policyDigest": decision.policy_digest,
        "policyFiles": [path for path, _ in facts.bundle.files],
        "argumentsDigest": judged.call.arguments_digest,
    }


def _lines(explained: dict[str, Any]) -> list[str]:
    """Lay the explanation out for people: the answer first, then why, most decisive first."""
    intent, tier = explained["intent"], explained["tier"]
    return [
        f"{explained['decision']}  {explained['reason']} (rung {explained['rung']})",
        f"  {explained['explanation']}",
        "",
        "rules that held",
        *(f"  {rule['effect']:<9} {rule['id']}  {rule['reason']}" for rule in explained["rules"]),
        *([] if explained["rules"] or explained["faults"] else ["  none"]),
        *(f"  ERROR     {rule}  {fault}" for rule, fault in explained["faults"].items()),
        "",
        f"intent  {intent['type']} ({intent['effect']}), confidence {intent['confidence']:.2f}",
        *(f"  {item['source']:<12} {item['detail']}" for item in intent["evidence"]),
        "",
        f"risk    {explained['risk']} of 100",
        *(
            f"  {factor['points']:>+4}  {factor['code']:<24} {factor['evidence']}"
            for factor in explained["riskFactors"]
        ),
        "",
        f"tier    {tier['name']} of agent {explained['agent']}: {_caps(tier)}",
        *_tier_hint(explained),
        *(
            f"budget  {name}: {one['spent']:g} spent before, {one['adds']:g} by this call"
            for name, one in explained["budgets"].items()
        ),
        f"policy  {', '.join(explained['policyFiles'])} ({explained['policyDigest'][:12]})",
    ]


def _tier_hint(explained: dict[str, Any]) -> list[str]:
    """Say how an agent is trusted with more, where its tier and no rule is in the way."""
    if explained["reason"] not in ("tier-escalate", "tier-deny"):
        return []
    return [
        f"        no rule is in the way but the tier: `intended run --tier {explained['agent']}=T1`, or `tiers` in"
        " intended.yaml, raises it"
    ]


def _caps(tier: dict[str, Any]) -> str:
    """Say what a tier may do; 101 switches a cap off."""
    allow = "any risk without a human" if tier["allowBelow"] > 100 else f"below {tier['allowBelow']} without a human"
    return allow if tier["denyFrom"] > 100 else f"{allow}, denied from {tier['denyFrom']}"


def _method(method: str, tool: str, uri: str) -> str:
    from gateway.core.policy.document import GATED_METHODS, nearest

    if method not in GATED_METHODS:
        raise typer.BadParameter(f"'{method}' is not decided{nearest(method, GATED_METHODS)}", param_hint="--method")
    if method in ("tools/call", "intent", "prompts/get") and not tool:
        raise typer.BadParameter(f"{method} needs a name: intended eval TOOL [ARGUMENTS]", param_hint="TOOL")
    if method.startswith("resources/") and not uri:
        raise typer.BadParameter(f"{method} needs --uri", param_hint="--uri")
    return method


def _arguments(text: str) -> dict[str, Any]:
    raw = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1) if text == "-" else text.encode("utf-8", "surrogateescape")
    return _object(raw, "ARGUMENTS")


def _definition(path: Path | None, tool: str) -> dict[str, Any] | None:
    """Read a tool's definition; what it does not say is as permissive as an upstream may be."""
    if path is None:
        return None
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint="--definition") from error
    return {"inputSchema": {"type": "object"}, **_object(raw, "--definition"), "name": tool}


def _object(raw: bytes, hint: str) -> dict[str, Any]:
    """Read one JSON object exactly as strictly as a gateway reads an agent's message."""
    from gateway.core.strictjson import Unreadable, read_call
    from gateway.settings import LimitSettings

    limits = LimitSettings()
    if len(raw) > MAX_INPUT_BYTES:
        raise typer.BadParameter(f"more than {MAX_INPUT_BYTES} bytes", param_hint=hint)
    try:
        value = read_call(raw, depth=limits.depth, keys=limits.keys)
    except Unreadable as error:
        raise typer.BadParameter(f"no gateway would take this: {error.problem}", param_hint=hint) from error
    if not isinstance(value, dict):
        raise typer.BadParameter('write a JSON object, as \'{"path": "/tmp/x"}\'', param_hint=hint)
    return value


def _spent(text: str) -> tuple[str, float]:
    """Read one `NAME=SPENT`."""
    name, _, number = text.partition("=")
    try:
        spent = float(number)
    except ValueError:
        spent = -1.0
    if not 0 <= spent < float("inf"):
        raise typer.BadParameter("write the name and what was spent of it, as refunds=900", param_hint="--budget")
    return name, spent


def _given(bundle: "Bundle", given: list[tuple[str, float]]) -> tuple[dict[str, float], dict[str, int]]:
    """Return the values of all declared budgets and counters, nothing spent but what is given."""
    from gateway.core.budgets import nothing_counted, nothing_spent
    from gateway.core.policy.document import nearest

    budgets, counts = nothing_spent(bundle), nothing_counted(bundle)
    for name, spent in given:
        if name in budgets:
            budgets[name] = spent
        elif name in counts and spent.is_integer():
            counts[name] = int(spent)
        else:
            what = f"'{name}' counts calls: give a whole number" if name in counts else f"no budget is called '{name}'"
            hint = nearest(name, {**budgets, **counts})
            raise typer.BadParameter(f"{what}{'' if name in counts else hint}", param_hint="--budget")
    return budgets, counts


def _tier(text: str | None) -> Any:
    from gateway.core.principal import TrustTier

    return None if text is None else TrustTier[text]
