"""`intended check`: load everything for real, serve nothing, and explain each problem with place and remedy."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.exits import Exit
from gateway.cli.output import Format, FormatOption, data, problems, say
from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.checking import Findings

__all__ = ["check"]


def check(
    ctx: typer.Context,
    upstream: Annotated[
        list[str] | None,
        typer.Argument(metavar="UPSTREAM", help="As for `run`: instead of the configured ones.", show_default=False),
    ] = None,
    policies: options.Policies = None,
    authority: options.Authority = None,
    data_dir: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Try all that a gateway needs: exit 0, 3 or 5."""
    import anyio

    from gateway.checking import Findings
    from gateway.checking import check as look

    flags = options.Flags(
        upstreams=tuple(upstream or ()),
        command=options.command_of(ctx),
        policies=policies or (),
        data=data_dir,
        state=state,
        authority=authority,
    )
    try:
        findings = anyio.run(look, options.settle(flags, config).settings)
    except ConfigurationError as error:  # nothing can be tried with such settings, but they are what was asked about
        findings = Findings(problems=list(error.problems))
    if output is Format.TABLE:
        for note in findings.notes:
            print(note if note.startswith("warning: ") else f"ok  {note}")
        problems([*findings.problems, *findings.unreachable])
        found = len(findings.problems) + len(findings.unreachable)
        say(f"{found} problem{'' if found == 1 else 's'}" if found else "everything that a gateway needs is there")
    else:
        data(_plain(findings), output)
    if findings.problems:
        raise typer.Exit(Exit.INVALID)
    if findings.unreachable:
        raise typer.Exit(Exit.UNREACHABLE)


def _plain(findings: "Findings") -> dict[str, Any]:
    return {
        "problems": [asdict(problem) for problem in findings.problems],
        "unreachable": [asdict(problem) for problem in findings.unreachable],
        "notes": findings.notes,
    }
