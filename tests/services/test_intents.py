"""An intent that is submitted by REST takes the very same decision as a tool call, and its token leaves once."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from functools import partial

import anyio
import jwt
import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.canonical import digest
from gateway.core.audit.entry import EntryType
from gateway.core.budgets import read_tally
from gateway.core.decision import Effect, Reason, Thresholds
from gateway.core.intent.taxonomy import TAXONOMY
from gateway.core.jsonvalue import JsonObject
from gateway.core.policy.bundle import ACCOUNTS
from gateway.core.principal import Principal, Role, Scope, TrustTier
from gateway.core.submission import IntentRecord, IntentStatus, Outcome, Submission
from gateway.core.tokens import Grant
from gateway.core.worth import amounts_of
from gateway.errors import (
    AgentNotFound,
    AlreadyResolved,
    AuditUnavailable,
    Forbidden,
    GatewayError,
    InvalidRequest,
    NotFound,
    RequestError,
    SigningError,
    StateConflict,
    StoreError,
    Unavailable,
)
from gateway.ports import IntentFilter
from gateway.services import intents as module
from gateway.services.audit_query import verify
from gateway.services.intents import IDEMPOTENCY_TTL, Submitted
from gateway.services.recovery import close_open_calls
from tests.simulate.store import Moment
from tests.simulate.upstream import FakeUpstream
from tests.simulate.world import ALLOW_ALL, World, tool

MAY = frozenset({Scope.INTENTS_READ, Scope.INTENTS_WRITE})
KEY = Principal(tenant="default", agent="key-1", credential="key_1", scopes=MAY)
OTHER_KEY = Principal(tenant="default", agent="key-2", credential="key_2", scopes=MAY)
BOUND = Principal(tenant="default", agent="github-actions", credential="key_3", bound=True, scopes=MAY)
READER = replace(BOUND, credential="key_5", scopes=frozenset({Scope.INTENTS_READ}))
OPERATOR = Principal(tenant="default", agent="cli", credential="cli", role=Role.ADMIN)
HUMAN = Principal(tenant="default", agent="usr-1", credential="ps_1", human="usr_1", role=Role.OPERATOR)
FOREIGN = Principal(tenant="other", agent="key-4", credential="key_4", role=Role.ADMIN)

DEPLOY = Submission(
    agent="agent:github-actions",
    action="deploy application to production",
    system="github",
    params={"repo": "acme/frontend", "branch": "main"},
)
INVOICE = Submission(
    agent="billing-agent",
    action="billing.send_invoice",
    declared_type="billing.send_invoice",
    domain="billing",
    params={"customerId": "cust_123", "amount": 99.99},
    description="Send monthly subscription invoice",
)
ASK = ALLOW_ALL.replace("effect: allow", "effect: escalate")
DENY = ALLOW_ALL.replace("effect: allow", "effect: deny")
BUDGETED = ASK.replace(
    "rules:", "budgets: {acts: {count: calls, per: tenant, window: 1d, match: {methods: [intent]}}}\nrules:"
)


def claims(token: str) -> JsonObject:
    return jwt.decode(token, options={"verify_signature": False})


def decided(made: World) -> int:
    return len(made.entries(EntryType.CALL_DECIDED))


async def waiting(made: World, submission: Submission = DEPLOY) -> IntentRecord:
    """Submit what escalates."""
    submitted = await made.intents.submit(KEY, submission)
    assert (submitted.record.status, submitted.token) == (IntentStatus.PENDING, "")
    return submitted.record


async def approve(made: World, record: IntentRecord, *, yes: bool = True) -> None:
    await made.approvals.resolve(HUMAN, intent_id=record.id, approve=yes)


async def all_at_once(*acts: Callable[[], Awaitable[object]]) -> list[object]:
    """Run the acts at the same time and return what each returned or raised."""
    ends: list[object] = []

    async def run(act: Callable[[], Awaitable[object]]) -> None:
        try:
            ends.append(await act())
        except RequestError as error:
            ends.append(error)

    async with anyio.create_task_group() as group:
        for act in acts:
            group.start_soon(run, act)
    return ends


def tokens_of(ends: list[object]) -> list[str]:
    return [end.token for end in ends if isinstance(end, Submitted) and end.token]


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


# --- idempotency ------------------------------------------------------------------------------------------------------


KEYED = replace(DEPLOY, idempotency_key="deploy-2026-11")


async def test_the_same_key_and_body_give_the_first_intent_and_no_second_token() -> None:
    """Whoever lost the answer learns the state, not another authority."""
    made = World()
    first = await made.intents.submit(KEY, KEYED)
    again = await made.intents.submit(KEY, KEYED)
    assert (again.record, again.token, again.repeated) == (first.record, "", True)
    assert (first.repeated, decided(made)) == (False, 1)
    await made.intents.outcome(KEY, first.record.id, Outcome.COMPLETED)
    assert (await made.intents.submit(KEY, KEYED)).record.status is IntentStatus.COMPLETED


async def test_the_same_key_with_another_body_is_a_conflict() -> None:
    """A mistake of the program, which the first intent must not answer."""
    made = World()
    await made.intents.submit(KEY, KEYED)
    with pytest.raises(StateConflict) as caught:
        await made.intents.submit(KEY, replace(KEYED, params={"repo": "acme/other"}))
    assert caught.value.field == "idempotencyKey"
    assert decided(made) == 1


async def test_a_key_is_a_tenants_own() -> None:
    """Another tenant may use the same text."""
    made = World()
    first = await made.intents.submit(KEY, KEYED)
    second = await made.intents.submit(FOREIGN, KEYED)
    assert (second.repeated, second.record.tenant) == (False, "other")
    assert second.record.id != first.record.id


@pytest.mark.parametrize("policy", [ALLOW_ALL, DENY, ASK])
async def test_two_submissions_with_one_key_at_once_are_one_intent(policy: str) -> None:
    """One decision, one token at most."""
    made = World(policy=policy)
    await made.agents.acting(KEY, "github-actions", known=False)
    ends = await all_at_once(*(partial(made.intents.submit, KEY, KEYED) for _ in range(5)))
    assert len({end.record.id for end in ends if isinstance(end, Submitted)}) == 1
    assert len(tokens_of(ends)) == (1 if policy is ALLOW_ALL else 0)
    assert decided(made) == 1


async def test_a_key_whose_day_is_over_stands_for_a_new_intent_and_old_ones_go() -> None:
    """24 hours; what nobody uses again is removed with later submissions, also after a restart."""
    made = World()
    first = await made.intents.submit(KEY, KEYED)
    for number in range(3):
        await made.intents.submit(KEY, replace(KEYED, idempotency_key=f"old-{number}"))
    made.clock.advance(IDEMPOTENCY_TTL.total_seconds())
    again = await made.intents.submit(KEY, replace(KEYED, params={"repo": "acme/other"}))
    assert (again.repeated, again.record.id != first.record.id) == (False, True)
    await made.intents.load(["default"])
    for number in range(3):
        await made.intents.submit(KEY, replace(KEYED, idempotency_key=f"new-{number}"))
    assert len(await made.store.scan("default", "idem:")) == 4


async def test_the_memory_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not remembered is found in its row all the same."""
    monkeypatch.setattr(module, "KEYS_KEPT", 1)
    made = World()
    for number in range(3):
        await made.intents.submit(KEY, replace(KEYED, idempotency_key=f"key-{number}"))
    assert len(made.intents._expiring["default"]) == 1
    assert (await made.intents.submit(KEY, replace(KEYED, idempotency_key="key-2"))).repeated


