"""An intent that is submitted by REST takes the very same decision as a tool call, and its token leaves once."""

from collections.abc import Awaitable
from dataclasses import replace

import anyio
import pytest

from gateway.core.audit.canonical import digest
from gateway.core.audit.entry import EntryType
from gateway.core.decision import Effect, Reason, Thresholds
from gateway.core.principal import TrustTier
from gateway.core.submission import IntentStatus, Outcome, Submission
from gateway.core.tokens import Grant
from gateway.errors import (
    AgentNotFound,
    AuditUnavailable,
    Forbidden,
    InvalidRequest,
    NotFound,
    RequestError,
    SigningError,
    Unavailable,
)
from gateway.ports import IntentFilter
from gateway.services.audit_query import verify
from gateway.services.recovery import close_open_calls
from tests.services.submitting import (
    ASK,
    BOUND,
    DENY,
    DEPLOY,
    FOREIGN,
    HUMAN,
    INVOICE,
    KEY,
    OPERATOR,
    OTHER_KEY,
    claims,
    decided,
)
from tests.simulate.store import Moment
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, World, tool

# --- submitting -------------------------------------------------------------------------------------------------------


async def test_an_allowed_intent_comes_with_a_token_that_is_bound_to_it() -> None:
    """The reference's first example, under a policy that allows it."""
    made = World()
    submitted = await made.intents.submit(KEY, DEPLOY)
    record = submitted.record
    assert (record.status, record.effect, record.front) == (IntentStatus.APPROVED, Effect.ALLOW, "rest")
    assert (record.agent, record.action, record.system) == (
        "github-actions",
        "deploy application to production",
        "github",
    )
    assert (record.type, record.policy_set, record.rules) == ("deployment.deploy", "test", ("allow-all",))
    told = claims(submitted.token)
    assert {name: told[name] for name in ("tenant", "sub", "intentId", "intentType", "action", "system", "aud")} == {
        "tenant": "default",
        "sub": "github-actions",
        "intentId": record.id,
        "intentType": "deployment.deploy",
        "action": "deploy application to production",
        "system": "github",
        "aud": "github",
    }
    assert told["argsDigest"] == digest(DEPLOY.params) == record.args_digest
    assert told["exp"] - told["iat"] <= 300


async def test_where_the_answer_has_no_place_for_a_token_none_is_signed() -> None:
    """The guide's dialect: a signature would cost as much as the rest, and nobody would see it."""
    made = World()
    await made.agents.register(KEY, name="Billing Agent")

    def begin(grant: object) -> Awaitable[str]:
        raise AssertionError("a token was signed")

    made.tokens.begin = begin  # type: ignore[method-assign,assignment]
    submitted = await made.intents.submit(KEY, INVOICE)
    assert (submitted.record.status, submitted.token) == (IntentStatus.APPROVED, "")


async def test_the_entry_is_durable_before_the_token_is_there() -> None:
    """Promise 1, for what acts elsewhere: no record, no authority. It is signed meanwhile, for nobody as yet."""
    made = World()
    order: list[str] = []
    begin, finish, append = made.tokens.begin, made.tokens.finish, made.store.append
    await made.tokens.ensure("default")
    await made.intents.submit(KEY, DEPLOY)

    def beginning(grant: Grant) -> Awaitable[str]:
        order.append("begun")
        return begin(grant)

    async def finishing(begun: Awaitable[str]) -> str:
        order.append("token")
        return await finish(begun)

    async def appending(draft: object) -> object:
        outcome = await append(draft)  # type: ignore[arg-type]
        order.append("entry")
        return outcome

    made.tokens.begin = beginning  # type: ignore[method-assign]
    made.tokens.finish = finishing  # type: ignore[method-assign]
    made.store.append = appending  # type: ignore[method-assign,assignment]
    await made.intents.submit(KEY, DEPLOY)
    assert order == ["begun", "entry", "token"]


async def test_a_denied_intent_is_rejected_and_has_no_token() -> None:
    """All verdicts are answers; only ALLOW carries authority."""
    made = World(policy=DENY)
    submitted = await made.intents.submit(KEY, DEPLOY)
    assert (submitted.record.status, submitted.record.reason, submitted.token) == (
        IntentStatus.REJECTED,
        "policy-deny",
        "",
    )
    assert made.signer.made <= 1


async def test_an_escalated_intent_opens_its_approval_in_the_same_transaction() -> None:
    """The documents' own answer to a new intent: pending."""
    made = World(policy=ASK)
    await made.agents.register(OPERATOR, name="Billing Agent")
    submitted = await made.intents.submit(KEY, INVOICE)
    record = submitted.record
    assert (record.status, record.type, record.domain) == (IntentStatus.PENDING, "billing.send_invoice", "billing")
    assert (record.description, record.params["amount"]) == ("Send monthly subscription invoice", 99.99)
    approval = await made.approvals.show(HUMAN, record.approval_id)
    assert (approval.intent_id, approval.requested_by, approval.agent) == (record.id, "key_1", "billing-agent")
    (entry,) = made.entries(EntryType.CALL_DECIDED)
    assert {f"approval:{approval.id}", f"intent:{record.id}"} <= {put.key for put in entry.puts}


