"""Who may call by MCP, on a whole gateway: whoever is refused reaches no upstream, whoever calls is who the key says.

The upstream is a spy that keeps every byte; the store is the real one, opened again where a restart is meant.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from gateway.app import Gateway
from gateway.core.principal import SYSTEM_TENANT, Role, Scope
from gateway.records import reading
from gateway.services.audit_query import tail
from gateway.services.keys import CreatedKey
from gateway.services.operator import operator
from gateway.settings import Settings, UpstreamSettings
from gateway.telemetry.clock import SystemClock
from tests.attack.guarded import ONE_TOOL
from tests.attack.spy import Spy, spying
from tests.downstream.front import Exchange, call, eventually, initialize, modern

TENANT = "acme_corp-7"
NOBODYS = "xK9mN2pQ7rS4tU6vxK9mN2pQ7rS4tU6v"


@pytest.fixture(scope="module")
def watching() -> Iterator[Spy]:
    with spying() as running:
        yield running


@pytest.fixture
def spy(watching: Spy) -> Spy:
    watching.forget()
    return watching


def settings_in(folder: Path, spy: Spy, **changes: Any) -> Settings:
    policy = folder / "policy.yaml"
    policy.write_text(ONE_TOOL)
    values = {
        "data": folder / "data",
        "state": folder / "state",
        "policies": policy,
        "tiers": {"default": "T4"},
        "upstreams": {"default": UpstreamSettings(url=spy.url)},
    }
    return Settings(**(values | changes))


class Later(SystemClock):
    """Two hours from now."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=2)


class House:
    """A gateway that runs, and agents in front of it."""

    def __init__(self, gateway: Gateway, settings: Settings, tasks: Any) -> None:
        self.gateway = gateway
        self.settings = settings
        self._tasks = tasks

    async def key(self, tenant: str = TENANT, **fields: Any) -> CreatedKey:
        return await self.gateway.known.keys.create(operator(tenant), tenant=tenant, **{"name": "test", **fields})

    def send(self, method: str = "POST", path: str = "/mcp", **request: Any) -> Exchange:
        exchange = Exchange(method, path, **{"key": None, **request})
        self._tasks.start_soon(exchange.run, self.gateway.asgi)
        return exchange

    async def ask(self, method: str = "POST", path: str = "/mcp", **request: Any) -> Exchange:
        exchange = self.send(method, path, **request)
        await exchange.finished()
        return exchange

    async def echo(self, **request: Any) -> Exchange:
        return await self.ask(body=modern(name="echo", arguments={"text": "hi"}), **request)

    async def session(self, **request: Any) -> str:
        answer = await self.ask(body=initialize(), **request)
        assert answer.status == 200, answer.body
        return answer.header("mcp-session-id")

    async def entries(self, tenant: str = TENANT) -> list[dict[str, Any]]:
        async with reading(self.settings) as reader:
            return list(await tail(reader, tenant, 1000))

    async def decided(self, tenant: str = TENANT) -> list[str]:
        """Return the agents of the tenant's decisions, in order."""
        return [one["agent"] for one in await self.entries(tenant) if one["type"] == "call.decided"]


@asynccontextmanager
async def house(folder: Path, spy: Spy, **changes: Any) -> AsyncIterator[House]:
    settings = settings_in(folder, spy, **changes)
    with anyio.fail_after(30):
        async with Gateway.open(settings) as gateway, anyio.create_task_group() as tasks:
            yield House(gateway, settings, tasks)
            tasks.cancel_scope.cancel()


# --- refused: nothing upstream ----------------------------------------------------------------------------------------

Presented = Callable[[str], dict[str, str]]
"""Headers of a request, given a good key."""

