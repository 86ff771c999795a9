"""Every knob of the gateway, typed, bounded, with its unit and reason.

Owns what can be set and which combinations are refused. Where values come from (flag > `INTENDED_GATEWAY_*`
environment > `intended.yaml` > default) is `gateway/configuration`. Only `app.py` and the command line read settings.
"""

import base64
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from gateway.core.agents import slug_of
from gateway.core.decision import Thresholds
from gateway.core.leases import MAX_MINUTES, MAX_USES
from gateway.core.principal import TrustTier
from gateway.core.tokens import MAX_TTL_S
from gateway.errors import ConfigurationError, Problem
from gateway.sections import (
    AuthoritySettings,
    LogSettings,
    MetricsSettings,
    Section,
    TracingSettings,
    ValueSettings,
    is_loopback,
)

__all__ = [
    "ApprovalSettings",
    "AuditSettings",
    "AuthoritySettings",
    "BreakerSettings",
    "HoldSettings",
    "LeaseSettings",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "RateSettings",
    "Settings",
    "ThresholdSettings",
    "TierSettings",
    "TokenSettings",
    "TracingSettings",
    "UpstreamSettings",
    "ValueSettings",
    "WebhookSettings",
]

SEALING_KEY_BYTES = 32
"""AES-256."""

_ORIGIN = re.compile(
    r"(https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)/?", re.IGNORECASE | re.ASCII
)

UPSTREAM_ID = r"^[a-z][a-z0-9-]{0,31}$"
"""No underscore, so that `__` splits a prefixed name exactly once (design, section 4)."""


def _tier(value: object) -> object:
    """Take a tier by its name; a bare number is refused, so that `2` and `T2` are not two spellings of one thing."""
    if isinstance(value, TrustTier):
        return value
    if isinstance(value, str) and value in TrustTier.__members__:
        return TrustTier[value]
    msg = "a trust tier is one of T0, T1, T2, T3, T4"
    raise ValueError(msg)


def _name(tier: TrustTier) -> str:
    return tier.name


Tier = Annotated[
    TrustTier,
    BeforeValidator(_tier),
    PlainSerializer(_name),
    WithJsonSchema({"type": "string", "enum": [tier.name for tier in TrustTier]}),
]
"""A trust tier as it is written and shown: by name."""


def _places(value: object) -> object:
    """Take one path for a list of one. An empty one would be the folder that the gateway happens to be started in."""
    places = value if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(place, Path) or (isinstance(place, str) and place) for place in places):
        msg = "must be a path, or a list of paths, and none of them empty"
        raise ValueError(msg)
    return places


_PLACE = {"type": "string", "minLength": 1}

PolicyPlaces = Annotated[
    tuple[Path, ...],
    BeforeValidator(_places),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_PLACE, {"type": "array", "items": _PLACE, "minItems": 1}]}),
]
"""Where policies lie: a path stands for itself alone, too."""


class UpstreamSettings(Section):
    """One MCP server behind the gateway: a Streamable HTTP `url`, or a stdio `command`."""

    url: str | None = None
    """Address of a Streamable HTTP server, usually ending in `/mcp`."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request to this upstream, for its own credential. Never logged or shown."""
    command: str | None = None
    """Program of a stdio server; one process for each agent session."""
    args: tuple[str, ...] = ()
    """Arguments of `command`."""
    env: dict[str, str] = Field(default_factory=dict)
    """The child's environment, beside PATH, HOME and the locale: the gateway's own is not inherited."""
    cwd: Path | None = None
    """Working folder of `command`; None: the gateway's own."""
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    """Time to the complete answer of one request. 300 s is what MCP SDKs wait by default."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """For making one connection."""
    max_answer_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024 * 1024)] = 64 * 1024 * 1024
    """One whole answer or one SSE event. Above: the call ends as broken."""
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Kept open and in use at once."""
    authority_token: bool = False
    """Send a signed authority token with each allowed tool call, for a server that refuses calls without one."""
    authority_audience: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    """The audience of those tokens, as the server expects it; None: the upstream's name here."""

    @model_validator(mode="after")
    def one_transport(self) -> "UpstreamSettings":
        """Refuse an upstream with no transport, or with both."""
        if (self.url is None) == (self.command is None):
            msg = "name either `url` (Streamable HTTP) or `command` (stdio), not both"
            raise ValueError(msg)
        if self.command is None and (self.args or self.env or self.cwd):
            msg = "`args`, `env` and `cwd` belong to `command`"
            raise ValueError(msg)
        if self.url is None and self.headers:
            msg = "`headers` belong to `url`"
            raise ValueError(msg)
        if self.authority_audience is not None and not self.authority_token:
            msg = "`authority_audience` does nothing without `authority_token: true`"
            raise ValueError(msg)
        return self


