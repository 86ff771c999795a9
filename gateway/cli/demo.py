"""`intended demo`: the gateway in a minute, with nothing to configure."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import __version__
from gateway.cli.exits import Exit
from gateway.cli.output import data, say, typed

if TYPE_CHECKING:
    from gateway.demo.script import Shown, Stage

__all__ = ["demo"]


def demo(
    ci: Annotated[bool, typer.Option("--ci", help="Print JSON and end: exit 0 only if everything was seen.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; a free one if it is taken.")] = 8787,
) -> None:
    """Show three decisions on a bundled server; keep serving it."""
    import anyio

    from gateway.telemetry.logging import configure_logging

    configure_logging()
    seen = anyio.run(_run, port, ci)
    raise typer.Exit(Exit.OK if seen else Exit.FAILED)


async def _run(port: int, ci: bool) -> bool:  # noqa: FBT001 - handed over by anyio.run, which takes no keywords
    import signal

    import anyio

    from gateway.demo.script import staged

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with staged(0 if ci else port) as stage:
            if ci:
                data(_plain(stage))
                return stage.seen
            for line in _lines(stage):
                print(line, flush=True)
            async for _ in signals:
                break
            say("stopping; the demo's data is thrown away")
            return stage.seen


def _lines(stage: "Stage") -> list[str]:
    return [
        f"Intended MCP gateway {__version__}  ·  DEMO: made-up data, loopback only, thrown away on exit",
        f"  agent URL  {stage.url}",
        "  upstream   bundled demo (notes, files, payments)",
        f"  policy     the shipped default, digest {stage.policy_digest[:12]}",
        "  holding    none: what needs a human is pending at once; approve it, then call again",
        "",
        *(_line(number, call) for number, call in enumerate(stage.shown, start=1)),
        "",
        f"  audit: {stage.entries} entries, chain {'verified' if stage.chain_valid else 'BROKEN'}"
        + ("" if stage.seen else "  ·  NOT everything went as planned"),
        "",
        "  Still serving. Try:",
        f"    claude mcp add --transport http intended {stage.url}",
        f"    {typed()} approvals watch --data {stage.data}",
        f"    {typed()} audit tail --data {stage.data}",
        f'    {typed()} eval files.read \'{{"path": "../../etc/shadow"}}\'',
        "  ctrl-c to stop",
    ]


def _line(number: int, call: "Shown") -> str:
    what = f"{call.tool} {json.dumps(call.arguments, separators=(',', ':'))}"
    return (
        f"  {number}  {call.effect:<9} {what:<46} rule {call.rule:<24} {call.milliseconds:>5.0f} ms  {_outcome(call)}"
    )


def _outcome(call: "Shown") -> str:
    if call.effect == "ALLOW":
        return f"→ {call.results} results" if call.executed else "→ not executed"
    saw = "the upstream SAW it" if call.executed else "the upstream never saw it"
    return f"pending: a human must say yes; {saw}" if call.effect == "ESCALATE" else saw


def _plain(stage: "Stage") -> dict[str, Any]:
    return {
        "seen": stage.seen,
        "agentUrl": stage.url,
        "policyDigest": stage.policy_digest,
        "calls": [
            {
                "tool": call.tool,
                "arguments": call.arguments,
                "decision": call.effect,
                "rule": call.rule,
                "riskScore": call.risk,
                "intentId": call.intent_id,
                "milliseconds": call.milliseconds,
                "answer": call.answer,
                "executedByUpstream": call.executed,
                "asPlanned": call.as_planned,
            }
            for call in stage.shown
        ],
        "audit": {"entries": stage.entries, "valid": stage.chain_valid},
    }
