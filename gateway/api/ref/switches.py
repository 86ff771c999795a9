"""Kill switches in Ref's shape: what is stopped, stop it, let it go. Management of the gateway's own."""

from typing import Final, Literal

from pydantic import Field

from gateway.api.fields import Answer, Managed, Query, example
from gateway.api.operation import Call, Operation
from gateway.core.jsonvalue import JsonObject
from gateway.core.principal import Role, Scope
from gateway.core.switches import Switch, SwitchKind
from gateway.errors import InvalidRequest, NotFound, StateConflict
from gateway.services.switches import MAX_REASON_CHARS

__all__ = ["OPERATIONS"]

TAG: Final = "Kill switches"

Kind = Literal["agent", "upstream", "tenant"]


# --- what is asked ----------------------------------------------------------------------------------------------------


class ThrowRequest(Managed):
    """Why something is stopped."""

    reason: str = Field(
        title="Reason",
        min_length=1,
        max_length=MAX_REASON_CHARS,
        description="Recorded, and told to every call that is denied for it.",
    )

    model_config = example({"reason": "refunds the same order again and again"})


class ReleaseQuery(Query):
    """Why something is let go."""

    reason: str = Field(min_length=1, max_length=MAX_REASON_CHARS, description="Recorded.")


# --- what is answered -------------------------------------------------------------------------------------------------


class SwitchView(Answer):
    """A switch that is thrown, or was until now."""

    kind: Kind
    name: str = Field(description="The agent's slug, the upstream's name in the configuration, or the tenant.")
    reason: str
    by: str = Field(description="Who threw it: the human of a portal session, else the credential.")
    since: str


class ThrownView(SwitchView):
    """A switch that was thrown just now, or before."""

    cancelledApprovals: int | None = Field(
        description="How many approvals this cancelled; null where some are left, which are cancelled later."
    )


class SwitchList(Answer):
    """Everything that is stopped in the tenant, the latest first."""

    switches: list[SwitchView]


# --- the endpoints ----------------------------------------------------------------------------------------------------


async def list_switches(call: Call) -> JsonObject:
    """What an open circuit stops is not among them: that ends by itself."""
    return {"switches": [_view(one) for one in call.services.switches.list(call.principal)]}


async def throw_switch(call: Call, kind: Kind, name: str, body: ThrowRequest) -> JsonObject:
    """In force once it is answered: nothing of it is forwarded after that, and what waits for a human is denied."""
    switch, cancelled = await call.services.switches.throw(call.principal, _kind(kind), name, reason=body.reason)
    return _view(switch) | {"cancelledApprovals": cancelled}


async def release_switch(call: Call, kind: Kind, name: str, query: ReleaseQuery) -> JsonObject:
    """For admins alone. Approvals that were cancelled stay so: calls that need a human ask anew."""
    return _view(await call.services.switches.release(call.principal, _kind(kind), name, reason=query.reason))


def _kind(text: str) -> SwitchKind:
    """Return the kind of a path. Raises NotFound."""
    try:
        return SwitchKind(text)
    except ValueError:
        msg = "There are switches of an `agent`, an `upstream` and the `tenant`."
        raise NotFound(msg) from None


def _view(switch: Switch) -> JsonObject:
    return {
        "kind": switch.kind,
        "name": switch.name,
        "reason": switch.why,
        "by": switch.who,
        "since": switch.since,
    }


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/switches",
        name="list_switches",
        summary="List what is switched off",
        endpoint=list_switches,
        answers=SwitchList,
        scope=Scope.APPROVALS_READ,
        tag=TAG,
    ),
    Operation(
        method="PUT",
        path="/switches/{kind}/{name}",
        name="throw_switch",
        summary="Stop an agent, an upstream or the tenant",
        endpoint=throw_switch,
        answers=ThrownView,
        scope=Scope.APPROVALS_WRITE,
        also=(InvalidRequest, StateConflict),
        tag=TAG,
    ),
    Operation(
        method="DELETE",
        path="/switches/{kind}/{name}",
        name="release_switch",
        summary="Let go what was stopped",
        endpoint=release_switch,
        answers=SwitchView,
        scope=Scope.APPROVALS_WRITE,
        roles=frozenset({Role.ADMIN}),
        also=(InvalidRequest, StateConflict),
        tag=TAG,
    ),
)