class LimitSettings(Section):
    """Bounds on what comes from agents."""

    body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    """One message; the MCP SDK's own limit."""
    depth: Annotated[int, Field(ge=4, le=64)] = 32
    """Nesting of one message; the policy engine crashes at thousands."""
    keys: Annotated[int, Field(ge=16, le=1_000_000)] = 20_000
    """Object keys and array items of one message, all together; policy evaluation stops at 10,000 iterations."""
    id_chars: Annotated[int, Field(ge=16, le=4096)] = 256
    """Length of a string id."""
    header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 32 * 1024
    """All header lines of one request together."""
    header_count: Annotated[int, Field(ge=8, le=1000)] = 100
    """Header lines of one request."""
    header_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """From the first byte of a request to the end of its headers."""
    body_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """From the end of the headers to the end of the body."""
    connections_per_address: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Open at once from one peer address."""
    sessions_per_agent: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Handshake sessions of one agent."""
    session_idle_s: Annotated[float, Field(gt=0, le=86_400)] = 1800.0
    """A handshake session without a request for so long is ended."""
    event_buffer_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 1024 * 1024
    """Events kept per session for a stream that is resumed."""
    event_buffer_s: Annotated[float, Field(gt=0, le=86_400)] = 300.0
    """How long such events are kept."""
    calls_per_agent: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Calls of one agent in flight at once; more are refused as busy."""
    calls_per_upstream: Annotated[int, Field(ge=1, le=100_000)] = 1024
    """Calls to one upstream in flight at once."""


class BreakerSettings(Section):
    """When an agent is stopped by what it does itself, and when its way to one upstream is closed."""

    failures: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """So many calls in a row that were denied, or that an agent itself reported as failed, stop it everywhere; so many
    that failed at one upstream stop it there. 0: nothing does."""
    cool_down_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """How long it stays stopped after the last of them. Then calls pass again; the first that fails stops it anew."""


class HoldSettings(Section):
    """How long an escalated tool call waits for its human before its agent is told that it is pending."""

    leg_s: Annotated[float, Field(ge=0, le=30)] = 4.0
    """One wait where the agent did not ask for another one. Clients of the modern era come back by themselves, 9 times
    in all; one of the handshake era waits once. Below 5 s, after which the OpenAI Agents SDK gives up; 0: no wait."""
    hold_s: Annotated[float, Field(ge=0, le=300)] = 45.0
    """The wait of a handshake client that asked for progress. Below 60 s, after which most clients give up."""
    hold_max_s: Annotated[float, Field(ge=0, le=3600)] = 300.0
    """The longest that an agent may ask for (`Prefer: wait=N`, or `holds.agents`); in the modern era in 9 parts."""
    held_per_agent: Annotated[int, Field(ge=0, le=10_000)] = 128
    """Calls of one agent that wait at once, each on a connection; more are told at once that they are pending."""
    agents: dict[str, Annotated[float, Field(ge=0, le=3600)]] = Field(default_factory=dict)
    """How long the calls of single agents wait, by name, where they do not ask themselves; 0: not at all."""


class ApprovalSettings(Section):
    """What is kept of approvals, leases and submitted intents beside the chain once they are closed."""

    keep_closed_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """How long rows of closed approvals, ended leases and submitted intents stay in the store. Nothing is forgotten
    with them: what they said is in the chain, from which it is shown and answered as before."""


class LeaseSettings(Section):
    """How much a human may grant at once: a yes to calls of one shape (`intended approvals approve ID --for 10m`)."""

    max_minutes: Annotated[int, Field(ge=0, le=MAX_MINUTES)] = MAX_MINUTES
    """The longest time; 0: there are no leases, and each escalated call needs an answer of its own."""
    max_uses: Annotated[int, Field(ge=1, le=MAX_USES)] = MAX_USES
    """The most calls under one lease."""


class AuditSettings(Section):
    """What the audit keeps and shows."""

    arguments: Literal["redacted", "digest"] = "redacted"
    """What of the arguments an entry's body shows: with secrets removed, or the digest only."""
    keep_input_days: Annotated[int, Field(ge=0, le=3650)] = 30
    """How long the whole arguments are kept, encrypted, for recomputing a decision; 0: never written."""
    lock_timeout_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    """How long an append may wait for a slow disk. A store that is full, locked, gone or read-only is not waited for:
    calls are then refused within a second."""


