"""`intended test`: run the policy cases that lie beside policy files, and say which rules no case ever needed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.exits import Exit
from gateway.cli.output import Format, FormatOption, data, visible

if TYPE_CHECKING:
    from gateway.services.policy_check import FileReport

__all__ = ["cases"]


def cases(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Case files, policy files or folders; shipped:NAME [default: the configured policies].",
            metavar="PATHS",
        ),
    ] = None,
    config: options.Config = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Run policy cases (NAME_test.yaml): exit 0 if all pass, else 4."""
    from gateway.cli.judging import judge_of
    from gateway.parts import policy_places
    from gateway.policyfiles.cases import case_paths, load_cases
    from gateway.policyfiles.shipped import located
    from gateway.services.policy_check import check_cases, render

    settings = options.settle(options.Flags(), config).settings
    named = tuple(map(located, paths or ())) or policy_places(settings)
    files = list(dict.fromkeys(file for path in named for file in case_paths(path)))
    if not files:
        raise typer.BadParameter(
            f"no case file (*_test.yaml) at {', '.join(map(str, named))}: an empty run proves nothing",
            param_hint="PATHS",
        )
    reports = check_cases([load_cases(file) for file in files], judge_of(settings))
    if output is Format.TABLE:
        for line in render(reports):
            print(visible(line))
    else:
        data([_plain(report) for report in reports], output)
    raise typer.Exit(Exit.OK if all(report.passed for report in reports) else Exit.FAILED)


def _plain(report: "FileReport") -> dict[str, Any]:
    return {
        "source": report.source,
        "passed": report.passed,
        "rules": report.rules,
        "untested": list(report.untested),
        "cases": [
            {"name": result.name, "line": result.line, "differences": list(result.differences)}
            for result in report.results
        ],
    }
