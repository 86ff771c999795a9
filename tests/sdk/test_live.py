"""Every method of the client against a running service: what it answers is what our types hold."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from intended import (
    AsyncIntendedClient,
    AuthenticationError,
    ConflictError,
    ForbiddenError,
    IntendedClient,
    IntendedOpsClient,
    NotFoundError,
    ValidationError,
)
from intended.evidence import verify
from intended.evidence.keys import key_of
from tests.documents.live import Service

TENANT = "tenant-a"
METADATA = {"q": "garden"}
REFUND = ("billing.process_refund", "billing", "sdk-agent")


Make = Callable[..., Any]


@pytest.fixture
def make(service: Service) -> Iterator[Make]:
    """Make clients of the service, which are closed again: `make("operator")`, `make(api_key=…)`."""
    with ExitStack() as open_:

        def client(role: str = "admin", **instead: Any) -> Any:
            credential = instead or {"api_key": service.keys[TENANT, role], "tenant_id": TENANT}
            return open_.enter_context(IntendedClient(**credential, base_url=service.url))

        yield client


def test_decisions_from_question_to_outcome(make: Make) -> None:
    """Allowed with a token, shown without it, reported as done."""
    client = make("operator")
    decision = client.submit_intent(action="search notes", actor="sdk-agent", system="notes", metadata=METADATA)
    assert decision.verdict == "ALLOW"
    assert decision.token.count(".") == 2
    assert decision.trace.triggered_rules == ("allow-ordinary-work",)
    assert decision.trust_tier == "T0"
    assert decision.risk_factors[0].points > 0
    shown = client.get_intent(decision.intent_id)
    assert (shown.status, shown.token, shown.decision.verdict) == ("approved", None, "ALLOW")
    assert dict(shown.params) == METADATA
    done = client.report_outcome(decision.intent_id, "failed", error="no such note")
    assert (done.status, done.error) == ("failed", "no such note")


def test_the_other_ways_to_ask(make: Make) -> None:
    """A structured action, the words of the published client, and Ops' own creation."""
    client = make()
    structured = client.submit_intent(
        action={"type": "billing.generate_statement", "params": {"customer": "c1"}}, actor="sdk-agent"
    )
    assert structured.intent_type == "billing.generate_statement"
    denied = client.submit_agent_intent(
        proposed_action="read file", actor="sdk-agent", metadata={"path": "/etc/shadow"}
    )
    assert (denied.verdict, denied.fail_closed) == ("DENY", False)
    created = client.create_intent(*REFUND, params={"amount": 1}, description="d", justification="j")
    assert created.status == "pending"
    assert created.intent_id in {intent.id for intent in client.list_intents(page_size=100, domain="billing")}


def test_an_escalation_from_question_to_token(make: Make) -> None:
    """A human says yes with another key; the agent that asked gets the token, once."""
    agent, human = make("operator"), make()
    decision = agent.submit_intent(action="delete the staging database", actor="sdk-agent")
    assert (decision.verdict, decision.token) == ("ESCALATE", None)
    with pytest.raises(ForbiddenError):
        agent.approve(decision.escalation_id)
    assert human.get_approval(decision.escalation_id).status == "pending"
    assert decision.escalation_id in {one.id for one in human.list_approvals(page_size=100)}
    approved = human.approve(decision.escalation_id, reason="agreed")
    assert (approved.status, approved.rationale) == ("approved", "agreed")
    with pytest.raises(ConflictError):
        human.approve(decision.escalation_id)
    first, second = agent.get_intent(decision.intent_id), agent.get_intent(decision.intent_id)
    assert (first.status, first.token.count("."), second.token) == ("approved", 2, None)


def test_a_humans_no(make: Make) -> None:
    """In both dialects."""
    agent, human = make("operator"), make()
    one = agent.submit_intent(action="delete the old database", actor="sdk-agent")
    assert human.reject(one.escalation_id, reason="too risky").status == "rejected"
    other = agent.submit_intent(action="delete the other database", actor="sdk-agent")
    recorded = human.record_approval("reject", intent_id=other.intent_id, rationale="no", approver="jane@acme.com")
    assert (recorded.id, recorded.status, recorded.rationale) == (other.escalation_id, "rejected", "no")
    assert agent.get_intent(one.intent_id).status == "rejected"


def test_the_same_question_twice_is_one_intent_and_one_token(make: Make) -> None:
    """The second answer has no token, so that nothing is done twice."""
    client = make()
    ask = {"action": "search notes", "actor": "sdk-agent", "metadata": METADATA, "idempotency_key": "sdk-once"}
    first, second = client.submit_intent(**ask), client.submit_intent(**ask)
    assert (first.verdict, second.verdict) == ("ALLOW", "DENY")
    assert "idempotency key" in second.reason
    with pytest.raises(ConflictError):
        client.submit_intent(**ask | {"action": "list notes"})


