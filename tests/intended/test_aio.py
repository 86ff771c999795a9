"""The awaiting client: the same methods over the same table."""

import inspect

import httpx
import pytest

from intended import AsyncIntendedClient, IntendedClient, ServiceUnavailableError
from tests.intended.answering import BASE, KEY, Service, says
from tests.intended.route import Route
from tests.intended.routes import ROUTES


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.method)
async def test_every_method_asks_its_route_and_returns_its_type(route: Route) -> None:
    """As the waiting one does."""
    service = Service(says(route.answer, route.status))
    async with AsyncIntendedClient(KEY, base_url=BASE, transport=service.transport) as client:
        result = await getattr(client, route.method)(*route.arguments, **route.keywords)
    assert service.sent == [route.sends]
    if route.body is not None:
        assert service.body == route.body
    assert route.found(result) == route.expected


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    """Whoever knows one knows the other."""

    def methods(client: type) -> dict[str, inspect.Signature]:
        return {name: inspect.signature(method) for name, method in inspect.getmembers(client, inspect.isfunction)}

    ours = {name: one for name, one in methods(AsyncIntendedClient).items() if not name.startswith("_")}
    theirs = {name: one for name, one in methods(IntendedClient).items() if not name.startswith("_")}
    assert ours == theirs


async def test_without_a_usable_answer_the_decision_is_deny() -> None:
    """Fail closed, awaited."""
    for failure in (httpx.ConnectError("no"), httpx.Response(502), says({"decision": "ALLOW"})):
        client = AsyncIntendedClient(KEY, base_url=BASE, transport=Service(failure).transport)
        decision = await client.submit_intent(action="deploy", actor="ci")
        assert (decision.verdict, decision.fail_closed) == ("DENY", True)


async def test_other_methods_raise_where_there_is_no_answer() -> None:
    """As the waiting ones do."""
    client = AsyncIntendedClient(KEY, base_url=BASE, retries=0, transport=Service(httpx.ConnectError("no")).transport)
    with pytest.raises(ServiceUnavailableError):
        await client.stats()
    with pytest.raises(ValueError, match="tenant_id"):
        await AsyncIntendedClient("mrt_live_abc", transport=Service(says({})).transport).get_thresholds()


async def test_the_key_is_in_no_representation() -> None:
    """As with the waiting one."""
    client = AsyncIntendedClient(KEY, base_url=BASE)
    assert KEY not in repr(client) + repr(vars(client)) + repr(vars(client._transport))
    await client.close()
