"""Trust in Ops' words: an agent's tier and what it rests on, how it came about, and a human's hand on it."""

import re
from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import MAX_TEXT_CHARS, Answer, Managed, PageQuery, example, paged
from gateway.api.operation import Call, Operation
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Role, Scope, TrustTier
from gateway.core.trust.deserved import Move
from gateway.core.trust.evidence import Change
from gateway.errors import AgentNotFound, FieldProblem, InvalidRequest, StateConflict
from gateway.services.trust_changes import Control, TrustRow, TrustView

__all__ = ["OPERATIONS"]

TAG: Final = "Agents"

_ETAG = re.compile(r'(?:W/)?"?([0-9]{1,15})"?')

Tier = Literal["T0", "T1", "T2", "T3", "T4"]


class ChangeTrustRequest(Managed):
    """What a human wants of an agent's trust. Name `frozen`, `ceiling` or both."""

    frozen: bool | None = Field(
        default=None, description="Frozen, it is not promoted; it may still fall. False lets it go."
    )
    ceiling: Literal["T0", "T1", "T2", "T3", "T4", "default"] | None = Field(
        default=None, description="The highest tier that it can reach by its record; `default`: the configuration's."
    )
    reason: str = Field(min_length=1, max_length=MAX_TEXT_CHARS, description="Why; it is recorded.")

    model_config = example({"ceiling": "T3", "reason": "Reviewed with its owners."})


class CitedEntry(Answer):
    """An entry of the tenant's chain."""

    seq: int
    id: str


class PromotionNeed(Answer):
    """One thing that the next tier takes."""

    what: str
    has: str
    asks: str
    met: bool


class AgentTrust(Answer):
    """An agent's trust and what it rests on."""

    agentId: str = Field(description="The slug, where the agent is not registered.")
    agent: str
    tier: Tier = Field(description="What decisions go by.")
    recorded: Tier = Field(description="The tier of its last change; above `tier` until a demotion is written.")
    score: int = Field(description="0 to 100.")
    pinned: bool = Field(description="Its tier is the configuration's and does not move.")
    frozen: bool = Field(description="It is not promoted; it may fall.")
    ceiling: Tier
    ceilingSetByHuman: bool
    since: str | None = Field(description="The day of its last change of tier, or of its first evidence.")
    failuresInRow: int = Field(description="Failed and denied calls since the last that went well.")
    stopped: str | None = Field(description="Why nothing of it runs now: a kill switch, or its failures; null: it may.")
    counts: dict[str, int] = Field(description="Its acts by what they were evidence of.")
    raisedBy: list[CitedEntry] = Field(description="The last entries that raised its score.")
    loweredBy: list[CitedEntry] = Field(description="The last entries that lowered it.")
    promotion: list[PromotionNeed] = Field(description="What the next tier takes; empty where there is none.")
    version: int = Field(description="Rises with each change of its trust; also the `ETag`.")


class TrustRowView(Answer):
    """An agent's trust in a list; `GET /v1/agents/{id}/trust` says what it rests on."""

    agentId: str = Field(description="The slug, where the agent is not registered.")
    agent: str
    tier: Tier = Field(description="What decisions go by.")
    score: int = Field(description="0 to 100.")
    ceiling: Tier
    ceilingSetByHuman: bool
    frozen: bool = Field(description="It is not promoted; it may fall.")
    pinned: bool = Field(description="Its tier is the configuration's and does not move.")
    since: str | None = Field(description="The day of its last change of tier, or of its first evidence.")
    stopped: str | None = Field(description="Why nothing of it runs now: a kill switch, or its failures; null: it may.")


class TrustPage(Answer):
    """A page of agents, by name."""

    items: list[TrustRowView]
    total: int
    page: int
    pageSize: int


class TrustPoint(Answer):
    """The end of one day."""

    day: str
    score: int
    tier: Tier


class TrustMove(Answer):
    """An entry that moved the score or the tier."""

    seq: int
    entryId: str
    at: str
    what: str = Field(description="What the act was evidence of, or the kind of change.")
    risk: int | None
    scoreBefore: int
    score: int
    tierBefore: Tier
    tier: Tier


class TrustPast(Answer):
    """How an agent's trust came about."""

    agentId: str
    agent: str
    points: list[TrustPoint] = Field(description="Oldest first, evenly apart, to today.")
    moves: list[TrustMove] = Field(description="The last moves, newest first.")


async def list_trust(call: Call, query: PageQuery) -> JsonObject:
    """Of every agent that has acted, registered or not."""
    tenant = call.principal.tenant
    rows, total = call.services.trust.rows(tenant, page=query.page, page_size=query.pageSize)
    return paged([_row(call, row) for row in rows], total=total, query=query)


