"""Agents in Ops' words: register one, list, look, and what it did so far."""

from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import Answer, Asked, PageQuery, example, paged
from gateway.api.operation import Call, Operation
from gateway.core.agents import Agent
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.errors import AgentNotFound, StateConflict
from gateway.services.agents import MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS

__all__ = ["OPERATIONS"]

TAG: Final = "Agents"

MAX_DECLARED: Final = 200
"""Domains or types that one agent declares; the taxonomy has fewer domains, and whoever has more types names those."""


class RegisterAgentRequest(Asked):
    """An agent to be registered."""

    name: str = Field(
        title="Name", min_length=1, max_length=MAX_NAME_CHARS, description="Its slug is made from it, and must be free."
    )
    description: str | None = Field(default=None, max_length=MAX_DESCRIPTION_CHARS, description="For people.")
    domains: list[str] | None = Field(
        default=None, max_length=MAX_DECLARED, description="The only domains it acts in; empty restricts nothing."
    )
    intentTypes: list[str] | None = Field(
        default=None, max_length=MAX_DECLARED, description="The only intent types it has; empty restricts nothing."
    )

    model_config = example(
        {
            "name": "Billing Agent",
            "description": "Handles billing operations",
            "domains": ["billing"],
            "intentTypes": ["billing.send_invoice", "billing.collect_payment"],
        }
    )


class AgentView(Answer):
    """A registered agent."""

    id: str
    slug: str = Field(description="Names it as well as the id does.")
    name: str
    description: str
    domains: list[str]
    intentTypes: list[str]
    createdAt: str
    trustTier: Literal["T0", "T1", "T2", "T3", "T4"] = Field(description="In force now.")
    trustScore: int = Field(description="0 to 100, from its record; of a configured tier its lower end.")


class AgentPage(Answer):
    """A page of agents, newest first."""

    items: list[AgentView]
    total: int
    page: int
    pageSize: int


class AgentMetrics(Answer):
    """What an agent did so far, counted when asked."""

    agentId: str
    agent: str = Field(description="The agent's slug.")
    intentsTotal: int
    intentsToday: int = Field(description="Since 00:00 UTC.")
    intentsByStatus: dict[str, int] = Field(description="By status; every status is named.")
    intentsByType: dict[str, int]
    lastIntentAt: str | None
    valueGenerated: float = Field(description="Of all its completed intents, in currency units.")
    trustTier: Literal["T0", "T1", "T2", "T3", "T4"]
    trustScore: int = Field(description="0 to 100.")


async def register_agent(call: Call, body: RegisterAgentRequest) -> JsonObject:
    """It begins at the tier that is configured for all."""
    agent = await call.services.agents.register(
        call.principal,
        name=body.name,
        description=body.description or "",
        domains=body.domains or (),
        intent_types=body.intentTypes or (),
    )
    return _view(call, agent)


async def list_agents(call: Call, query: PageQuery) -> JsonObject:
    """Newest first."""
    agents = call.services.agents.list(call.principal.tenant)
    first = (query.page - 1) * query.pageSize
    shown = (_view(call, agent) for agent in agents[first : first + query.pageSize])
    return paged(shown, total=len(agents), query=query)


async def get_agent(call: Call, id: str) -> JsonObject:
    """By id or slug."""
    return _view(call, call.services.agents.require(call.principal.tenant, id))


async def get_agent_metrics(call: Call, id: str) -> JsonObject:
    """By id or slug."""
    agent = call.services.agents.require(call.principal.tenant, id)
    figures = await call.services.stats.agent(call.principal, agent.slug)
    trusted = call.services.trust.shown(agent.tenant, agent.slug)
    return {
        "agentId": agent.id,
        "agent": agent.slug,
        "intentsTotal": figures.total,
        "intentsToday": figures.today,
        "intentsByStatus": dict(figures.by_status),
        "intentsByType": dict(figures.by_type),
        "lastIntentAt": figures.last or None,
        "valueGenerated": figures.value,
        "trustTier": trusted.tier.name,
        "trustScore": trusted.score,
    }


def _view(call: Call, agent: Agent) -> JsonObject:
    trusted = call.services.trust.shown(agent.tenant, agent.slug)
    return {
        "id": agent.id,
        "slug": agent.slug,
        "name": agent.name,
        "description": agent.description,
        "domains": sorted(agent.restriction.domains),
        "intentTypes": sorted(agent.restriction.intent_types),
        "createdAt": agent.created,
        "trustTier": trusted.tier.name,
        "trustScore": trusted.score,
    }


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/agents",
        name="register_agent",
        summary="Register an agent",
        endpoint=register_agent,
        answers=AgentView,
        status=201,
        scope=Scope.AGENTS_WRITE,
        also=(StateConflict,),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/agents",
        name="list_agents",
        summary="List agents",
        endpoint=list_agents,
        answers=AgentPage,
        scope=Scope.AGENTS_READ,
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/agents/{id}",
        name="get_agent",
        summary="Get an agent",
        endpoint=get_agent,
        answers=AgentView,
        scope=Scope.AGENTS_READ,
        also=(AgentNotFound,),
        tag=TAG,
    ),
    Operation(
        method="GET",
        path="/v1/agents/{id}/metrics",
        name="get_agent_metrics",
        summary="Get what an agent did so far",
        endpoint=get_agent_metrics,
        answers=AgentMetrics,
        scope=Scope.AGENTS_READ,
        also=(AgentNotFound,),
        tag=TAG,
    ),
)
