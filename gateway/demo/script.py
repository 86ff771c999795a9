"""What the demo shows: three calls of a real MCP client through a real gateway, and the record of them verified.

Owns the three calls and what counts as having seen them. Nothing is staged: the gateway runs the shipped default policy
over a fresh store, and whether a call was executed is read from the upstream's own record, not from the answer.
"""

import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.types import CallToolResult, TextContent

from gateway.app import Gateway
from gateway.core.decision import Effect
from gateway.demo.upstream import DemoUpstream, running
from gateway.records import verify_chains
from gateway.services.enforcement import Judged
from gateway.services.observing import DecisionsOnly
from gateway.serving import serving
from gateway.settings import HoldSettings, Settings, UpstreamSettings

__all__ = ["CALLS", "Shown", "Stage", "staged"]

CALL_S = 30.0
"""A call over loopback takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCall:
    """One call of the demo and the decision that it must get."""

    tool: str
    arguments: dict[str, Any]
    effect: Effect


CALLS = (
    PlannedCall(tool="notes.search", arguments={"q": "invoice"}, effect=Effect.ALLOW),
    PlannedCall(tool="files.delete", arguments={"path": "/etc/passwd"}, effect=Effect.DENY),
    PlannedCall(tool="payments.refund", arguments={"amount": 900, "to": "ACME"}, effect=Effect.ESCALATE),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One call as it went. `executed` is the upstream's own word; `as_planned` is True where everything fits."""

    tool: str
    arguments: dict[str, Any]
    effect: str
    rule: str
    risk: int
    intent_id: str
    milliseconds: float
    answer: str
    results: int
    executed: bool
    as_planned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The demo after its calls, still serving."""

    url: str
    data: Path
    policy_digest: str
    shown: tuple[Shown, ...]
    entries: int
    chain_valid: bool

    @property
    def seen(self) -> bool:
        """True where all that the demo promises was seen."""
        return (
            self.chain_valid
            and self.entries > 0
            and len(self.shown) == len(CALLS)
            and all(call.as_planned for call in self.shown)
        )


@asynccontextmanager
async def staged(port: int) -> AsyncIterator[Stage]:
    """Start upstream and gateway on data that is thrown away, make the calls, verify; serve while the context is open.

    Where `port` is taken, a free one is used.
    """
    upstream = DemoUpstream()
    judged: list[Judged] = []
    with tempfile.TemporaryDirectory(prefix="intended-demo-") as folder:
        async with running(upstream) as upstream_url:
            settings = Settings(
                port=port if _is_free(port) else 0,
                upstreams={"default": UpstreamSettings(url=upstream_url)},
                data=Path(folder, "data"),
                state=Path(folder, "state"),
                holds=HoldSettings(leg_s=0),  # nobody is there to say yes while the story is told
            )
            opened = Gateway.open(settings, observers=[DecisionsOnly(judged.append)])
            async with opened as gateway, serving(gateway, settings) as served:
                url = f"{served.url}/mcp"
                shown = await _make_calls(url, upstream, judged)
                reports = await verify_chains(settings)
                yield Stage(
                    url=url,
                    data=Path(folder, "data"),
                    policy_digest=gateway.report.policy_digest,
                    shown=shown,
                    entries=sum(report.count for report in reports),
                    chain_valid=all(report.valid for report in reports),
                )


async def _make_calls(url: str, upstream: DemoUpstream, judged: list[Judged]) -> tuple[Shown, ...]:
    async with Client(url) as client:
        await client.list_tools()  # as every client does first; the gateway pins what it sees
        return tuple([await _make(client, planned, upstream, judged) for planned in CALLS])


async def _make(client: Client, planned: PlannedCall, upstream: DemoUpstream, judged: list[Judged]) -> Shown:
    """Make one call and look at all three sides: the client's answer, the gateway's decision, the upstream's record."""
    executed_before, judged_before = len(upstream.record), len(judged)
    begun = anyio.current_time()
    with anyio.fail_after(CALL_S):
        result = await client.call_tool(planned.tool, planned.arguments)
    elapsed = anyio.current_time() - begun
    ran = upstream.record[executed_before:]
    decided = judged[judged_before:]
    effect = decided[-1].decision.effect if decided else None
    rules = decided[-1].decision.rules if decided else ()
    allowed = planned.effect is Effect.ALLOW
    return Shown(
        tool=planned.tool,
        arguments=planned.arguments,
        effect=effect.value if effect else "none",
        rule=rules[0].id if rules else "-",
        risk=decided[-1].intent.risk if decided else 0,
        intent_id=decided[-1].intent_id if decided else "",
        milliseconds=round(elapsed * 1000, 1),
        answer=_text(result),
        results=len(result.content),
        executed=bool(ran),
        as_planned=effect is planned.effect
        and ran == ([planned.tool] if allowed else [])
        and bool(result.is_error) is not allowed,
    )


def _text(result: CallToolResult) -> str:
    return "\n".join(item.text for item in result.content if isinstance(item, TextContent))


def _is_free(port: int) -> bool:
    """Return True where the gateway could bind `port` now; a race is lost with a clear error."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
