"""Every knob of the gateway, typed, bounded, with its unit and reason.

Flag > `INTENDED_GATEWAY_*` environment (nested `__`) > `intended.yaml` > default. Unknown keys and unknown variables
under the prefix are errors. Only `app.py` and the command line read settings.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.core.decision import Thresholds
from gateway.core.principal import TrustTier

__all__ = [
    "AuditSettings",
    "LimitSettings",
    "Settings",
    "ThresholdSettings",
    "TierSettings",
    "UpstreamSettings",
]

UPSTREAM_ID = r"^[a-z][a-z0-9-]{0,31}$"
"""No underscore, so that `__` splits a prefixed name exactly once (design, section 4)."""


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class UpstreamSettings(Section):
    """One MCP server behind the gateway: a Streamable HTTP `url`, or a stdio `command`."""

    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request to this upstream, for its own credential. Never logged or shown."""
    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    """The child's environment, beside PATH, HOME and the locale: the gateway's own is not inherited."""
    cwd: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    """Time to the complete answer of one request. 300 s is what MCP SDKs wait by default."""
    connect_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    max_answer_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    """One whole answer or one SSE event. Above: the call ends as broken."""
    max_connections: Annotated[int, Field(ge=1, le=10_000)] = 100

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
        return self


class LimitSettings(Section):
    """Bounds on what comes from agents."""

    body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    """One message; the MCP SDK's own limit."""
    depth: Annotated[int, Field(ge=4, le=64)] = 32
    """Nesting of one message; the policy engine crashes at thousands (research/building-blocks.md 1.2)."""
    keys: Annotated[int, Field(ge=16, le=1_000_000)] = 20_000
    """Object keys and array items of one message, all together; policy evaluation stops at 10,000 iterations."""
    id_chars: Annotated[int, Field(ge=16, le=4096)] = 256
    """Length of a string id."""
    header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 32 * 1024
    """All header lines of one request together."""
    header_count: Annotated[int, Field(ge=8, le=1000)] = 100
    header_timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    """From the first byte of a request to the end of its headers."""
    body_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """From the end of the headers to the end of the body."""
    connections_per_address: Annotated[int, Field(ge=1, le=100_000)] = 1000
    sessions_per_agent: Annotated[int, Field(ge=1, le=100_000)] = 1000
    session_idle_s: Annotated[float, Field(gt=0, le=86_400)] = 1800.0
    """A handshake session without a request for so long is ended (design: 30 minutes)."""
    event_buffer_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    event_buffer_s: Annotated[float, Field(gt=0)] = 300.0
    calls_per_agent: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Calls of one agent in flight at once; more are refused as busy."""
    calls_per_upstream: Annotated[int, Field(ge=1, le=100_000)] = 1024


class AuditSettings(Section):
    """What the audit keeps and shows."""

    arguments: Literal["redacted", "digest"] = "redacted"
    """What of the arguments an entry's body shows: with secrets removed, or the digest only."""
    keep_input_days: Annotated[int, Field(ge=0, le=3650)] = 30
    """How long the whole arguments are kept, encrypted, for recomputing a decision; 0: never written."""
    lock_timeout_s: Annotated[float, Field(gt=0, le=1)] = 0.8
    """How long an append may wait for the store before the call is refused; under a second as promised."""


class ThresholdSettings(Section):
    """`Thresholds` of one tier, as an operator writes them."""

    allow_below: Annotated[int, Field(ge=0, le=101)]
    deny_from: Annotated[int, Field(ge=0, le=101)]


DEFAULT_THRESHOLDS = {
    TrustTier.T0: ThresholdSettings(allow_below=30, deny_from=90),
    TrustTier.T1: ThresholdSettings(allow_below=45, deny_from=95),
    TrustTier.T2: ThresholdSettings(allow_below=60, deny_from=101),
    TrustTier.T3: ThresholdSettings(allow_below=75, deny_from=101),
    TrustTier.T4: ThresholdSettings(allow_below=101, deny_from=101),
}
"""Tier × risk → verdict where no rule is stricter. A new agent may do harmless work from the first minute."""


class TierSettings(Section):
    """Trust tiers from configuration: the default, and the tier of single agents by name."""

    default: TrustTier = TrustTier.T0
    agents: dict[str, TrustTier] = Field(default_factory=dict)
    thresholds: dict[TrustTier, ThresholdSettings] = Field(default_factory=dict)

    def threshold(self, tier: TrustTier) -> Thresholds:
        """Return the caps of `tier`."""
        chosen = self.thresholds.get(tier, DEFAULT_THRESHOLDS[tier])
        return Thresholds(allow_below=chosen.allow_below, deny_from=chosen.deny_from)


class Settings(Section):
    """The whole configuration of one gateway."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8787
    """0 picks a free port."""
    upstreams: dict[Annotated[str, Field(pattern=UPSTREAM_ID)], UpstreamSettings] = Field(default_factory=dict)
    policies: Path | None = None
    """A policy file or a folder of them; None: the shipped `default.yaml`."""
    data: Path | None = None
    """The data folder (store, keys, lock); None: the user's data folder."""
    state: Path | None = None
    """Where the copy of the chain's head lies, outside the data folder; None: the user's state folder."""
    allowed_hosts: tuple[str, ...] = ()
    """Host headers accepted beside loopback names and the bound address, with port where one is sent."""
    allowed_origins: tuple[str, ...] = ()
    """Origins accepted beside loopback ones."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tiers: TierSettings = TierSettings()
    limits: LimitSettings = LimitSettings()
    audit: AuditSettings = AuditSettings()
