"""Settings → what the parts of the house are made of: adapters, folders, mounts, limits.

Owns the translation and nothing that runs: `app.py` puts the parts together.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import platformdirs

from gateway import __version__
from gateway.core.breaker import BreakerTerms
from gateway.core.holds import HoldTerms
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.leases import Bounds
from gateway.core.message import WireLimits
from gateway.core.principal import TrustTier
from gateway.core.redact import redact
from gateway.core.tiers import ConfiguredTiers
from gateway.core.worth import Amounts, amounts_of
from gateway.downstream.bounds import FrontLimits
from gateway.errors import ConfigurationError, Problem
from gateway.policyfiles.shipped import located
from gateway.ports import Clock, Mount, Spans, Upstream
from gateway.services.tracing import TracedUpstream
from gateway.services.trust import TrustTerms
from gateway.settings import Settings, UpstreamSettings
from gateway.store.sealing import data_key
from gateway.store.sqlite.store import StoreOptions
from gateway.upstream.http import HttpUpstream
from gateway.upstream.process import Command
from gateway.upstream.process import why_unstartable as why_command_unstartable
from gateway.upstream.stdio import StdioUpstream

if TYPE_CHECKING:
    from gateway.remote.authority import HttpAuthority
    from gateway.telemetry.tracing import OtelSpans

__all__ = [
    "amounts",
    "audiences",
    "breaker_terms",
    "configured_tiers",
    "data_folder",
    "describe",
    "front_limits",
    "hold_terms",
    "lease_bounds",
    "make_authority",
    "make_spans",
    "make_upstream",
    "make_upstreams",
    "mounts",
    "place_of",
    "policy_places",
    "public_url",
    "recorded",
    "require_tracing",
    "sealing_key",
    "state_folder",
    "store_options",
    "trust_terms",
    "why_unstartable",
]

APP = "intended"

MAX_KEY_BYTES = 4096
"""Of the file with the authority's key; a longer one is cut, and then no key."""


def make_upstream(name: str, settings: UpstreamSettings) -> Upstream:
    """Return the adapter for one upstream. Raises ConfigurationError where its settings cannot be used."""
    if settings.url is not None:
        return HttpUpstream(
            name,
            settings.url,
            settings.headers,
            connect_timeout_s=settings.connect_timeout_s,
            max_answer_bytes=settings.max_answer_bytes,
            max_connections=settings.max_connections,
        )
    if settings.command is None:
        remedy = "name `url` or `command`"
        raise ConfigurationError(
            Problem(source="settings", field=f"upstreams.{name}", message="no transport", remedy=remedy)
        )
    return StdioUpstream(
        name, settings.command, settings.args, settings.env, settings.cwd, max_line_bytes=settings.max_answer_bytes
    )


def why_unstartable(name: str, settings: UpstreamSettings) -> str:
    """Say why the command of a stdio upstream would not be found; empty where it would. Nothing is started."""
    program = settings.command or ""
    why = why_command_unstartable(Command(program=program, env=settings.env, cwd=settings.cwd))
    return f"upstream {name}: {why}" if why else ""


def describe(upstream: UpstreamSettings) -> str:
    """Return what stands behind an upstream, for people: no header, no environment, no user name of a URL.

    Some servers have their key in the path, so that it is looked through too: this text is recorded for good.
    """
    if upstream.url is not None:
        parts = urlsplit(upstream.url)
        path = "/".join(str(redact({"part": part})["part"]) for part in parts.path.split("/"))
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"
    return " ".join((upstream.command or "", *_shown_args(upstream.args)))


def recorded(upstream: UpstreamSettings) -> str:
    """Return what the chain keeps of an upstream for good: of a command no argument, since any of them may be a key."""
    if upstream.url is not None:
        return describe(upstream)
    return f"{upstream.command} (+{len(upstream.args)} arguments)"


def _shown_args(args: Sequence[str]) -> Iterator[str]:
    """Yield a command's arguments with secrets removed, by the name of their option or by their shape."""
    option = ""
    for arg in args:
        name, equals, text = arg.partition("=")
        if name.startswith("-") and equals:
            yield f"{name}={redact({name.lstrip('-'): text})[name.lstrip('-')]}"
            option = ""
        elif name.startswith("-"):
            yield arg
            option = arg.lstrip("-")
        else:
            key = option or "argument"
            yield str(redact({key: arg})[key])
            option = ""


