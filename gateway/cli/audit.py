"""`intended audit`: look at the record, verify it, take it away. Reads only, so it works while a gateway runs."""

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.command import group, placed
from gateway.cli.exits import Exit
from gateway.cli.exporting import ExportForm, Shipment, export_chain, require_tenant, selection, ship
from gateway.cli.options import Where
from gateway.cli.output import Format, FormatOption, data, say, table, visible, warn

if TYPE_CHECKING:
    from gateway.core.audit.entry import StoredEntry
    from gateway.core.audit.verify import ExpectedHead, Report
    from gateway.services.recompute import Recomputation
    from gateway.settings import Settings

__all__ = ["app"]

app = group("The audit chain: look, verify, export, recompute.")

POLL_S = 0.5
"""How often `tail --follow` looks for new entries."""

WIDE = 130
"""Columns of a terminal from which on a line also has the intent's id, which agents are told as `decision`."""

CONTINUED = " " * 7
"""Before what goes on in another line, below the time: where lines begin with a number, entries can be told apart."""

COLOURS = {"ALLOW": "green", "ESCALATE": "yellow", "DENY": "red"}


@app.command("tail")
@placed
def tail(
    where: Where,
    count: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many entries.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new entries until interrupted.")] = False,
    tenant: Annotated[str, typer.Option(help="Whose chain.")] = "default",
    output: FormatOption = Format.TABLE,
) -> None:
    """Show the last entries of a chain."""
    import anyio

    settings = where.settings()
    anyio.run(_tail, settings, tenant, count, follow, output)


