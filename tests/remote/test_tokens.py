"""The authority's public keys: asked for once, renewed in time, and not used for longer than a revoked one may live."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from gateway.core.remote import Question
from gateway.remote.exchange import Exchange, NoAnswer
from gateway.remote.tokens import MAX_AGE_S, REFETCH_S, Tokens
from tests.remote.service import KEY, Service, always, jwk, serving
from tests.simulate.world import FakeClock

ASKED = Question(key="int_1", agent="bot", action="transfer", system="payments", params={"amount": 5})


@asynccontextmanager
async def tokens_of(service: Service, clock: FakeClock) -> AsyncIterator[Tokens]:
    async with serving(service) as url, Exchange(url, key=KEY, tenant="acme", timeout_s=5) as exchange:
        yield Tokens(exchange, tenant="acme", issuer="intended-gateway", monotonic=clock.monotonic)


async def check(tokens: Tokens, service: Service) -> str:
    return await tokens.checked(service.token(None), ASKED, "int_there")


async def test_keys_are_asked_for_once_and_renewed_before_they_are_old() -> None:
    """Half of their age, so that an authority that is away for a moment is no matter."""
    service, clock = Service(), FakeClock()
    async with tokens_of(service, clock) as tokens:
        for _ in range(3):
            await check(tokens, service)
        assert service.jwks_asked == 1
        clock.advance(MAX_AGE_S / 2 + 1)
        await check(tokens, service)
        assert service.jwks_asked == 2


async def test_old_keys_are_used_for_a_while_and_then_no_more() -> None:
    """A key that was revoked must not live on because the authority cannot be asked."""
    service, clock = Service(), FakeClock()
    async with tokens_of(service, clock) as tokens:
        await check(tokens, service)
        service.jwks = always({}, 503)()
        clock.advance(MAX_AGE_S / 2 + 1)
        await check(tokens, service)
        clock.advance(MAX_AGE_S)
        with pytest.raises(NoAnswer, match="public keys cannot be had"):
            await check(tokens, service)


async def test_a_new_key_is_found_at_once_and_looked_for_now_and_then() -> None:
    """Keys rotate; a token under a name that nobody has must not make every call ask."""
    service, clock = Service(), FakeClock()
    async with tokens_of(service, clock) as tokens:
        await check(tokens, service)
        service.signs = 1
        with pytest.raises(NoAnswer, match="unknown-key"):
            await check(tokens, service)
        clock.advance(REFETCH_S)
        await check(tokens, service)
        assert service.jwks_asked == 2


async def test_a_signature_by_another_key_of_the_same_name_is_none() -> None:
    """The set is the authority's; what signs is not."""
    service, clock = Service(), FakeClock()
    async with tokens_of(service, clock) as tokens:
        service.jwks = always({"keys": [{**jwk(1), "kid": "k0"}]})()
        with pytest.raises(NoAnswer, match="signature"):
            await check(tokens, service)


@pytest.mark.parametrize("document", [{"keys": []}, [], {"keys": [{"kid": "k0"}]}], ids=str)
async def test_a_set_without_keys_is_none(document: object) -> None:
    """Nothing is accepted in its place."""
    service, clock = Service(jwks=always(document)()), FakeClock()
    async with tokens_of(service, clock) as tokens:
        with pytest.raises(NoAnswer, match="public keys cannot be had"):
            await check(tokens, service)


async def test_many_who_want_the_keys_ask_once() -> None:
    """The first call of a burst must not make sixty-four requests more."""
    service, clock = Service(), FakeClock()
    async with tokens_of(service, clock) as tokens, anyio.create_task_group() as tasks:
        for _ in range(64):
            tasks.start_soon(check, tokens, service)
    assert service.jwks_asked == 1