async def test_a_key_that_is_removed_and_used_at_the_same_time_is_one_or_the_other() -> None:
    """The removal must not take a fresh key away."""
    made = World()
    await made.agents.acting(KEY, "github-actions", known=False)
    await made.intents.submit(KEY, KEYED)
    made.clock.advance(IDEMPOTENCY_TTL.total_seconds())
    other = replace(KEYED, idempotency_key="another")
    ends = await all_at_once(partial(made.intents.submit, KEY, KEYED), partial(made.intents.submit, KEY, other))
    assert len(tokens_of(ends)) == 2
    assert (await made.intents.submit(KEY, KEYED)).repeated
    assert (await made.intents.submit(KEY, other)).repeated


async def test_a_key_that_is_gone_before_it_is_removed_harms_nothing() -> None:
    """Memory only says where to look."""
    made = World()
    await made.intents.submit(KEY, KEYED)
    made.clock.advance(IDEMPOTENCY_TTL.total_seconds())
    (row,) = await made.store.scan("default", "idem:")
    del made.store._rows["default", row.key]
    assert (await made.intents.submit(KEY, replace(KEYED, idempotency_key="another"))).token


async def test_a_key_that_keeps_changing_is_given_up() -> None:
    """A clear conflict instead of an endless wait."""
    made = World()
    real = made.intents._repeated

    async def stale(tenant: str, submission: Submission) -> object:
        await real(tenant, submission)
        return None

    await made.intents.submit(KEY, KEYED)
    made.intents._repeated = stale  # type: ignore[method-assign,assignment]
    with pytest.raises(StateConflict) as caught:
        await made.intents.submit(KEY, KEYED)
    assert caught.value.field == "idempotencyKey"
    assert decided(made) == 1


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

    async def none(tenant: str, intent_id: str) -> list[object]:
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