@app.command("verify")
@placed
def verify(
    where: Where,
    tenant: options.OneTenant = None,
    exported: Annotated[Path | None, typer.Option("--export", help="Verify an export instead of a store.")] = None,
    since: Annotated[
        Path | None, typer.Option("--since", help="An evidence bundle kept elsewhere: its chain must have only grown.")
    ] = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Verify the chains and their head copy: exit 0, 4 or 6."""
    kept: frozenset[str] = frozenset()
    points = {} if since is None else _kept_checkpoint(since, tenant)
    tenant = next(iter(points), tenant)
    if exported is not None:
        reports = _verify_export(exported, tenant, points)
        unguarded = "what was cut off at an export's end cannot be seen from it: compare the heads with a note of yours"
    else:
        import anyio

        from gateway.parts import state_folder
        from gateway.records import kept_heads, verify_chains

        settings = where.settings()
        reports = anyio.run(verify_chains, settings, tenant, points)
        kept = kept_heads(settings)
        unguarded = (
            f"{state_folder(settings)} holds no copy of this store's heads, so what was cut off at its end cannot be"
            " seen: name the gateway's state folder with `--state`"
        )
    if output is Format.TABLE:
        for report in reports:
            state = "valid" if report.valid else "BROKEN"
            print(f"{state}  {_in_line(report.tenant)}: {_sentence(report, kept, points)}")
            for one in report.breaks:
                print(f"  entry {one.seq}: {one.kind}, expected {_in_line(one.expected)}, found {_in_line(one.found)}")
    else:
        data([_plain(report, kept, points) for report in reports], output)
    if not reports and tenant is not None:
        say(f"there is no entry of a tenant '{tenant}': nothing to verify")
        raise typer.Exit(Exit.REFUSED)
    if not reports:
        say("there is no entry: nothing to verify")
    elif not kept.issuperset(report.tenant for report in reports):
        warn("head not compared", unguarded)
    raise typer.Exit(Exit.OK if all(report.valid for report in reports) else Exit.FAILED)


@app.command("export")
@placed
def export(
    where: Where,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
    tenant: options.OneTenant = None,
    form: Annotated[
        ExportForm, typer.Option("--format", help="chain: to verify; jsonl: for a log collector; ocsf: for a SIEM.")
    ] = ExportForm.CHAIN,
    since: Annotated[str | None, typer.Option(help="Entries from this time on, or so long ago (24h).")] = None,
    until: Annotated[str | None, typer.Option(help="Entries before this time.")] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--type", help="Entries of this type only; repeat for more.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="Entries behind this number of one tenant's chain.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new entries until interrupted.")] = False,
) -> None:
    """Write entries as JSON lines: to verify elsewhere, or for a SIEM."""
    import anyio

    settings = where.settings()
    try:
        if form is not ExportForm.CHAIN:
            if after and tenant is None:
                raise typer.BadParameter("each tenant has a chain of its own: name one", param_hint="--after")
            wanted = selection(since, until, kinds or ())
            shipment = Shipment(form=form, tenant=tenant, wanted=wanted, after=after, follow=follow)
            anyio.run(ship, settings, shipment, out)
        elif since or until or kinds or after or follow:
            message = "a part of a chain does not verify: choose entries with `--format jsonl` or `--format ocsf`"
            raise typer.BadParameter(message, param_hint="--format")
        else:
            anyio.run(export_chain, settings, tenant, out)
    except OSError as error:
        if out is None:
            raise
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror}", param_hint="--out") from error


@app.command("recompute")
@placed
def recompute(
    where: Where,
    intent: Annotated[
        str | None, typer.Argument(metavar="INTENT", help="One intent, by its id [default: all decisions].")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose decisions.")] = "default",
    output: FormatOption = Format.TABLE,
) -> None:
    """Make recorded decisions again and compare: exit 0, 4 or 6."""
    import anyio

    settings = where.settings()
    found = anyio.run(_replayed, settings, tenant, intent or "")
    counts = {
        "same": sum(one.same for one in found),
        "different": sum(bool(one.differences) for one in found),
        "notPossible": sum(bool(one.problem) for one in found),
    }
    if output is Format.TABLE:
        for one in found:
            if intent is not None or one.differences:
                told = "; ".join(one.differences) or one.problem or "the same verdict"
                print(f"{one.intent_id}  entry {one.seq}: {told}")
        print(f"{counts['same']} the same, {counts['different']} different, {counts['notPossible']} not possible")
    else:
        data([_told(one) for one in found], output)
    if not found and intent is not None:
        say(f"there is no decision '{intent}' of tenant '{tenant}'; `intended audit tail` shows the last ones")
        raise typer.Exit(Exit.REFUSED)
    if not found:
        say(f"there is no decision of tenant '{tenant}': nothing to recompute")
    raise typer.Exit(Exit.FAILED if counts["different"] else Exit.OK)


def _told(one: "Recomputation") -> dict[str, Any]:
    return {
        "intent": one.intent_id,
        "seq": one.seq,
        "same": one.same,
        "problem": one.problem,
        "differences": list(one.differences),
    }


async def _replayed(settings: "Settings", tenant: str, intent_id: str) -> "list[Recomputation]":
    from gateway.replay import replayed

    return [one async for one in replayed(settings, tenant, intent_id)]


async def _tail(settings: "Settings", tenant: str, count: int, follow: bool, output: Format) -> None:  # noqa: FBT001 - handed over by anyio.run, which takes no keywords
    import anyio

    from gateway.records import reading

    async with reading(settings) as reader:
        await require_tenant(reader, tenant, may_come=follow)
        entries = list(await reader.last(tenant, count))
        _show(entries, output)
        after = entries[-1].seq if entries else (await reader.head(tenant))[0]
        while follow:
            await anyio.sleep(POLL_S)
            entries = [entry async for entry in reader.read(tenant, after=after)]
            if entries:
                _show(entries, output)
                after = entries[-1].seq
                sys.stdout.flush()


def _show(entries: "list[StoredEntry]", output: Format) -> None:
    from gateway.services.audit_query import shown

    found = [shown(entry) for entry in entries]
    if output is not Format.TABLE:
        data(found, output)
    elif sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        for entry in found:
            line = visible(_line(entry, wide=columns >= WIDE))
            told = textwrap.fill(line, columns, subsequent_indent=CONTINUED, break_on_hyphens=False)
            print(_coloured(told, entry["effect"]))
    else:
        table((), map(_row, found))


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    """Return an entry's fields for a pipe: seq, time, type, effect, agent, upstream, tool, reasons, risk, intent."""
    return (
        entry["seq"],
        entry["time"],
        entry["type"],
        entry["effect"] or "-",
        entry["agent"] or "-",
        entry["upstream"] or "-",
        entry["tool"] or "-",
        ",".join(entry["reasons"]) or "-",
        entry["risk"],
        entry["intentId"] or "-",
    )


def _line(entry: dict[str, Any], *, wide: bool) -> str:
    """Return an entry for a terminal. Lines, not a table: `--follow` adds to them, and nothing may be cut short."""
    time = entry["time"].partition(".")[0].replace("T", " ")
    target = " ".join(part for part in (entry["upstream"], entry["tool"]) if part)
    parts = [f"{entry['seq']:>5}  {time}  {entry['effect'] or entry['type']:<14}", target, ", ".join(entry["reasons"])]
    if entry["agent"]:
        parts.append(f"risk {entry['risk']}  {entry['agent']}")
    if wide:
        parts.append(entry["intentId"])
    return "  ".join(part for part in parts if part).rstrip().replace("\n", " ")


def _coloured(line: str, effect: str) -> str:
    return line if "NO_COLOR" in os.environ or effect not in COLOURS else typer.style(line, fg=COLOURS[effect])


def _in_line(text: str) -> str:
    """Return what a file from elsewhere says so that it acts on no terminal, and is no line of its own."""
    return visible(text).replace("\n", "\\n")


def _kept_checkpoint(path: Path, tenant: str | None) -> "dict[str, ExpectedHead]":
    """Return what a checkpoint says of its tenant's chain. Raises BadParameter."""
    from gateway.core.audit.verify import ExpectedHead
    from gateway.core.evidence import read_checkpoint

    try:
        owner, point = read_checkpoint(path.read_bytes())
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint="--since") from error
    except ValueError as error:
        raise typer.BadParameter(f"{path} cannot be used: {error}", param_hint="--since") from error
    if tenant not in (None, owner):
        raise typer.BadParameter(f"{path} is of the chain of tenant '{_in_line(owner)}'", param_hint="--since")
    return {owner: ExpectedHead(seq=point.size, hash=point.head, root=point.root)}


