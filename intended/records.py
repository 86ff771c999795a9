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
    "BreakPoint",
    "ChainReport",
    "Connector",
    "CreatedKey",
    "Health",
    "Key",
    "LoginLink",
    "PortalSession",
    "SigningKey",
    "Stats",
    "Switch",
    "Thresholds",
    "TierThreshold",
    "Timeline",
    "TimelineEvent",
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
            created_at=fields.text_or("createdAt"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMetrics:
    """What one agent did so far. `value_generated` is in currency units."""

    agent_id: str
    intents_total: int = 0
    intents_today: int = 0
    intents_by_status: JsonObject = field(default_factory=dict)
    intents_by_type: JsonObject = field(default_factory=dict)
    last_intent_at: str = ""
    value_generated: float = 0
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "AgentMetrics":
        """Read it from an answer."""
        return cls(
            agent_id=fields.text("agentId"),
            intents_total=fields.count_or("intentsTotal"),
            intents_today=fields.count_or("intentsToday"),
            intents_by_status=fields.object_or("intentsByStatus"),
            intents_by_type=fields.object_or("intentsByType"),
            last_intent_at=fields.text_or("lastIntentAt"),
            value_generated=fields.number_or("valueGenerated") or 0,
            raw=fields.whole(),
        )


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
class Switch:
    """A kill switch that is thrown, or was until now. `kind` is `agent`, `upstream` or `tenant`.

    `cancelled_approvals` is told by the answer to throwing it: how many that cancelled; None where some are left.
    """

    kind: str
    name: str
    reason: str
    by: str = ""
    since: str = ""
    cancelled_approvals: int | None = field(default=None, compare=False)

    @classmethod
    def read(cls, fields: Fields) -> "Switch":
        """Read it from an answer."""
        return cls(
            kind=fields.text("kind"),
            name=fields.text("name"),
            reason=fields.text("reason"),
            by=fields.text_or("by"),
            since=fields.text_or("since"),
            cancelled_approvals=fields.count("cancelledApprovals") if fields.has("cancelledApprovals") else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry of the audit chain. `data` is its body as it was stored: redacted."""

    id: str
    event_type: str
    timestamp: str
    sequence: int = 0
    agent: str = ""
    intent_id: str = ""
    decision: str = ""
    hash: str = ""
    data: JsonObject = field(default_factory=dict, repr=False)
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "AuditEntry":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            event_type=fields.text("eventType"),
            timestamp=fields.text("timestamp"),
            sequence=fields.count_or("sequence"),
            agent=fields.text_or("agent"),
            intent_id=fields.text_or("intentId"),
            decision=fields.text_or("decision"),
            hash=fields.text_or("hash"),
            data=fields.object_or("data"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """One entry of the audit chain in the words of the timeline: who did what to which system."""

    id: str
    type: str
    timestamp: str
    sequence: int = 0
    actor: str = ""
    system: str = ""
    target: str = ""
    intent_id: str = ""
    decision: str = ""
    hash: str = ""
    details: JsonObject = field(default_factory=dict, repr=False)
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "TimelineEvent":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            type=fields.text("type"),
            timestamp=fields.text("timestamp"),
            sequence=fields.count_or("sequence"),
            actor=fields.text_or("actor"),
            system=fields.text_or("system"),
            target=fields.text_or("target"),
            intent_id=fields.text_or("intentId"),
            decision=fields.text_or("decision"),
            hash=fields.text_or("hash"),
            details=fields.object_or("details"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A stretch of the audit timeline; `next_cursor` continues it, None at its end."""

    events: tuple[TimelineEvent, ...]
    next_cursor: int | None

    @classmethod
    def read(cls, fields: Fields) -> "Timeline":
        """Read it from an answer."""
        cursor = fields.count("nextCursor") if fields.has("nextCursor") else None
        return cls(events=fields.each("events", TimelineEvent.read), next_cursor=cursor)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakPoint:
    """A place where the audit chain does not hold."""

    sequence: int
    expected: str
    found: str
    kind: str = ""

    @classmethod
    def read(cls, fields: Fields) -> "BreakPoint":
        """Read it from an answer."""
        return cls(
            sequence=fields.count("sequence"),
            expected=fields.text_or("expected"),
            found=fields.text_or("found"),
            kind=fields.text_or("kind"),
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
            breaks=fields.each_or("breakPoints", BreakPoint.read) + fields.each_or("breaks", BreakPoint.read),
            raw=fields.whole(),
        )
        if report.valid and report.breaks:
            raise Nonsense("the chain is called valid and has break points")
        return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One connected system and its health (`healthy`, `unhealthy`, `unknown`). `latency_ms` is of its last test."""

    id: str
    status: str
    transport: str = ""
    checked_at: str = ""
    latency_ms: float | None = None
    problem: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "Connector":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            status=fields.text("status"),
            transport=fields.text_or("transport"),
            checked_at=fields.text_or("checkedAt"),
            latency_ms=fields.number_or("latencyMs"),
            problem=fields.text_or("problem"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key as the service lists it: never its secret."""

    id: str
    name: str = ""
    status: str = ""
    role: str = ""
    scopes: tuple[str, ...] = ()
    agent: str = ""
    plan: str = ""
    created_at: str = ""
    expires: str = ""
    revoked_at: str = ""
    last_used_at: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "Key":
        """Read it from an answer. The secret of a fresh key is not kept in `raw`."""
        return cls(
            id=fields.text("id"),
            name=fields.text_or("name"),
            status=fields.text_or("status"),
            role=fields.text_or("role"),
            scopes=fields.texts_or("scopes"),
            agent=fields.text_or("agent"),
            plan=fields.text_or("plan"),
            created_at=fields.text_or("createdAt"),
            expires=fields.text_or("expires"),
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
    disabled: bool = False
    created_at: str = ""

    @classmethod
    def read(cls, fields: Fields) -> "User":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            name=fields.text_or("name"),
            role=fields.text_or("role"),
            disabled=fields.flag("disabled") if fields.has("disabled") else False,
            created_at=fields.text_or("createdAt"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginLink:
    """A one-time code by which a user logs in. Shown this once, and left out of the representation."""

    user_id: str
    expires_at: str
    code: str = field(repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "LoginLink":
        """Read it from an answer."""
        return cls(user_id=fields.text("userId"), expires_at=fields.text("expiresAt"), code=fields.text("code"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalSession:
    """An open session of a user. `session_id` is its credential, left out of the representation."""

    id: str
    user_id: str
    role: str
    expires_at: str
    session_id: str = field(repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "PortalSession":
        """Read it from an answer."""
        return cls(
            id=fields.text("id"),
            user_id=fields.text("userId"),
            role=fields.text_or("role"),
            expires_at=fields.text("expiresAt"),
            session_id=fields.text("sessionId"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A fresh key for a tenant's tokens: it signs from `signs_from` on, and is published before."""

    kid: str
    signs_from: str

    @classmethod
    def read(cls, fields: Fields) -> "SigningKey":
        """Read it from an answer."""
        return cls(kid=fields.text("kid"), signs_from=fields.text_or("signsFrom"))
