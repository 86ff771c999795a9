"""What an agent has earned, as the service tells it.

Owns the value; how it is earned is the service's (`docs/trust.md`).
"""

from dataclasses import dataclass, field

from intended.reading import Fields, JsonObject

__all__ = ["AgentTrust", "TrustHistory", "TrustMove", "TrustPoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTrust:
    """What an agent has earned. `tier` is in force; `ceiling` is how far it may rise; `version` rises with each.

    A `pinned` tier is given and does not move; a `frozen` agent is not promoted. `raw` holds what it rests on, and what
    the next tier takes.
    """

    agent_id: str
    agent: str
    tier: str
    score: int
    ceiling: str
    frozen: bool
    pinned: bool
    version: int
    failures_in_row: int = 0
    stopped: str = ""
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "AgentTrust":
        """Read it from an answer."""
        return cls(
            agent_id=fields.text("agentId"),
            agent=fields.text("agent"),
            tier=fields.text("tier"),
            score=fields.count("score"),
            ceiling=fields.text("ceiling"),
            frozen=fields.flag("frozen"),
            pinned=fields.flag("pinned"),
            version=fields.count("version"),
            failures_in_row=fields.count_or("failuresInRow"),
            stopped=fields.text_or("stopped"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustPoint:
    """Score and tier at the end of one day."""

    day: str
    score: int
    tier: str

    @classmethod
    def read(cls, fields: Fields) -> "TrustPoint":
        """Read it from an answer."""
        return cls(day=fields.text("day"), score=fields.count("score"), tier=fields.text("tier"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMove:
    """An entry of the audit trail that moved score or tier: `what` it was evidence of, or the kind of change."""

    entry_id: str
    sequence: int
    at: str
    what: str
    score_before: int
    score: int
    tier_before: str
    tier: str
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, fields: Fields) -> "TrustMove":
        """Read it from an answer."""
        return cls(
            entry_id=fields.text("entryId"),
            sequence=fields.count("seq"),
            at=fields.text("at"),
            what=fields.text("what"),
            score_before=fields.count("scoreBefore"),
            score=fields.count("score"),
            tier_before=fields.text("tierBefore"),
            tier=fields.text("tier"),
            raw=fields.whole(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustHistory:
    """How an agent's trust came about: points from the oldest to today, and the last moves, newest first."""

    agent_id: str
    agent: str
    points: tuple[TrustPoint, ...]
    moves: tuple[TrustMove, ...]

    @classmethod
    def read(cls, fields: Fields) -> "TrustHistory":
        """Read it from an answer."""
        return cls(
            agent_id=fields.text("agentId"),
            agent=fields.text("agent"),
            points=fields.each("points", TrustPoint.read),
            moves=fields.each("moves", TrustMove.read),
        )