def test_agents(make: Make) -> None:
    """By id and by slug."""
    client = make()
    made = client.register_agent("SDK Clerk", description="d", domains=["billing"])
    assert (made.slug, made.domains, made.intent_types) == ("sdk-clerk", ("billing",), ())
    assert client.get_agent("sdk-clerk") == client.get_agent(made.id) == made
    assert made in list(client.list_agents(page_size=100))
    assert client.agent_metrics("sdk-clerk").intents_total == 0
    with pytest.raises(ValidationError) as caught:
        client.register_agent("SDK Clerk")
    assert caught.value.details[0]["path"] == ["name"]
    with pytest.raises(NotFoundError):
        client.get_agent("nobody")


def test_audit(make: Make) -> None:
    """Both dialects tell the same chain."""
    client = make()
    client.submit_intent(action="search notes", actor="sdk-agent", metadata=METADATA)
    line = client.timeline(actor="sdk-agent", limit=1, start="2020-01-01", end="2100-01-01")
    assert line.events[0].actor == "sdk-agent"
    assert client.timeline(cursor=line.next_cursor, limit=1).events[0].sequence < line.events[0].sequence
    page = client.query_audit(page_size=1, from_date="2020-01-01")
    assert page.total > 1
    assert page.items[0].hash
    report, verdict = client.verify_chain(), client.verify_audit_chain()
    assert report.valid
    assert verdict.valid
    assert verdict.event_count >= report.event_count > 0


def test_evidence(make: Make) -> None:
    """What the client returns is checked as it is, after any JSON library wrote it."""
    client = make()
    decided = client.submit_intent(action="search notes", actor="sdk-agent", metadata=METADATA)
    bundle, keys = client.evidence_bundle(decided.intent_id), client.evidence_keys()
    report = verify(json.dumps(bundle, indent=2).encode(), keys=[key_of(one) for one in keys["keys"]])
    assert report.trusted, report.failed
    assert report.intent_id == decided.intent_id
    with pytest.raises(NotFoundError):
        client.evidence_bundle("int_unknown")


def test_thresholds(make: Make) -> None:
    """Written only over the version that was read."""
    client = make()
    table = client.get_thresholds()
    assert set(table.tiers) == {"T0", "T1", "T2", "T3", "T4"}
    written = client.put_thresholds(table.tiers, version=table.version)
    assert (written.version, written.tiers) == (table.version + 1, table.tiers)
    with pytest.raises(ConflictError):
        client.put_thresholds(table.tiers, version=table.version)
    with pytest.raises(ForbiddenError):
        make("operator").put_thresholds(table.tiers, version=written.version)


def test_leases(make: Make) -> None:
    """There are none for submitted intents, and it says so; what is not there is not found."""
    agent, human = make("operator"), make()
    asked = agent.submit_intent(action="delete the leased database", actor="sdk-agent")
    for ask in (
        lambda: human.approve(asked.escalation_id, lease={"minutes": 10}),
        lambda: human.record_approval("approve", intent_id=asked.intent_id, lease={"uses": 3}),
    ):
        with pytest.raises(ValidationError):
            ask()
    assert human.get_approval(asked.escalation_id).status == "pending"
    assert human.list_leases(status="all").total == 0
    for ask in (lambda: human.get_lease("lse_1"), lambda: human.revoke_lease("lse_1", reason="enough")):
        with pytest.raises(NotFoundError):
            ask()


def test_kill_switches(make: Make) -> None:
    """An operator stops, the stopped agent's next intent is denied, and an admin lets go."""
    admin, operator = make(), make("operator")
    thrown = operator.throw_switch("agent", "sdk-stopped", reason="runs amok")
    assert thrown.cancelled_approvals == 0
    assert (thrown.kind, thrown.name, thrown.reason) == ("agent", "sdk-stopped", "runs amok")
    assert thrown in admin.switches()
    ask = {"action": "search notes", "actor": "sdk-stopped", "metadata": METADATA}
    denied = admin.submit_intent(**ask)
    assert (denied.verdict, denied.token, "runs amok" in denied.reason) == ("DENY", None, True)
    with pytest.raises(ForbiddenError):
        operator.release_switch("agent", "sdk-stopped", reason="seems fine")
    assert admin.release_switch("agent", "sdk-stopped", reason="fixed & tested") == thrown
    assert admin.submit_intent(**ask).allowed
    with pytest.raises(NotFoundError):
        admin.release_switch("agent", "sdk-stopped", reason="again")
    with pytest.raises(NotFoundError):
        admin.throw_switch("upstream", "nowhere", reason="x")


def test_trust(make: Make) -> None:
    """A human's hand on it, with a reason; who may not is told so, and a stale version is one."""
    admin, operator = make(), make("operator")
    agent = admin.register_agent("SDK Trusted")
    found = operator.agent_trust(agent.id)
    assert (found.agent, found.tier, found.ceiling, found.frozen) == ("sdk-trusted", "T0", "T2", False)
    changed = admin.change_trust("sdk-trusted", reason="reviewed", frozen=True, ceiling="T3", version=found.version)
    assert (changed.frozen, changed.ceiling) == (True, "T3")
    assert changed.version > found.version
    past = operator.agent_trust_history("sdk-trusted")
    assert (past.agent, {move.tier for move in past.moves}) == ("sdk-trusted", {"T0"})
    with pytest.raises(ValidationError):
        admin.change_trust("sdk-trusted", reason="again", ceiling="default", version=found.version)
    with pytest.raises(ForbiddenError):
        operator.change_trust("sdk-trusted", reason="please", ceiling="T4")


