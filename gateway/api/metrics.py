"""`/metrics`: what Prometheus reads, in its text form or OpenMetrics.

Labels name tenants and agents, so it takes the role `admin`, whose key then sees its own tenant; the operator, at the
admin socket or the port for metrics, sees all.
"""

from typing import Final

from starlette.responses import Response

from gateway.api.operation import Call, Operation
from gateway.core.principal import Role
from gateway.services.operator import OPERATOR_KEY

__all__ = ["OPERATIONS"]


async def metrics(call: Call) -> Response:
    """In Prometheus' text form, or as OpenMetrics where `Accept` asks for that. Counters begin at 0 with the process.

    Of the credential's tenant; where the gateway serves no other tenant, of the whole process.
    """
    metering, accept = call.services.metering, call.headers.get("accept", "")
    if OPERATOR_KEY in call.scope:
        text, kind = await metering.all(accept=accept)
    else:
        text, kind = await metering.of(call.principal.tenant, accept=accept)
    return Response(text, headers={"content-type": kind, "cache-control": "no-store"})


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/metrics",
        name="metrics",
        summary="Get the metrics",
        endpoint=metrics,
        roles=frozenset({Role.ADMIN}),
        text=True,
        tag="System",
    ),
)