NOBODY: dict[str, Presented] = {
    "nothing": lambda key: {},
    "an empty key": lambda key: {"x-api-key": " "},
    "an empty bearer": lambda key: {"authorization": "Bearer "},
    "a word": lambda key: {"x-api-key": "secret"},
    "nobody's key": lambda key: {"x-api-key": f"intendedops_{TENANT}_{NOBODYS}"},
    "nobody's key of the other format": lambda key: {"authorization": f"Bearer mrt_live_{NOBODYS}"},
    "a truncated key": lambda key: {"x-api-key": key[:-1]},
    "a longer key": lambda key: {"x-api-key": f"{key}0"},
    "a key in other letters": lambda key: {"x-api-key": key.swapcase()},
    "a secret without its prefix": lambda key: {"x-api-key": key.rpartition("_")[2]},
    "a secret in another tenant's name": lambda key: {"x-api-key": f"intendedops_other_{key.rpartition('_')[2]}"},
    "a key in another scheme": lambda key: {"authorization": f"Basic {key}"},
    "a bare authorization": lambda key: {"authorization": key},
    "two keys": lambda key: {"x-api-key": key, "authorization": f"Bearer intendedops_{TENANT}_{NOBODYS}"},
    "two keys in one header": lambda key: {"x-api-key": f"{key}, {key}"},
    "a portal session": lambda key: {"x-portal-session-id": f"ps_{NOBODYS}"},
    "a key as a portal session": lambda key: {"x-portal-session-id": key},
    "a cookie": lambda key: {"cookie": f"x-api-key={key}; authorization=Bearer {key}"},
    "an unsigned token": lambda key: {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."},
    "the id of a key": lambda key: {"x-api-key": "key_01ARZ3NDEKTSV4RRFFQ69G5FAV"},
    "the operator's name": lambda key: {"x-api-key": "cli"},
    "the local agent's name": lambda key: {"x-api-key": "keyless"},
    "a huge key": lambda key: {"x-api-key": f"intendedops_{TENANT}_{'a' * 20_000}"},
}


async def test_who_proves_nobody_reaches_nothing(tmp_path: Path, spy: Spy) -> None:
    """401 and nothing else, in both eras, with a message for a person (issue 3); no decision is made for them."""
    async with house(tmp_path, spy) as h:
        made = await h.key()
        session = await h.session(key=made.secret)
        spy.forget()
        for name, presented in NOBODY.items():
            headers = presented(made.secret)
            for answer in (
                await h.echo(headers=headers),
                await h.ask(body=initialize(), headers=headers),
                await h.ask(body=call(), session=session, headers=headers),
                await h.ask("DELETE", session=session, headers=headers),
            ):
                assert answer.status == 401, name
                assert (answer.json["jsonrpc"], answer.json["id"], answer.error["code"]) == ("2.0", None, -32001)
                assert "intended keys create" in answer.error["message"] or "send one" in answer.error["message"]
                assert answer.header("www-authenticate").startswith("Bearer")
                assert made.secret not in answer.body.decode()
            assert spy.raw == b"", name
        assert await h.decided() == []
        assert (await h.ask(body=call(), session=session, key=made.secret)).status == 200


@pytest.mark.parametrize("end", ["expired", "revoked", "rotated"])
async def test_a_key_that_has_ended_reaches_nothing(tmp_path: Path, spy: Spy, end: str) -> None:
    """From the next request on, in its open session too; its open stream ends (issue 3)."""
    async with house(tmp_path, spy) as h:
        made = await h.key(expires=SystemClock().now() + timedelta(hours=1))
        assert (await h.echo(key=made.secret)).status == 200
        session = await h.session(key=made.secret)
        stream = h.send("GET", session=session, key=made.secret)
        await stream.started()
        spy.forget()
        keys = h.gateway.known.keys
        secret = made.secret
        if end == "revoked":
            await keys.revoke(operator(TENANT), TENANT, made.record.id)
        elif end == "rotated":
            secret = (await keys.rotate(operator(TENANT), TENANT, made.record.id)).secret
        else:
            keys._clock = Later()
            h.gateway._front.review()  # instead of waiting for the front's next round
        await stream.finished()
        assert stream.done
        for answer in (
            await h.echo(key=made.secret),
            await h.ask(body=call(), session=session, key=made.secret),
            await h.ask(body=initialize(), key=made.secret),
            await h.ask("GET", session=session, key=made.secret),
        ):
            assert (answer.status, answer.error["code"]) == (401, -32001)
        assert spy.acts() == []
        assert len(await h.decided()) == 1
        if end == "rotated":
            assert (await h.ask(body=call(), session=session, key=secret)).status == 404
            assert (await h.echo(key=secret)).status == 200


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"role": Role.VIEWER}, {}),
        ({"scopes": frozenset({Scope.INTENTS_WRITE, Scope.AUDIT_READ})}, {}),
        ({}, {"x-tenant-id": "other"}),
        ({}, {"x-tenant-id": TENANT.upper()}),
        ({}, {"x-tenant-id": ","}),
    ],
    ids=["no scope by role", "no scope", "foreign tenant", "tenant in other letters", "no tenant"],
)
async def test_who_may_not_reaches_nothing(
    tmp_path: Path, spy: Spy, fields: dict[str, Any], headers: dict[str, str]
) -> None:
    """403 as JSON-RPC, an entry in the key's own tenant, and nothing else."""
    async with house(tmp_path, spy) as h:
        made = await h.key(**fields)
        for answer in (
            await h.echo(key=made.secret, headers=headers),
            await h.ask(body=initialize(), key=made.secret, headers=headers),
        ):
            assert (answer.status, answer.json["jsonrpc"]) == (403, "2.0")
        assert spy.raw == b""
        assert [one["type"] for one in await h.entries()] == ["key.created", "request.refused", "request.refused"]
        assert "other" not in [one["tenant"] for one in await h.entries("other")]