def _verify_export(path: Path, tenant: str | None, points: "Mapping[str, ExpectedHead]") -> "list[Report]":
    """Verify the chains of an export by what is in it and a checkpoint. What was cut off behind that cannot be seen."""
    from gateway.core.audit.verify import Verifier
    from gateway.services.audit_query import read_export

    verifiers = {one: Verifier(one, expected=[point]) for one, point in points.items()}
    try:
        with path.open("rb") as file:
            for entry in read_export(file):
                if tenant is None or entry.tenant == tenant:
                    verifiers.setdefault(entry.tenant, Verifier(entry.tenant)).feed(entry)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint="--export") from error
    return [verifier.report() for _, verifier in sorted(verifiers.items())]


def _sentence(report: "Report", kept: frozenset[str], points: "Mapping[str, ExpectedHead]") -> str:
    head = f"{report.count} entries, head {report.head_seq} {report.head_hash.hex()[:16]}"
    if not report.valid:
        return f"{head}, {report.broken} {'break' if report.broken == 1 else 'breaks'}"
    grown = f", has only grown since entry {points[report.tenant].seq}" if report.tenant in points else ""
    copy = "agrees with the copy kept elsewhere" if report.tenant in kept else "compared with no copy"
    return f"{head}, {copy}{grown}"


def _plain(report: "Report", kept: frozenset[str], points: "Mapping[str, ExpectedHead]") -> dict[str, Any]:
    return {
        "tenant": report.tenant,
        "valid": report.valid,
        "count": report.count,
        "headSeq": report.head_seq,
        "headHash": report.head_hash.hex(),
        "headCompared": report.tenant in kept,
        "since": points[report.tenant].seq if report.tenant in points else None,
        "root": report.root.hex(),
        "broken": report.broken,
        "breaks": [
            {"seq": one.seq, "kind": one.kind.value, "expected": one.expected, "found": one.found}
            for one in report.breaks
        ],
    }
