"""What the service answers beside decisions: agents, thresholds, audit, connectors, keys, people, health.

Frozen values. Members that carry meaning for a program must be there; the rest may be absent. `raw` is the whole
answer, for what has no name here.
"""

from dataclasses import dataclass, field

from intended.reading import Fields, JsonObject, Nonsense

__all__ = [
    "Agent",
    "AgentMetrics",
    "AuditEntry",
    "AuditVerification",
    "BreakPoint",
    "ChainReport",
    "Connector",
    "ConnectorTest",
    "CreatedKey",
    "Health",
    "Key",
    "Stats",
    "Thresholds",
    "TierThreshold",
    "Timeline",
    "User",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether decisions can be made: `status` is `healthy` or `unhealthy`."""

    status: str
    version: str
    uptime: float
    timestamp: str

    @property
    def healthy(self) -> bool:
        """True where the service can decide."""
        return self.status == "healthy"

    @classmethod
    def read(cls, fields: Fields) -> "Health":
        """Read it from an answer."""
        return cls(
            status=fields.text("status"),
            version=fields.text_or("version"),
            uptime=fields.number_or("uptime") or 0,
            timestamp=fields.text("timestamp"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The tenant's numbers of today (since 00:00 UTC)."""

    intents_today: int
    pending_approvals: int
    active_agents: int
    value_generated: float

    @classmethod
    def read(cls, fields: Fields) -> "Stats":
        """Read it from an answer."""
        return cls(
            intents_today=fields.count("intentsToday"),
            pending_approvals=fields.count("pendingApprovals"),
            active_agents=fields.count("activeAgents"),
            value_generated=fields.number("valueGenerated", least=-1e18, most=1e18),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A registered agent; `id` and `slug` both name it."""

    id: str
    slug: str
    name: str
    description: str = ""
    domains: tuple[str, ...] = ()
    intent_types: tuple[str, ...] = ()
    trust_tier: str = ""
    created_at: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "Agent":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            slug=fields.text("slug"),
            name=fields.text("name"),
            description=fields.text_or("description"),
            domains=fields.texts_or("domains"),
            intent_types=fields.texts_or("intentTypes"),
            trust_tier=fields.text_or("trustTier"),
            created_at=fields.text_or("createdAt"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMetrics:
    """How one agent did. The numbers are in `raw`, under the service's own names."""

    agent_id: str
    raw: JsonObject

    @classmethod
    def read(cls, fields: Fields) -> "AgentMetrics":
        """Read it from an answer."""
        return cls(agent_id=fields.text("agentId"), raw=fields.whole())


@dataclass(frozen=True, slots=True, kw_only=True)
class TierThreshold:
    """The caps of one trust tier: below `allow_below` no human is needed; from `deny_from` on the answer is no."""

    allow_below: int
    deny_from: int

    @classmethod
    def read(cls, fields: Fields) -> "TierThreshold":
        """Read it from an answer."""
        return cls(allow_below=fields.count("allowBelow"), deny_from=fields.count("denyFrom"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """A tenant's thresholds by tier; `version` is what an update must name."""

    tenant_id: str
    tiers: dict[str, TierThreshold]
    version: int

    @classmethod
    def read(cls, fields: Fields) -> "Thresholds":
        """Read it from an answer."""
        tiers = fields.object_or("tiers")
        if not tiers:
            raise Nonsense("the answer has no `tiers`")
        return cls(
            tenant_id=fields.text("tenantId"),
            tiers={name: TierThreshold.read(Fields(one, f"`tiers.{name}`")) for name, one in tiers.items()},
            version=fields.count("version"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry of the audit chain, as the service shows it."""

    id: str
    event_type: str
    timestamp: str
    sequence: int = 0
    intent_id: str = ""
    agent_id: str = ""
    hash: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "AuditEntry":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            event_type=fields.text("eventType"),
            timestamp=fields.text("timestamp"),
            sequence=fields.count_or("sequence"),
            intent_id=fields.text_or("intentId"),
            agent_id=fields.text_or("agentId"),
            hash=fields.text_or("hash"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A stretch of the audit timeline; `next_cursor` continues it, None at its end."""

    events: tuple[AuditEntry, ...]
    next_cursor: str | None

    @classmethod
    def read(cls, fields: Fields) -> "Timeline":
        """Read it from an answer."""
        return cls(events=fields.each("events", AuditEntry.read), next_cursor=fields.text_or("nextCursor") or None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakPoint:
    """A place where the audit chain does not hold."""

    sequence: int
    expected: str
    found: str

    @classmethod
    def read(cls, fields: Fields) -> "BreakPoint":
        """Read it from an answer."""
        return cls(
            sequence=fields.count("sequence"), expected=fields.text_or("expected"), found=fields.text_or("found")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What verifying the audit chain found. An empty list of break points alone proves nothing: look at `valid`."""

    valid: bool
    event_count: int
    breaks: tuple[BreakPoint, ...] = ()
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "ChainReport":
        """Read it from an answer. A chain that is said to be valid in spite of break points is Nonsense."""
        report = cls(
            valid=fields.flag("valid"),
            event_count=fields.count("eventCount"),
            breaks=fields.each_or("breakPoints", BreakPoint.read),
            raw=fields.whole(),
        )
        if report.valid and report.breaks:
            raise Nonsense("the chain is called valid and has break points")
        return report


AuditVerification = ChainReport
"""`GET /v1/audit/verify` and `POST /audit/verify-chain` tell the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One connected system and its health."""

    id: str
    status: str
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "Connector":
        """Read it from an answer."""
        return cls(id=fields.text("id"), status=fields.text("status"), raw=fields.whole())


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorTest:
    """What a connectivity check found; `latency_ms` is None where there was no answer."""

    id: str
    status: str
    latency_ms: float | None
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "ConnectorTest":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            status=fields.text("status"),
            latency_ms=fields.number_or("latencyMs"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key as the service lists it: never its secret."""

    id: str
    name: str = ""
    scopes: tuple[str, ...] = ()
    agent_id: str = ""
    created_at: str = ""
    expires_at: str = ""
    revoked_at: str = ""
    last_used_at: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "Key":
        """Read it from an answer. The secret of a fresh key is not kept in `raw`."""
        return cls(
            id=fields.text("id"),
            name=fields.text_or("name"),
            scopes=fields.texts_or("scopes"),
            agent_id=fields.text_or("agentId"),
            created_at=fields.text_or("createdAt"),
            expires_at=fields.text_or("expiresAt"),
            revoked_at=fields.text_or("revokedAt"),
            last_used_at=fields.text_or("lastUsedAt"),
            raw={name: value for name, value in fields.whole().items() if name != "key"},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedKey:
    """A fresh key: `secret` is shown this once, and left out of the representation."""

    key: Key
    secret: str = field(repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "CreatedKey":
        """Read it from an answer."""
        return cls(key=Key.read(fields), secret=fields.text("key"))


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A human user of the tenant."""

    id: str
    name: str = ""
    role: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "User":
        """Read it from an answer."""
        return cls(id=fields.text("id"), name=fields.text_or("name"), role=fields.text_or("role"), raw=fields.whole())