# --- after a human's yes ----------------------------------------------------------------------------------------------


async def test_after_a_yes_the_submitting_agent_gets_its_token_once() -> None:
    """The contract: GET by the submitting agent issues the token once; it is on record before it leaves."""
    made = World(policy=ASK)
    record = await waiting(made)
    assert (await made.intents.show(KEY, record.id)).token == ""
    await approve(made, record)
    shown = await made.intents.show(KEY, record.id)
    assert (shown.record.status, shown.record.reason) == (IntentStatus.APPROVED, Reason.APPROVED)
    told = claims(shown.token)
    assert (told["intentId"], told["argsDigest"], told["action"]) == (
        record.id,
        record.args_digest,
        "deploy application to production",
    )
    (issued,) = made.entries(EntryType.TOKEN_ISSUED)
    assert (issued.intent_id, orjson.loads(issued.body)["approvalId"]) == (record.id, record.approval_id)
    assert (await made.intents.show(KEY, record.id)).token == ""
    assert len(made.entries(EntryType.TOKEN_ISSUED)) == 1
    assert (await verify(made.store, "default")).valid


@pytest.mark.parametrize("principal", [OTHER_KEY, OPERATOR, HUMAN, READER, replace(KEY, credential="key_9")])
async def test_nobody_else_gets_the_token(principal: Principal) -> None:
    """Whoever may look is not whoever may act; looking uses nothing up."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    assert (await made.intents.show(principal, record.id)).token == ""
    assert decided(made) == 1
    assert (await made.intents.show(KEY, record.id)).token


async def test_any_credential_that_is_bound_to_the_agent_gets_its_token() -> None:
    """The agent submitted, whichever of its keys it uses today."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    assert (await made.intents.show(BOUND, record.id)).token


async def test_the_token_of_a_yes_leaves_once_however_often_it_is_asked_for_at_once() -> None:
    """Exactly one of the racing answers carries it; one yes is one decision, and is counted once."""
    made = World(policy=BUDGETED)
    record = await waiting(made)
    await approve(made, record)
    ends = await all_at_once(*(partial(made.intents.show, KEY, record.id) for _ in range(5)))
    assert len(ends) == 5
    assert len(tokens_of(ends)) == 1
    assert len(made.entries(EntryType.TOKEN_ISSUED)) == 1
    assert decided(made) == 2
    (account,) = [one.key for one in await made.store.scan("default", ACCOUNTS)]
    assert read_tally((await made.store.get("default", account)).value).total == 1