def make_upstreams(settings: Settings, spans: Spans | None = None) -> dict[str, Upstream]:
    """Return the adapter of every upstream by name, with a span around each request where there are spans."""
    made = {name: make_upstream(name, one) for name, one in settings.upstreams.items()}
    if spans is None:
        return made
    return {name: TracedUpstream(one, spans, place_of(settings.upstreams[name])) for name, one in made.items()}


def make_spans(settings: Settings) -> "OtelSpans | None":
    """Return where spans begin, None where there are to be none. Raises ConfigurationError without the extra.

    OpenTelemetry's SDK is imported here and only then: a start without it is a fifth of a second shorter.
    """
    tracing = settings.tracing
    if tracing.exporter == "none":
        return None
    require_tracing()
    from gateway.telemetry.tracing import OtelSpans, console_processor, otlp_processor

    processor = console_processor() if tracing.exporter == "console" else otlp_processor(tracing.endpoint)
    return OtelSpans(processor, version=__version__, sample=tracing.sample)


def make_authority(settings: Settings, clock: Clock) -> "HttpAuthority | None":
    """Return the remote authority that is to be asked, None where none is. Raises ConfigurationError without a key."""
    chosen = settings.authority
    if chosen.url is None:
        return None
    # The HTTP client is an eighth of the start, and most gateways ask nobody.
    from gateway.remote.authority import HttpAuthority

    return HttpAuthority(
        chosen.url,
        key=_authority_key(settings),
        tenant=chosen.tenant,
        issuer=chosen.issuer,
        timeout_s=chosen.timeout_s,
        monotonic=clock.monotonic,
    )


def _authority_key(settings: Settings) -> str:
    """Return the key for the remote authority. Raises ConfigurationError."""
    chosen = settings.authority
    message, key = "there is no key for the authority", ""
    try:
        if chosen.key_file is not None:
            with chosen.key_file.open("rb") as file:
                key = file.read(MAX_KEY_BYTES).decode("ascii").strip()
            message = f"{chosen.key_file} holds no key"
        elif chosen.key is not None:
            key = chosen.key.get_secret_value().strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{chosen.key_file} cannot be read ({type(error).__name__})"
    if key and key.isascii() and key.isprintable() and " " not in key:
        return key
    raise ConfigurationError(
        Problem(
            source="settings",
            field="authority.key" if chosen.key_file is None else "authority.key_file",
            message=message if not key else "the key for the authority is no key: it is one word of visible ASCII",
            remedy="put the key into the variable INTENDED_API_KEY, or into a file that `authority.key_file` names;"
            " `intended keys create --role agent` makes one at the authority",
        )
    )


def require_tracing() -> None:
    """Raise ConfigurationError where the extra `tracing` is not installed."""
    try:
        import_module("gateway.telemetry.tracing")
    except ImportError as error:
        raise ConfigurationError(
            Problem(
                source="settings",
                field="tracing.exporter",
                message="OpenTelemetry's SDK is not installed",
                remedy="install intended-mcp-gateway[tracing]; or set `exporter: none`",
            )
        ) from error