async def get_agent_trust(call: Call, id: str) -> JsonObject:
    """By id or slug; also of an agent that is not registered and has acted by MCP."""
    return _view(call, await call.services.trust.view(call.principal.tenant, id))


async def get_agent_trust_history(call: Call, id: str) -> JsonObject:
    """Made from the agent's entries when asked."""
    view = await call.services.trust.view(call.principal.tenant, id)
    past = await call.services.trust_history.of(call.principal.tenant, view.row.agent)
    return {
        "agentId": view.row.id,
        "agent": view.row.agent,
        "points": [{"day": one.day, "score": one.score, "tier": one.tier.name} for one in past.points],
        "moves": [_move(one) for one in past.moves],
    }


async def put_agent_trust(call: Call, id: str, body: ChangeTrustRequest) -> JsonObject:
    """Each change is an entry with who made it and why. `If-Match` may name the version that was looked at."""
    wanted = Control(
        frozen=body.frozen,
        ceiling=None if body.ceiling in (None, "default") else TrustTier[body.ceiling],
        unset=body.ceiling == "default",
    )
    version = _version(call.headers.get("if-match"))
    changed = await call.services.trust.change(call.principal, id, wanted, reason=body.reason, version=version)
    return _view(call, changed)


def _version(header: str | None) -> int | None:
    """Return the version that a change replaces, None where it is not told. Raises InvalidRequest."""
    if header is None:
        return None
    found = _ETAG.fullmatch(header.strip())
    if found is None:
        raise InvalidRequest(FieldProblem(path=("If-Match",), message="must name one version"))
    return int(found[1])


def _row(call: Call, row: TrustRow) -> JsonObject:
    return {
        "agentId": row.id,
        "agent": row.agent,
        "tier": row.tier.name,
        "score": row.score,
        "ceiling": row.ceiling.name,
        "ceilingSetByHuman": row.own_ceiling,
        "frozen": row.frozen,
        "pinned": row.pinned,
        "since": row.since or None,
        "stopped": _stopped(call, row.agent),
    }


def _view(call: Call, view: TrustView) -> JsonObject:
    call.answer_headers["etag"] = f'"{view.version}"'
    return {
        **_row(call, view.row),
        "recorded": view.row.recorded.name,
        "failuresInRow": view.failures_in_row,
        "counts": view.counts,
        "raisedBy": [{"seq": seq, "id": entry} for seq, entry in view.raised],
        "loweredBy": [{"seq": seq, "id": entry} for seq, entry in view.lowered],
        "promotion": [{"what": one.what, "has": one.has, "asks": one.asks, "met": one.met} for one in view.needs],
        "version": view.version,
    }


def _stopped(call: Call, agent: str) -> str | None:
    """Return why the agent's calls are stopped, to whichever upstream they go."""
    tenant = call.principal.tenant
    stop = call.services.switches.stop(tenant, agent, "")
    circuit = None if stop is not None else call.services.breakers.circuit(tenant, agent)
    found = stop if circuit is None else circuit.stop
    return None if found is None else found.explanation


def _move(move: Move) -> JsonObject:
    told = move.told
    return {
        "seq": told.seq,
        "entryId": told.id,
        "at": told.time,
        "what": told.kind.value if isinstance(told, Change) else told.kind.name.lower(),
        "risk": None if isinstance(told, Change) else told.risk,
        "scoreBefore": move.score_before,
        "score": move.score,
        "tierBefore": move.tier_before.name,
        "tier": move.tier.name,
    }


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/trust",
        name="list_trust",
        summary="List the trust of agents",
        endpoint=list_trust,
        answers=TrustPage,
        scope=Scope.AGENTS_READ,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/agents/{id}/trust",
        name="get_agent_trust",
        summary="Get an agent's trust",
        endpoint=get_agent_trust,
        answers=AgentTrust,
        scope=Scope.AGENTS_READ,
        also=(AgentNotFound,),
        versioned=True,
        tag=TAG,
    ),
    Operation(
        method="PUT",
        path="/v1/agents/{id}/trust",
        name="put_agent_trust",
        summary="Freeze an agent's trust, or set its ceiling",
        endpoint=put_agent_trust,
        answers=AgentTrust,
        scope=Scope.POLICIES_WRITE,
        roles=frozenset({Role.ADMIN, Role.POLICY_ADMIN}),
        also=(AgentNotFound, StateConflict),
        versioned=True,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/agents/{id}/trust/history",
        name="get_agent_trust_history",
        summary="Get how an agent's trust came about",
        endpoint=get_agent_trust_history,
        answers=TrustPast,
        scope=Scope.AGENTS_READ,
        also=(AgentNotFound,),
        tag=TAG,
    ),
)
