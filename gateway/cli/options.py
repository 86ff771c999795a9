"""The options that several commands share, and their way into the settings' strongest layer."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from gateway.configuration import Layer, Resolved
    from gateway.settings import Settings

__all__ = [
    "Agent",
    "AllowHost",
    "AllowOrigin",
    "Authority",
    "BehindProxy",
    "Config",
    "Data",
    "Flags",
    "Host",
    "LogFormat",
    "OneTenant",
    "Place",
    "Policies",
    "Port",
    "Reason",
    "State",
    "Tenant",
    "Tier",
    "TierName",
    "TlsCert",
    "TlsKey",
    "Unsafe",
    "UpstreamCommand",
    "Where",
    "Why",
    "command_of",
    "settle",
]


def _tenant(text: str) -> str:
    from gateway.core.credentials import is_tenant_id

    if not is_tenant_id(text):
        raise typer.BadParameter("a tenant is letters, digits, `_` and `-`, at most 63, a letter or digit first")
    return text


Tenant = Annotated[str, typer.Option("--tenant", help="Whose.", callback=_tenant)]
OneTenant = Annotated[str | None, typer.Option("--tenant", help="One tenant only [default: all].")]
"""Of a command that reads the record, which has the tenant `_system`, too."""
TierName = Literal["T0", "T1", "T2", "T3", "T4"]
Agent = Annotated[str, typer.Argument(metavar="AGENT", help="Slug, name or id.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]
"""Of an act for which nothing else on record says why (docs/administration.md, "Reasons"): required."""
Why = Annotated[str | None, typer.Option("--reason", help="Why; it is recorded.")]
"""Of an answer to a question, which says why it was asked, or of taking that answer back."""
Config = Annotated[Path | None, typer.Option(help="Configuration file [default: intended.yaml, if it is there].")]
Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of the audit store and its keys [default: see `config show`].")
]
State = Annotated[
    Path | None,
    typer.Option(help="Folder of the copy of the chain's head; not inside --data [default: see `config show`]."),
]
Policies = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="PATH",
        help="Policy file, folder of them, or shipped:NAME (as shipped:filesystem) [default: shipped:default]."
        " May be repeated.",
    ),
]
Host = Annotated[str | None, typer.Option(help="Address to bind [default: 127.0.0.1].")]
Port = Annotated[int | None, typer.Option(help="Port to bind; 0 picks a free one [default: 8787].")]
AllowHost = Annotated[list[str] | None, typer.Option(help="Host header to accept beside loopback. May be repeated.")]
AllowOrigin = Annotated[list[str] | None, typer.Option(help="Origin to accept beside loopback. May be repeated.")]
Tier = Annotated[
    list[str] | None,
    typer.Option(metavar="AGENT=T2", help="Trust tier of one agent (TENANT/AGENT=T2). May be repeated."),
]
LogFormat = Annotated[
    Literal["auto", "json", "text"] | None,
    typer.Option("--log-format", help="The log: for people, or JSON [default: auto, by whether it is a terminal]."),
]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate chain (PEM), to speak TLS.")]
TlsKey = Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")]
BehindProxy = Annotated[
    bool, typer.Option("--behind-tls-proxy", help="A proxy in front speaks TLS and is the only way to the gateway.")
]
Unsafe = Annotated[
    bool, typer.Option("--unsafe-allow-unauthenticated", help="Without keys, let anyone who reaches --host be `local`.")
]

Authority = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="A remote Intended service to ask about every call; its key is in INTENDED_API_KEY."
    ),
]

COMMAND = "gateway.command"
"""Where `UpstreamCommand` leaves what stood after `--`."""


class UpstreamCommand(TyperCommand):
    """A command that keeps what stands after `--` apart: Click itself would mix it with the arguments before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Cut the command of a stdio server off before Click reads the rest."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[COMMAND] = args[cut + 1 :]
            args = args[:cut]
        elif args and not args[0].startswith("-") and "://" not in args[0]:
            raise _no_url(args[0], ctx)  # else Click would find fault with the options of the server's command
        return super().parse_args(ctx, args)


def command_of(ctx: typer.Context) -> tuple[str, ...]:
    """Return what stood after `--`."""
    return tuple(ctx.meta.get(COMMAND, ()))


NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(https?://.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line said; None or empty: not said."""

    upstreams: Sequence[str] = ()
    command: Sequence[str] = ()
    host: str | None = None
    port: int | None = None
    policies: Sequence[Path] = ()
    data: Path | None = None
    state: Path | None = None
    allow_host: Sequence[str] = ()
    allow_origin: Sequence[str] = ()
    tier: Sequence[str] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_tls_proxy: bool = False
    unsafe: bool = False
    log_format: str | None = None
    authority: str | None = None


def settle(flags: Flags, config: Path | None = None) -> "Resolved":
    """Return the settings in force under these flags, this process's environment and the configuration file.

    Raises:
        ConfigurationError: with every problem of every source.
    """
    from gateway.configuration import resolve

    return resolve(_layer(flags), environ=os.environ, config=config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which gateway, as the command line names it."""

    data: Path | None = None
    state: Path | None = None
    config: Path | None = None

    def settings(self) -> "Settings":
        """Return the settings in force there. Raises ConfigurationError."""
        return settle(Flags(data=self.data, state=self.state), self.config).settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Where):
    """Which gateway, and which tenant of it."""

    tenant: str


def _layer(flags: Flags) -> "Layer":
    from gateway.configuration import Layer, Origin

    layer = Layer(replaces=frozenset({"upstreams"}))
    single = {
        "host": flags.host,
        "port": flags.port,
        "policies": list(flags.policies) or None,
        "data": flags.data,
        "state": flags.state,
        "allowed_hosts": list(flags.allow_host) or None,
        "allowed_origins": list(flags.allow_origin) or None,
        "tls_certificate": flags.tls_cert,
        "tls_key": flags.tls_key,
        "behind_tls_proxy": flags.behind_tls_proxy or None,
        "unsafe_allow_unauthenticated": flags.unsafe or None,
    }
    for name, value in single.items():
        if value is not None:
            layer.put((name,), value, Origin(source=FLAG_OF[name]))
    if flags.log_format is not None:
        layer.put(("log", "format"), flags.log_format, Origin(source="--log-format"))
    if flags.authority is not None:
        layer.put(("authority", "url"), flags.authority, Origin(source="--authority"))
    for text in flags.tier:
        agent, equals, tier = text.rpartition("=")
        if not equals or not agent:
            raise typer.BadParameter("write AGENT=TIER, as local=T2", param_hint="--tier")
        layer.put(("tiers", "agents", agent), tier, Origin(source="--tier"))
    for name, upstream in _upstreams(flags).items():
        layer.put(("upstreams", name), upstream, Origin(source="the command line"))
    return layer


FLAG_OF = {
    "host": "--host",
    "port": "--port",
    "policies": "--policies",
    "data": "--data",
    "state": "--state",
    "allowed_hosts": "--allow-host",
    "allowed_origins": "--allow-origin",
    "tls_certificate": "--tls-cert",
    "tls_key": "--tls-key",
    "behind_tls_proxy": "--behind-tls-proxy",
    "unsafe_allow_unauthenticated": "--unsafe-allow-unauthenticated",
}


def _no_url(text: str, ctx: typer.Context | None = None) -> typer.BadParameter:
    return typer.BadParameter(
        f"'{text}' is neither an http(s) URL nor NAME=URL; to start a stdio server write `--` before its"
        " command: intended run -- npx -y SERVER",
        ctx=ctx,
        param_hint="UPSTREAM",
    )


def _upstreams(flags: Flags) -> dict[str, dict[str, object]]:
    """Read `URL`, `NAME=URL …` or `-- COMMAND ARGS…`. A single URL or command is upstream `default`."""
    hint = "UPSTREAM"
    if flags.command:
        if flags.upstreams:
            raise typer.BadParameter("give URLs or a command after `--`, not both", param_hint=hint)
        return {"default": {"command": flags.command[0], "args": list(flags.command[1:])}}
    found: dict[str, dict[str, object]] = {}
    for text in flags.upstreams:
        named = NAMED.fullmatch(text)
        name, url = (named[1], named[2]) if named else ("default", text)
        if not url.startswith(("http://", "https://")):
            raise _no_url(text)
        if named is None and len(flags.upstreams) > 1:
            raise typer.BadParameter("several upstreams need names: NAME=URL NAME=URL", param_hint=hint)
        if name in found:
            raise typer.BadParameter(f"'{name}' is named twice", param_hint=hint)
        found[name] = {"url": url}
    return found