def place_of(upstream: UpstreamSettings) -> dict[str, str | int]:
    """Return what spans tell of where an upstream is."""
    if upstream.url is None:
        return {"network.transport": "pipe"}
    parts = urlsplit(upstream.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {
        "network.transport": "tcp",
        "network.protocol.name": "http",
        "server.address": parts.hostname or "",
        "server.port": port,
    }


def mounts(settings: Settings) -> dict[str, Mount]:
    """Return what each path serves: `/mcp` all upstreams, `/mcp/NAME` one under its own names."""
    names = tuple(settings.upstreams)
    single = {f"/mcp/{name}": Mount(upstreams=(name,), prefixed=False) for name in names}
    return {"/mcp": Mount(upstreams=names, prefixed=len(names) > 1), **single} if names else {}


def policy_places(settings: Settings) -> tuple[Path, ...]:
    """Return the policy files and folders in force. Raises ConfigurationError: no shipped policy has such a name."""
    return tuple(map(located, settings.policies))


def public_url(settings: Settings) -> str:
    """Return the origin at which people reach the gateway; with port 0 it is known only once that is bound."""
    if settings.public_url is not None:
        return settings.public_url
    scheme = "http" if settings.tls_certificate is None else "https"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def data_folder(settings: Settings) -> Path:
    """Return the data folder. Raises ConfigurationError where none is set and the user has no home."""
    return settings.data or _users_own("data", platformdirs.user_data_path)


def state_folder(settings: Settings) -> Path:
    """Return the folder of the copy of the chain's head, which is never inside the data folder.

    Raises ConfigurationError where none is set and the user has no home.
    """
    return settings.state or _users_own("state", platformdirs.user_state_path)


def _users_own(field: str, folder: Callable[[str], Path]) -> Path:
    try:
        return folder(APP)
    except RuntimeError as error:  # a container is often run under a number that no account has
        raise ConfigurationError(
            Problem(
                source="settings",
                field=field,
                message="the user of this process has no home folder to keep it in",
                remedy=f"name a folder with --{field} (INTENDED_GATEWAY_{field.upper()}), or set HOME",
            )
        ) from error


def store_options(settings: Settings) -> StoreOptions:
    """Return where the store lies and what it keeps."""
    return StoreOptions(
        data=data_folder(settings),
        state=state_folder(settings),
        keep_input_days=settings.audit.keep_input_days,
        wait_s=settings.audit.lock_timeout_s,
    )


def configured_tiers(settings: Settings) -> ConfiguredTiers:
    """Return the trust tiers from configuration."""
    tiers = settings.tiers
    return ConfiguredTiers(
        default=tiers.default,
        agents=tiers.agents,
        thresholds={tier: tiers.threshold(tier) for tier in TrustTier},
    )


def trust_terms(settings: Settings) -> TrustTerms:
    """Return what configuration says of trust that is earned."""
    tiers = settings.tiers
    return TrustTerms(earned=tiers.earned, start=tiers.default, ceiling=tiers.ceiling)


def breaker_terms(settings: Settings) -> BreakerTerms:
    """Return when an agent is stopped by its own failures, and for how long."""
    return BreakerTerms(failures=settings.breaker.failures, cool_down_s=settings.breaker.cool_down_s)


def sealing_key(settings: Settings) -> bytes:
    """Return what signing keys are sealed under: the configured key, else the data folder's. Raises StoreRefused.

    To be called once the store holds its lock: it may make the data folder's key.
    """
    return settings.tokens.sealing_key or data_key(store_options(settings).key_file)


def audiences(settings: Settings) -> dict[str, str]:
    """Return the audience of each upstream whose calls carry an authority token."""
    return {name: one.authority_audience or name for name, one in settings.upstreams.items() if one.authority_token}


def amounts(settings: Settings) -> Amounts:
    """Return what completed intents are worth."""
    return amounts_of(TAXONOMY, settings.value.currency, settings.value.amounts)


def front_limits(settings: Settings) -> FrontLimits:
    """Return the bounds of the agent-facing front."""
    limits = settings.limits
    return FrontLimits(
        wire=WireLimits(body_bytes=limits.body_bytes, depth=limits.depth, keys=limits.keys, id_chars=limits.id_chars),
        sessions_per_agent=limits.sessions_per_agent,
        session_idle_s=limits.session_idle_s,
        event_buffer_bytes=limits.event_buffer_bytes,
        event_buffer_s=limits.event_buffer_s,
    )


def lease_bounds(settings: Settings) -> Bounds:
    """Return how much a lease may be."""
    return Bounds(minutes=settings.leases.max_minutes, uses=settings.leases.max_uses)


def hold_terms(settings: Settings) -> HoldTerms:
    """Return how long escalated calls wait for their humans."""
    holds = settings.holds
    return HoldTerms(
        leg_s=holds.leg_s,
        hold_s=holds.hold_s,
        hold_max_s=holds.hold_max_s,
        held_per_agent=holds.held_per_agent,
        agents=dict(holds.agents),
    )