async def test_a_token_that_could_not_be_signed_after_a_yes_can_be_asked_for_again() -> None:
    """The yes is not used up by what failed before its entry."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    issue = made.tokens.issue

    async def fail(grant: Grant) -> str:
        raise SigningError("no")

    made.tokens.issue = fail  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await made.intents.show(KEY, record.id)
    made.tokens.issue = issue  # type: ignore[method-assign]
    assert (await made.intents.show(KEY, record.id)).token


async def test_a_no_of_today_is_above_the_yes() -> None:
    """Then the approval has failed and the intent is rejected; nothing leaves."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    made.policies.replace(DENY)
    shown = await made.intents.show(KEY, record.id)
    assert (shown.token, shown.record.status, shown.record.effect) == ("", IntentStatus.REJECTED, Effect.DENY)
    assert (await made.approvals.show(HUMAN, record.approval_id)).state is ApprovalState.FAILED
    made.policies.replace(ASK)
    assert (await made.intents.show(KEY, record.id)).token == ""
    assert decided(made) == 2


async def test_a_rule_that_is_new_asks_again() -> None:
    """The human said yes to another question; the intent waits anew, under a new approval."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    made.policies.replace(ASK.replace("id: allow-all", "id: ask-anew"))
    shown = await made.intents.show(KEY, record.id)
    assert (shown.token, shown.record.status) == ("", IntentStatus.PENDING)
    assert shown.record.approval_id != record.approval_id
    assert (await made.approvals.show(HUMAN, record.approval_id)).state is ApprovalState.FAILED
    await approve(made, record)
    assert (await made.intents.show(KEY, record.id)).token


async def test_without_a_desk_a_second_question_is_a_no_for_the_first_yes() -> None:
    """A gateway that has no approvals leaves the intent pending, and its yes used up."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    made.enforcement._desk = None
    made.policies.replace(ASK.replace("id: allow-all", "id: ask-anew"))
    assert (await made.intents.show(KEY, record.id)).record.status is IntentStatus.PENDING
    assert (await made.approvals.show(HUMAN, record.approval_id)).state is ApprovalState.FAILED


async def test_a_rejected_intent_gets_no_token_whatever_the_policy_says_later() -> None:
    """A no is a no."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record, yes=False)
    made.policies.replace(ALLOW_ALL)
    shown = await made.intents.show(KEY, record.id)
    assert (shown.token, shown.record.status) == ("", IntentStatus.REJECTED)
    with pytest.raises(AlreadyResolved):
        await approve(made, record)


async def test_a_yes_that_is_not_fetched_in_time_is_worth_nothing() -> None:
    """Expiry counts until the token is issued."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    made.clock.advance(3600)
    shown = await made.intents.show(KEY, record.id)
    assert (shown.token, shown.record.status) == ("", IntentStatus.EXPIRED)


async def test_an_intent_that_nobody_answers_expires() -> None:
    """In lists too."""
    made = World(policy=ASK)
    record = await waiting(made)
    made.clock.advance(3600)
    (listed,) = (await made.intents.list(KEY, IntentFilter(), page=1, page_size=20)).items
    assert (listed.id, listed.status) == (record.id, IntentStatus.EXPIRED)


async def test_a_yes_waits_while_tokens_cannot_be_issued() -> None:
    """Nothing is decided or used up meanwhile."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    made.signer.broken = "gone"
    with pytest.raises(Unavailable):
        await made.intents.show(KEY, record.id)
    made.signer.broken = ""
    assert (await made.intents.show(KEY, record.id)).token


async def test_a_token_whose_entry_is_not_durable_does_not_leave() -> None:
    """Where nothing was recorded, the next question gets it."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    made.store.break_append(where=lambda draft: draft.type is EntryType.TOKEN_ISSUED)
    with pytest.raises(StoreError):
        await made.intents.show(KEY, record.id)
    assert (await made.intents.show(KEY, record.id)).token


