"""The dashboard's figures in Ops' words."""

from typing import Final

from pydantic import Field

from gateway.api.fields import Answer, example
from gateway.api.operation import Call, Operation
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope

__all__ = ["OPERATIONS"]

TAG: Final = "Stats"


class StatsView(Answer):
    """The figures of the tenant, counted when asked."""

    intentsToday: int = Field(description="Since 00:00 UTC.")
    pendingApprovals: int
    activeAgents: int = Field(description="Acted within 24 hours.")
    valueGenerated: float = Field(description="Of the intents that completed today, in currency units.")

    model_config = example({"intentsToday": 145, "pendingApprovals": 12, "activeAgents": 5, "valueGenerated": 5420.0})


async def get_stats(call: Call) -> JsonObject:
    """Of the credential's tenant."""
    figures = await call.services.stats.tenant(call.principal)
    return {
        "intentsToday": figures.intents_today,
        "pendingApprovals": figures.pending_approvals,
        "activeAgents": figures.active_agents,
        "valueGenerated": figures.value,
    }


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/stats",
        name="get_stats",
        summary="Get the dashboard's figures",
        endpoint=get_stats,
        answers=StatsView,
        scope=Scope.INTENTS_READ,
        tag=TAG,
    ),
)