async def test_an_intent_is_shown_as_it_was_answered() -> None:
    """Reading it back gives the very same record."""
    for policy in (ALLOW_ALL, ASK, DENY):
        made = World(policy=policy)
        record = (await made.intents.submit(KEY, replace(DEPLOY, justification="release day"))).record
        assert (await made.intents.show(KEY, record.id)).record == record


async def test_what_cannot_be_classified_is_decided_as_unknown() -> None:
    """The contract: it is no error, and never allowed by default."""
    made = World(policy=ALLOW_ALL.replace("match:", "match:\n      effects: [read, write]"))
    record = (await made.intents.submit(KEY, replace(DEPLOY, action="frobnicate"))).record
    assert (record.type, record.effect, record.risk >= 60) == ("unknown", Effect.DENY, True)


async def test_an_agents_declaration_holds_for_both_fronts() -> None:
    """A type outside of it is DENY, whatever the policy allows."""
    made = World(upstreams=[FakeUpstream(tools=[tool("list_notes")])])
    await made.agents.register(OPERATOR, name="local", domains=["billing"])
    await made.agents.register(OPERATOR, name="Billing Agent", domains=["billing"])
    assert (await made.intents.submit(KEY, INVOICE)).record.effect is Effect.ALLOW
    denied = await made.intents.submit(KEY, replace(DEPLOY, agent="billing-agent"))
    assert (denied.record.reason, denied.token) == (Reason.AGENT_SCOPE, "")
    await made.call("list_notes")
    assert made.judged[-1].decision.reason is Reason.AGENT_SCOPE
    assert made.upstream().calls() == []


async def test_a_tier_and_its_tenants_thresholds_hold_for_both_fronts() -> None:
    """The same risk needs the same human."""
    made = World()
    low = dict.fromkeys(TrustTier, Thresholds(allow_below=5, deny_from=101))
    await made.thresholds.put(OPERATOR, "default", low, 0)
    assert (await made.intents.submit(KEY, DEPLOY)).record.reason == Reason.TIER_ESCALATE


@pytest.mark.parametrize(
    ("submission", "error"),
    [
        (replace(DEPLOY, action=" "), InvalidRequest),
        (replace(INVOICE, agent="nobody"), AgentNotFound),
        (replace(INVOICE, declared_type="billing.nonsense"), InvalidRequest),
        (replace(INVOICE, domain="sales"), InvalidRequest),
        (replace(DEPLOY, agent="агент"), InvalidRequest),
    ],
)
async def test_what_cannot_be_submitted_is_not_decided(submission: Submission, error: type[RequestError]) -> None:
    """Nothing is recorded of it, and no agent is made of it."""
    made = World()
    with pytest.raises(error):
        await made.intents.submit(KEY, submission)
    assert decided(made) == 0
    assert made.agents.list("default") == ()


async def test_a_bound_credential_submits_for_its_own_agent_only() -> None:
    """Identity is the credential, not the body."""
    made = World()
    assert (await made.intents.submit(BOUND, DEPLOY)).record.agent == "github-actions"
    with pytest.raises(Forbidden):
        await made.intents.submit(BOUND, replace(DEPLOY, agent="somebody-else"))
    assert decided(made) == 1


@pytest.mark.parametrize("missing", ["audit", "key"])
async def test_nothing_is_decided_while_something_needed_is_missing(missing: str) -> None:
    """503, and no entry: a yes that could not be told would be lost."""
    made = World()
    if missing == "audit":
        made.store.down = "full"
    else:
        made.signer.broken = "no entropy"
    with pytest.raises(Unavailable):
        await made.intents.submit(KEY, DEPLOY)
    assert decided(made) == 0


async def test_another_tenant_s_keys_are_not_its_business() -> None:
    """Those that do not open stop their own tenant only, and are not looked at for each intent."""
    made = World()
    made.tokens.ready = lambda: "the signing keys of 1 tenant(s) do not open"  # type: ignore[method-assign]
    assert (await made.intents.submit(KEY, DEPLOY)).token


async def test_where_signing_cannot_begin_nothing_is_decided() -> None:
    """503, and no entry: the signature is begun before the decision is recorded."""
    made = World()
    await made.tokens.ensure("default")
    made.signer.broken = "gone"
    with pytest.raises(Unavailable, match="nothing was decided"):
        await made.intents.submit(KEY, DEPLOY)
    assert decided(made) == 0