async def test_a_call_that_is_no_longer_kept_is_not_decided_again() -> None:
    """Somebody else has just used the yes up."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    del made.store._rows["default", f"approval-input:{record.approval_id}"]
    assert (await made.intents.show(KEY, record.id)).token == ""
    assert decided(made) == 1


# --- outcomes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "error"), [(Outcome.COMPLETED, ""), (Outcome.FAILED, "the pipeline broke")])
async def test_an_outcome_is_reported_once(outcome: Outcome, error: str) -> None:
    """Trust and value depend on it; a second report is a conflict."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    reported = await made.intents.outcome(KEY, record.id, outcome, error)
    assert (reported.status, reported.error) == (IntentStatus(outcome), error)
    (entry,) = made.entries(EntryType.CALL_COMPLETED)
    assert (entry.intent_id, entry.reasons, entry.agent) == (record.id, (outcome,), "github-actions")
    assert orjson.loads(entry.body)["reportedBy"] == "key_1"
    with pytest.raises(StateConflict):
        await made.intents.outcome(KEY, record.id, Outcome.COMPLETED)
    assert len(made.entries(EntryType.CALL_COMPLETED)) == 1


async def test_of_outcomes_at_the_same_time_one_counts() -> None:
    """Completed or failed, not both."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    outcomes = (Outcome.COMPLETED, Outcome.FAILED, Outcome.COMPLETED)
    ends = await all_at_once(*(partial(made.intents.outcome, KEY, record.id, one) for one in outcomes))
    assert sum(isinstance(end, IntentRecord) for end in ends) == 1
    assert sum(isinstance(end, StateConflict) for end in ends) == 2
    assert len(made.entries(EntryType.CALL_COMPLETED)) == 1


async def test_an_outcome_is_reported_by_the_agent_itself_or_an_operator() -> None:
    """Nobody else's word counts for what an agent did."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    for stranger in (OTHER_KEY, replace(HUMAN, role=Role.VIEWER)):
        with pytest.raises(Forbidden):
            await made.intents.outcome(stranger, record.id, Outcome.FAILED)
    assert made.entries(EntryType.CALL_COMPLETED) == []
    assert (await made.intents.outcome(HUMAN, record.id, Outcome.FAILED, "seen it")).error == "seen it"
    second = (await made.intents.submit(KEY, DEPLOY)).record
    assert (await made.intents.outcome(BOUND, second.id, Outcome.COMPLETED)).status is IntentStatus.COMPLETED


@pytest.mark.parametrize("policy", [DENY, ASK])
async def test_what_was_not_allowed_has_no_outcome(policy: str) -> None:
    """It was not done, or should not have been."""
    made = World(policy=policy)
    record = (await made.intents.submit(KEY, DEPLOY)).record
    with pytest.raises(StateConflict):
        await made.intents.outcome(KEY, record.id, Outcome.COMPLETED)
    assert made.entries(EntryType.CALL_COMPLETED) == []