async def test_who_is_over_the_limit_reaches_nothing(tmp_path: Path, spy: Spy) -> None:
    """429 with the seconds to wait; one entry however often it is tried; every kind of request counts."""
    async with house(tmp_path, spy) as h:
        made = await h.key(per_minute=3)
        limits = h.gateway._front._authentication._limits
        limits.take("another", None)
        limits._ends = h.gateway._clock.monotonic() + 30  # within one window, whenever this runs
        assert (await h.echo(key=made.secret)).status == 200
        assert (await h.ask("GET", key=made.secret)).status == 400
        assert (await h.ask(body=b"[]", key=made.secret)).status == 400
        spy.forget()
        for _ in range(5):
            answer = await h.echo(key=made.secret)
            assert (answer.status, answer.json["jsonrpc"]) == (429, "2.0")
            assert 0 < int(answer.header("retry-after")) <= 60
        assert spy.raw == b""
        assert [one["type"] for one in await h.entries()].count("request.refused") == 3
        assert (await h.echo(key=(await h.key()).secret)).status == 200


# --- who is who -------------------------------------------------------------------------------------------------------

CLAIMS = {
    "x-agent-id": "root",
    "x-agent": "root",
    "intended-agent": "root",
    "x-forwarded-user": "root",
    "from": "root",
}


async def test_the_agent_on_record_is_the_keys_whatever_the_client_says(tmp_path: Path, spy: Spy) -> None:
    """Identity is the credential, never `clientInfo` or a header that the agent chooses (issue 3)."""
    async with house(tmp_path, spy) as h:
        bound = await h.key(agent="Billing Agent")
        unbound = await h.key()
        for made in (bound, unbound):
            body = modern(name="echo", arguments={}, agent="root", actor="root")
            body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] = {"name": "root", "version": "1"}
            assert (await h.ask(body=body, key=made.secret, headers=CLAIMS)).status == 200
            body = initialize(clientInfo={"name": "local", "version": "1"})
            opened = await h.ask(body=body, key=made.secret, headers=CLAIMS)
            session = opened.header("mcp-session-id")
            assert (await h.ask(body=call(), session=session, key=made.secret, headers=CLAIMS)).status == 200
        own = unbound.record.id.lower().replace("_", "-")
        assert await h.decided() == ["billing-agent", "billing-agent", own, own]


async def test_two_tenants_never_meet(tmp_path: Path, spy: Spy) -> None:
    """Crossed keys, headers and session ids; each call is in the chain of its own key (issue 3)."""
    async with house(tmp_path, spy) as h:
        ours, theirs = await h.key(), await h.key("other")
        session = await h.session(key=ours.secret)
        assert (await h.echo(key=ours.secret, headers={"x-tenant-id": TENANT})).status == 200
        assert (await h.echo(key=theirs.secret, headers={"x-tenant-id": "other"})).status == 200
        spy.forget()
        assert (await h.echo(key=ours.secret, headers={"x-tenant-id": "other"})).status == 403
        assert (await h.echo(key=theirs.secret, headers={"x-tenant-id": TENANT})).status == 403
        for verb in ("GET", "DELETE"):
            assert (await h.ask(verb, session=session, key=theirs.secret)).status == 404
        assert (await h.ask(body=call(), session=session, key=theirs.secret)).status == 404
        assert spy.acts() == []
        assert (await h.ask(body=call(), session=session, key=ours.secret)).status == 200
        assert [len(await h.decided(tenant)) for tenant in (TENANT, "other", "default")] == [2, 1, 0]


async def test_no_credential_goes_upstream_or_on_record(tmp_path: Path, spy: Spy) -> None:
    """Token passthrough is forbidden (MCP, security best practices); the store keeps only a hash."""
    async with house(tmp_path, spy) as h:
        made = await h.key(agent="billing")
        wrong = f"mrt_live_{NOBODYS}"
        for headers in (
            {"x-api-key": made.secret},
            {"authorization": f"Bearer {made.secret}"},
            {"authorization": f"bearer {made.secret}", "x-api-key": made.secret},
        ):
            more = {**headers, "x-tenant-id": TENANT, "cookie": f"k={made.secret}", "x-portal-session-id": wrong}
            assert (await h.echo(headers=more)).status == 200
            session = await h.session(headers=more)
            assert (await h.ask(body=call(), session=session, headers=more)).status == 200
        await h.echo(headers={"x-api-key": wrong})
        sent = spy.raw.lower()
        assert len(spy.acts()) == 6
    kept = everything_in(tmp_path)
    for secret in (made.secret, wrong):
        assert secret.rpartition("_")[2].encode() not in kept
        assert secret.rpartition("_")[2].lower().encode() not in sent
    for name in (b"x-api-key", b"authorization", b"cookie", b"x-tenant-id", b"portal", TENANT.encode()):
        assert name not in sent


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# --- keyless mode -----------------------------------------------------------------------------------------------------


