"""One request, one answer, one deadline."""

import pytest

from gateway.remote.exchange import Exchange, NoAnswer
from tests.remote.service import KEY, Service, always, serving


async def test_a_request_goes_out_once_with_the_key_and_without_it_where_none_is_needed() -> None:
    """Public keys are asked for by nobody in particular."""
    service = Service(answer=always({"a": 1}))
    async with serving(service) as url, Exchange(url, key=KEY, tenant="acme", timeout_s=5) as exchange:
        answer = await exchange.send("GET", "/intent/int_1")
        await exchange.send("GET", "/x", proved=False)
    assert (answer.status, answer.document) == (200, {"a": 1})
    first, second = (headers for _, _, headers, _ in service.requests)
    assert (first["authorization"], "authorization" in second) == (f"Bearer {KEY}", False)


async def test_what_cannot_be_written_is_not_sent() -> None:
    """A number beyond 64 bits would be another one there."""
    service = Service()
    async with serving(service) as url, Exchange(url, key=KEY, tenant="acme", timeout_s=5) as exchange:
        with pytest.raises(NoAnswer, match="64 bits"):
            await exchange.send("POST", "/intent", {"n": 2**70})
    assert service.requests == []


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets one would see every decision, and make them."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    service = Service(answer=always({}))
    async with serving(service) as url, Exchange(url, key=KEY, tenant="acme", timeout_s=5) as exchange:
        assert (await exchange.send("GET", "/")).status == 200
