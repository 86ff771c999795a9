"""Sections of the settings: whom the gateway asks; and what it tells, its log, traces, metrics, and intents' worth.

Owns these, and what every section is. The whole is `settings.py`, which is where they are read from.
"""

import ipaddress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from gateway.core.credentials import is_tenant_id
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.policy.document import nearest

__all__ = [
    "AuthoritySettings",
    "LogSettings",
    "MetricsSettings",
    "Section",
    "TracingSettings",
    "ValueSettings",
    "is_loopback",
]


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class AuthoritySettings(Section):
    """A remote Intended service that is asked about every call which this gateway would not deny. The stricter answer
    counts, and without an answer the call is denied."""

    url: Annotated[str, Field(max_length=2048)] | None = None
    """Its address, as `https://intended.example.org`; https, or http on this machine. None: nobody is asked."""
    key: SecretStr | None = None
    """The API key there, with the scopes intents:write and intents:read. None: that of `key_file`, else the variable
    INTENDED_API_KEY."""
    key_file: Path | None = None
    """A file that holds the key."""
    tenant: str = "default"
    """The tenant there that the key belongs to, and whose tokens are taken."""
    issuer: Annotated[str, Field(min_length=1, max_length=2048)] = "intended-gateway"
    """The `iss` of its tokens: the setting `tokens.issuer` there."""
    timeout_s: Annotated[float, Field(ge=0.05, le=30)] = 2.0
    """From a question to its whole answer. A call waits so long for an authority that hangs, and is then denied."""

    @field_validator("url")
    @classmethod
    def safe(cls, value: str | None) -> str | None:
        """Refuse what would send the key in the clear, or somewhere that nobody meant."""
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            msg = "write a URL, as https://intended.example.org: no query, no fragment"
            raise ValueError(msg)
        if parts.username is not None or parts.password is not None:
            msg = "no user belongs into this URL; the key is `authority.key`"
            raise ValueError(msg)
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            msg = "the key and every decision would travel in the clear: use https"
            raise ValueError(msg)
        return value

    @field_validator("tenant")
    @classmethod
    def of_a_tenant(cls, value: str) -> str:
        """Refuse what no tenant is called."""
        if not is_tenant_id(value):
            msg = "is no tenant id: at most 63 letters, digits, `-` and `_`"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def used(self) -> "AuthoritySettings":
        """Refuse a key that is for nobody, and two keys."""
        if self.url is None and (self.key is not None or self.key_file is not None):
            msg = "a key does nothing without `url`"
            raise ValueError(msg)
        if self.key is not None and self.key_file is not None:
            msg = "name `key` or `key_file`, not both"
            raise ValueError(msg)
        return self


Amount = Annotated[
    Decimal,
    Field(ge=0, le=1_000_000_000, decimal_places=2),
    PlainSerializer(float, return_type=float),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1_000_000_000}),
]
"""Units of a currency with at most two decimals. A thousand of the largest are still exact as a JSON number."""


class LogSettings(Section):
    """What the gateway says while it runs, on standard error: a line for each decision, and what goes wrong."""

    format: Literal["auto", "json", "text"] = "auto"
    """JSON lines or lines for people; auto: for people where standard error is a terminal."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is told of the gateway's own. Decisions are `info`; libraries are heard from `warning` on."""


class TracingSettings(Section):
    """Spans by OpenTelemetry, with the extra `intended-mcp-gateway[tracing]`. What is not set here (the service's name,
    headers for the collector, batches) comes from the standard `OTEL_*` variables."""

    exporter: Literal["none", "otlp", "console"] = "none"
    """Where spans go: to a collector (OTLP over HTTP), to standard error, or nowhere: then none are made, and trace
    context passes from agents to upstreams untouched."""
    endpoint: Annotated[str, Field(pattern=r"^https?://[^/@\s]+(/\S*)?$", max_length=2048)] | None = None
    """Where spans are posted, as `http://127.0.0.1:4318/v1/traces`; None: as `OTEL_EXPORTER_OTLP_ENDPOINT` says, else
    the collector on this machine."""
    sample: Annotated[float, Field(ge=0, le=1)] | None = None
    """The part of the traces that begin here which is kept; where an agent began the trace, it has decided. None: as
    `OTEL_TRACES_SAMPLER` says, else all."""
    arguments: bool = False
    """Tell the arguments of tool calls, redacted as in the audit. They still are what your agents work on, for whoever
    reads traces to see."""

    @model_validator(mode="after")
    def used_endpoint(self) -> "TracingSettings":
        """Refuse what would have no effect: somebody thinks that there are traces."""
        if self.endpoint is not None and self.exporter != "otlp":
            msg = "`endpoint` does nothing without `exporter: otlp`"
            raise ValueError(msg)
        return self


class ValueSettings(Section):
    """What completed intents are worth to the organisation, for `valueGenerated`."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    """The currency of all amounts, by its ISO 4217 code. Sums are shown in this one; what was credited in another
    stays on record and is not added."""
    amounts: dict[str, Amount] = Field(default_factory=dict)
    """What an intent earns once it has completed, by intent type (`billing.send_invoice: 99.00`), in units of the
    currency with at most 2 decimals. A type that is not named earns nothing."""

    @field_validator("amounts")
    @classmethod
    def of_known_types(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        """Refuse a type that no intent can have: its value would silently never come."""
        unknown = [
            f"{name!r} is no intent type{nearest(name, TAXONOMY.by_id)}" for name in value if name not in TAXONOMY.by_id
        ]
        if unknown:
            raise ValueError("; ".join(unknown))
        return value


class MetricsSettings(Section):
    """Where Prometheus asks, beside `/metrics` at the gateway's own address for keys of the role `admin`."""

    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """A port for `/metrics` and the probes alone, without a key; 0 picks a free one, None: there is none. It tells of
    every tenant, so it is for this machine."""
    host: str = "127.0.0.1"
    """The address of that port: a loopback one. From elsewhere ask at the gateway's own, with a key."""
    names: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Distinct agents, and distinct intent types, of one tenant that metrics tell apart; further ones are `other`."""

    @field_validator("host")
    @classmethod
    def loopback(cls, value: str) -> str:
        """Refuse what strangers reach: labels name tenants and agents."""
        if not is_loopback(value):
            msg = "must be a loopback address, as 127.0.0.1; from elsewhere ask for /metrics with a key of role admin"
            raise ValueError(msg)
        return value


def is_loopback(host: str) -> bool:
    """Return True where binding `host` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name may resolve to anything
        return False
