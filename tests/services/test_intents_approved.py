"""After a human's yes: the agent that submitted gets its token, once, if today's policy agrees."""

from dataclasses import replace
from functools import partial

import orjson
import pytest

from gateway.core.approvals import ApprovalState
from gateway.core.audit.entry import EntryType
from gateway.core.budgets import read_tally
from gateway.core.decision import Effect, Reason
from gateway.core.policy.bundle import ACCOUNTS
from gateway.core.principal import Principal, Scope
from gateway.core.submission import IntentStatus
from gateway.core.tokens import Grant
from gateway.errors import (
    AlreadyResolved,
    SigningError,
    StoreError,
    Unavailable,
)
from gateway.ports import IntentFilter
from gateway.services.audit_query import verify
from tests.services.submitting import (
    ASK,
    BOUND,
    DENY,
    HUMAN,
    KEY,
    OPERATOR,
    OTHER_KEY,
    all_at_once,
    approve,
    claims,
    decided,
    tokens_of,
    waiting,
)
from tests.simulate.world import ALLOW_ALL, World

READER = replace(BOUND, credential="key_5", scopes=frozenset({Scope.INTENTS_READ}))
BUDGETED = ASK.replace(
    "rules:", "budgets: {acts: {count: calls, per: tenant, window: 1d, match: {methods: [intent]}}}\nrules:"
)


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