def test_budgets(make: Make) -> None:
    """What is left is told to who may see agents; what counts takes the scope of the audit trail."""
    client = make("operator")
    client.submit_intent(action="search the notes", actor="sdk-agent", system="notes", metadata={"q": "garden"})
    [mine] = client.budgets(agent="sdk-agent")
    assert (mine.budget, mine.account, mine.counts, mine.limit) == ("acts", "sdk-agent", "calls", 10_000)
    assert mine.left == 10_000 - mine.spent
    shown = client.budget("acts", agent="sdk-agent")
    assert (len(shown.entries), shown.complete) == (min(mine.spent, 100), mine.spent <= 100)
    assert shown.account.next_at == mine.next_at
    with pytest.raises(ValidationError):
        client.budget("acts")
    with pytest.raises(NotFoundError):
        client.budget("act", agent="sdk-agent")


def test_connectors_stats_and_health(make: Make) -> None:
    """What a dashboard shows."""
    client = make()
    [connector] = client.connectors()
    tested = client.test_connector(connector.id)
    assert (tested.status, tested.latency_ms > 0) == ("healthy", True)
    assert client.stats().intents_today > 0
    assert client.health().healthy


def test_keys_and_signing_keys(make: Make) -> None:
    """Made, rotated, revoked; the public halves are published."""
    client = make()
    made = client.create_key("sdk", role="agent", agent="sdk-agent")
    assert made.key.agent == "sdk-agent"
    assert made.key in client.list_keys()
    assert make(api_key=made.secret).submit_intent(action="search notes", actor="sdk-agent", metadata=METADATA).allowed
    fresh = client.rotate_key(made.key.id, overlap_s=0)
    assert fresh.secret != made.secret
    assert client.revoke_key(made.key.id).status == "revoked"
    with pytest.raises(AuthenticationError):
        make(api_key=fresh.secret).submit_intent(action="search notes", actor="sdk-agent")
    known = {key["kid"] for key in client.jwks()["keys"]}
    assert client.rotate_signing_keys().kid not in known


def test_users_and_sessions(make: Make) -> None:
    """A human logs in by a one-time link and acts by a session, which ends."""
    client = make()
    user = client.create_user("mara@acme.com", role="operator")
    assert user in client.list_users()
    assert client.change_user(user.id, role="viewer").role == "viewer"
    link = client.make_login_link(user.id)
    session = make(api_key=None).open_session(link.code)
    human = make(session_id=session.session_id)
    assert human.stats().intents_today >= 0
    human.close_session()
    with pytest.raises(AuthenticationError):
        human.stats()


def test_no_method_is_left_out() -> None:
    """Together the tests above call every one; their text tells, since they may run in several processes."""
    public = {name for name, _ in inspect.getmembers(IntendedClient, inspect.isfunction) if not name.startswith("_")}
    called = set(re.findall(r"\.(\w+)\(", Path(__file__).read_text("utf-8")))
    assert public - called == {"close"}


async def test_the_awaiting_client_speaks_to_the_same_service(service: Service) -> None:
    """Its methods are the same calls (`tests/intended/test_aio.py`)."""
    async with AsyncIntendedClient(service.keys[TENANT, "admin"], base_url=service.url) as client:
        decision = await client.submit_intent(action="search notes", actor="sdk-agent", metadata=METADATA)
        assert decision.allowed
        assert (await client.get_intent(decision.intent_id)).status == "approved"
        assert (await client.stats()).intents_today > 0
        with pytest.raises(NotFoundError):
            await client.get_intent("int_01HN4X7KQZ8Y1A2B3C4D5E6F7G")


def test_the_guides_client_speaks_to_it(service: Service) -> None:
    """`tests/documents/test_python.py` calls all its methods."""
    with IntendedOpsClient(service.keys[TENANT, "admin"], service.url) as client:
        assert client.verify_audit_chain()["valid"] is True
        with pytest.raises(Exception, match=r"^AGENT_NOT_FOUND: "):
            client.create_intent("billing.send_invoice", "billing", "nobody")


def test_many_threads_share_one_client(service: Service) -> None:
    """Each gets its own intent, and every one is decided."""
    with IntendedClient(service.keys[TENANT, "admin"], base_url=service.url) as client, ThreadPoolExecutor(16) as pool:

        def ask(number: int) -> tuple[str, str]:
            decision = client.submit_intent(action="search notes", actor="sdk-agent", metadata={"q": str(number)})
            return decision.verdict, decision.intent_id

        found = list(pool.map(ask, range(64)))
    assert {verdict for verdict, _ in found} == {"ALLOW"}
    assert len({intent for _, intent in found}) == 64


def test_a_foreign_tenant_is_refused(make: Make, service: Service) -> None:
    """A key belongs to one."""
    with pytest.raises(ForbiddenError):
        make(api_key=service.keys[TENANT, "admin"], tenant_id="tenant123").stats()
