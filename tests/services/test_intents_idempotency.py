"""A key of idempotency stands for one intent, and for one body, for a day."""

from dataclasses import replace
from functools import partial

import pytest

from gateway.core.submission import IntentStatus, Outcome, Submission
from gateway.errors import (
    StateConflict,
)
from gateway.services import intents as module
from gateway.services.intents import IDEMPOTENCY_TTL, Submitted
from tests.services.submitting import ASK, DENY, DEPLOY, FOREIGN, KEY, all_at_once, decided, tokens_of
from tests.simulate.world import ALLOW_ALL, World

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
    """24 hours; what nobody uses again is removed with later submissions."""
    made = World()
    first = await made.intents.submit(KEY, KEYED)
    for number in range(3):
        await made.intents.submit(KEY, replace(KEYED, idempotency_key=f"old-{number}"))
    made.clock.advance(IDEMPOTENCY_TTL.total_seconds())
    again = await made.intents.submit(KEY, replace(KEYED, params={"repo": "acme/other"}))
    assert (again.repeated, again.record.id != first.record.id) == (False, True)
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
