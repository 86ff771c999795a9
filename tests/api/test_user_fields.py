"""The user behind a session, as a member of other answers."""

from dataclasses import replace

from gateway.core.principal import Role, Scope
from gateway.services.operator import operator
from tests.api.house import APPROVAL, opened


async def test_an_agent_s_own_key_is_told_the_id_of_who_answered_alone() -> None:
    """Whom it has to persuade is nothing that an agent needs to know."""
    house = await opened()
    ada = await house.services.people.create(operator("acme"), name="ada@example.com", role=Role.OPERATOR)
    house.approvals.answers = replace(APPROVAL, resolved_by="ps_1", resolved_by_user=ada.id)
    own = {"x-api-key": await house.key(agent="bot", scopes=frozenset({Scope.APPROVALS_READ}))}
    shown = (await house.get("/v1/approvals/apr_1", headers=own)).json()["data"]
    assert shown["resolvedByUser"] == {"id": ada.id, "name": None}
