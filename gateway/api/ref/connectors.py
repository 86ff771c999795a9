"""The connected systems in Ref's words: every upstream with its health, and a test that measures it."""

from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import Answer
from gateway.api.operation import Call, Operation
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Scope
from gateway.services.connectors import Connector

__all__ = ["OPERATIONS"]

TAG: Final = "Connectors"


class ConnectorView(Answer):
    """One connected system: an upstream of the gateway."""

    id: str = Field(description="Its name in the configuration.")
    transport: Literal["http", "stdio"]
    status: Literal["healthy", "unhealthy", "unknown"] = Field(
        description="By the last test or the tenant's last call there, whichever is later."
    )
    checkedAt: str | None
    latencyMs: float | None = Field(description="Of the last test.")
    problem: str | None
    protocolVersions: list[str] = Field(description="What the last test found it to speak.")


class ConnectorList(Answer):
    """Every connected system."""

    connectors: list[ConnectorView]


async def list_connectors(call: Call) -> JsonObject:
    """In the order of the configuration. Nothing is contacted for it."""
    return {"connectors": [_view(one) for one in await call.services.connectors.list(call.principal)]}


async def test_connector(call: Call, id: str) -> JsonObject:
    """A system that does not answer is an answer of this endpoint too: status `unhealthy`, with the problem."""
    return _view(await call.services.connectors.test(call.principal, id))


def _view(connector: Connector) -> JsonObject:
    return {
        "id": connector.id,
        "transport": connector.transport,
        "status": connector.health,
        "checkedAt": connector.checked or None,
        "latencyMs": connector.latency_ms,
        "problem": connector.problem or None,
        "protocolVersions": connector.versions,
    }


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/connectors",
        name="list_connectors",
        summary="List the connected systems and their health",
        endpoint=list_connectors,
        answers=ConnectorList,
        scope=Scope.AGENTS_READ,
        tag=TAG,
    ),
    Operation(
        method="POST",
        path="/connectors/{id}/test",
        name="test_connector",
        summary="Test a connected system and measure its latency",
        endpoint=test_connector,
        answers=ConnectorView,
        scope=Scope.AGENTS_WRITE,
        tag=TAG,
    ),
)
