"""`intended run`: put the gateway in front of one or several MCP servers and serve until told to stop."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import options
from gateway.cli.output import event, say, warn

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.services.enforcement import Judged
    from gateway.serving import Serving
    from gateway.settings import Settings

__all__ = ["run"]


def run(
    ctx: typer.Context,
    upstream: Annotated[
        list[str] | None,
        typer.Argument(metavar="UPSTREAM", help="URL, or NAME=URL ..., or: -- COMMAND ARGS ...", show_default=False),
    ] = None,
    host: options.Host = None,
    port: options.Port = None,
    policies: options.Policies = None,
    data: options.Data = None,
    state: options.State = None,
    config: options.Config = None,
    allow_host: options.AllowHost = None,
    allow_origin: options.AllowOrigin = None,
    tier: options.Tier = None,
    authority: options.Authority = None,
    log_format: options.LogFormat = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    behind_tls_proxy: options.BehindProxy = False,
    unsafe_allow_unauthenticated: options.Unsafe = False,
) -> None:
    """Put the gateway in front of MCP servers.

    Streamable HTTP servers by URL, a stdio server by its command after `--`. What is named here replaces the upstreams
    of intended.yaml and of the environment.
    """
    flags = options.Flags(
        upstreams=tuple(upstream or ()),
        command=options.command_of(ctx),
        host=host,
        port=port,
        policies=policies or (),
        data=data,
        state=state,
        allow_host=tuple(allow_host or ()),
        allow_origin=tuple(allow_origin or ()),
        tier=tuple(tier or ()),
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_tls_proxy=behind_tls_proxy,
        unsafe=unsafe_allow_unauthenticated,
        log_format=log_format,
        authority=authority,
    )
    settings = options.settle(flags, config).settings
    if not settings.upstreams:
        raise typer.BadParameter(
            "there is nothing to protect: name a URL, NAME=URL, or a command after `--`; or put `upstreams` into"
            " intended.yaml; or try `intended demo`",
            param_hint="UPSTREAM",
        )
    import anyio

    from gateway.cli.memory import share_arena

    share_arena()
    anyio.run(_serve, settings, backend_options={"use_uvloop": sys.platform != "win32"})


async def _serve(settings: "Settings") -> None:
    import anyio

    from gateway.app import Gateway
    from gateway.cli.start import announce
    from gateway.services.observing import DecisionsOnly
    from gateway.services.traces import TRACE_ID
    from gateway.serving import serve
    from gateway.telemetry.decisions import DecisionLines
    from gateway.telemetry.logging import configure_logging, is_text

    log = settings.log
    configure_logging(wanted=log.format, level=log.level, trace_id=TRACE_ID.get)
    as_json = log.format == "json"  # as said; with `auto`, whoever started it may read along: the greeting is text
    colours = None if "NO_COLOR" not in os.environ else False
    lines = DecisionLines(sys.stderr, colours=colours, text=is_text(sys.stderr, log.format))

    @DecisionsOnly
    def observed(judged: "Judged") -> None:
        lines.note(judged.call, judged.intent, judged.decision, judged.facts, judged.intent_id, trace=TRACE_ID.get())

    async with (
        Gateway.open(settings, observers=[observed] if log.level in ("debug", "info") else []) as gateway,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(lines.run)

        def started(served: "Serving") -> None:
            announce(gateway.report, settings, served.url, metrics=served.metrics_url, as_json=as_json)
            tasks.start_soon(_warn_of_unreachable, gateway, as_json)

        await serve(gateway, settings, started=started)
        tasks.cancel_scope.cancel()
    if as_json:
        event("stopped")
    else:
        say("stopped")


async def _warn_of_unreachable(gateway: "Gateway", as_json: bool) -> None:  # noqa: FBT001 - tasks take no keywords
    """Say once which upstreams do not answer: a start that looks well and a mistyped URL look the same otherwise."""
    async for name, why in gateway.unreachable():
        text = f"{why}. Calls to {name} fail until that is mended."
        if as_json:
            event("unreachable", level="warning", upstream=name, text=text)
        else:
            warn("unreachable", text)
