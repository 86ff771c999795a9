"""`intended trust`: the trust that agents have earned, a human's hand on it, and the proof from the log."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gateway.cli import options
from gateway.cli.administration import Administration, administer, agent_segment, show
from gateway.cli.command import group, placed
from gateway.cli.exits import Exit
from gateway.cli.options import Place, Where
from gateway.cli.output import Format, FormatOption, data, say, table
from gateway.cli.trust_text import told

if TYPE_CHECKING:
    from gateway.services.trust_check import TrustReport
    from gateway.settings import Settings

__all__ = ["agent_path", "app"]

app = group("Trust that agents have earned: look, freeze, cap, prove.")


COLUMNS = {
    "AGENT": "agent",
    "TIER": "tier",
    "SCORE": "score",
    "CEILING": "ceiling",
    "FROZEN": "frozen",
    "PINNED": "pinned",
    "SINCE": "since",
    "STOPPED": "stopped",
}


@app.command("list")
@placed
def list_(place: Place, output: FormatOption = Format.TABLE) -> None:
    """List the agents that have acted, with tier and score."""
    show(administer(place, lambda gateway: gateway.all("/v1/trust")), output, COLUMNS, none="no agent has acted yet")


@app.command("show")
@placed
def show_(
    place: Place,
    agent: options.Agent,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show an agent's tier and what it rests on."""
    _print(administer(place, lambda gateway: gateway.get(f"{agent_path(agent)}/trust")), output)


@app.command("freeze")
@placed
def freeze(
    place: Place,
    agent: options.Agent,
    reason: options.Reason,
    output: FormatOption = Format.TABLE,
) -> None:
    """Let an agent rise no further; it may still fall."""
    _print(_changed(place, agent, {"frozen": True, "reason": reason}), output)


@app.command("unfreeze")
@placed
def unfreeze(
    place: Place,
    agent: options.Agent,
    reason: options.Reason,
    output: FormatOption = Format.TABLE,
) -> None:
    """Let an agent rise again."""
    _print(_changed(place, agent, {"frozen": False, "reason": reason}), output)


@app.command("ceiling")
@placed
def ceiling(
    place: Place,
    agent: options.Agent,
    tier: Annotated[
        Literal["T0", "T1", "T2", "T3", "T4", "default"],
        typer.Argument(metavar="TIER", help="T0 to T4, or `default`: the configuration's."),
    ],
    reason: options.Reason,
    output: FormatOption = Format.TABLE,
) -> None:
    """Set the highest tier that an agent can reach by its record."""
    _print(_changed(place, agent, {"ceiling": tier, "reason": reason}), output)


@app.command("recompute")
@placed
def recompute(
    where: Where,
    tenant: options.OneTenant = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Rebuild all tiers from the log alone and compare: exit 0, 4 or 6."""
    import anyio

    settings = where.settings()
    found = anyio.run(_reports, settings, tenant)
    plain = [_report(one, settings) for one in found]
    if output is not Format.TABLE:
        data(plain, output)
    else:
        for one in plain:
            _print_report(one)
    if not found and tenant is not None:
        say(f"there is no entry of a tenant '{tenant}': nothing to recompute")
        raise typer.Exit(Exit.REFUSED)
    if not found:
        say("there is no entry: nothing to recompute")
    raise typer.Exit(Exit.FAILED if any(one.differences for one in found) else Exit.OK)


def agent_path(agent: str) -> str:
    """Return the path of an agent, named by its slug, its name or its id. Raises NotFound."""
    return f"/v1/agents/{agent_segment(agent)}"


def _changed(place: Place, agent: str, body: dict[str, Any]) -> Any:
    path = f"{agent_path(agent)}/trust"

    async def act(gateway: Administration) -> Any:
        return await gateway.put(path, body)

    return administer(place, act)


async def _reports(settings: "Settings", tenant: str | None) -> "list[TrustReport]":
    from gateway.replay import trust_reports

    return await trust_reports(settings, tenant)


def _report(found: "TrustReport", settings: "Settings") -> dict[str, Any]:
    """Return what the log of a tenant gives, for programs."""
    from gateway.core.trust.deserved import deserved_by
    from gateway.parts import configured_tiers, trust_terms
    from gateway.telemetry.clock import SystemClock

    terms, given, now = trust_terms(settings), configured_tiers(settings), SystemClock().now()
    agents = []
    for agent, record in found.records.items():
        pinned = given.pinned(found.tenant, agent)
        one = deserved_by(record, now, ceiling=terms.ceiling, start=terms.start)
        earned = min(one.tier, one.recorded) if terms.earned else terms.start
        agents.append(
            {
                "agent": agent,
                "tier": (earned if pinned is None else pinned).name,
                "pinned": pinned is not None or not terms.earned,
                "score": one.score,
                "ceiling": (max(terms.ceiling, terms.start) if record.ceiling is None else record.ceiling).name,
                "frozen": record.frozen,
            }
        )
    return {
        "tenant": found.tenant,
        "head": found.head,
        "agents": agents,
        "changes": found.changes,
        "decisions": found.decisions,
        "overtaken": found.overtaken,
        "given": found.given,
        "elsewhere": found.elsewhere,
        "differences": [
            {
                "seq": one.seq,
                "agent": one.agent,
                "what": one.what,
                "recorded": one.recorded,
                "recomputed": one.recomputed,
            }
            for one in found.differences
        ],
    }


def _print(found: dict[str, Any], output: Format) -> None:
    if output is not Format.TABLE:
        data(found, output)
        return
    for line in told(found):
        print(line)


def _print_report(found: dict[str, Any]) -> None:
    rows = (
        (one["agent"], one["tier"], one["score"], one["ceiling"], "yes" if one["frozen"] else "no")
        for one in found["agents"]
    )
    table(("AGENT", "TIER", "SCORE", "CEILING", "FROZEN"), rows)
    for one in found["differences"]:
        where = f"entry {one['seq']}: " if one["seq"] else ""
        print(f"DIFFERENT  {where}{one['agent']} {one['what']}: {one['recorded']} → {one['recomputed']}")
    differences = len(found["differences"])
    say(
        f"{found['tenant']}: {found['changes']} changes and {found['decisions']} decisions made again up to entry"
        f" {found['head']}; {found['given']} decisions by configured tiers, {found['elsewhere']} of another model;"
        f" {differences} {'difference' if differences == 1 else 'differences'}"
    )
