"""What an agent has earned, as the service tells it.

Owns the value; how it is earned is the service's (`docs/trust.md`).
"""

from dataclasses import dataclass, field

from intended.reading import Fields, JsonObject

__all__ = ["AgentTrust"]


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
