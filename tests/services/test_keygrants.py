"""Nobody gives a key more than they have, and what cannot be used is told field by field."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.core.principal import ROLE_SCOPES, Principal, Role, Scope
from gateway.errors import Forbidden, InvalidRequest
from gateway.services.keygrants import MAX_OVERLAP_S, check_fields, check_overlap, require_within
from gateway.services.operator import operator
from gateway.services.ratelimit import RATES

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADMIN = Principal(tenant="acme", agent="a", credential="key_1", role=Role.ADMIN, scopes=ROLE_SCOPES[Role.ADMIN])
KEEPER = replace(ADMIN, role=None, scopes=ROLE_SCOPES[Role.AGENT] | ROLE_SCOPES[Role.OPERATOR] | {Scope.KEYS_WRITE})
FIELDS: dict[str, Any] = {
    "tenant": "acme",
    "name": "ci",
    "scopes": None,
    "role": Role.AGENT,
    "plan": "",
    "per_minute": None,
    "expires": None,
}


def check(**changes: Any) -> None:
    check_fields(**{**FIELDS, **changes}, now=NOW, rates=RATES)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "Anna's laptop – ä"},
        {"plan": "free"},
        {"plan": "enterprise", "per_minute": 50_000},
        {"per_minute": 5},
        {"expires": NOW + timedelta(seconds=1)},
        {"scopes": frozenset({Scope.MCP_CALL})},
        {"scopes": frozenset(Scope), "role": None},
    ],
)
def test_what_makes_sense_is_taken(changes: dict[str, Any]) -> None:
    """Every plan of the contract, and a number of one's own."""
    check(**changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tenant": "_system"}, "tenantId"),
        ({"tenant": ""}, "tenantId"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x1b[2J"}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"scopes": frozenset()}, "scopes"),
        ({"scopes": frozenset({Scope.KEYS_WRITE})}, "scopes"),
        ({"plan": "gold"}, "plan"),
        ({"plan": "enterprise"}, "perMinute"),
        ({"plan": "free", "per_minute": 5}, "perMinute"),
        ({"per_minute": 0}, "perMinute"),
        ({"per_minute": -1, "plan": "enterprise"}, "perMinute"),
        ({"per_minute": True}, "perMinute"),
        ({"per_minute": 10**9}, "perMinute"),
        ({"expires": NOW}, "expires"),
        ({"expires": NOW - timedelta(days=1)}, "expires"),
        ({"expires": datetime(2030, 1, 1)}, "expires"),  # noqa: DTZ001 - the point of the test
    ],
)
def test_what_cannot_be_used_is_named(changes: dict[str, Any], field: str) -> None:
    """An empty list of scopes is a mistake, not a key that may nothing; a plan says one number."""
    with pytest.raises(InvalidRequest) as caught:
        check(**changes)
    assert [problem.path for problem in caught.value.problems] == [(field,)]


def test_every_field_that_cannot_be_used_is_told_at_once() -> None:
    """Who mends one after the other gives up."""
    with pytest.raises(InvalidRequest) as caught:
        check(name="", plan="gold", expires=NOW)
    assert [problem.path for problem in caught.value.problems] == [("name",), ("plan",), ("expires",)]


@pytest.mark.parametrize("overlap", [-1, MAX_OVERLAP_S + 1, True])
def test_an_overlap_is_at_most_a_day(overlap: int) -> None:
    """An old secret that lingers is one that leaks."""
    with pytest.raises(InvalidRequest) as caught:
        check_overlap(overlap)
    assert caught.value.problems[0].path == ("overlapSeconds",)
    for fine in (0, MAX_OVERLAP_S):
        check_overlap(fine)


@pytest.mark.parametrize("role", [None, *Role])
def test_an_admin_and_the_operator_give_every_role(role: Role | None) -> None:
    """They have every scope, so that nothing is more."""
    for by in (ADMIN, operator("acme")):
        require_within(by, scopes=frozenset(Scope), role=role, agent="any")


def test_no_scope_is_given_by_who_lacks_it() -> None:
    """Each missing one is named."""
    require_within(KEEPER, scopes=frozenset({Scope.KEYS_WRITE, Scope.MCP_CALL}), role=None, agent="")
    with pytest.raises(Forbidden, match="lacks policies:write, webhooks:write"):
        require_within(KEEPER, scopes=frozenset(Scope), role=None, agent="")


@pytest.mark.parametrize(
    ("role", "given"),
    [(Role.VIEWER, True), (Role.AGENT, True), (Role.OPERATOR, False), (Role.POLICY_ADMIN, False), (Role.ADMIN, False)],
)
def test_a_role_that_counts_by_itself_is_an_admins_to_give(role: Role, given: bool) -> None:
    """A rule may ask an approver for a role; scopes alone must not make one."""
    scopes = frozenset({Scope.AUDIT_READ})
    if given:
        require_within(KEEPER, scopes=scopes, role=role, agent="")
        return
    with pytest.raises(Forbidden, match="Only an admin"):
        require_within(KEEPER, scopes=scopes, role=role, agent="")


def test_one_s_own_role_may_be_given_on() -> None:
    """It is not more."""
    by = replace(KEEPER, role=Role.OPERATOR)
    require_within(by, scopes=ROLE_SCOPES[Role.OPERATOR], role=Role.OPERATOR, agent="")


def test_a_narrowed_admin_gives_no_more_than_is_left() -> None:
    """The role is a name; the scopes are what it may."""
    by = replace(ADMIN, scopes=frozenset({Scope.KEYS_WRITE, Scope.AUDIT_READ}))
    require_within(by, scopes=frozenset({Scope.AUDIT_READ}), role=Role.ADMIN, agent="")
    with pytest.raises(Forbidden):
        require_within(by, scopes=frozenset({Scope.MCP_CALL}), role=None, agent="")
    with pytest.raises(Forbidden):
        require_within(by, scopes=frozenset({Scope.AUDIT_READ}), role=Role.POLICY_ADMIN, agent="")


def test_who_is_bound_to_an_agent_handles_that_agents_keys_only() -> None:
    """Else a bound key would make itself an unbound one."""
    by = replace(ADMIN, bound=True)
    require_within(by, scopes=frozenset({Scope.MCP_CALL}), role=None, agent="a")
    for agent in ("", "other"):
        with pytest.raises(Forbidden, match="bound to agent `a`"):
            require_within(by, scopes=frozenset({Scope.MCP_CALL}), role=None, agent=agent)
