"""How an escalated call waits for its human: how long, in how many legs, and what it carries from leg to leg.

Owns the arithmetic and the content of the sealed `requestState` (design, section 4, "ESCALATE"). Waiting itself is
`services/holding.py`, sealing the vault's. Agents are as patient as `research/protocol.md` 3.1 found them.
"""

import re
from dataclasses import dataclass, field
from typing import Final

import orjson

from gateway.core.call import Call, Era
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Principal

__all__ = ["LEGS", "MAX_CARRIED_BYTES", "HoldTerms", "Leg", "Plan", "plan", "preferred_wait", "read_leg"]

LEGS: Final = 9
"""An SDK's client gives up after 10 retries, with an exception that its model never sees."""

MAX_CARRIED_BYTES: Final = 48 * 1024
"""Of one state: an agent sends it back with each leg. A call that carries more is not held in legs."""

_WAIT = re.compile(r"""(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?=$|[,;])""", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTerms:
    """The settings `holds`, in seconds and counts. `agents` are the waits of single agents, by name."""

    leg_s: float = 4.0
    hold_s: float = 45.0
    hold_max_s: float = 300.0
    held_per_agent: int = 128
    agents: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one call waits: `legs` times `leg_s`. No legs: it does not."""

    leg_s: float
    legs: int


def plan(terms: HoldTerms, *, era: Era, agent: str, prefer: str, progress: bool) -> Plan:
    """Return how a call of this agent waits. `prefer` is its `Prefer` header; `progress`: it asked for progress."""
    asked = preferred_wait(prefer)
    if asked is None:
        asked = terms.agents.get(agent)
    total = None if asked is None else min(asked, terms.hold_max_s)
    if era is Era.MODERN:
        leg_s = terms.leg_s if total is None else total / LEGS
        return Plan(leg_s=leg_s, legs=LEGS if leg_s > 0 else 0)
    if total is None:
        total = terms.hold_s if progress else terms.leg_s
    return Plan(leg_s=total, legs=1 if total > 0 else 0)


def preferred_wait(header: str) -> float | None:
    """Return the seconds of a `Prefer: wait=N` header (RFC 7240, 4.3), None where it has none that can be read."""
    found = _WAIT.search(header)
    return float(found[1]) if found is not None else None


# --- what goes from leg to leg ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """The content of a sealed state: which call of whom waits for what and why, and which leg comes next.

    `expires` is in seconds since 1970. `carried` is what the call had beside its arguments and would lose, since the
    agent's retry has our state in place of its upstream's, and no answers.
    """

    tenant: str
    agent: str
    upstream: str
    tool: str
    args_digest: str
    approval_id: str
    reason: str
    rule: str
    number: int
    leg_s: float
    expires: int
    carried: JsonObject = field(default_factory=dict)

    def is_of(self, principal: Principal, call: Call) -> bool:
        """Return True where this is the state of that very call of that agent."""
        theirs = (principal.tenant, principal.agent, call.upstream, call.name, call.arguments_digest)
        return theirs == (self.tenant, self.agent, self.upstream, self.tool, self.args_digest)

    def written(self) -> bytes:
        """Return the bytes to seal."""
        return orjson.dumps(
            [
                *(self.tenant, self.agent, self.upstream, self.tool, self.args_digest),
                *(self.approval_id, self.reason, self.rule),
                *(self.number, self.leg_s, self.expires, self.carried),
            ]
        )


def read_leg(plain: bytes) -> Leg:
    """Return the leg of an unsealed state; whoever could seal it wrote it well."""
    names = ("tenant", "agent", "upstream", "tool", "args_digest", "approval_id", "reason", "rule")
    *texts, number, leg_s, expires, carried = orjson.loads(plain)
    return Leg(**dict(zip(names, texts, strict=True)), number=number, leg_s=leg_s, expires=expires, carried=carried)