class ThresholdSettings(Section):
    """`Thresholds` of one tier, as an operator writes them."""

    allow_below: Annotated[int, Field(ge=0, le=101)]
    """Risk below which an allowed call needs no human; 101: any."""
    deny_from: Annotated[int, Field(ge=0, le=101)]
    """Risk from which a call is denied whatever a rule says; 101: never."""


DEFAULT_THRESHOLDS = {
    TrustTier.T0: ThresholdSettings(allow_below=30, deny_from=90),
    TrustTier.T1: ThresholdSettings(allow_below=45, deny_from=95),
    TrustTier.T2: ThresholdSettings(allow_below=60, deny_from=101),
    TrustTier.T3: ThresholdSettings(allow_below=75, deny_from=101),
    TrustTier.T4: ThresholdSettings(allow_below=101, deny_from=101),
}
"""Tier × risk → verdict where no rule is stricter. A new agent may do harmless work from the first minute."""


class TierSettings(Section):
    """Trust tiers: where agents begin, how far they may rise by themselves, and what is not earned but given."""

    default: Tier = TrustTier.T0
    """Tier at which an agent begins that is not named under `agents`. It may rise from there, and fall."""
    agents: dict[str, Tier] = Field(default_factory=dict)
    """Tiers of single agents, by name: of the tenant `default`, of any other as `TENANT/AGENT`. These never move."""
    earned: bool = True
    """Whether tiers move by what agents do; false: every agent that is not named stays at `default`."""
    ceiling: Tier = TrustTier.T2
    """Up to here agents are promoted by their record; further only those whose ceiling a human has raised."""
    thresholds: dict[Tier, ThresholdSettings] = Field(default_factory=dict)

    @field_validator("agents")
    @classmethod
    def of_slugs(cls, value: dict[str, TrustTier]) -> dict[str, TrustTier]:
        """Refuse a name under which no agent acts: who keeps one at T0 must not keep nobody there."""
        for name in value:
            agent = name.rpartition("/")[2]
            if not agent or agent != slug_of(agent):
                msg = f"{name!r} is no agent: name it by its slug{f', as {slug_of(agent)!r}' if slug_of(agent) else ''}"
                raise ValueError(msg)
        return value

    def threshold(self, tier: TrustTier) -> Thresholds:
        """Return the caps of `tier`."""
        chosen = self.thresholds.get(tier, DEFAULT_THRESHOLDS[tier])
        return Thresholds(allow_below=chosen.allow_below, deny_from=chosen.deny_from)


