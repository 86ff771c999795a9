"""The guards' common part against a running service: a human's yes lets exactly that call run, once."""

from collections.abc import Mapping
from typing import Any

from intended import IntendedClient
from intended.integrations.guarding import Guarding, guarded_function
from tests.documents.live import Service

TENANT = "tenant-a"


def same(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return arguments


def test_a_humans_yes_lets_exactly_that_call_run_once(service: Service) -> None:
    """Asked, escalated, approved by another key, run, reported; then the same call is a new question."""
    ran: list[str] = []

    def delete_database(target: str) -> str:
        """Delete a database."""
        ran.append(target)
        return "deleted"

    with (
        IntendedClient(service.keys[TENANT, "operator"], base_url=service.url) as agent,
        IntendedClient(service.keys[TENANT, "admin"], base_url=service.url) as human,
    ):
        guarding = Guarding(agent, actor="guard-agent", system="databases")
        guarded = guarded_function(delete_database, guarding, name="delete_database", shown=same)
        first = guarded("staging")
        [approval] = [one for one in human.list_approvals(page_size=100) if one.agent == "guard-agent"]
        assert approval.id in first
        assert guarded("staging").startswith("Not executed: a human must approve this call first.")
        human.approve(approval.id, reason="staging is ours")
        other = guarded("production")
        assert ran == []
        assert guarded("staging") == "deleted"
        again = guarded("staging")
        assert ran == ["staging"]
        assert human.get_intent(approval.intent_id).status == "completed"
    for text in (first, other, again):
        assert text.startswith("Not executed: a human must approve this call first.")


def test_a_humans_no_is_final_for_that_call(service: Service) -> None:
    """The model is told so."""
    with (
        IntendedClient(service.keys[TENANT, "operator"], base_url=service.url) as agent,
        IntendedClient(service.keys[TENANT, "admin"], base_url=service.url) as human,
    ):
        guarding = Guarding(agent, actor="denied-guard-agent", system="databases")
        guarded = guarded_function(print, guarding, name="delete_database", shown=lambda _: {"target": "staging"})
        guarded("staging")
        [approval] = [one for one in human.list_approvals(page_size=100) if one.agent == "denied-guard-agent"]
        human.reject(approval.id, reason="no")
        assert "A human said no." in guarded("staging")
