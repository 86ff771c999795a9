"""The root of the command `intended`: which command stands in which file, and how errors end the process."""

import sys
from typing import Annotated

import typer

from gateway.cli import (
    agents,
    approvals,
    audit,
    budgets,
    cases,
    check,
    config,
    demo,
    evaluate,
    evidence,
    health,
    keys,
    metrics,
    options,
    run,
    schema,
    store,
    switch,
    thresholds,
    tokens,
    trust,
    users,
    version,
    webhooks,
)
from gateway.cli.command import Group
from gateway.cli.exits import exit_for
from gateway.cli.streams import streams
from gateway.errors import GatewayError

__all__ = ["app", "main"]

app = typer.Typer(
    name="intended",
    cls=Group,
    help="A gateway between AI agents and MCP servers: it decides each call, records it, then forwards it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("run", cls=options.UpstreamCommand)(run.run)
app.command("demo")(demo.demo)
app.command("check", cls=options.UpstreamCommand)(check.check)
app.command("eval")(evaluate.evaluate)
app.command("test")(cases.cases)
app.command("health")(health.health)
app.command("metrics")(metrics.metrics)
app.command("schema")(schema.schema)
app.command("version")(version.version)
app.add_typer(keys.app, name="keys")
app.add_typer(agents.app, name="agents")
app.add_typer(users.app, name="users")
app.add_typer(approvals.app, name="approvals")
app.add_typer(switch.app, name="switch")
app.add_typer(budgets.app, name="budgets")
app.add_typer(thresholds.app, name="thresholds")
app.add_typer(tokens.app, name="tokens")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(trust.app, name="trust")
app.add_typer(audit.app, name="audit")
app.add_typer(evidence.app, name="evidence")
app.add_typer(store.app, name="store")
app.add_typer(config.app, name="config")


@app.callback()
def root(
    shown: Annotated[
        bool,
        typer.Option("--version", "-V", help="Print the version and exit.", is_eager=True, callback=version.short),
    ] = False,
) -> None:
    """A gateway between AI agents and MCP servers: it decides each call, records it, then forwards it."""


def main() -> None:
    """Run the command line and end the process with the status that says how it went."""
    with streams():
        try:
            app()
        except (GatewayError, ExceptionGroup) as error:
            deliberate = _deliberate(error)
            if not deliberate:
                raise
            from gateway.cli.output import explain

            for one in deliberate:
                explain(one)
            sys.exit(exit_for(deliberate[0]))


def _deliberate(error: Exception) -> list[GatewayError]:
    """Return the errors to explain; none where something unforeseen is among them, which deserves its traceback."""
    if isinstance(error, GatewayError):
        return [error]
    if not isinstance(error, ExceptionGroup):
        return []
    inside = [_deliberate(one) for one in error.exceptions]
    return [one for found in inside for one in found] if all(inside) else []