PerMinute = Annotated[int, Field(ge=1, le=10_000_000)]
"""Requests a minute; the most that a key of its own number may have, too (`services/keygrants.py`)."""


class RateSettings(Section):
    """Requests a minute of one key, by its plan. The plan `enterprise` has a number of its own in each key."""

    default: PerMinute = 1000
    """Of a key without a plan. The windows are fixed and start at each whole minute."""
    free: PerMinute = 100
    """Of a key with the plan `free`."""
    pro: PerMinute = 500
    """Of a key with the plan `pro`."""
    business: PerMinute = 2000
    """Of a key with the plan `business`."""

    def by_plan(self) -> dict[str, int]:
        """Return the numbers by name; the default has none."""
        return {"": self.default, "free": self.free, "pro": self.pro, "business": self.business}


class TokenSettings(Section):
    """Authority tokens: what they say of the gateway, how long they live, and what their keys are encrypted under."""

    issuer: Annotated[str, Field(min_length=1, max_length=2048)] = "intended-gateway"
    """The `iss` of every token; servers compare it. Give each environment its own."""
    ttl_s: Annotated[int, Field(ge=1, le=MAX_TTL_S)] = 120
    """How long a token lives. It is used once, right after it was issued: longer only helps a clock that is off."""
    key: SecretStr | None = None
    """32 random bytes, as base64 or hex, under which private signing keys are encrypted at rest (`openssl rand -base64
    32`). None: under the data folder's own key, which then lies beside what it protects. Better from a variable that
    ends in `_FILE` than from a file that others read."""

    @field_validator("key")
    @classmethod
    def thirty_two_bytes(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse at the start what could not seal a key later."""
        if value is not None:
            _key_bytes(value)
        return value

    @property
    def sealing_key(self) -> bytes | None:
        """The key as bytes, None where it is the data folder's."""
        return None if self.key is None else _key_bytes(self.key)


class WebhookSettings(Section):
    """Where webhooks may be sent beyond the public internet."""

    allow_hosts: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = ()
    """Hosts, by name or address as in the URL, that may be on this machine or its own network, and without TLS. Whoever
    may configure webhooks can then have requests sent to every port of these."""


def _key_bytes(secret: SecretStr) -> bytes:
    """Read a key as base64 (either alphabet, padded or not) or hex. Raises ValueError, which does not repeat it."""
    text = secret.get_secret_value().strip()
    try:
        if len(text) == 2 * SEALING_KEY_BYTES:
            return bytes.fromhex(text)
        padded = text.rstrip("=").replace("+", "-").replace("/", "_")
        raw = base64.b64decode(padded + "=" * (-len(padded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if len(raw) != SEALING_KEY_BYTES:
        msg = f"is not {SEALING_KEY_BYTES} bytes as base64 or hex"
        raise ValueError(msg)
    return raw


class Settings(Section):
    """The whole configuration of one gateway."""

    host: str = "127.0.0.1"
    """Address to bind. Without keys only loopback is accepted, with keys any other wants TLS."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8787
    """0 picks a free port."""
    public_url: Annotated[str, Field(max_length=256)] | None = None
    """The origin at which people reach the gateway, as `https://gate.example.org`: what links to approval pages begin
    with. None: the address served. Set it behind a proxy, and wherever `host` names no one machine."""
    upstreams: dict[Annotated[str, Field(pattern=UPSTREAM_ID)], UpstreamSettings] = Field(default_factory=dict)
    policies: PolicyPlaces = (Path("shipped:default"),)
    """Policy files, folders of them, or `shipped:NAME` for what comes with the gateway; one, or a list."""
    data: Path | None = None
    """The data folder (store, keys, lock); None: the user's data folder."""
    state: Path | None = None
    """Where the copy of the chain's head lies, outside the data folder; None: the user's state folder."""
    allowed_hosts: tuple[str, ...] = ()
    """Host headers accepted beside loopback names and the bound address, with port where one is sent."""
    allowed_origins: tuple[str, ...] = ()
    """Origins accepted beside loopback ones."""
    tls_certificate: Path | None = None
    """PEM file with the certificate chain; with it the gateway speaks TLS itself."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    behind_tls_proxy: bool = False
    """Says that a proxy in front of the gateway speaks TLS and is the only way to it. Keys then may come in the clear
    from other addresses than loopback; and there must be keys, since a proxy brings strangers to loopback too."""
    unsafe_allow_unauthenticated: bool = False
    """Bind an address that other machines reach although there is no key, or no TLS: without a key anyone there is
    agent `local`. For a container whose network reaches one agent only. Without this, keyless mode is loopback only."""
    drain_s: Annotated[float, Field(ge=0, le=600)] = 20.0
    """How long calls in flight may take to end after SIGTERM. Below the 30 s that orchestrators wait before SIGKILL."""
    tiers: TierSettings = TierSettings()
    limits: LimitSettings = LimitSettings()
    rates: RateSettings = RateSettings()
    breaker: BreakerSettings = BreakerSettings()
    holds: HoldSettings = HoldSettings()
    approvals: ApprovalSettings = ApprovalSettings()
    leases: LeaseSettings = LeaseSettings()
    audit: AuditSettings = AuditSettings()
    tokens: TokenSettings = TokenSettings()
    authority: AuthoritySettings = AuthoritySettings()
    webhooks: WebhookSettings = WebhookSettings()
    metrics: MetricsSettings = MetricsSettings()
    value: ValueSettings = ValueSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()

    @field_validator("public_url")
    @classmethod
    def an_origin(cls, value: str | None) -> str | None:
        """Refuse what a path cannot be put behind, or what would put a password into every link."""
        if value is None:
            return None
        found = _ORIGIN.fullmatch(value)
        if found is None:
            msg = "write an origin, as https://gate.example.org or http://10.0.0.5:8787: no path, no query, no user"
            raise ValueError(msg)
        return found[1].lower()

    @model_validator(mode="after")
    def whole_tls(self) -> "Settings":
        """Refuse a certificate without its key, or a key without its certificate."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            msg = "`tls_certificate` and `tls_key` belong together: name both or neither"
            raise ValueError(msg)
        return self

    @property
    def reachable_from_elsewhere(self) -> bool:
        """True where `host` is not a loopback address, or a proxy brings others to it."""
        return self.behind_tls_proxy or not is_loopback(self.host)

    def require_safe_address(self, *, keyed: bool) -> None:
        """Refuse to serve strangers, or keys in the clear, beyond this machine. `keyed`: there is, or was, an API key.

        Raises:
            ConfigurationError: others reach the gateway without a key, or without TLS, and the unsafe switch is off.
        """
        if not self.reachable_from_elsewhere or self.unsafe_allow_unauthenticated:
            return
        if not keyed:
            raise ConfigurationError(
                Problem(
                    source="settings",
                    field="host" if not is_loopback(self.host) else "behind_tls_proxy",
                    message=f"{self.host} is reachable from other machines, and there is no API key: anyone there could"
                    " call every tool",
                    remedy="make a key first (`intended keys create`); or bind 127.0.0.1 (the default) with no proxy;"
                    " or, where the network itself lets only your agent in, say so with --unsafe-allow-unauthenticated"
                    " (INTENDED_GATEWAY_UNSAFE_ALLOW_UNAUTHENTICATED=true)",
                )
            )
        if self.tls_certificate is None and not self.behind_tls_proxy:
            raise ConfigurationError(
                Problem(
                    source="settings",
                    field="host",
                    message=f"{self.host} is reachable from other machines, and API keys would come there in the clear",
                    remedy="give it a certificate (--tls-cert and --tls-key); or say with --behind-tls-proxy that a"
                    " proxy in front of it speaks TLS and is the only way to it; or bind 127.0.0.1 (the default)",
                )
            )