async def test_an_outcome_uses_an_open_yes_up() -> None:
    """A program that acts without fetching its token has acted; the token must not follow."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    await made.intents.outcome(KEY, record.id, Outcome.COMPLETED)
    assert (await made.intents.show(KEY, record.id)).token == ""
    made.clock.advance(3600)
    assert (await made.intents.show(KEY, record.id)).record.status is IntentStatus.COMPLETED


async def test_an_outcome_after_the_token_of_a_yes_is_taken() -> None:
    """The usual way of an escalated intent."""
    made = World(policy=ASK)
    record = await waiting(made)
    await approve(made, record)
    await made.intents.show(KEY, record.id)
    made.clock.advance(7200)
    assert (await made.intents.outcome(KEY, record.id, Outcome.COMPLETED)).status is IntentStatus.COMPLETED


async def test_a_tool_call_reports_its_outcome_itself() -> None:
    """Whether it waited for a human or not."""
    made = World(upstreams=[FakeUpstream(tools=[tool("list_notes")])])
    await made.call("list_notes")
    with pytest.raises(StateConflict, match="itself"):
        await made.intents.outcome(OPERATOR, made.judged[-1].intent_id, Outcome.FAILED)
    made.policies.replace(ASK)
    await made.call("list_notes")
    with pytest.raises(StateConflict, match="itself"):
        await made.intents.outcome(OPERATOR, made.judged[-1].intent_id, Outcome.FAILED)


async def test_a_tool_call_that_waits_is_shown_with_its_approval_and_never_with_a_token() -> None:
    """Its yes is used by calling again, on the front it came through."""
    made = World(upstreams=[FakeUpstream(tools=[tool("list_notes")])], policy=ASK)
    await made.call("list_notes")
    caller = replace(KEY, agent="local", credential="keyless")
    pending = (await made.intents.show(caller, made.judged[-1].intent_id)).record
    assert (pending.status, pending.front, bool(pending.approval_id)) == (IntentStatus.PENDING, "mcp", True)
    await approve(made, pending)
    shown = await made.intents.show(caller, pending.id)
    assert (shown.record.status, shown.token) == (IntentStatus.APPROVED, "")
    await made.call("list_notes")
    assert (await made.intents.show(caller, pending.id)).record.status is IntentStatus.COMPLETED


@pytest.mark.parametrize(
    ("outcome", "error"), [(Outcome.COMPLETED, "but"), (Outcome.FAILED, "x" * 4097), (Outcome.FAILED, "\ud800")]
)
async def test_an_error_that_cannot_be_is_a_problem_of_its_field(outcome: Outcome, error: str) -> None:
    """A success has none."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    with pytest.raises(InvalidRequest):
        await made.intents.outcome(KEY, record.id, outcome, error)
    assert made.entries(EntryType.CALL_COMPLETED) == []


async def test_the_error_of_an_outcome_is_stored_without_secrets() -> None:
    """Programs put their whole answer into it."""
    made = World()
    record = (await made.intents.submit(KEY, DEPLOY)).record
    reported = await made.intents.outcome(KEY, record.id, Outcome.FAILED, "401 with ghp_" + "a1" * 20)
    assert "a1a1" not in reported.error


async def test_every_error_of_a_request_is_a_deliberate_one() -> None:
    """Faces map them by one table."""
    assert issubclass(RequestError, GatewayError)
    assert not issubclass(StoreError, RequestError)


async def test_what_is_reported_as_completed_earns_its_amount_once() -> None:
    """The program's own word earns it; a second report is refused, so that it earns nothing more."""
    made = World(amounts=amounts_of(TAXONOMY, "EUR", {"billing.send_invoice": Decimal("99.00")}))
    await made.agents.register(OPERATOR, name="Billing Agent")
    first, second = [(await made.intents.submit(KEY, INVOICE)).record.id for _ in range(2)]
    await made.intents.outcome(KEY, first, Outcome.COMPLETED)
    with pytest.raises(StateConflict):
        await made.intents.outcome(KEY, first, Outcome.COMPLETED)
    await made.intents.outcome(KEY, second, Outcome.FAILED)
    earned, failed = made.entries(EntryType.CALL_COMPLETED)
    assert orjson.loads(earned.body)["value"] == {"cents": 9900, "type": "efficiency", "currency": "EUR"}
    assert (earned.value_cents, earned.value_type, earned.intent_type) == (9900, "efficiency", "billing.send_invoice")
    assert (failed.value_cents, "value" in orjson.loads(failed.body)) == (0, False)