async def test_keyless_mode_ends_with_the_first_key_for_good(tmp_path: Path, spy: Spy) -> None:
    """In open sessions and streams too, after the key's revocation and after a restart (contract, "Keyless mode")."""
    async with house(tmp_path, spy) as h:
        assert (await h.echo()).status == 200
        assert (await h.echo(headers={"x-api-key": "wrong"})).status == 401
        session = await h.session()
        stream = h.send("GET", session=session)
        await stream.started()
        assert await h.decided("default") == ["local"]
        spy.forget()
        made = await h.key("elsewhere")
        await stream.finished()
        assert (await h.echo()).status == 401
        assert (await h.ask(body=call(), session=session)).status == 401
        await h.gateway.known.keys.revoke(operator("elsewhere"), "elsewhere", made.record.id)
        assert (await h.echo()).status == 401
    async with house(tmp_path, spy) as h:
        for answer in (await h.echo(), await h.ask(body=initialize()), await h.echo(key=made.secret)):
            assert answer.status == 401
        assert spy.acts() == []
        assert await h.decided("default") == ["local"]
        assert not h.gateway.report.keyless


async def test_keys_and_their_last_use_survive_a_restart(tmp_path: Path, spy: Spy) -> None:
    """Nobody has to make them again."""
    async with house(tmp_path, spy) as h:
        made = await h.key(agent="billing")
        assert (await h.echo(key=made.secret)).status == 200
        [before] = h.gateway.known.keys.list(operator(TENANT), TENANT)
    async with house(tmp_path, spy) as h:
        assert list(h.gateway.known.keys.list(operator(TENANT), TENANT)) == [before]
        assert before.last_used
        assert (await h.echo(key=made.secret)).status == 200
        assert await h.decided() == ["billing", "billing"]


# --- probes and strangers ---------------------------------------------------------------------------------------------

PROBES = [
    ("GET", "/.well-known/oauth-protected-resource"),
    ("GET", "/.well-known/oauth-protected-resource/mcp"),
    ("GET", "/.well-known/oauth-authorization-server"),
    ("GET", "/.well-known/oauth-authorization-server/mcp"),
    ("GET", "/.well-known/openid-configuration"),
    ("POST", "/register"),
    ("GET", "/mcp"),
    ("GET", "/mcp/default"),
    ("GET", "/mcp/unknown"),
]


@pytest.mark.parametrize("keyed", [True, False])
async def test_probes_find_a_plain_404(tmp_path: Path, spy: Spy, keyed: bool) -> None:
    """An HTML page, a 200 or a challenge there reads as "OAuth found" (research/ecosystem.md 1.2)."""
    async with house(tmp_path, spy) as h:
        if keyed:
            await h.key()
        transport = httpx.ASGITransport(h.gateway.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as client:
            for verb, path in PROBES:
                if not keyed and path in ("/mcp", "/mcp/default"):
                    continue  # there whoever asks is agent `local`, who needs a session for it
                answer = await client.request(verb, path)
                assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
                assert "www-authenticate" not in answer.headers
    assert spy.raw == b""


async def test_strangers_are_on_record_in_summary(tmp_path: Path, spy: Spy) -> None:
    """Nobody fills the disk by guessing: one entry for each address, reason and minute (contract, 4)."""
    async with house(tmp_path, spy) as h:
        await h.key()
        for number in range(50):
            assert (await h.echo(key=f"mrt_live_{NOBODYS}{number}")).status == 401
        settings = h.settings
    async with reading(settings) as reader:
        entries = list(await tail(reader, SYSTEM_TENANT, 1000))
    [summary] = [one for one in entries if one["type"] == "strangers.refused"]
    assert summary["body"] == {"source": "192.0.2.7", "reason": "-32001", "count": 50}


async def test_a_gateway_that_stops_tells_who_waits(tmp_path: Path, spy: Spy) -> None:
    """Streams of keys end as those of keyless agents do."""
    async with house(tmp_path, spy) as h:
        made = await h.key()
        stream = h.send(body=modern("subscriptions/listen", notifications={}), key=made.secret)
        await stream.started()
        h.gateway.drain()
        await eventually(lambda: stream.over)