async def test_a_token_that_cannot_be_signed_is_no_yes() -> None:
    """The decision is on record; whoever asked must not act."""
    made = World()

    async def finish(begun: Awaitable[str]) -> str:
        raise SigningError("gone")

    made.tokens.finish = finish  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="do not act"):
        await made.intents.submit(KEY, DEPLOY)
    assert decided(made) == 1


@pytest.mark.parametrize("moment", list(Moment))
async def test_an_intent_whose_decision_is_not_certain_to_be_durable_gets_no_answer(moment: Moment) -> None:
    """No store, no verdict."""
    made = World()
    made.store.break_append(moment, where=lambda draft: draft.type is EntryType.CALL_DECIDED)
    with pytest.raises(AuditUnavailable):
        await made.intents.submit(KEY, DEPLOY)


async def test_an_allowed_intent_is_not_in_doubt_at_the_next_start() -> None:
    """Its program acts, not the gateway; nothing is left open by it."""
    made = World()
    await made.intents.submit(KEY, DEPLOY)
    assert await close_open_calls(made.store, made.store, made.clock, made.ids) == []
    assert (await verify(made.store, "default")).valid


async def test_a_caller_that_hangs_up_cannot_suppress_the_entry() -> None:
    """Whatever is decided is recorded."""
    made = World()
    await made.agents.acting(KEY, "github-actions", known=False)
    await made.tokens.ensure("default")
    made.store.held = anyio.Event()
    before = len(made.store.attempts)
    async with anyio.create_task_group() as group:
        group.start_soon(made.intents.submit, KEY, DEPLOY)
        with anyio.fail_after(5):
            while len(made.store.attempts) == before:
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
        made.store.held.set()
    assert decided(made) == 1


async def test_a_secret_in_the_words_is_in_no_entry() -> None:
    """An action, a system or a description may hold what nobody should read later."""
    made = World()
    secret = "ghp_" + "a1" * 20
    told = replace(DEPLOY, action=f"deploy with {secret}", description=f"uses {secret}", justification=secret)
    record = (await made.intents.submit(KEY, told)).record
    assert secret not in str(record)
    for entry in await made.store.last("default", 100):
        assert secret.encode() not in entry.content + entry.body
    assert all(secret.encode() not in (row.value + row.key.encode()) for row in made.store._rows.values())


# --- showing and listing ----------------------------------------------------------------------------------------------


async def test_intents_of_both_fronts_are_shown_and_listed_newest_first() -> None:
    """A decision made through one front is visible through the others."""
    made = World(upstreams=[FakeUpstream(tools=[tool("list_notes")])])
    first = (await made.intents.submit(KEY, DEPLOY)).record
    await made.call("list_notes")
    page = await made.intents.list(KEY, IntentFilter(), page=1, page_size=20)
    assert ([one.front for one in page.items], page.total) == (["mcp", "rest"], 2)
    assert (await made.intents.show(OTHER_KEY, page.items[0].id)).record == page.items[0]
    agent = made.agents.require("default", "github-actions")
    for name in (agent.id, agent.slug):
        found = await made.intents.list(KEY, IntentFilter(agent=name), page=1, page_size=20)
        assert [one.id for one in found.items] == [first.id]
    assert (await made.intents.list(KEY, IntentFilter(agent="nobody"), page=1, page_size=20)).items == ()
    assert (await made.intents.list(KEY, IntentFilter(), page=2, page_size=1)).items == (first,)


async def test_an_intent_that_the_index_knows_and_the_chain_does_not_is_left_out() -> None:
    """A projection is no evidence."""
    made = World()
    await made.intents.submit(KEY, DEPLOY)

    async def none(tenant: str, intent_id: str, *, inputs: bool) -> list[object]:
        return []

    made.intents._reader = type("Empty", (), {"by_intent": staticmethod(none)})()  # type: ignore[assignment]
    assert (await made.intents.list(KEY, IntentFilter(), page=1, page_size=20)).items == ()


async def test_another_tenant_sees_and_changes_nothing() -> None:
    """Not by id, not in a list, not by an outcome."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    for attempt in (
        made.intents.show(FOREIGN, record.id),
        made.intents.outcome(FOREIGN, record.id, Outcome.COMPLETED),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await made.intents.list(FOREIGN, IntentFilter(), page=1, page_size=20)).total == 0
    assert (await made.intents.show(KEY, record.id)).record == record


async def test_an_intent_that_is_not_there_is_not_found() -> None:
    """Also where something else has the id."""
    made = World()
    with pytest.raises(NotFound):
        await made.intents.show(KEY, "int_9")
    with pytest.raises(NotFound):
        await made.intents.outcome(KEY, "int_9", Outcome.COMPLETED)
